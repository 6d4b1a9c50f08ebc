"""The one outbound HTTP client. Every request of every handler and connector leaves through here.

It guards addresses (`policy.py`), reuses connections (`wire.py`), bounds time and size, keeps no cookies, reads no
proxy settings from the environment, and turns transport errors into task failures. The address check happens where
the socket is opened: the resolved address is checked and then connected to by number, so no second resolution can
slip another one in.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.cookiejar
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import h11
import httpx
import msgspec

from segue.connectors.circuit import TargetDown
from segue.connectors.inflating import ACCEPTED, Inflating
from segue.connectors.policy import OutboundLimits, OutboundPolicy
from segue.connectors.slots import Slots
from segue.connectors.wire import AddressRefused, ConnectFailed, ConnectionBroken, GuardedTransport
from segue.types import TaskFailure, fail, failure

USER_AGENT: Final = "segue"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
IDEMPOTENT_METHODS: Final = SAFE_METHODS | {"PUT", "DELETE"}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEPT_ACROSS_ORIGINS: Final = frozenset({"accept", "accept-language", "content-type", "user-agent"})

# At INFO it writes every URL with its query, where some systems want their keys.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Answer(msgspec.Struct, frozen=True):
    """A response that was read completely.

    Attributes:
        headers: Names in lower case; repeated headers joined by a comma.
        method: Method of the request that was answered, after redirects.
        url: Where it was sent, after redirects; without credentials.
    """

    status: int
    headers: dict[str, str]
    content: bytes
    method: str
    url: str


class Outbound:
    """Sends requests under one policy and one set of limits. Belongs to one event loop; close it at the end.

    Args:
        policy: What may be reached.
        limits: Bounds of each request.
        ca_file: PEM file of further certificate authorities to trust.
    """

    def __init__(
        self,
        policy: OutboundPolicy | None = None,
        limits: OutboundLimits | None = None,
        *,
        ca_file: str | None = None,
    ) -> None:
        self.policy = policy or OutboundPolicy()
        self.limits = limits or OutboundLimits()
        tls = httpx.create_ssl_context(trust_env=False)
        if ca_file is not None:
            tls.load_verify_locations(cafile=ca_file)
        # A jar that takes nothing: a cookie must not travel from one run to another.
        jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(
                self.policy, tls, connect_ms=self.limits.connect_ms, idle_max=self.limits.max_connections
            ),
            trust_env=False,
            follow_redirects=False,
            cookies=jar,
            headers={"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": ACCEPTED},
            timeout=None,  # noqa: S113 - every request has a time limit of its own, in `send`
        )
        # Waiting for a free connection is not part of a request's time, so it happens before the clock starts.
        # A host may have as many as it leaves free: those that hang leave something to every further one.
        self._slots = Slots(
            lambda: self.limits.max_connections, lambda: self.limits.max_connections - self._slots.under_way
        )

    async def aclose(self) -> None:
        """Close every open connection."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Iterable[tuple[str, str]] = (),
        content: bytes | None = None,
        auth: httpx.Auth | None = None,
        total_ms: int | None = None,
        repeatable: bool = False,
        tells_lost: bool = False,
        inside_another: bool = False,
    ) -> Answer:
        """Send one request and read its whole answer, whatever its status.

        Redirects are followed as far as the policy says. Each hop is checked; another origin gets neither the
        credentials nor the caller's own headers.

        Args:
            repeatable: Sending it twice is harmless though its method is not idempotent: it carries a key.
            tells_lost: Say `outcome_unknown` of a request that may have arrived even where sending it twice is
                harmless, unless it only reads.
            inside_another: This request is part of one under way (it fetches a token), so it must not wait for
                a slot that its own parent holds.

        Raises:
            TaskFailure: `validation` for a request that cannot be written; `authorization` when the policy
                refuses the address; `communication` when no complete answer came, with `outcome_unknown` set
                if the request may have arrived and must not be sent twice. It is a `TargetDown` where that
                speaks for a system that is down.
        """
        method = method.upper()
        request = self._request(method, url, headers or {}, query, content)
        harmless = SAFE_METHODS if tells_lost else IDEMPOTENT_METHODS
        unknown = method not in harmless and (tells_lost or not repeatable)
        limit_ms = self.limits.total_ms if total_ms is None else total_ms
        slot = contextlib.nullcontext() if inside_another else self._slots.one(host_of(url))
        try:
            async with slot, asyncio.timeout(limit_ms / 1000):
                return await self._follow(request, auth)
        except TimeoutError:
            raise _lost(request, f"no complete answer within {limit_ms} ms", unknown) from None
        except AddressRefused as refusal:
            raise fail(
                "authorization",
                f"The outbound policy does not let a request reach {_place(request.url)}: {refusal}. "
                "An administrator can allow it in the settings.",
            ) from None
        except ConnectFailed as error:
            detail = f"{_place(request.url)} cannot be reached: {error}."
            raise TargetDown(failure("communication", detail), f"it cannot be reached: {error}") from None
        except ConnectionBroken as error:
            raise _lost(request, str(error), unknown) from None
        except h11.LocalProtocolError as error:
            raise fail("validation", f"The request cannot be written: {error}.") from None
        except httpx.DecodingError as error:
            raise _lost(request, f"the answer cannot be decompressed ({error})", unknown) from None

    async def _follow(self, request: httpx.Request, auth: httpx.Auth | None) -> Answer:
        for hop in range(self.policy.max_redirects + 1):
            answer = await self._exchange(request, auth)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target or hop == self.policy.max_redirects:
                return answer
            following = self._redirected(request, answer.status, target)
            if following is None:
                return answer
            if _origin(following.url) != _origin(request.url):
                auth = None
            request = following
        raise AssertionError("the loop returns in its last round")

    async def _exchange(self, request: httpx.Request, auth: httpx.Auth | None) -> Answer:
        response = await self._client.send(request, stream=True, auth=auth)
        try:
            content = await self._read(response)
        finally:
            await response.aclose()
        return Answer(
            status=response.status_code,
            headers=_plain_headers(response),
            content=content,
            method=request.method,
            url=_place(request.url, with_query=True),
        )

    async def _read(self, response: httpx.Response) -> bytes:
        limit = self.limits.max_response_bytes
        inside = Inflating(response.headers.get_list("content-encoding", split_commas=True))
        chunks: list[bytes] = []
        size = 0
        async for piece in response.aiter_raw():
            chunk = inside.take(piece, limit + 1 - size)
            size += len(chunk)
            if size > limit:
                raise fail(
                    "communication",
                    f"The answer of {_place(response.request.url)} is larger than {limit} bytes: "
                    "ask for less at a time, or raise the limit.",
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        query: Iterable[tuple[str, str]],
        content: bytes | None,
    ) -> httpx.Request:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError) as error:
            raise fail("validation", f"{url!r} is not a URL: {error}.") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise fail("validation", f"{url!r} is not an http or https address: write it out in full.")
        pairs = list(query)
        if pairs:
            parsed = parsed.copy_with(params=[*parsed.params.multi_items(), *pairs])
        for name, value in headers.items():
            _check_header(name, value)
        return self._client.build_request(method, parsed, headers=dict(headers), content=content)

    def _redirected(self, request: httpx.Request, status: int, target: str) -> httpx.Request | None:
        """The request that follows a redirect, or None where following could repeat an act elsewhere."""
        becomes_get = status == 303 or (status in (301, 302) and request.method == "POST")
        if not becomes_get and request.method not in SAFE_METHODS:
            return None
        try:
            url = request.url.join(target)
        except httpx.InvalidURL:
            return None
        if url.scheme not in ("http", "https") or (request.url.scheme, url.scheme) == ("https", "http"):
            return None
        same = _origin(url) == _origin(request.url)
        dropped = {"host", "content-length", "transfer-encoding", "content-type", "authorization"}
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in dropped and (same or name in _KEPT_ACROSS_ORIGINS)
        }
        method = "HEAD" if request.method == "HEAD" else ("GET" if becomes_get else request.method)
        return self._client.build_request(method, url, headers=headers)


def _check_header(name: str, value: str) -> None:
    if not name or any(c in name for c in "\r\n\0: ") or not name.isascii():
        raise fail("validation", f"{name!r} is not the name of a header.")
    if any(c in value for c in "\r\n\0"):
        raise fail("validation", f"The value of the header {name!r} contains a line end: remove it.")


def _plain_headers(response: httpx.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _place(url: httpx.URL, *, with_query: bool = False) -> str:
    """The URL as messages show it: never with user info, and without the query where it only adds noise."""
    shown = url.copy_with(userinfo=b"", fragment=None)
    return str(shown if with_query else shown.copy_with(query=None))


def _lost(request: httpx.Request, reason: str, unknown: bool) -> TaskFailure:
    detail = f"{request.method} {_place(request.url)} was not answered: {reason}."
    return TargetDown(failure("communication", detail, outcome_unknown=unknown), reason)


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs lead to the same scheme, host and port."""
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.hostname, _port(a)) == (b.scheme, b.hostname, _port(b))


def _port(parts: Any) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def host_of(url: str) -> str:
    """Scheme, host and port; never user info, path or query. What is no address goes by one name."""
    try:
        parts = urlsplit(url)
        return (
            f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.port else f"{parts.scheme}://{parts.hostname}"
        )
    except (ValueError, TypeError, AttributeError):
        return "an invalid address"
