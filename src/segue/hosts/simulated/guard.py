"""The guard of a simulated world: it lets acts through, and stops handlers and workflows for a while.

It outlives the processes, as rules on disk do, and remembers what it answered, for the auditor.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from segue.hosts.simulated.reach import require
from segue.types import ApprovalWanted, Failure, Perform, failure
from segue.types.causes import UNTOLD


class Guard:
    """The door of every process (see `segue.hosts.contracts.Door`).

    Attributes:
        stopped: Handlers, and workflows as `namespace/name`, that nothing may be done through or by, and since
            when, in true milliseconds.
        refusals: How often it said no.
        withheld: Handlers through which nothing goes that nobody has approved. asked: How often somebody must.

    Args:
        dice: Decide about what follows. fickle: How likely rules change between an approval and its act.
        clocks: Dice of their own. clocked: How likely an approval has reminders, a rung and a deadline.
    """

    def __init__(
        self, dice: Random, *, fickle: float = 0.0, clocks: Random | None = None, clocked: float = 0.0
    ) -> None:
        self._dice = dice
        self._clocks, self._clocked = clocks or dice, clocked
        self._fickle = fickle
        self._more: dict[tuple[str, int], str] = {}
        self._answers: dict[tuple[str, int], bool] = {}
        self.stopped: dict[str, int] = {}
        self.refusals = self.asked = 0
        self.withheld: frozenset[str] = frozenset()
        self._version = 1
        self._allowed: set[tuple[str, int, str]] = set()

    def stop(self, what: str, now: int) -> None:
        """Nothing may be done there any more."""
        self._version += 1
        self.stopped.setdefault(what, now)

    def release(self, what: str) -> None:
        """It may be again."""
        self._version += 1
        self.stopped.pop(what, None)

    def may_start(self, workflow: str) -> bool:
        """Unless the workflow is stopped."""
        return workflow not in self.stopped

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        """Refuse what is stopped, leave to people what is withheld; a permission names the rules that gave it."""
        name = workflow.partition(":")[0]
        answer = self._answer(run, name, command, begun=begun)
        self._answers[run, command.id] = isinstance(answer, str)
        if isinstance(answer, str):
            self._allowed.add((name, command.id, answer))
        else:
            self.refusals += isinstance(answer, Failure)
            self.asked += isinstance(answer, ApprovalWanted)
        return answer

    def _answer(self, run: str, name: str, command: Perform, *, begun: bool) -> Failure | ApprovalWanted | str:
        if self.is_stopped(name, command):
            return failure("authorization", f"rules {self._version} do not let {command.name!r} through")
        rule = None if begun else self._unmet(run, command)
        if rule is None:
            return f"rules {self._version}"
        if command.detached:
            return failure("authorization", f"nobody can approve {command.name!r}, which nobody waits for")
        rules = {rule: "somebody must look at it"}
        digest = _digest(run, command)
        return ApprovalWanted(0, command.id, "boss", rules, "1", "a rule wants it", digest, clocks=self._clock())

    def _clock(self) -> dict[str, Any]:
        """What the clock does while it waits; nothing where no dice are thrown for it."""
        if not self._clocked or self._clocks.random() >= self._clocked:
            return {}
        ends = self._clocks.choice((1_000, 60_000, 4_000_000))
        return {
            "reminders_ms": [ends // 4, ends // 3],
            "ladder": [{"after_ms": ends // 2, "to": {"roles": ["chief"]}}],
            "deadline": {"after_ms": ends, "outcome": self._clocks.choice(("refuse", "timeout"))},
        }

    def _unmet(self, run: str, command: Perform) -> str | None:
        """The rule that wants an approval which this act does not have."""
        if command.handler not in self.withheld:
            return None
        if not self.is_approved(run, command):
            return "eyes"
        place = (run, command.id)
        if place not in self._more and self._dice.random() < self._fickle:
            self._version += 1
            self._more[place] = f"more eyes, since {self._version}"
        lifted = {rule for given in command.approvals for rule in given.rules}
        more = self._more.get(place)
        return None if more in lifted else more

    def is_stopped(self, name: str, command: Perform) -> bool:
        """May a run of this workflow (`namespace/name`) not do this now?"""
        return name in self.stopped or command.handler in self.stopped

    def is_approved(self, run: str, command: Perform) -> bool:
        """Nobody has to approve this, or somebody has."""
        if command.handler not in self.withheld:
            return True
        return any(given.digest == _digest(run, command) for given in command.approvals)

    def check_asked(self, run: str, command: Perform, verb: str) -> None:
        """Something is done about an act.

        Raises:
            Violation: The last answer about it was another than yes.
        """
        allowed = self._answers.get((run, command.id))
        require(allowed, f"{command.name!r} of {run!r} was {verb} though nobody allowed it")

    def check_verdict(self, name: str, command: Perform, verdict: str) -> None:
        """The result of an act tells of a permission that was given.

        Raises:
            Violation: Nobody gave it.
        """
        given = (name, command.id, verdict) in self._allowed
        require(given, f"{command.name!r} succeeded under {verdict!r}, which nobody said of it")


def _digest(run: str, command: Perform) -> str:
    return f"{run}:{command.effect}:{command.handler}:{command.arguments!r}"
