"""W1 on other engines: each is a program in `.venv-bench` that prints JSON.

One that cannot be had is reported as not measured, with the reason. Beside each peer Segue's document of W1 is
measured anew, right after it, so that both meet the same disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench._figures import Effort, Figure
from bench.w1 import document_alone, of_document

ENVIRONMENT = Path(".venv-bench")
PEERS = {
    "LangGraph": "langgraph_sqlite",
    "DBOS": "dbos_sqlite",
    "Temporal": "temporal_server",
    "Restate": "restate_server",
}
_SECONDS_MAX = 900


def measure(effort: Effort) -> tuple[list[Figure], list[str]]:
    """Figures of every peer that could be measured; and lines to print below: what they promise, what is missing."""
    runs, rounds = (20, 1) if effort.quick else (200, 3)
    figures: list[Figure] = []
    alone: list[Figure] = []
    notes = []
    for name, module in PEERS.items():
        found = _run(module, effort.folder, runs, rounds)
        if isinstance(found, str):
            notes.append(f"{name}: NOT MEASURED ({found})")
            continue
        ours = [asyncio.run(of_document(effort.folder / f"{module}-{n}", runs, 5)) for n in range(rounds)]
        ours_alone = asyncio.run(document_alone(effort.folder / f"{module}-alone", 20))[0]
        for peer in found:
            notes.append(f"{peer['name']}: {peer['durability']}")
            pairs = list(zip(peer["steps_per_s"], ours, strict=True))
            figures.append(Figure.compared("peers", peer["name"], "steps/s", "Segue, document", pairs))
            pair = [(peer["alone_ms"], ours_alone)]
            alone.append(Figure.compared("peers, alone", peer["name"], "ms", "Segue, document", pair))
    return figures + alone, notes


def _run(module: str, folder: Path, runs: int, rounds: int) -> list[dict[str, Any]] | str:
    """What the peer printed, or why there is nothing."""
    python = ENVIRONMENT / "bin/python"
    if not python.exists():
        return f"{ENVIRONMENT} is missing: make bench BENCH_PEERS=1 builds it"
    line = [str(python), "-m", f"bench.peers.{module}", "--runs", str(runs), "--rounds", str(rounds)]
    line += ["--folder", str(folder)]
    # No telemetry of anybody, and none of our own settings.
    quiet = {"DO_NOT_TRACK": "1", "LANGSMITH_TRACING": "false", "TEMPORAL_DISABLE_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False, env={**os.environ, **quiet}
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_SECONDS_MAX} seconds"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]
    answer: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
