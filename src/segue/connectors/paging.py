"""Lists that a system spreads over several answers, read to their end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from segue.connectors.authentication import Note
from segue.connectors.calls import Calls, ReadSecret, checked_content
from segue.connectors.connections import Connection, Paging
from segue.connectors.operations import Operation
from segue.connectors.outbound import Answer, same_origin
from segue.connectors.pointers import value_at
from segue.connectors.requests import Prepared, prepare
from segue.types import fail

ITEMS_MAX: Final = 100_000
_PAGES_MAX: Final = 20_000
_NEXT_LINK: Final = re.compile(r"<([^>]*)>([^<]*)")


async def collect(
    calls: Calls,
    connection: Connection,
    name: str,
    arguments: Mapping[str, Any],
    *,
    limit: int = ITEMS_MAX,
    read_secret: ReadSecret,
    note: Note,
    lane: str = "",
) -> list[Any]:
    """Every item of a paged list, in the order in which the system gives them.

    Each page is sent at the connection's pace, so 429 answers and tokens that expire in the middle are waited out
    and renewed page by page; nothing is read twice.

    Args:
        limit: Items returned at most; reading stops there.
        lane: The workflow that reads, as in `Calls.call`.

    Raises:
        TaskFailure: `configuration`, when the connection declares no paging for the operation; `communication`,
            when the system hands back a page it gave before; otherwise as for one call.
    """
    paging = connection.paging_for(name)
    if paging is None:
        raise fail(
            "configuration",
            f"The connection {connection.name!r} does not say how {name!r} is paged: declare it under paging.",
        )
    operation = calls.operations(connection).get(name)
    reader = _Reader(connection, operation, paging, dict(arguments))
    items: list[Any] = []
    for _ in range(_PAGES_MAX):
        # The credentials are asked for at each page: a token may end between two of them.
        auth = await calls.auth(connection, read_secret, note)
        answer = await calls.send(connection, reader.request(), auth, lane=lane)
        page = reader.take(answer)
        items += page
        if reader.is_done or len(items) >= limit:
            return items[:limit]
    raise fail("communication", f"{name!r} has more than {_PAGES_MAX} pages: ask for larger ones, or set a limit.")


class _Reader:
    """Where the reading of one list stands."""

    def __init__(
        self, connection: Connection, operation: Operation, paging: Paging, arguments: dict[str, Any]
    ) -> None:
        self.is_done = False
        self._connection, self._operation, self._paging = connection, operation, paging
        if paging.size_parameter is not None and paging.size is not None:
            arguments.setdefault(paging.size_parameter, paging.size)
        self._arguments = arguments
        self._position = paging.first if paging.first is not None else int(paging.kind == "page")
        self._url: str | None = None
        self._seen: set[str] = set()

    def request(self) -> Prepared:
        """The request for the next page."""
        if self._paging.kind in ("page", "offset") and self._paging.parameter is not None:
            self._arguments[self._paging.parameter] = self._position
        prepared = prepare(self._operation, self._arguments, base_url=self._connection.base_url)
        return prepared if self._url is None else msgspec.structs.replace(prepared, url=self._url)

    def take(self, answer: Answer) -> list[Any]:
        """The items of a page; moves on to the next."""
        content = checked_content(self._operation, answer)
        items = value_at(content, self._paging.items)
        if not isinstance(items, list):
            where = self._paging.items or "its top"
            raise fail(
                "validation", f"The answer of {self._operation.id!r} has no array at {where}: correct paging.items."
            )
        if self._paging.kind == "cursor":
            self._move_cursor(value_at(content, self._paging.next or ""))
        elif self._paging.kind == "link":
            self._move_link(answer)
        else:
            self._move_position(items, content)
        return items

    def _move_position(self, items: list[Any], content: Any) -> None:
        size = self._arguments.get(self._paging.size_parameter or "")
        self._position += 1 if self._paging.kind == "page" else len(items)
        # A short page ends the list only where nothing better is declared: some systems cap the size.
        if self._paging.next is not None:
            self.is_done = not items or value_at(content, self._paging.next) in (None, False, "")
        else:
            self.is_done = not items or (isinstance(size, int) and len(items) < size)

    def _move_cursor(self, following: Any) -> None:
        if following in (None, "", False):
            self.is_done = True
            return
        self._refuse_circle(str(following))
        assert self._paging.parameter is not None
        self._arguments[self._paging.parameter] = following

    def _move_link(self, answer: Answer) -> None:
        target = _next_link(answer.headers.get("link", ""))
        if target is None:
            self.is_done = True
            return
        url = str(httpx.URL(answer.url).join(target))
        if not same_origin(url, answer.url):
            # The credentials of this system must not follow a link to another one.
            raise fail("communication", f"The next page of {self._operation.id!r} is on another host: {url}.")
        self._refuse_circle(url)
        self._url = url

    def _refuse_circle(self, mark: str) -> None:
        if mark in self._seen:
            raise fail("communication", f"The pages of {self._operation.id!r} run in a circle.")
        self._seen.add(mark)


def _next_link(header: str) -> str | None:
    """The target of `rel="next"` in a Link header (RFC 8288)."""
    for target, parameters in _NEXT_LINK.findall(header):
        for parameter in parameters.split(";"):
            name, _, value = parameter.strip().rstrip(",").partition("=")
            if name.strip().lower() == "rel" and "next" in value.strip().strip('"').lower().split():
                return str(target)
    return None
