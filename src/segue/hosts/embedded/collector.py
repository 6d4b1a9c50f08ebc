"""The garbage collector of a process that is there for its hosts.

It belongs to the process and not to a host: the first host that wants it sets it, the last one that closes puts it
back, in whatever order they close.
"""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLD: Final = (50_000, 50, 50)
"""Frames and commands die young and hold no circles; looking for circles among them costs a tenth."""


class Collector:
    """Counts the hosts that want it as it is good for them."""

    def __init__(self) -> None:
        self._users = 0
        self._before = gc.get_threshold()

    def take(self) -> None:
        """One host more."""
        if not self._users:
            self._before = gc.get_threshold()
            gc.set_threshold(*_THRESHOLD)
        self._users += 1

    def give_back(self) -> None:
        """One host less."""
        self._users -= 1
        if not self._users:
            gc.set_threshold(*self._before)
            gc.unfreeze()


COLLECTOR: Final = Collector()
