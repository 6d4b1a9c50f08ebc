"""Large values through the whole host: transparent up to the limit, a clear failure beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conformance.hosts.building import NoSecrets, PlanBook, act, child, listen, workflow

from segue.hosts import EmbeddedHost, HostSettings
from segue.types import EffectContext, Perform, Recovery

BELOW = workflow("below", act("echo", "echo", arguments=lambda data: data))
WORK = workflow("work", act("echo", "echo", arguments=lambda data: data), child("child", "below"), listen("go", "go"))


class Echo:
    """Answers with so many characters."""

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        return "x" * command.arguments if isinstance(command.arguments, int) else command.arguments

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        return self.perform_now(command, context)

    def recovery(self, command: Perform) -> Recovery:
        return "repeat"


def opening(folder: Path, **settings: Any) -> Any:
    return EmbeddedHost.open(
        folder,
        handlers={"echo": Echo()},
        plans=PlanBook(WORK, BELOW),
        secrets=NoSecrets(),
        settings=HostSettings(**settings),
    )


async def test_a_large_result_goes_through_everything_and_a_restart(tmp_path: Path) -> None:
    """Task, child, parent, event, output: the same value, and on disk once."""
    async with opening(tmp_path) as host:
        run = await host.start(WORK.digest, 500_000)
    async with opening(tmp_path) as host:
        await host.publish({"id": "1", "source": "/t", "type": "go", "data": "y" * 100_000})
        assert (await host.wait_closed(run)).status == "completed"
        history = await host.history(run)
        assert [len(e.output) for e in history if hasattr(e, "output")].count(500_000) >= 1
        count = await host.store.read(lambda c: c.execute("SELECT count(*) FROM blob").fetchone()[0])
        # The result; and the event, with and without its envelope.
        assert count <= 3
    async with opening(tmp_path / "empty"):
        pass
    sizes = [(folder / "segue.db").stat().st_size for folder in (tmp_path, tmp_path / "empty")]
    assert sizes[0] < sizes[1] + 100_000


async def test_a_result_beyond_the_limit_fails_its_task_with_the_reason(tmp_path: Path) -> None:
    """The author learns what to do; nothing else is disturbed."""
    async with opening(tmp_path, payload_bytes_max=100_000) as host:
        outcome = await host.wait_closed(await host.start(BELOW.digest, 200_000))
        assert outcome.status == "faulted"
        assert "200,0" in outcome.failure.detail
        assert "payload_max_kb" in outcome.failure.detail
        assert (await host.wait_closed(await host.start(BELOW.digest, 50_000))).status == "completed"


async def test_an_input_or_event_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """Before anything of it is stored."""
    async with opening(tmp_path, payload_bytes_max=100_000) as host:
        with pytest.raises(ValueError, match="at most 100,000"):
            await host.start(BELOW.digest, "x" * 200_000)
        with pytest.raises(ValueError, match="at most 100,000"):
            await host.publish({"id": "1", "source": "/t", "type": "go", "data": "y" * 200_000})
        assert await host.store.count_runs() == {}
