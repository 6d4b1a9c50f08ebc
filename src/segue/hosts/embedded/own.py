"""The host's own work runs as nobody, whoever's request happened to set it off.

Callbacks and tasks of asyncio inherit the context in which they are made, and with it who acts. What the host does
after a commit, or for events and runs of others, is not the doing of whoever asked for something just before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def spawn(work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
    """A task of the host's own."""
    return asyncio.get_running_loop().create_task(work, name=name, context=Context())


def call_soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """A callback of the host's own."""
    loop.call_soon(act, context=Context())
