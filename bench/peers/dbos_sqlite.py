"""DBOS on SQLite: a workflow that calls ten steps.

Set up: one process, the system database in a file, as its documentation starts. DBOS leaves SQLite's defaults in
place: rollback journal, `synchronous` FULL, every commit flushed, several flushes each. The second variant gives it
the file in WAL mode, which is kinder: it is not what an installation gets by itself. Telemetry is off.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from bench.peers._shape import STEPS, RunOne, Variant, answer, main


@asynccontextmanager
async def _opened(mode: str, folder: Path) -> AsyncIterator[RunOne]:
    file = folder / "dbos.db"
    with sqlite3.connect(file) as connection:
        # The mode is kept in the file.
        connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{file}",
            "enable_otlp": False,
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    async def step(number: int) -> dict[str, Any]:
        return answer(number)

    @DBOS.workflow()
    async def ten_steps() -> dict[str, Any]:
        last: dict[str, Any] = {}
        for number in range(STEPS):
            last = await step(number)
        return last

    DBOS.launch()

    async def run_one(run_id: str) -> Any:
        with SetWorkflowID(run_id):
            handle = await DBOS.start_workflow_async(ten_steps)
        return await handle.get_result()

    try:
        yield run_one
    finally:
        DBOS.destroy(destroy_registry=True)


def _variant(mode: str, told: str) -> Variant:
    return Variant(f"DBOS {version('dbos')}, SQLite, {told}", _DURABILITY.format(mode), partial(_opened, mode))


_DURABILITY = "each step's result is committed before the next step; {} journal, synchronous=FULL"

if __name__ == "__main__":
    os.environ.setdefault("DBOS__VMID", "bench")
    main([_variant("delete", "as installed"), _variant("wal", "file in WAL mode")], __doc__)
