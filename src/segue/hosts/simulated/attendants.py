"""People of a world before whom work comes: those who approve acts, and those who decide human tasks."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from segue.hosts.contracts import UnknownRun
from segue.hosts.simulated import interventions, staff
from segue.hosts.simulated.host import SimulatedHost
from segue.store import HostError
from segue.types import DecisionMade, TaskAssigned

if TYPE_CHECKING:
    from segue.hosts.simulated.simulation import World


class Attendants:
    """They look now and then, early and late, and do what they should not."""

    def __init__(self, world: World, deciding: Random, staff: Random) -> None:
        self.world = world
        self._deciding = deciding
        self._staff = staff

    # -- approvals ---------------------------------------------------------------------------------

    def arrange(self, span: int) -> None:
        """Say when somebody looks at what waits for approval."""
        dice = self._deciding
        for _ in range(dice.randint(2, 12) if self.world.guard.withheld else 0):
            self.world.time.after(dice.randint(0, dice.choice((1_000, span + 1_000, 60_000))), self._decide_some)

    def _decide_some(self) -> None:
        """Somebody looks at what waits, or presses where nothing does; some press together."""
        dice = self._deciding
        for run_id, number in self.world.auditor.offers():
            for _ in range(dice.choice((0, 1, 1, 2))):
                self._attend(run_id, interventions.voice(dice, number + dice.choice((0, 0, 0, 0, 1))))

    def approve_all(self) -> bool:
        """Whatever waits is approved, whoever has claimed it."""
        offers = self.world.auditor.offers()
        for run_id, number in offers:
            self._attend(run_id, TaskAssigned(0, number, "release", by="boss"))
            self._attend(run_id, DecisionMade(0, number, interventions.APPROVE, by="boss"))
        return bool(offers)

    def _attend(self, run_id: str, event: DecisionMade | TaskAssigned) -> None:
        if self.world.process.host is not None:
            self.world.process.spawn(self._attend_once(run_id, event, self.world.process.host))

    async def _attend_once(self, run_id: str, event: DecisionMade | TaskAssigned, host: SimulatedHost) -> None:
        try:
            refused = await host.attend(run_id, event)
        except (HostError, UnknownRun):
            return  # It may have counted; nobody asks again.
        if refused is None and isinstance(event, DecisionMade):
            self.world.auditor.decided(run_id, event)

    # -- people before whom human tasks come -------------------------------------------------------

    def arrange_looks(self, span: int) -> None:
        """Say when somebody looks at the list of human tasks."""
        dice = self._staff
        for _ in range(12):
            if dice.random() < self.world.faults.decides:
                at = dice.randint(0, span * 2 + dice.choice((2_000, 60_000, 86_400_000)))
                self.world.time.after(at, self.look)

    def look(self) -> None:
        """Somebody looks at the list, and does something, or two do; at once, later, or one of them twice."""
        dice, tasks = self._staff, staff.listed(self.world.storage.connection)
        if not tasks:
            return
        seen = dice.choice(tasks[-4:])
        for _ in range(dice.choice((1, 1, 2, 3))):
            late_ms = dice.choice((0, 0, 0, dice.randint(0, self.world.faults.late_ms + 100)))
            self.world.time.after(
                late_ms, partial(self._do, seen, staff.foolish(dice, seen, self.world.auditor.marks.new()))
            )

    def _do(self, seen: staff.Seen, deed: staff.Deed) -> None:
        if self.world.process.host is not None:
            self.world.process.spawn(self._do_once(seen, deed, self.world.process.host))

    async def _do_once(self, seen: staff.Seen, deed: staff.Deed, host: SimulatedHost) -> None:
        try:
            refused = await host.attend(seen.run, deed)
        except (HostError, UnknownRun):
            return  # It may count; nobody asks again.
        self.world.auditor.answered(seen.run, staff.mark_of(deed), refused)

    def finish(self) -> None:
        """Most of what is before people is decided, in one way or another."""
        for _ in range(6 if self.world.faults.decides else 0):
            tasks = staff.listed(self.world.storage.connection)
            for seen in tasks:
                self._do(seen, staff.wise(self._staff, seen, self.world.auditor.marks.new()))
            if tasks:
                self.world.settle()
