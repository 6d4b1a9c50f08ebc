"""Restate: a handler that runs ten durable steps, called through the server's ingress.

Set up: `restate-server` as one process with its defaults: a replicated log on one node, RocksDB with its write-ahead
log flushed; only telemetry is off and the ports are free ones. Two services do the same work: one with the Python SDK
behind hypercorn, one with the TypeScript SDK on node. The callers are HTTP requests of this process. The server comes
from the npm packages pinned in `requirements/bench-node`; its licence (BUSL) allows this use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from bench.peers._shape import STEPS, RunOne, Variant, free_port, main, server, until

_HERE = Path(__file__).parent
_NODE = Path(sys.prefix) / "node"
_BINARY = _NODE / "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"


@asynccontextmanager
async def _opened(language: str, folder: Path) -> AsyncIterator[RunOne]:
    ingress, admin, fabric, service = (free_port() for _ in range(4))
    environment = {
        **os.environ,
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{fabric}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_LOG_FILTER": "error",
        "DO_NOT_TRACK": "1",
        "BENCH_STEPS": str(STEPS),
        "BENCH_PORT": str(service),
        "NODE_PATH": str(_NODE / "node_modules"),
    }
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=1000)
    running = server(str(_BINARY), "--base-dir", str(folder), "--no-logo", environment=environment)
    serving = server(*_service(language, service), environment=environment)
    async with running, serving, httpx.AsyncClient(limits=limits, timeout=300) as client:
        here = f"http://127.0.0.1:{service}"
        await until(lambda: _posted(client, f"http://127.0.0.1:{admin}/deployments", {"uri": here}))

        async def run_one(run_id: str) -> Any:
            return await _posted(client, f"http://127.0.0.1:{ingress}/Bench/run", {"id": run_id})

        # The ingress learns of the service a moment after the admin does.
        await until(lambda: run_one("first"))
        yield run_one


def _service(language: str, port: int) -> list[str]:
    if language == "python":
        # From inside its folder: the service needs nothing but the SDK.
        config = ["--bind", f"127.0.0.1:{port}", "--log-level", "error"]
        return [sys.executable, "-m", "hypercorn", *config, f"{_HERE / 'restate_service.py'}:app"]
    return ["node", str(_HERE / "restate_service.cjs")]


async def _posted(client: httpx.AsyncClient, url: str, data: Any) -> Any:
    response = await client.post(url, json=data)
    response.raise_for_status()
    return response.json()


def _variant(language: str, name: str) -> Variant:
    told = "each step's result is in the replicated log (one node, write-ahead log flushed) before the next step"
    return Variant(name, told, partial(_opened, language))


if __name__ == "__main__":
    if not _BINARY.exists():
        raise SystemExit("restate-server is not installed: npm was missing when .venv-bench was made, or failed")
    main(
        [
            _variant("python", f"Restate 1.7, Python SDK {version('restate-sdk')}"),
            _variant("typescript", "Restate 1.7, TypeScript SDK"),
        ],
        __doc__,
    )
