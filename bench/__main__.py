"""Every benchmark in one go, one readable table.

    python -m bench [--quick] [--rounds 5] [--peers] [--only w1,w2] [--parked N] [--recovered N] [--folder DIR]
                    [--json FILE] [--plot FOLDER] [--write-docs]

Each group runs in a process of its own, so that none inherits the heap, the caches or the settings of another. Every
figure stands beside a limit or a peer measured in the same run; the ratio is what to remember, since the absolute
figures are those of one machine at one moment. `--peers` (or BENCH_PEERS=1) adds other engines, from `.venv-bench`.
`--write-docs` replaces the tables and pictures of `docs/performance.md`; the whole takes about ten minutes on a quiet
machine, peers not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import _docs, _peers
from bench._figures import Effort, Figure, columns, from_json, table
from bench._goals import DISTURBED, Judged, judged
from bench._machine import Ticks, describe, sentence
from bench.plot import draw

GROUPS = ("micro", "w1", "governed", "w2", "w3", "recovery", "loops")


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    folder = Path(asked.folder or Path.cwd())
    machine = describe(folder)
    print(sentence(machine), flush=True)
    before = Ticks.now()
    figures: list[Figure] = []
    notes: list[str] = []
    for group in asked.groups:
        print(f"measuring {group} …", file=sys.stderr, flush=True)
        figures += _group(group, asked, folder)
    if asked.peers:
        print("measuring peers …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as name:
            found, notes = _peers.measure(Effort(asked.quick, asked.rounds or 3, Path(name)))
        figures += found
    machine["others"] = round(Ticks.now().others_since(before), 3)
    machine["load_after"] = os.getloadavg()[0]
    goals = judged(figures, others=machine["others"])
    _print(figures, goals, notes, machine, asked)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if asked.json:
        _write(Path(asked.json), at, figures, goals, notes, machine, asked.quick)
    if asked.plot:
        draw(figures, Path(asked.plot))
    if asked.write_docs:
        _docs.write(_docs.DOCUMENT, figures, goals, machine, at)
        draw(figures, _docs.DOCUMENT.parent / "images")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="show that it works; the figures mean little")
    parser.add_argument("--rounds", type=int, help="how often; the median counts")
    parser.add_argument("--only", help=f"groups, by comma: {', '.join(GROUPS)}; `none` with --peers for peers only")
    parser.add_argument("--folder", help="where to put the files: on the disk to be measured (default: here)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--plot", metavar="FOLDER", help="draw the figures as SVG into this folder")
    parser.add_argument("--parked", type=int, help="runs that W3 parks (default 1,000,000)")
    parser.add_argument("--recovered", type=int, help="runs that are killed and recovered (default 100,000)")
    parser.add_argument("--write-docs", action="store_true", help="put tables and pictures into docs/performance.md")
    parser.add_argument("--peers", action="store_true", default=os.environ.get("BENCH_PEERS", "0") not in ("", "0"))
    asked = parser.parse_args()
    groups = GROUPS if asked.only is None else tuple(name for name in asked.only.split(",") if name != "none")
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")
    if asked.write_docs and asked.quick:
        parser.error("--write-docs with --quick would put figures into the docs that mean little")
    asked.groups = groups
    asked.runs = {"w3": asked.parked, "recovery": asked.recovered}
    return asked


def _group(group: str, asked: argparse.Namespace, folder: Path) -> list[Figure]:
    line = [sys.executable, "-m", f"bench.{group}", "--json", "--folder", str(folder)]
    line += ["--quick"] if asked.quick else []
    line += ["--rounds", str(asked.rounds)] if asked.rounds else []
    line += ["--runs", str(asked.runs[group])] if asked.runs.get(group) else []
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{group} failed: see above")
    return from_json(json.loads(done.stdout))


def _print(
    figures: list[Figure],
    goals: list[Judged],
    notes: list[str],
    machine: dict[str, Any],
    asked: argparse.Namespace,
) -> None:
    print()
    print(table(figures))
    print()
    print(columns([("goal", "measured", "holds"), *((goal.says, goal.measured, goal.holds) for goal in goals)]))
    print()
    print("\n".join(notes) if notes else "peers: not measured (not asked for: --peers or BENCH_PEERS=1)")
    others = machine["others"]
    disturbed = "; figures are disturbed, trust the ratios only" if others > DISTURBED else ""
    print(
        f"others used {others:.0%} of the machine meanwhile, load at the end {machine['load_after']:.1f}{disturbed}"
    )
    if asked.quick:
        print("--quick: this shows that everything works; the figures mean little")


def _write(
    path: Path,
    at: str,
    figures: list[Figure],
    goals: list[Judged],
    notes: list[str],
    machine: dict[str, Any],
    quick: bool,
) -> None:
    told = {
        "at": at,
        "quick": quick,
        "machine": machine,
        "goals": [asdict(goal) for goal in goals],
        "figures": [asdict(figure) for figure in figures],
        "notes": notes,
    }
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
