"""Sending audit records elsewhere: a file of JSON lines, syslog (RFC 5424) over UDP, TCP or TLS, OTLP logs over HTTP.

What left is out of reach of whoever later gains the data folder. Records go oldest first; whoever sends keeps the
place of the last one sent, and sends again from there when a receiver was away. Nothing here waits for a receiver for
longer than `_TIMEOUT_SECONDS`, whether it answers slowly, or takes and says nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

Send = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]

_log = logging.getLogger("segue.governance")

_SYSLOG: Final = {"syslog+udp": 514, "syslog+tcp": 514, "syslog+tls": 6514}
"""Ways to a syslog receiver, and their usual ports (RFC 5426, RFC 6587, RFC 5425)."""
_OTLP: Final = ("otlp+http", "otlp+https")
_TIMEOUT_SECONDS: Final = 10.0
_CLOSED_SECONDS: Final = 1.0
_ANSWER_BYTES_MAX: Final = 65_536
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
    if complaint := complaint_of_target(target):
        raise ValueError(complaint)
    place = urlsplit(target)
    if place.scheme == "syslog+udp":
        async with _datagrams(place) as send:
            yield send
    elif place.scheme in _SYSLOG:
        async with _stream(place) as send:
            yield send
    elif place.scheme in _OTLP:
        async with _otlp(target.removeprefix("otlp+")) as send:
            yield send
    else:
        yield _to_file(Path(target))


def complaint_of_target(target: str) -> str | None:
    """Why nothing can be sent there, whatever is there; None where it can be tried."""
    try:
        place = urlsplit(target)
        host, _ = place.hostname, place.port
    except ValueError as error:
        return f"it is no address: {error}"
    if len(place.scheme) < 2:
        return None
    if place.scheme not in (*_SYSLOG, *_OTLP):
        said = "a path, syslog+udp, syslog+tcp, syslog+tls or otlp+http(s)"
        return f"{place.scheme!r} is no way to export: use {said}"
    if not host:
        return "it names no host"
    if "@" in place.netloc:
        # It would stand in the log, and in the data beside how far the target has come.
        return "a name or a password has no place in it"
    unknown = {name for name, _ in parse_qsl(place.query)} - {"ca", "cert"}
    if place.scheme in _SYSLOG and (unknown or (place.query and place.scheme != "syslog+tls")):
        return "only syslog+tls takes parameters: `ca` and `cert`"
    return None


def _to_file(path: Path) -> Send:
    def write(lines: bytes) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            # What a full disk or a crash cut off stays a line of its own, and spoils no other.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            left = memoryview(lines)
            while left:
                left = left[file.write(left) :]
            os.fsync(descriptor)

    async def send(records: Sequence[Mapping[str, Any]]) -> None:
        await asyncio.to_thread(write, b"".join(msgspec.json.encode(record) + b"\n" for record in records))

    return send


@asynccontextmanager
async def _stream(place: SplitResult) -> AsyncIterator[Send]:
    """Syslog over TCP, or over TLS (RFC 5425) with a certificate that is checked."""
    context = None if place.scheme == "syslog+tcp" else _tls(dict(parse_qsl(place.query)))
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(
            place.hostname, place.port or _SYSLOG[place.scheme], ssl=context
        )
    # So that draining waits until all of it has left this process.
    writer.transport.set_write_buffer_limits(high=0)

    async def send(records: Sequence[Mapping[str, Any]]) -> None:
        for record in records:
            message = syslog_message(record)
            # Octet counting (RFC 6587, section 3.4.1): a line end in a message ends nothing.
            writer.write(b"%d %b" % (len(message), message))
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await writer.drain()

    try:
        yield send
        await _wait_until_taken(reader, writer)
    finally:
        # Not `close`, which waits for a receiver that reads nothing more.
        writer.transport.abort()


async def _wait_until_taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Syslog has no answers: that the receiver ends the connection too says that it has read everything.

    One that does neither end nor reset it within a moment is taken at its silence.

    Raises:
        OSError: It died, or refused: what was sent may be lost, and is to be sent again.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSED_SECONDS):
            if writer.can_write_eof():
                writer.write_eof()
                while await reader.read(_ANSWER_BYTES_MAX):
                    pass  # Nothing is expected, and nothing is made of it.
            else:
                writer.close()
                await writer.wait_closed()


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=given.get("ca"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if "cert" in given:
        context.load_cert_chain(given["cert"])
    return context


@asynccontextmanager
async def _datagrams(place: SplitResult) -> AsyncIterator[Send]:
    loop = asyncio.get_running_loop()
    port = place.port or _SYSLOG[place.scheme]
    (family, _, _, _, address), *_ = await loop.getaddrinfo(place.hostname, port, type=socket.SOCK_DGRAM)
    with socket.socket(family, socket.SOCK_DGRAM) as outlet:
        outlet.setblocking(False)

        async def send(records: Sequence[Mapping[str, Any]]) -> None:
            for record in records:
                message = syslog_message(record)
                if len(message) > _DATAGRAM_BYTES_MAX:
                    message = syslog_message({**record, "data": None})[:_DATAGRAM_BYTES_MAX]
                await loop.sock_sendto(outlet, message, address)

        yield send


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
            headers = {"Content-Type": "application/json"}
            try:
                # Of the whole exchange: what `httpx` bounds is each step, and a receiver can take any number of them.
                async with (
                    asyncio.timeout(_TIMEOUT_SECONDS),
                    client.stream("POST", url, content=otlp_request(records), headers=headers) as answer,
                ):
                    said = await _beginning(answer.aiter_bytes())
            except httpx.HTTPError as error:
                raise OSError(str(error) or type(error).__name__) from None
            if not answer.is_success:
                raise ValueError(f"the receiver answers with the status {answer.status_code}")
            if refused := rejected(said):
                # Not sent again: OpenTelemetry forbids that, because it would be refused again.
                _log.warning("%s took %s of %s records only", url, len(records) - refused, len(records))

        yield send


async def _beginning(answer: AsyncIterator[bytes]) -> bytes:
    said = b""
    async for part in answer:
        said += part
        if len(said) > _ANSWER_BYTES_MAX:
            break
    return said


def rejected(answer: bytes) -> int:
    """How many records a receiver says it did not take (`partial_success` of an ExportLogsServiceResponse)."""
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except msgspec.DecodeError:
        return 0  # Empty, or of another kind: the status says that they were taken.
    return int(found.partial.rejected)


class _Partial(msgspec.Struct, frozen=True, rename={"rejected": "rejectedLogRecords"}):
    rejected: int | Annotated[str, msgspec.Meta(pattern="^[0-9]+$")] = 0


class _Answer(msgspec.Struct, frozen=True, rename={"partial": "partialSuccess"}):
    partial: _Partial = _Partial()


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
