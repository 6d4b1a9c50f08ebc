"""Sending audit records elsewhere: a file of JSON lines, syslog (RFC 5424) over UDP or TCP, OTLP logs over HTTP.

What left is out of reach of whoever later gains the data folder. Records go oldest first; whoever sends keeps the
place of the last one sent, and sends again from there when a receiver was away.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

Send = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]

_TIMEOUT_SECONDS: Final = 10.0
# Facility 13 (log audit), severity 5 (notice): RFC 5424, section 6.2.1.
_PRIORITY: Final = 13 * 8 + 5
_DENIED_PRIORITY: Final = 13 * 8 + 4
# Longer messages would be cut by receivers (RFC 5426, section 3.2): they keep their place and hash, without details.
_DATAGRAM_BYTES_MAX: Final = 8000


@asynccontextmanager
async def export_records(target: str) -> AsyncIterator[Send]:
    """A function that sends records, given as JSON objects, to the target. See `service.audit` for targets.

    Raises:
        OSError: The target cannot be reached; also by the function.
        ValueError: It is no target; by the function, that it refused the records.
    """
    place = urlsplit(target)
    if place.scheme in ("syslog+udp", "syslog+tcp"):
        async with _syslog(place.scheme[7:], place.hostname or "", place.port or 514) as send:
            yield send
    elif place.scheme in ("otlp+http", "otlp+https"):
        async with _otlp(target.removeprefix("otlp+")) as send:
            yield send
    elif len(place.scheme) > 1:
        raise ValueError(f"{place.scheme!r} is no way to export: use a path, syslog+udp, syslog+tcp or otlp+http(s)")
    else:
        yield _to_file(Path(target))


def _to_file(path: Path) -> Send:
    def write(lines: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    async def send(records: Sequence[Mapping[str, Any]]) -> None:
        await asyncio.to_thread(write, b"".join(msgspec.json.encode(record) + b"\n" for record in records))

    return send


@asynccontextmanager
async def _syslog(transport: str, host: str, port: int) -> AsyncIterator[Send]:
    if transport == "tcp":
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)

        async def send_stream(records: Sequence[Mapping[str, Any]]) -> None:
            for record in records:
                message = syslog_message(record)
                # Octet counting (RFC 6587, section 3.4.1): a line end in a message ends nothing.
                writer.write(b"%d %b" % (len(message), message))
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await writer.drain()

        try:
            yield send_stream
        finally:
            writer.close()
            await writer.wait_closed()
        return
    loop = asyncio.get_running_loop()
    (family, _, _, _, address), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    with socket.socket(family, socket.SOCK_DGRAM) as outlet:
        outlet.setblocking(False)

        async def send_datagrams(records: Sequence[Mapping[str, Any]]) -> None:
            for record in records:
                message = syslog_message(record)
                if len(message) > _DATAGRAM_BYTES_MAX:
                    message = syslog_message({**record, "data": None})[:_DATAGRAM_BYTES_MAX]
                await loop.sock_sendto(outlet, message, address)

        yield send_datagrams


def syslog_message(record: Mapping[str, Any]) -> bytes:
    """A record as one message of RFC 5424: place and hash as structured data, the record as JSON."""
    priority = _DENIED_PRIORITY if record["verdict"] == "deny" else _PRIORITY
    # 32473 is the private enterprise number for examples (RFC 5612): Segue has none of its own.
    marks = f'[audit@32473 seq="{record["seq"]}" hash="{record["hash"]}"]'
    head = f"<{priority}>1 {record['at']} {socket.gethostname() or '-'} segue {os.getpid()} audit {marks} "
    # The mark says that what follows is UTF-8 (section 6.4).
    return head.encode() + b"\xef\xbb\xbf" + msgspec.json.encode(record)


@asynccontextmanager
async def _otlp(url: str) -> AsyncIterator[Send]:
    import httpx

    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:

        async def send(records: Sequence[Mapping[str, Any]]) -> None:
            try:
                headers = {"Content-Type": "application/json"}
                answer = await client.post(url, content=otlp_request(records), headers=headers)
            except httpx.HTTPError as error:
                raise OSError(str(error) or type(error).__name__) from None
            if answer.status_code != 200:
                raise ValueError(f"the receiver answers with the status {answer.status_code}")

        yield send


def otlp_request(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Records as an ExportLogsServiceRequest in JSON (OpenTelemetry protocol 1.x)."""
    logs = [
        {
            "timeUnixNano": str(_nanoseconds(record["at"])),
            "severityNumber": 13 if record["verdict"] == "deny" else 9,
            "severityText": "WARN" if record["verdict"] == "deny" else "INFO",
            "body": {"stringValue": msgspec.json.encode(record).decode()},
            "attributes": [
                {"key": f"segue.audit.{name}", "value": {"stringValue": str(record[name])}}
                for name in ("seq", "hash", "principal", "action", "resource", "verdict", "workspace")
            ],
        }
        for record in records
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "segue"}}]}
    scope = {"scope": {"name": "segue.audit"}, "logRecords": logs}
    return msgspec.json.encode({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]})


def _nanoseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000) * 1_000_000
