"""The outside world: systems that act, as handlers of the host. It keeps its own ledger, by effect key.

`read` changes nothing, and may answer at once. `keyed` knows keys: the second act of one key gives the first one's
result. `lookup` can be asked for a key, and acts again when it is told to. `manual` can only be looked at by a
person. `model` talks, and talks nonsense when it is foolish.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

from segue.hosts.simulated.effects import Place
from segue.hosts.simulated.faults import Faults
from segue.hosts.simulated.watching import Auditor
from segue.types import NOT_DONE, EffectContext, Handler, Perform, Recovery, TaskFailure, fail

RECOVERY: Final[dict[str, Recovery]] = {"lookup": "verify", "manual": "ask"}
_STALL_MS: Final = 120_000
_GARBAGE: Final[tuple[Any, ...]] = (
    "",
    "I am afraid I cannot do that",
    [],
    {"sure": {"here": [None]}},
    -1,
    float("nan"),
    {1, 2},
    b"\xff",
)


class Flight:
    """A request on its way."""

    __slots__ = ("command", "happened", "key")

    def __init__(self, command: Perform, key: str) -> None:
        self.command = command
        self.key = key
        self.happened = False


class Outside:
    """All systems of a world, acting in the way that its faults allow."""

    def __init__(self, rng: Random, faults: Faults, auditor: Auditor, log: Callable[[str], None]) -> None:
        self.faults = faults
        self.results: dict[str, Any] = {}
        self._rng = rng
        self._auditor = auditor
        self._log = log
        self._flights: dict[Place, Flight] = {}

    def handlers(self) -> dict[str, Handler]:
        """The systems, by the name that acts give."""
        inline = self._rng.random() < self.faults.inline
        return {
            name: InlineSystem(self) if inline and name == "read" else System(self)
            for name in ("read", "keyed", "lookup", "manual", "model")
        }

    async def perform(self, run_id: str, command: Perform, key: str, recovering: bool) -> Any:
        """A request takes effect later, and its answer comes later still, or never."""
        self._ask(run_id, command, key, recovering, under_way=len(self._flights))
        place = (run_id, command.id)
        flight = self._flights[place] = Flight(command, key)
        try:
            stalls = self._rng.random() < self.faults.act_stalls
            await self._wait(self._rng.randint(1, 9) * _STALL_MS if stalls else self._delay())
            if self._flights.get(place) is not flight:
                await asyncio.Event().wait()
            answer = self._outcome(place, flight)
            await self._wait(self._delay())
        finally:
            if self._flights.get(place) is flight:
                del self._flights[place]
        if isinstance(answer, TaskFailure):
            raise answer
        return answer

    def perform_now(self, run_id: str, command: Perform, key: str, recovering: bool) -> Any:
        """The same at once."""
        # What is done at once takes no place among the acts under way.
        self._ask(run_id, command, key, recovering, under_way=0)
        answer = self._outcome((run_id, command.id), Flight(command, key))
        if isinstance(answer, TaskFailure):
            raise answer
        return answer

    async def verify(self, run_id: str, command: Perform, key: str) -> Any:
        """Look it up by its key."""
        self._auditor.looked_up(run_id, command)
        await self._wait(self._delay())
        if self._rng.random() < self.faults.act_fails:
            self._log(f"verified {run_id} {command.name} id={command.id}: no answer")
            self._auditor.effects.silent.add((run_id, command.id))
            raise fail("communication", "the system cannot be asked now", status=503)
        is_known = key in self.results
        self._log(f"verified {run_id} {command.name} id={command.id}: {is_known}")
        if not is_known:
            self._auditor.effects.cleared(key)
        return self.results[key] if is_known else NOT_DONE

    def host_died(self) -> None:
        """What was on its way arrives now or never; the answers find nobody."""
        flights, self._flights = self._flights, {}
        for place, flight in flights.items():
            if not flight.happened and self._rng.random() < 0.4:
                self._happen(place, flight, in_a_crash=True)

    def _ask(self, run_id: str, command: Perform, key: str, recovering: bool, *, under_way: int) -> None:
        self._log(f"asked    {run_id} {command.name} id={command.id} key={key} recovering={recovering}")
        recovery = RECOVERY.get(command.handler, "repeat")
        self._auditor.performing(run_id, command, key, recovery, under_way=under_way)

    def _outcome(self, place: Place, flight: Flight) -> Any:
        rng, faults = self._rng, self.faults
        if rng.random() < faults.act_fails:
            self._auditor.effects.refused.add(place)
            return fail("communication", "refused", status=rng.choice((404, 500, 503)))
        result = self._happen(place, flight)
        if rng.random() < faults.answer_lost:
            return fail("communication", "the connection broke", outcome_unknown=True)
        if flight.command.handler == "model" and rng.random() < faults.foolish:
            return rng.choice(_GARBAGE)
        return result

    def _happen(self, place: Place, flight: Flight, *, in_a_crash: bool = False) -> Any:
        command, key = flight.command, flight.key
        flight.happened = True
        self._log(f"happened {place[0]} {command.name} id={command.id}")
        recovery = RECOVERY.get(command.handler, "repeat")
        self._auditor.happens(place[0], command, key, recovery, in_a_crash=in_a_crash)
        result = self._rng.randrange(100)
        if command.handler == "keyed":
            result = self.results.setdefault(key, result)
        self.results[key] = result
        return result

    def _delay(self) -> int:
        return self._rng.randint(0, self.faults.act_ms) if self.faults.act_ms else 0

    @staticmethod
    async def _wait(wait_ms: int) -> None:
        await asyncio.sleep(wait_ms / 1000)


class System:
    """One system, as a handler (see `segue.types.Handler`)."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Act."""
        return await self._outside.perform(context.run_id, command, context.key, context.recovering)

    def recovery(self, command: Perform) -> Recovery:
        """By the kind of system."""
        return RECOVERY.get(command.handler, "repeat")

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Look the act up."""
        return await self._outside.verify(context.run_id, command, context.key)


class InlineSystem(System):
    """One that answers at once."""

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        """Act at once."""
        return self._outside.perform_now(context.run_id, command, context.key, context.recovering)
