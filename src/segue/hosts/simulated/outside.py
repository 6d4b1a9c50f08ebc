"""The outside world: systems that act, and people who are asked. It keeps its own ledger, by effect key.

`read` changes nothing. `keyed` knows keys: the second act of one key gives the first one's result. `lookup` can be
asked for a key, and acts again when it is told to. `manual` can only be looked at by a person, who may be wrong or
at a loss. `model` talks, and talks nonsense when it is foolish.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from segue.hosts.simulated.auditor import Auditor
from segue.hosts.simulated.contracts import Reply
from segue.hosts.simulated.faults import Faults
from segue.hosts.simulated.time import Time
from segue.types import Failure, Perform, Recovery, failure

RECOVERY: Final[dict[str, Recovery]] = {"lookup": "verify", "manual": "ask"}
_HOUR_MS: Final = 3_600_000
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

Place = tuple[str, int]


class Flight:
    """A request on its way."""

    __slots__ = ("command", "happened", "key", "reply")

    def __init__(self, command: Perform, key: str, reply: Reply) -> None:
        self.command = command
        self.key = key
        self.reply = reply
        self.happened = False


class Outside:
    """Performs acts for a host (see `engine.Performer`) in the way that the faults of this world allow."""

    def __init__(self, time: Time, rng: Random, faults: Faults, auditor: Auditor, log: Callable[[str], None]) -> None:
        self._time = time
        self._rng = rng
        self.faults = faults
        self._auditor = auditor
        self._log = log
        self._flights: dict[Place, Flight] = {}
        self._by_key: dict[str, Any] = {}

    def recovery(self, command: Perform) -> Recovery:
        """By the kind of system."""
        return RECOVERY.get(command.handler, "repeat")

    def perform(self, run_id: str, command: Perform, key: str, recovering: bool, reply: Reply) -> None:
        """Send a request; it takes effect later, and its answer comes later still, or never."""
        self._auditor.performing(run_id, command, key, self.recovery(command))
        self._log(f"asked    {run_id} {command.name} id={command.id} key={key} recovering={recovering}")
        place = (run_id, command.id)
        flight = self._flights[place] = Flight(command, key, reply)
        stalls = self._rng.random() < self.faults.act_stalls
        delay_ms = self._rng.randint(1, 9) * _HOUR_MS if stalls else self._delay()
        self._time.after(delay_ms, lambda: self._arrive(place, flight))

    def verify(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Look it up by its key."""

        def look() -> None:
            if self._rng.random() < self.faults.act_fails:
                self._log(f"verified {run_id} {command.name} id={command.id}: no answer")
                self._auditor.unanswered(run_id, command.id)
                reply(failure("communication", "the system cannot be asked now", status=503))
                return
            self._log(f"verified {run_id} {command.name} id={command.id}: {key in self._by_key}")
            self._tell(key, reply, absent, is_known=key in self._by_key)

        self._time.after(self._delay(), look)

    def ask(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """A person looks whether it happened, when they come to it."""

        def look() -> None:
            mistaken = self.faults.mistaken and self._rng.random() < self.faults.mistaken
            if mistaken and self._rng.random() < 0.5:
                self._log(f"person   {run_id} {command.name} id={command.id}: cannot say")
                reply(failure("runtime", "nobody knows whether it happened", outcome_unknown=True))
                return
            if mistaken and key in self._by_key:
                self._auditor.mistake(key)
            is_known = key in self._by_key and not mistaken
            self._log(f"person   {run_id} {command.name} id={command.id}: {is_known}")
            self._tell(key, reply, absent, is_known=is_known)

        self._time.after(self._rng.randint(0, self.faults.late_ms), look)

    def _tell(self, key: str, reply: Reply, absent: Callable[[], None], *, is_known: bool) -> None:
        if is_known:
            reply(self._by_key[key])
        else:
            self._auditor.cleared(key)
            absent()

    def cancel(self, run_id: str, command_id: int) -> None:
        """A request that has not arrived never will."""
        self._flights.pop((run_id, command_id), None)

    def host_died(self) -> None:
        """What was on its way arrives now or never; the answers find nobody."""
        for place, flight in self._flights.items():
            if not flight.happened and self._rng.random() < 0.4:
                self._happen(place, flight, in_a_crash=True)
        self._flights.clear()

    def _arrive(self, place: Place, flight: Flight) -> None:
        if self._flights.get(place) is not flight:
            return
        answer = self._outcome(place, flight)
        self._time.after(self._delay(), lambda: flight.reply(answer))
        if self._rng.random() < self.faults.answer_doubled:
            self._time.after(self._delay() * 2, lambda: flight.reply(answer))

    def _outcome(self, place: Place, flight: Flight) -> Any | Failure:
        rng, faults = self._rng, self.faults
        if rng.random() < faults.act_fails:
            del self._flights[place]
            return failure("communication", "refused", status=rng.choice((404, 500, 503)))
        result = self._happen(place, flight)
        if rng.random() < faults.answer_lost:
            return failure("communication", "the connection broke", outcome_unknown=True)
        if flight.command.handler == "model" and rng.random() < faults.foolish:
            return rng.choice(_GARBAGE)
        return result

    def _happen(self, place: Place, flight: Flight, *, in_a_crash: bool = False) -> Any:
        command, key = flight.command, flight.key
        flight.happened = True
        self._log(f"happened {place[0]} {command.name} id={command.id}")
        self._auditor.happens(place[0], command, key, self.recovery(command), in_a_crash=in_a_crash)
        result = self._rng.randrange(100)
        if command.handler == "keyed":
            result = self._by_key.setdefault(key, result)
        self._by_key[key] = result
        return result

    def _delay(self) -> int:
        return self._rng.randint(0, self.faults.act_ms) if self.faults.act_ms else 0
