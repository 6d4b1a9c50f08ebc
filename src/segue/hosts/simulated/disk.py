"""The disk: writes are acknowledged late and in order; a crash keeps those, and perhaps a few more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from segue.hosts.simulated.faults import Faults
from segue.hosts.simulated.records import Record
from segue.hosts.simulated.time import Act, Time

Watch = Callable[[Sequence[Record]], None]


class Disk:
    """Survives its processes. A write is all or nothing; `durable` is what the next process will read."""

    def __init__(self, time: Time, rng: Random, faults: Faults, watch: Watch | None = None) -> None:
        self.durable: list[Record] = []
        self.crash: Callable[[], None] | None = None
        self._time = time
        self._rng = rng
        self._faults = faults
        self._watch = watch
        self._pending: deque[tuple[Sequence[Record], Act]] = deque()
        self._generation = 0
        self._last_at = 0

    def write(self, records: Sequence[Record], then: Act) -> None:
        """Write all of these or none; `then` is called once they are safe."""
        self._pending.append((records, then))
        done_at = self._time.now + (self._rng.randint(0, self._faults.disk_ms) if self._faults.disk_ms else 0)
        self._last_at = done_at = max(self._last_at, done_at)
        generation = self._generation
        self._time.after(done_at - self._time.now, lambda: self._acknowledge(generation))

    def power_off(self) -> None:
        """The process died: nobody hears of what was pending, and only a first part of it may have survived."""
        self._generation += 1
        survive = 0
        if self._rng.random() >= self._faults.torn:
            survive = self._rng.randint(0, len(self._pending))
        for records, _ in list(self._pending)[:survive]:
            self._keep(records)
        self._pending.clear()

    def _acknowledge(self, generation: int) -> None:
        if generation != self._generation:
            return
        dies = self.crash is not None and self._rng.random() < self._faults.crash_at_write
        if dies and self._rng.random() < 0.5:
            assert self.crash is not None
            self.crash()
            return
        records, then = self._pending.popleft()
        self._keep(records)
        if dies:
            assert self.crash is not None
            self.crash()
            return
        then()

    def _keep(self, records: Sequence[Record]) -> None:
        self.durable.extend(records)
        if self._watch is not None:
            self._watch(records)
