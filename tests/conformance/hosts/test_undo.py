"""Undo on a real host: each once, in reverse, over crashes; what fails waits in the inbox."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.hosts.building import Recorder, act, eventually, program, soon, workflow
from tests.conformance.hosts.factories import World
from tests.conformance.hosts.test_held import Moody, held, inbox, ledger

from segue.core.plan import UndoNode
from segue.hosts import FailurePolicy, HostError
from segue.types import NOT_DONE, FailureReleased, RunCancelled, RunPaused, TaskSkipped, fail


def takes_back(name: str, handler: str = "back", arguments: Any = lambda data: data) -> UndoNode:
    return UndoNode(
        name=f"undo {name}",
        pointer=f"/do/{name}/with/undo",
        section="undo",
        handler=handler,
        arguments=program(arguments),
    )


def broken(arguments: Any) -> Any:
    raise fail("communication", "the system is down", status=503)


TRIP = workflow(
    "trip",
    act("flight", "book", lambda data: "flight", undo=takes_back("flight")),
    act("hotel", "book", lambda data: "hotel", undo=takes_back("hotel")),
    act("car", "broken"),
)


def booking(**more: Any) -> dict[str, Recorder]:
    return {
        "book": Recorder(recovery="verify"),
        "back": Recorder(recovery="verify", **more),
        "broken": Recorder(broken),
    }


async def test_a_run_that_faults_takes_back_what_it_did(world: World) -> None:
    """In reverse, each with the result of its act, each under a key of its own."""
    handlers = booking()
    host = await world.open(handlers, TRIP)
    run_id = await host.start(TRIP.digest)
    outcome = await soon(host.wait_closed(run_id))
    assert outcome.status == "faulted"
    assert [command.arguments for command, _ in handlers["back"].calls] == ["hotel", "flight"]
    keys = [context.key for handler in handlers.values() for _, context in handler.calls]
    assert len(set(keys)) == len(keys)
    assert [incident.kind for incident in await inbox(host)] == ["faulted"]


async def test_a_cancelled_run_takes_back_what_it_did(world: World) -> None:
    """It ends when that is done."""
    handlers = booking()
    handlers["broken"] = Recorder(lambda _: asyncio.Event().wait())
    host = await world.open(handlers, TRIP)
    run_id = await host.start(TRIP.digest)
    await eventually(lambda: handlers["broken"].calls)
    assert await host.control(run_id, RunCancelled(0))
    assert (await soon(host.wait_closed(run_id))).status == "cancelled"
    assert [command.arguments for command, _ in handlers["back"].calls] == ["hotel", "flight"]


async def test_an_undo_that_fails_stands_in_the_inbox_and_the_next_one_waits(world: World) -> None:
    """Also where failures are not held; a kill changes nothing."""
    host = await world.open({**booking(), "back": Recorder(broken, recovery="verify")}, TRIP)
    run_id = await host.start(TRIP.digest)
    first = await held(host, run_id)
    assert first.pointer == "/do/hotel/with/undo"
    await world.crash()
    handlers = booking()
    host = await world.open(handlers, TRIP)
    assert (await host.run(run_id)).status == "suspended"
    assert await host.control(run_id, TaskSkipped(0, first.task, by="ann", reason="by hand"))
    assert (await soon(host.wait_closed(run_id))).status == "faulted"
    assert [command.arguments for command, _ in handlers["back"].calls] == ["flight"]
    told = [(incident.kind, incident.state, incident.action) for incident in await inbox(host)]
    assert sorted(told) == [("faulted", "closed", "faulted"), ("held", "closed", "skip")]


async def test_cancelling_what_is_being_undone_writes_nothing_more(world: World) -> None:
    """Whoever asks ten times while an undo waits for a person must not fill the history."""
    host = await world.open({**booking(), "back": Recorder(broken, recovery="verify")}, TRIP)
    run_id = await host.start(TRIP.digest)
    await held(host, run_id)
    before = await host.history(run_id)
    for _ in range(3):
        assert await host.control(run_id, RunCancelled(0, by="ann"))
    assert await host.history(run_id) == before
    await host.control(run_id, RunPaused(0))
    await host.control(run_id, RunCancelled(0, by="ann"))
    assert [type(event) for event in (await host.history(run_id))[len(before) :]] == [RunPaused, RunCancelled]


async def test_giving_an_undo_up_leaves_it_and_tells_the_failure_of_the_run_once(world: World) -> None:
    """What was given up is the undo; why the run failed is another line."""
    host = await world.open({**booking(), "back": Recorder(Moody(1), recovery="verify")}, TRIP)
    run_id = await host.start(TRIP.digest)
    first = await held(host, run_id)
    assert await host.control(run_id, FailureReleased(0, first.task, by="ann", reason="let it stand"))
    assert (await soon(host.wait_closed(run_id))).status == "faulted"
    assert sorted((i.kind, i.pointer) for i in await inbox(host)) == [
        ("faulted", "/do/car"),
        ("held", "/do/hotel/with/undo"),
    ]


async def test_where_nobody_can_come_the_run_ends(world: World) -> None:
    """A document that is run by hand must end, whatever fails."""
    world.policy = lambda plan: FailurePolicy(hold=False, attended=False)
    back = Recorder(Moody(1), recovery="verify")
    host = await world.open({**booking(), "back": back}, TRIP)
    assert (await soon(host.wait_closed(await host.start(TRIP.digest)))).status == "faulted"
    assert [command.arguments for command, _ in back.calls] == ["hotel", "flight"]


async def test_whatever_write_fails_each_is_undone_once(world: World) -> None:
    """The system is asked what became of an undo that a crash cut off."""
    for number in range(1, 16):
        done: dict[str, Any] = {}

        def handlers(done: dict[str, Any] = done) -> dict[str, Any]:
            return {**booking(), "book": Keyed(done), "back": Keyed(done)}

        host = await world.open(handlers(), TRIP)
        world.fail_writes(number)
        run_id = f"run-{number}"
        try:
            await host.start(TRIP.digest, run_id=run_id)
            await asyncio.wait_for(host.wait_closed(run_id), 0.02)
        except (HostError, TimeoutError):
            pass  # How far it came is what is asked below.
        await world.crash()
        host = await world.open(handlers(), TRIP)
        if await host.run(run_id) is not None:
            assert (await soon(host.wait_closed(run_id))).status == "faulted"
            assert sorted(done.values()) == [("flight", 1), ("flight", 1), ("hotel", 1), ("hotel", 1)]
            assert {state for _, state in await ledger(host)} <= {"done", "failed"}
        await world.close()


class Keyed(Recorder):
    """A system that can be asked what was done under a key, and counts."""

    def __init__(self, done: dict[str, Any]) -> None:
        super().__init__(recovery="verify")
        self.done = done

    async def perform(self, command: Any, context: Any) -> Any:
        times = self.done.get(context.key, (None, 0))[1] + 1
        self.done[context.key] = (command.arguments, times)
        return command.arguments

    async def verify(self, command: Any, context: Any) -> Any:
        return self.done[context.key][0] if context.key in self.done else NOT_DONE
