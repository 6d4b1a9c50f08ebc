"""An act that may have happened stays in doubt until somebody knows: never called failed before, nor done again."""

from __future__ import annotations

from typing import Any

from tests.conformance.hosts.building import Recorder, act, eventually, never, soon, workflow
from tests.conformance.hosts.factories import World
from tests.conformance.hosts.test_attempts import retried

from segue.types import EffectContext, Perform, Recovery, fail

ONE = workflow("one", retried("again", act("a")))


class _Unreachable(Recorder):
    """Its first look-up fails; afterwards it says that nobody can look its acts up.

    As `call: openapi` does: only the description of the system tells, and another run may fetch that in between.
    """

    def recovery(self, command: Perform) -> Recovery:
        return "ask" if self.verified else "verify"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        self.verified.append(context.key)
        raise fail("communication", "the system cannot be reached")


async def _closed(world: World, host: Any, run_id: str) -> Any:
    for _ in range(20):
        await world.advance(10)
    return await soon(host.wait_closed(run_id))


async def test_a_look_up_that_fails_leaves_the_act_in_doubt(world: World) -> None:
    """A system is often down when its caller comes back from a crash: silence does not say that nothing happened."""
    before = Recorder(never(), recovery="ask")
    host = await world.open({"echo": before}, ONE)
    run_id = await host.start(ONE.digest, "x")
    await eventually(lambda: before.calls)
    await world.crash()
    after = _Unreachable()
    host = await world.open({"echo": after}, ONE)

    outcome = await _closed(world, host, run_id)

    assert not after.calls, "an act that may have happened was performed again"
    assert outcome.failure.outcome_unknown


async def test_a_handler_that_breaks_leaves_its_act_in_doubt(world: World) -> None:
    """An error in our own code may come after the request was sent: it must not be sent again."""

    def break_after_acting(_: Any) -> Any:
        raise ZeroDivisionError("after the request was sent")

    handler = Recorder(break_after_acting, recovery="ask")
    host = await world.open({"echo": handler}, ONE)
    run_id = await host.start(ONE.digest, "x")

    outcome = await _closed(world, host, run_id)

    assert len(handler.calls) == 1, "an act that may have happened was performed again"
    assert outcome.failure.outcome_unknown
