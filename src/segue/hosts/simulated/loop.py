"""An event loop on simulated time: everything is a call at some moment, and the moments come in order.

One process of a simulated world is one such loop. Nothing here waits, and nothing comes from outside. When the
process dies, its loop is dead: what its tasks were about to do never happens.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import count
from typing import Any

from segue.hosts.simulated.time import Time


class _Task(asyncio.Task[Any]):
    """One whose hash is its number, so that sets of tasks are walked in the same order in every process."""

    def __init__(self, coro: Coroutine[Any, Any, Any], number: int, **about: Any) -> None:
        self._number = number  # Before asyncio puts it into sets of its own.
        super().__init__(coro, **about)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.AbstractEventLoop):
    """What tasks, futures and the host ask of an event loop, and no more.

    Attributes:
        errors: What went wrong in calls and tasks, and nobody caught.
    """

    def __init__(self, time: Time) -> None:
        self.errors: list[str] = []
        self._time = time
        self._ready: deque[asyncio.Handle] = deque()
        self._dead = False
        self._made = count()

    def run(self, act: Callable[[], Any]) -> None:
        """Call `act` as if the loop had, and go on until everybody waits."""
        if self._dead:
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            act()
            ready = self._ready
            while ready:
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            asyncio._set_running_loop(before)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin this, and go on until everybody waits."""
        if self._dead:
            work.close()
        else:
            self.run(lambda: self.create_task(work))

    def kill(self) -> None:
        """The process is dead. Its tasks end where they stand, and whatever they do on the way leads to nothing."""
        self._dead = True
        self._ready.clear()
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            # asyncio keeps them by weak references, whose order is that of their places in memory.
            for task in sorted(asyncio.all_tasks(self), key=hash):
                work = task.get_coro()
                assert isinstance(work, Coroutine)
                work.close()
        finally:
            asyncio._set_running_loop(before)

    # -- what asyncio asks for -----------------------------------------------------------------------

    def time(self) -> float:
        """True time, in seconds."""
        return self._time.now / 1000

    def call_soon(  # type: ignore[override] # typed as far as hosts need it
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Call this when the ready ones before it have been called."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self._dead:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override] # typed as far as hosts need it
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Call this so many seconds later."""
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        self.wake_after(math.ceil(delay * 1000), handle)
        return handle

    def wake_after(self, delay_ms: int, handle: asyncio.Handle, *, background: bool = False) -> None:
        """The same in milliseconds; see `Time.after`."""
        if not self._dead:
            self._time.after(delay_ms, partial(self._due, handle), background=background)

    def look_after(self, delay_ms: int, handle: asyncio.Handle) -> None:
        """The same for who looks at the clock; see `Time.look_after`."""
        if not self._dead:
            self._time.look_after(delay_ms, partial(self._due, handle))

    def _due(self, handle: asyncio.Handle) -> None:
        if not self._dead and not handle.cancelled():
            self.run(handle._run)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        """A task of this loop."""
        return _Task(coro, next(self._made), loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """Until it is dead."""
        return not self._dead

    def is_closed(self) -> bool:
        """Once it is dead."""
        return self._dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught."""
        if not self._dead:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # It stays in the queue, and nothing comes of it.


class SimulatedClock:
    """The clock of a process: the wall's time, and sleep by true time.

    Args:
        look_ms: Who sleeps so long looks at the clock, and does not wait for anything in particular.
    """

    def __init__(self, time: Time, loop: SimulatedLoop, *, look_ms: int) -> None:
        self._time = time
        self._loop = loop
        self._look_ms = look_ms

    def now_ms(self) -> int:
        """What the wall clock says."""
        return self._time.wall()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Sleep; who only looks round now and then does not keep the world awake."""
        done = self._loop.create_future()
        wait_ms = math.ceil(seconds * 1000)
        task = asyncio.current_task(self._loop)
        handle = asyncio.Handle(lambda: None if done.done() else done.set_result(None), (), self._loop)
        if task is not None and task.get_name() == "segue-parking":
            self._loop.wake_after(wait_ms, handle, background=True)
        elif wait_ms >= self._look_ms:
            self._loop.look_after(wait_ms, handle)
        else:
            self._loop.wake_after(wait_ms, handle)
        return done
