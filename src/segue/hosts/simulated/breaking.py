"""What goes wrong with the process of a world, its disk and its clock."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from segue.hosts.simulated.host import SimulatedHost

if TYPE_CHECKING:
    from segue.hosts.simulated.simulation import World

_CRASHES_MAX: Final = 40


class Breaker:
    """Breaks what the faults of the world say, as often as they say.

    Attributes:
        crashes: How often the process died. unread: How many readings failed.
    """

    def __init__(self, world: World, reading: Random) -> None:
        self.world = world
        self.crashes = self.unread = 0
        self._unreadable = False
        self._reading = reading

    def disk_ms(self) -> int:
        """How long the disk takes now."""
        return self.world.rng.randint(0, self.world.now.disk_ms) if self.world.now.disk_ms else 0

    def fault(self, number: int) -> None:
        """Let this write fail, perhaps."""
        if self.world.now.disk_fails and self.world.rng.random() < self.world.now.disk_fails:
            self.world.say(f"disk     write {number} fails")
            self.world.auditor.disturbed_at = self.world.time.now
            raise OSError("no space left on the simulated device")

    def read_fails(self) -> bool:
        """Does this reading fail?"""
        fails = self._unreadable or self.world.now.reads_fail > self._reading.random()
        if fails:
            self.world.say("disk     a reading fails")
            self.unread += 1
            self.world.auditor.unread_at = self.world.time.now
        return fails

    def set_readable(self, readable: bool) -> None:
        """From now on nothing can be read, or everything again."""
        self.world.say(f"disk     {'can be read again' if readable else 'cannot be read'}")
        self._unreadable = not readable
        self.world.auditor.unread_at = self.world.time.now

    def dies_now(self) -> bool:
        """Does the process die at this write? It has, if so."""
        if self.world.rng.random() >= self.world.now.crash_at_write / 2:
            return False
        self.crash()
        return True

    def crash(self) -> None:
        """The process dies, and another one starts a little later."""
        if not self.world.process.alive:
            return
        self.crashes += 1
        if self.crashes == _CRASHES_MAX:
            self.world.now = replace(self.world.now, crash_at_write=0.0)
        self.world.say("crash")
        self.world.outside.host_died()
        self.world.process.kill()
        self.world.storage.power_off(keeps=self.world.rng.random() >= self.world.faults.torn)
        self._boot_later()

    def _boot_later(self) -> None:
        later_ms = self.world.rng.choice((0, 10, 5_000))
        self.world.auditor.disturbed_at = self.world.time.now + later_ms
        self.world.time.after(later_ms, self.world.process.boot)

    def restart(self) -> None:
        """The process is ended properly, and another one starts."""
        host = self.world.process.host
        if host is not None:
            self.world.say("close")
            self.world.process.spawn(self._close(host))

    async def _close(self, host: SimulatedHost) -> None:
        self.world.process.host = None
        await host.close()
        self.world.say("closed")
        self.world.outside.host_died()
        self.world.process.leave()
        self._boot_later()

    def jumped(self) -> None:
        """Nobody is told; whoever looks at the clock sees it, at the latest half a minute later."""
        self.world.auditor.disturbed_at = self.world.time.now
        self.world.time.after(self.world.people.randint(0, 30_000), self.world.process.look_at_clock)

    def arrange_outage(self, span: int) -> None:
        """Say when the file cannot be read for a while."""
        if self.world.faults.unreadable_ms:
            at = self._reading.randint(0, self._reading.choice((1_000, span, 600_000)))
            self.world.time.after(at, partial(self.set_readable, False))
            self.world.time.after(at + self.world.faults.unreadable_ms, partial(self.set_readable, True))
