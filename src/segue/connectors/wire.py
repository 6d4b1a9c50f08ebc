"""HTTP/1.1 over sockets that a guard opens: the transport under the outbound client.

The protocol itself is h11's; here are the sockets and the pool of open connections. httpx's own transport was
measured first: its pool looks at every connection for every request, which at sixteen requests under way cost more
time than all the rest, and it lets nobody choose the address that is connected to.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from typing import Final

import h11
import httpx

from segue.connectors.policy import OutboundPolicy

_CHUNK_BYTES: Final = 65_536
_HEADERS_BYTES_MAX: Final = 65_536
# Below the five seconds after which common servers close an idle connection: reusing one in the moment in which the
# other side closes it loses the request.
_IDLE_S: Final = 4.0
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

Origin = tuple[str, str, int]


class AddressRefused(Exception):
    """The outbound policy does not let a request reach an address."""


class ConnectFailed(Exception):
    """No connection was made, so nothing was sent."""


class ConnectionBroken(Exception):
    """The connection failed after the request may have been received."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests over connections it opens to allowed addresses only, and keeps them open for the next ones.

    Args:
        policy: Which addresses are allowed.
        tls: Used for https.
        connect_ms: To resolve a name and open a connection.
        idle_max: Idle connections kept, to all origins together.
    """

    def __init__(self, policy: OutboundPolicy, tls: ssl.SSLContext, *, connect_ms: int, idle_max: int) -> None:
        self._policy = policy
        self._tls = tls
        self._connect_ms = connect_ms
        self._idle_max = idle_max
        self._idle: dict[Origin, list[_Connection]] = {}
        self._idle_count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer's body is read from the returned response.

        Raises:
            AddressRefused, ConnectFailed, ConnectionBroken: As their names say.
            h11.LocalProtocolError: The request cannot be written.
        """
        url = request.url
        # The encoded form of an international name, which is the one in certificates.
        host = url.raw_host.decode("ascii")
        origin = (url.scheme, host, url.port or (443 if url.scheme == "https" else 80))
        kept = self._take(origin)
        if kept is not None:
            try:
                return await self._exchange(kept, origin, request)
            except ConnectionBroken:
                # The server closed an idle connection as it was used again (RFC 9112, section 9.3.1).
                if kept.has_answered or request.method not in _REPEATABLE:
                    raise
        return await self._exchange(await self._connect(origin), origin, request)

    async def aclose(self) -> None:
        """Close the idle connections."""
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()
        self._idle_count = 0
        # Closing takes effect in the loop's next round.
        await asyncio.sleep(0)

    async def _exchange(self, connection: _Connection, origin: Origin, request: httpx.Request) -> httpx.Response:
        try:
            await connection.send(request)
            head = await connection.read_head()
        except BaseException:
            connection.close()
            raise
        body = _Body(self, connection, origin)
        return httpx.Response(head.status_code, headers=list(head.headers.raw_items()), stream=body)

    def _take(self, origin: Origin) -> _Connection | None:
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            self._idle_count -= 1
            if connection.is_usable(time.monotonic()):
                return connection
            connection.close()
        return None

    def release(self, connection: _Connection, origin: Origin) -> None:
        """Keep a connection whose exchange is over, or close it where it cannot be used again."""
        if self._idle_count >= self._idle_max:
            self._close_expired()
        if self._idle_count >= self._idle_max or not connection.start_over():
            connection.close()
            return
        self._idle.setdefault(origin, []).append(connection)
        self._idle_count += 1

    def _close_expired(self) -> None:
        now_s = time.monotonic()
        for origin, kept in list(self._idle.items()):
            usable = [connection for connection in kept if connection.is_usable(now_s)]
            for connection in kept:
                if connection not in usable:
                    connection.close()
            self._idle_count -= len(kept) - len(usable)
            if usable:
                self._idle[origin] = usable
            else:
                del self._idle[origin]

    async def _connect(self, origin: Origin) -> _Connection:
        scheme, host, port = origin
        reason = ""
        try:
            async with asyncio.timeout(self._connect_ms / 1000):
                for address in await self._allowed_addresses(host, port):
                    try:
                        return await self._open(scheme, host, address, port)
                    except OSError as error:
                        reason = error.strerror or str(error) or type(error).__name__
        except TimeoutError:
            reason = f"no connection within {self._connect_ms} ms"
        raise ConnectFailed(reason)

    async def _open(self, scheme: str, host: str, address: str, port: int) -> _Connection:
        if scheme == "https":
            # The certificate is checked against the name, the connection goes to the checked address.
            reader, writer = await asyncio.open_connection(address, port, ssl=self._tls, server_hostname=host)
        else:
            reader, writer = await asyncio.open_connection(address, port)
        return _Connection(reader, writer)

    async def _allowed_addresses(self, host: str, port: int) -> list[str]:
        if refusal := self._policy.refuse_host(host):
            raise AddressRefused(refusal)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"the name {host!r} cannot be resolved ({error})") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refusals = {address: self._policy.refuse_address(address) for address in addresses}
        allowed = [address for address in addresses if refusals[address] is None]
        if not allowed:
            raise AddressRefused(f"{host}: {'; '.join(refusal for refusal in refusals.values() if refusal)}")
        return allowed


class _Connection:
    """One open connection, one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.has_answered = False
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADERS_BYTES_MAX)
        self._idle_since_s = 0.0

    async def send(self, request: httpx.Request) -> None:
        """Write a whole request.

        A server may refuse a long body before it has read it all, so a broken pipe is left to the reading side,
        which finds the refusal or the end.
        """
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        content = await request.aread()
        parts = [self._protocol.send(head)]
        if content:
            parts.append(self._protocol.send(h11.Data(data=content)))
        parts.append(self._protocol.send(h11.EndOfMessage()))
        self.has_answered = False
        try:
            self._writer.write(b"".join(part for part in parts if part))
            await self._writer.drain()
        except OSError:
            pass

    async def read_head(self) -> h11.Response:
        """Status and headers of the answer, interim ones passed over."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionBroken("the server closed the connection without an answer")

    async def read_body(self) -> AsyncIterator[bytes]:
        """The pieces of the answer's body."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionBroken("the server closed the connection in the middle of its answer")

    async def _next_event(self) -> object:
        """The next event; never `NEED_DATA`."""
        while True:
            try:
                event = self._protocol.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._reader.read(_CHUNK_BYTES)
            except OSError as error:
                raise ConnectionBroken(error.strerror or type(error).__name__) from error
            except h11.RemoteProtocolError as error:
                raise ConnectionBroken(str(error)) from error
            self.has_answered = self.has_answered or bool(data)
            self._protocol.receive_data(data)

    def is_usable(self, now_s: float) -> bool:
        """Whether the next request may go out here."""
        if self._reader.at_eof() or self._writer.is_closing():
            return False
        return now_s - self._idle_since_s < _IDLE_S

    def start_over(self) -> bool:
        """Make ready for the next exchange; False where this connection cannot have one."""
        if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
            return False
        if self._reader.at_eof() or self._writer.is_closing():
            return False
        self._protocol.start_next_cycle()
        self._idle_since_s = time.monotonic()
        return True

    def close(self) -> None:
        """Close at once; what was not read is not wanted."""
        self._writer.transport.abort()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; gives its connection back when it is closed."""

    def __init__(self, transport: GuardedTransport, connection: _Connection, origin: Origin) -> None:
        self._transport = transport
        self._connection: _Connection | None = connection
        self._origin = origin

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert self._connection is not None
        async for chunk in self._connection.read_body():
            yield chunk

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(connection, self._origin)
