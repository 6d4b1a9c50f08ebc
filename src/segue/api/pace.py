"""How fast somebody may ask: a bucket of tokens for each, filled evenly and emptied by requests.

In memory: a restart forgives. Of very many askers those who have been quiet the longest are forgotten first, so that
a flood of addresses takes no memory.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_KNOWN_MAX: Final = 10_000
_ROUNDING: Final = 1e-9
"""Whoever waits exactly as long as they were told must not be refused for the last digit of a sum."""


class Pace:
    """At most so many requests a minute by each; a quiet minute lets all of them come at once.

    Args:
        per_minute: 0 lets everything through.
        clock: Seconds that only go forward.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str) -> int:
        """Count a request: 0 lets it through, else whole seconds after which the next one is let through."""
        if self._most == 0:
            return 0
        now = self._clock()
        left, at = self._buckets.pop(who, (float(self._most), now))
        left = min(float(self._most), left + (now - at) * self._most / 60)
        allowed = left >= 1 - _ROUNDING
        self._buckets[who] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _KNOWN_MAX:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) * 60 / self._most))
