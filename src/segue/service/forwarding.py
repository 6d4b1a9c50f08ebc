"""Sending the audit chain on as it grows: to each target of the setting `audit_export` by itself.

A target that is away, hangs or refuses holds up neither the others nor the signing of the chain. How far each has
come is kept with the data, after it took a batch; what was cut off is sent again, with the same places and hashes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import msgspec

from segue.governance import export_records
from segue.service.audit import audit_view
from segue.service.errors import ServiceError
from segue.service.masking import Masking
from segue.service.paging import PAGE_MAX
from segue.store import HostError, Store
from segue.store.chain import audit_after
from segue.store.records import put_meta, read_meta
from segue.types import AuditRow, Identity

_log = logging.getLogger("segue.service")

RECEIVER: Final = "audit-export"
"""What targets of the setting `audit_export` are called in rules: `Link::"audit-export"`."""
_LOOK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 5.0
_HAND_OVER_SECONDS: Final = 5.0


class Forwarding:
    """Sends the chain of one data folder on.

    Args:
        targets: See `export_to`.
    """

    def __init__(self, store: Store, masking: Masking, targets: Sequence[str]) -> None:
        self._store = store
        self._masking = masking
        self._targets = targets
        self._receiver = Identity(kind="connection", id=RECEIVER, workspace=masking.workspace)
        self._ending = asyncio.Event()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Do so as long as the block lasts."""
        sending = [asyncio.create_task(self._keep(target), name="segue-export") for target in self._targets]
        try:
            yield
        finally:
            self._ending.set()
            if sending:
                # What is on its way is noted as sent, or the target would get it again after the next start.
                _, late = await asyncio.wait(sending, timeout=_HAND_OVER_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)

    async def _keep(self, target: str) -> None:
        trouble, pause, sent = "", _LOOK_SECONDS, -1
        while not self._ending.is_set():
            try:
                if sent != self._store.commit.head.seq:
                    sent = await self._forward(target)
                if trouble:
                    _log.warning("the audit chain is sent on to %s again", target)
                trouble, pause = "", _LOOK_SECONDS
            except HostError:
                pause = _AGAIN_SECONDS  # The commit says so itself, to everybody who asks.
            except Exception as error:
                pause = _AGAIN_SECONDS
                if trouble != str(error):
                    # Once: it is tried every few seconds, and may be away for days.
                    trouble = str(error)
                    _log.warning("the audit chain is not sent on; it is tried again: %s", trouble)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    async def _forward(self, target: str) -> int:
        """Send what the target has not got yet; the place up to which it has now."""
        key = f"audit-sent:{target}"
        after = int(await self._store.read(partial(read_meta, key=key)) or 0)
        while not self._ending.is_set():
            rows = await self._store.read(partial(audit_after, seq=after, limit=PAGE_MAX))
            if not rows:
                break
            items = [
                audit_view(AuditRow(*row), self._store.commit.cipher, self._masking, self._receiver) for row in rows
            ]
            async with export_to(target) as send:
                await send([msgspec.to_builtins(item) for item in items])
            after = items[-1].seq
            await self._store.write([put_meta(key, str(after))])
        return after


@asynccontextmanager
async def export_to(target: str) -> AsyncIterator[Callable[[list[dict[str, Any]]], Awaitable[None]]]:
    """A function that sends records somewhere. They have left when the block has ended without an error.

    Args:
        target: A path (JSON lines; made, or added to), `syslog+udp://HOST:PORT`, `syslog+tcp://HOST:PORT`,
            `syslog+tls://HOST:PORT` (`?ca=FILE` with certificates to trust in place of the machine's, `&cert=FILE`
            with one of our own and its key), or `otlp+http://HOST:PORT/v1/logs` (also `otlp+https`).

    Raises:
        ServiceError: `export-refused`; from the function too.
    """
    try:
        async with export_records(target) as send:
            yield send
    except (OSError, ValueError) as error:
        raise ServiceError("export-refused", f"{target}: {str(error) or type(error).__name__}.") from None
