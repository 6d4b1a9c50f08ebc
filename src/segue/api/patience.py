"""How long a connection may take to say what it wants: who opens many and says little must not keep them.

The server underneath waits for ever for the rest of a request line or header. Bodies are timed in `guard.py`, where
the refusal can be told.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 20.0
"""Longest time from the first moment, or from the last answer's next byte, to the end of the headers."""


class PatientProtocol(H11Protocol):
    """Closes a connection whose next request does not get through its headers in time."""

    head_seconds = HEAD_SECONDS
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Wait on, or stop waiting once there is a request to answer."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        # From the first byte on: a drip of bytes does not buy time.
        if self._late is None:
            self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
