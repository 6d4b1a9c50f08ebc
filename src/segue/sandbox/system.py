"""What the four systems have in common: one ASGI application each, driven by its OpenAPI document.

A request passes, in this order: authentication, rate limit, knobs that delay or fail it, checks against the
document, and the work. The work and its count are one transaction, and the event loop runs nothing else
meanwhile, so an answer is sent only for what is already on disk.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, ClassVar

import msgspec

from segue.sandbox.auth import Lock
from segue.sandbox.contract import Call, Contract, Operation, read_call
from segue.sandbox.database import Database
from segue.sandbox.http import (
    Receive,
    Refusal,
    Reply,
    Request,
    Scope,
    Send,
    json_reply,
    read_request,
    send_reply,
)
from segue.sandbox.knobs import Board, Knobs
from segue.sandbox.ledger import Ledger

Work = Callable[[Call], Reply]
ADMIN_HEADER = "X-Admin-Token"


class System(ABC):
    """A simulated vendor. Subclasses give their records, their words and their operations."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of write that clients can cause."""
    without_knobs: ClassVar[frozenset[str]] = frozenset({"token_lifetime_s", "stale_as_of"})
    default_knobs: ClassVar[Knobs] = Knobs()
    retry_after_is_date: ClassVar[bool] = False
    """Whether `Retry-After` is worded as a date rather than as seconds (RFC 9110 allows both)."""

    def __init__(self, db: Database, *, admin_token: str, user: str, secret: str) -> None:
        self.db = db
        self.user = user
        self.secret = secret
        self.admin_token = admin_token
        self.ledger = Ledger(db)
        self.board = Board(self.default_knobs, without=self.without_knobs)
        self.contract = Contract(self.name)
        self.origin = ""
        self._lock = self.lock()
        self._work = self.operations()
        unserved = {operation.id for operation in self.contract.operations} ^ self._work.keys()
        assert not unserved, f"{self.name}: document and operations differ in {sorted(unserved)}"

    @abstractmethod
    def lock(self) -> Lock:
        """How clients prove who they are."""

    @abstractmethod
    def operations(self) -> dict[str, Work]:
        """The work behind each operationId of the document."""

    @abstractmethod
    def error_reply(self, refusal: Refusal) -> Reply:
        """An error in this vendor's words."""

    @property
    @abstractmethod
    def credentials(self) -> dict[str, Any]:
        """How a client signs in, with `kind` one of `oauth2`, `basic`, `bearer`, `api_key`."""

    @property
    def as_of(self) -> str:
        """The time whose state the records show, as RFC 3339."""
        return self.board.knobs.stale_as_of or f"{self.db.setting('today')}T00:00:00Z"

    def turn(self, **changes: Any) -> Knobs:
        """Set knobs and answer with all of them.

        Raises:
            ValueError: A knob is unknown here or its value does not fit.
        """
        self.board.turn(changes)
        return self.board.knobs

    def statistics(self, *, after: int = 0) -> dict[str, Any]:
        """The company's own count at this system; see `Ledger.statistics`."""
        return {"system": self.name, **self.ledger.statistics(self.kinds, after=after)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await read_request(scope, receive)
            reply = await self._answer(request)
        except Refusal as refusal:
            reply = self._refuse(refusal)
        if reply is None:
            scope["sandbox.abort"]()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send_reply(reply, send)

    def _refuse(self, refusal: Refusal) -> Reply:
        reply = self.error_reply(refusal)
        reply.headers.update(refusal.headers)
        return reply

    async def _answer(self, request: Request) -> Reply | None:
        """The reply, or None where the connection is to be closed without one."""
        if request.path == "/openapi.json":
            return json_reply(200, self.contract.served_at(self.origin))
        if request.path.startswith("/_"):
            return self._administer(request)
        if (reply := self.answer_outside_contract(request)) is not None:
            return reply
        operation = self.contract.find(request)
        try:
            await self._obstruct(operation, request)
            return self._perform(operation, request)
        except Refusal as refusal:
            with self.db.transaction():
                self.ledger.count_request(operation.id, refusal.status)
            raise

    def answer_outside_contract(self, request: Request) -> Reply | None:
        """A reply to a request that is no operation of the document, such as one for a token."""
        return None

    async def _obstruct(self, operation: Operation, request: Request) -> None:
        self._lock.check(request, operation.scopes)
        if wait_s := self.board.wait_for_turn_s(time.monotonic()):
            raise Refusal(429, "rate_limited", "Too many requests.", {"Retry-After": self._retry_after(wait_s)})
        if self.board.knobs.latency_ms:
            await asyncio.sleep(self.board.knobs.latency_ms / 1000)
        if self.board.fails():
            raise Refusal(self.board.knobs.fail_status, "unavailable", "The service is not available at present.")

    def _retry_after(self, wait_s: float) -> str:
        if self.retry_after_is_date:
            # A date has whole seconds; the next but one is never too early.
            return formatdate(math.floor(time.time() + wait_s) + 1, usegmt=True)
        return str(max(1, math.ceil(wait_s)))

    def _perform(self, operation: Operation, request: Request) -> Reply | None:
        writes = operation.method != "GET"
        if writes and self.board.strikes(self.board.knobs.drop_before_write):
            with self.db.transaction():
                self.ledger.count_request(operation.id, 0)
            return None
        call = read_call(operation, request)
        dropped = writes and self.board.strikes(self.board.knobs.drop_after_write)
        with self.db.transaction():
            reply = self._work[operation.id](call)
            self.ledger.count_request(operation.id, 0 if dropped else reply.status)
        return None if dropped else reply

    def _administer(self, request: Request) -> Reply:
        given = request.headers.get(ADMIN_HEADER.lower(), "")
        if not hmac.compare_digest(given.encode(), self.admin_token.encode()):
            raise Refusal(401, "admin_only", f"Send the admin token in the header {ADMIN_HEADER}.")
        match request.method, request.path:
            case "GET", "/_knobs":
                return json_reply(200, self.board.knobs)
            case "PUT", "/_knobs":
                return self._turn_from(request)
            case "GET", "/_stats":
                return json_reply(200, self.statistics(after=_after(request)))
            case "POST", "/_reset":
                self.ledger.reset()
                return json_reply(200, self.statistics())
        raise Refusal(404, "no_such_path", "Known here: GET and PUT /_knobs, GET /_stats, POST /_reset.")

    def _turn_from(self, request: Request) -> Reply:
        try:
            changes = msgspec.json.decode(request.body, type=dict[str, Any])
            return json_reply(200, self.turn(**changes))
        except (msgspec.MsgspecError, ValueError) as error:
            raise Refusal(400, "bad_knob", f"{error}; nothing was changed.") from None


def _after(request: Request) -> int:
    name, _, text = request.query.partition("=")
    return int(text) if name == "after" and text.isdecimal() else 0


def absent(what: str, value: Any) -> Refusal:
    """The refusal for a record that does not exist."""
    return Refusal(404, "not_found", f"There is no {what} {value!r}.")
