"""The line to one system: slots, pace and circuit together. Every request of a connection takes its turn here."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from segue.connectors.circuit import Circuit, CircuitReport, TargetDown, speaks_for_down
from segue.connectors.connections import Breaker, Connection, Limits
from segue.connectors.outbound import Answer, Outbound, host_of
from segue.connectors.pace import Pace
from segue.connectors.slots import Slots
from segue.types import TaskFailure, fail

_log = logging.getLogger("segue.connectors")
# Tasks that wait while a circuit is not closed; further ones fail with the wait instead. Each keeps one of the acts
# that may be under way in the process, so this bounds what a system that is down can take from all the others.
WAITING_MAX: Final = 50
_SPREAD_MIN_MS: Final = 1_000
_HOSTS_MAX: Final = 512
# Of a host that several APIs may share, a plain 500 says little; these say that nobody is behind the door.
_HOST_DOWN: Final = frozenset({502, 503, 504})

Later = Callable[[float, Callable[[], None]], Any]


def _later(delay_s: float, act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(delay_s, act)


class Line:
    """The line to one system, shared by every task that uses it in this process.

    Args:
        title: What messages call the system.
        limits: How hard it may be pressed.
        breaker: When it is left alone.
        wait_within_ms: A pause up to this is waited for inside the task; a longer one fails it.
        is_down: Whether a status speaks for a system that is down.
        now_s: A monotonic clock in seconds.
        later: Calls something after so many seconds.
    """

    def __init__(
        self,
        title: str,
        limits: Limits,
        breaker: Breaker | None,
        wait_within_ms: int,
        *,
        is_down: Callable[[int], bool] = speaks_for_down,
        now_s: Callable[[], float] = time.monotonic,
        later: Later = _later,
    ) -> None:
        self.settings = (limits, breaker, wait_within_ms)
        self._title = title
        self._wait_within_ms = wait_within_ms
        self._is_down = is_down
        self._later = later
        self._circuit = Circuit(breaker, limits.concurrency, now_s)
        share = limits.workflow_concurrency
        self._slots = Slots(lambda: self._circuit.width, None if share is None else lambda: share)
        self._pace = Pace(limits.requests_per_second, limits.burst, now_s)

    @property
    def is_idle(self) -> bool:
        """Nobody uses it, and nothing about it needs to be remembered."""
        return not self._slots.under_way and not self._slots.waiting and self._circuit.state == "closed"

    def report(self) -> CircuitReport:
        """How its circuit stands."""
        return self._circuit.report(under_way=self._slots.under_way, waiting=self._slots.waiting)

    @asynccontextmanager
    async def turn(self, lane: str = "") -> AsyncIterator[Callable[[Answer], None]]:
        """Wait for a turn and hold it. Yields what to tell the answer to; a `TargetDown` inside is noticed.

        Args:
            lane: Whose request it is: lanes take turns.

        Raises:
            TaskFailure: `communication` with `retry_after_ms`: the system wants to be left alone, or is down.
        """
        self._refuse_long_waits()
        await self._slots.take(lane)
        try:
            await self._pace.wait()
            generation = self._circuit.generation
            if self._circuit.state == "open":
                raise self._down()
            try:
                yield lambda answer: self._saw(generation, answer.status)
            except TargetDown as down:
                self._failed(generation, down.reason)
                raise
        finally:
            self._slots.give(lane)

    def pause(self, wait_ms: int) -> None:
        """The system asks everybody to wait so long."""
        self._pace.pause(wait_ms)

    def _refuse_long_waits(self) -> None:
        paused_ms = self._pace.paused_ms()
        if paused_ms > self._wait_within_ms:
            raise fail(
                "communication",
                f"The system behind {self._title} asked to be left alone for another {paused_ms} ms.",
                status=429,
                retry_after_ms=paused_ms,
            )
        if self._circuit.state == "closed":
            return
        if self._circuit.left_ms > self._wait_within_ms or self._slots.waiting >= WAITING_MAX:
            raise self._down()

    def _saw(self, generation: int, status: int) -> None:
        if self._is_down(status):
            self._failed(generation, f"status {status}")
        elif self._circuit.succeeded(generation):
            _log.warning("circuit of %s closed: it answers again", self._title)
        self._slots.wake()

    def _failed(self, generation: int, reason: str) -> None:
        probing = self._circuit.state == "half-open"
        if not self._circuit.failed(generation, reason):
            return
        pause_ms, opened = self._circuit.pause_ms, self._circuit.generation
        _log.warning("circuit of %s opened for %d ms: %s", self._title, pause_ms, reason)
        # Nobody waits for a second pause inside a task: that is what durable retries are for.
        short = pause_ms <= self._wait_within_ms and not probing
        self._slots.refuse(self._down, keep=WAITING_MAX if short else 0)
        self._later(pause_ms / 1000, lambda: self._probe(opened))

    def _probe(self, generation: int) -> None:
        if self._circuit.end_pause(generation):
            _log.info("circuit of %s half-open: it is tried again", self._title)
            self._slots.wake()

    def _down(self) -> TaskFailure:
        """The failure of a request that was not sent. Waits are spread, so that not all come back at once."""
        wait_ms = self._circuit.left_ms or self._circuit.pause_ms
        wait_ms += random.randint(0, max(wait_ms, _SPREAD_MIN_MS))  # noqa: S311 - no secret hangs on it
        return fail(
            "communication",
            f"The system behind {self._title} is down ({self._circuit.last_failure}): nothing was sent, its circuit "
            f"is {self._circuit.state}. Try again in {wait_ms} ms.",
            status=503,
            retry_after_ms=wait_ms,
        )


class Lines:
    """The line of each connection by name; a connection with changed settings starts afresh."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def of(self, connection: Connection) -> Line:
        """The line of this connection."""
        line = self._lines.get(connection.name)
        settings = (connection.limits, connection.breaker, connection.wait_within_ms)
        if line is None or line.settings != settings:
            line = self._lines[connection.name] = Line(f"the connection {connection.name!r}", *settings)
        return line

    def report(self, connection: Connection) -> CircuitReport | None:
        """How the circuit of this connection stands; None while it was not used."""
        line = self._lines.get(connection.name)
        return None if line is None else line.report()


class HostLines:
    """The line of each host that is called without a connection.

    One host gets half of the connections that may be open at most, so those that wait for it stand here, in lanes.

    Args:
        outbound: The client the requests leave through.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._limits = Limits(concurrency=max(1, outbound.limits.max_connections // 2))
        self._lines: OrderedDict[str, Line] = OrderedDict()

    async def send(self, method: str, url: str, *, lane: str = "", **request: Any) -> Answer:
        """Send a request when its host's line has a turn; otherwise as `Outbound.send`.

        Raises:
            TaskFailure: As `Outbound.send`, and `communication` with `retry_after_ms` where the host is down.
        """
        async with self.of(url).turn(lane) as tell:
            answer = await self._outbound.send(method, url, **request)
            tell(answer)
        return answer

    def of(self, url: str) -> Line:
        """The line of the host in this address."""
        host = host_of(url)
        line = self._lines.get(host)
        if line is None:
            self._drop_idle()
            line = Line(host, self._limits, Breaker(), 5_000, is_down=_HOST_DOWN.__contains__)
            self._lines[host] = line
        self._lines.move_to_end(host)
        return line

    def _drop_idle(self) -> None:
        if len(self._lines) < _HOSTS_MAX:
            return
        for host in [host for host, line in self._lines.items() if line.is_idle]:
            del self._lines[host]
