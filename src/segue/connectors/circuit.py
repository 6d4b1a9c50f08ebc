"""A circuit breaker: a system that is down is left alone, asked again carefully, and loaded again step by step.

    closed ──a share of the requests of a window failed──▶ open ──its pause is over──▶ half-open
      ▲                                                     ▲                            │  │
      └──────────────── so many probes in a row answered ───┼────────────────────────────┘  │
                                                            └── a probe failed: a longer pause ┘

While half-open, one request is under way; each answer makes room for one more, also after the circuit has closed,
until the full width is reached. So work that queued up drains without falling over the system that just came back.

Only what speaks for a system that is down counts as a failure: no answer, time-outs, server errors. Any other answer
shows that somebody is there. No I/O here: the clock is asked, and whoever owns the circuit ends its pauses.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from segue.connectors.connections import Breaker
from segue.types import Failure, TaskFailure

CircuitState = Literal["closed", "open", "half-open"]
_BUCKETS: Final = 10
# "Not implemented" and "version not supported" are about the request, not about how the system is.
_ABOUT_THE_REQUEST: Final = frozenset({501, 505})


class TargetDown(TaskFailure):
    """A failure that speaks for a system that is down.

    Attributes:
        reason: What happened, short and without addresses: it is shown to other runs too.
    """

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(failure)
        self.reason = reason


class CircuitReport(msgspec.Struct, frozen=True):
    """How a circuit stands.

    Attributes:
        since_ms: When it came into this state, in milliseconds since the epoch; None while it was never left.
        last_failure: What the system failed with last. last_failure_ms: when.
        retry_ms: When an open circuit lets the next request through.
        under_way: Requests under way. waiting: Requests that wait for their turn.
    """

    state: CircuitState
    since_ms: int | None = None
    last_failure: str | None = None
    last_failure_ms: int | None = None
    retry_ms: int | None = None
    under_way: int = 0
    waiting: int = 0


def speaks_for_down(status: int) -> bool:
    """Whether an answer with this status is one of a system that is down."""
    return status >= 500 and status not in _ABOUT_THE_REQUEST


class Circuit:
    """The circuit of one system.

    Outcomes carry the `generation` in which their request began: what was under way when the circuit opened says
    nothing about the system afterwards.

    Args:
        breaker: When it opens and for how long; None for never.
        width: Requests that may be under way when all is well.
        now_s: A monotonic clock in seconds.
    """

    def __init__(self, breaker: Breaker | None, width: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._breaker = breaker
        self._full_width = width
        self._width = width
        self._now_s = now_s
        self._buckets: deque[list[int]] = deque()
        self._openings = 0
        self._answered = 0
        self._changed_s: float | None = None
        self._failed_s: float | None = None
        self._until_s = 0.0
        self.generation = 0
        self.state: CircuitState = "closed"
        self.last_failure: str | None = None

    @property
    def width(self) -> int:
        """Requests that may be under way now."""
        return 0 if self.state == "open" else self._width

    @property
    def left_ms(self) -> int:
        """How long it stays open; 0 when it is not."""
        return max(0, round((self._until_s - self._now_s()) * 1000)) if self.state == "open" else 0

    @property
    def pause_ms(self) -> int:
        """The pause of the latest opening."""
        assert self._breaker is not None
        return int(min(self._breaker.open_ms * 2 ** min(max(self._openings - 1, 0), 30), self._breaker.open_ms_max))

    def succeeded(self, generation: int) -> bool:
        """An answer came. True when the circuit closed by it."""
        if generation != self.generation or self._breaker is None:
            return False
        self._width = min(self._width + 1, self._full_width)
        if self.state == "closed":
            self._bucket()[0] += 1
            return False
        self._answered += 1
        if self._answered < self._breaker.probes:
            return False
        self._change("closed")
        return True

    def failed(self, generation: int, reason: str) -> bool:
        """A failure that speaks for a system that is down. True when the circuit opened by it."""
        if self._breaker is None:
            return False
        self.last_failure, self._failed_s = reason, self._now_s()
        if generation != self.generation:
            return False
        if self.state == "closed":
            self._bucket()[1] += 1
            if not self._too_many(self._breaker):
                return False
            self._forget_old_openings(self._breaker)
        self._open()
        return True

    def end_pause(self, generation: int) -> bool:
        """The pause that began with this generation is over. False where that is no longer the state of affairs."""
        if self.state != "open" or generation != self.generation:
            return False
        self._change("half-open")
        self._width = 1
        self._answered = 0
        return True

    def report(self, *, under_way: int, waiting: int) -> CircuitReport:
        """How it stands, in wall-clock time."""
        ahead_s = time.time() - self._now_s()

        def wall(moment_s: float | None) -> int | None:
            return None if moment_s is None else round((moment_s + ahead_s) * 1000)

        return CircuitReport(
            self.state,
            since_ms=wall(self._changed_s),
            last_failure=self.last_failure,
            last_failure_ms=wall(self._failed_s),
            retry_ms=wall(self._until_s) if self.state == "open" else None,
            under_way=under_way,
            waiting=waiting,
        )

    def _open(self) -> None:
        self._openings += 1
        self._change("open")
        self.generation += 1
        self._until_s = self._now_s() + self.pause_ms / 1000

    def _change(self, state: CircuitState) -> None:
        self.state = state
        self._changed_s = self._now_s()
        self._buckets.clear()

    def _forget_old_openings(self, breaker: Breaker) -> None:
        """One that opens again soon after it closed goes on with longer pauses; after a good time it starts anew."""
        if self._changed_s is None or self._now_s() - self._changed_s > breaker.window_ms / 1000:
            self._openings = 0

    def _too_many(self, breaker: Breaker) -> bool:
        answered = sum(bucket[0] for bucket in self._buckets)
        failed = sum(bucket[1] for bucket in self._buckets)
        return answered + failed >= breaker.requests_min and failed >= breaker.failure_share * (answered + failed)

    def _bucket(self) -> list[int]:
        """The counts of this moment: answered, failed, number of the bucket. Those before the window are dropped."""
        assert self._breaker is not None
        number = int(self._now_s() * 1000 * _BUCKETS / self._breaker.window_ms)
        while self._buckets and self._buckets[0][2] <= number - _BUCKETS:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1][2] != number:
            self._buckets.append([0, 0, number])
        return self._buckets[-1]
