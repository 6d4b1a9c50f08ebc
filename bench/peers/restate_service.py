"""The service that Restate calls, with its Python SDK; started by `restate_server.py`."""

from __future__ import annotations

import os
from typing import Any

import restate

bench = restate.Service("Bench")


@bench.handler()
async def run(ctx: restate.Context, request: dict[str, Any]) -> dict[str, Any]:
    """Ten durable steps in a row."""
    last: dict[str, Any] = {}
    for number in range(int(os.environ["BENCH_STEPS"])):
        last = await ctx.run_typed(f"step{number}", lambda n=number: {"step": n, "score": 0.75})
    return last


app = restate.app(services=[bench])
