"""Support: requesters, tickets and outreach. An API key, offsets, and no idempotency keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from segue.sandbox.auth import ApiKeyLock, Lock
from segue.sandbox.contract import Call
from segue.sandbox.customers import Customer
from segue.sandbox.http import Refusal, Reply, json_reply
from segue.sandbox.ledger import Write
from segue.sandbox.system import System, Work, absent

SCHEMA = """
CREATE TABLE requesters (email TEXT PRIMARY KEY COLLATE NOCASE, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tickets (
    id INTEGER PRIMARY KEY, requester_email TEXT NOT NULL COLLATE NOCASE, status TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX tickets_requester ON tickets (requester_email);
"""
API_KEY_HEADER = "X-Api-Key"
SUPPORT_PLANS = {"Yes": "subscribed", "No": "none", "No internet service": "not_eligible"}
_TICKETS_PER_ROW = 10


def requester_rows(customer: Customer) -> Iterator[tuple[str, str]]:
    """Support's part of a customer, as rows of `requesters`."""
    if not customer.in_support:
        return
    record = {
        "email": customer.email,
        "name": customer.name,
        "support_plan": SUPPORT_PLANS[customer.published["tech_support"]],
        "open_tickets": sum(ticket.status == "open" for ticket in customer.tickets),
        "tickets_180d": len(customer.tickets),
    }
    yield customer.email, msgspec.json.encode(record).decode()


def ticket_rows(customer: Customer) -> Iterator[tuple[int, str, str, str]]:
    """A customer's tickets, as rows of `tickets`."""
    if not customer.in_support:
        return
    for number, ticket in enumerate(customer.tickets):
        record = {
            "id": customer.row * _TICKETS_PER_ROW + number,
            "requester_email": customer.email,
            "subject": ticket.subject,
            "status": ticket.status,
            "priority": ticket.priority,
            "channel": ticket.channel,
            "created_at": f"{ticket.created_on}T09:00:00Z",
        }
        text = msgspec.json.encode(record).decode()
        yield customer.row * _TICKETS_PER_ROW + number, customer.email, ticket.status, text


class Support(System):
    name: ClassVar[str] = "support"
    kinds: ClassVar[tuple[str, ...]] = ("outreach",)
    retry_after_is_date: ClassVar[bool] = True

    def lock(self) -> Lock:
        return ApiKeyLock(API_KEY_HEADER, self.secret)

    @property
    def credentials(self) -> dict[str, Any]:
        return {"kind": "api_key", "header": API_KEY_HEADER, "key": self.secret}

    def operations(self) -> dict[str, Work]:
        return {
            "listRequesters": self._list_requesters,
            "lookupRequester": self._lookup_requester,
            "listTickets": self._list_tickets,
            "getTicket": self._get_ticket,
            "listOutreach": self._list_outreach,
            "getOutreach": self._get_outreach,
            "startOutreach": self._start_outreach,
        }

    def error_reply(self, refusal: Refusal) -> Reply:
        words = refusal.code.title().replace("_", "")
        return json_reply(refusal.status, {"error": words, "description": refusal.message})

    def _list_requesters(self, call: Call) -> Reply:
        return self._page_of("requesters", "email", call, {})

    def _list_tickets(self, call: Call) -> Reply:
        wanted = {name: call.arguments[name] for name in ("requester_email", "status")}
        return self._page_of("tickets", "id", call, {k: v for k, v in wanted.items() if v is not None})

    def _page_of(self, table: str, order: str, call: Call, wanted: dict[str, str]) -> Reply:
        where = " AND ".join(["1", *(f"{name} = ?" for name in wanted)])
        count = self.db.one(f"SELECT count(*) FROM {table} WHERE {where}", *wanted.values())  # noqa: S608
        assert count is not None
        found = self.db.all(
            f"SELECT record FROM {table} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608
            *wanted.values(),
            call.arguments["limit"],
            call.arguments["offset"],
        )
        return _page(call, table, [msgspec.Raw(record.encode()) for (record,) in found], count[0])

    def _lookup_requester(self, call: Call) -> Reply:
        return Reply(200, self._requester(call.arguments["email"])[1].encode())

    def _requester(self, email: str) -> tuple[str, str]:
        """A requester's address as support writes it, and the record."""
        row = self.db.one("SELECT email, record FROM requesters WHERE email = ?", email)
        if row is None:
            raise absent("requester", email)
        return row[0], row[1]

    def _get_ticket(self, call: Call) -> Reply:
        row = self.db.one("SELECT record FROM tickets WHERE id = ?", call.arguments["ticket_id"])
        if row is None:
            raise absent("ticket", call.arguments["ticket_id"])
        return Reply(200, row[0].encode())

    def _start_outreach(self, call: Call) -> Reply:
        email, _ = self._requester(call.body["requester_email"])
        record = {
            **call.body,
            "requester_email": email,
            "state": "queued",
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write = self.ledger.write("outreach", email, record, reference=call.body.get("external_ref"))
        return json_reply(201, _outreach(write))

    def _get_outreach(self, call: Call) -> Reply:
        write = self.ledger.get("outreach", call.arguments["outreach_id"])
        if write is None:
            raise absent("outreach", call.arguments["outreach_id"])
        return json_reply(200, _outreach(write))

    def _list_outreach(self, call: Call) -> Reply:
        email, reference = call.arguments["requester_email"], call.arguments["external_ref"]
        customer = None if email is None else email.lower()
        limit, offset = call.arguments["limit"], call.arguments["offset"]
        found = self.ledger.page("outreach", limit=limit, offset=offset, customer=customer, reference=reference)
        count = self.ledger.count("outreach", customer=customer, reference=reference)
        return _page(call, "outreach", [_outreach(write) for write in found], count)


def _outreach(write: Write) -> dict[str, Any]:
    return {"id": write.sequence, **write.record}


def _page(call: Call, name: str, items: list[Any], count: int) -> Reply:
    window = {"offset": call.arguments["offset"], "limit": call.arguments["limit"]}
    return json_reply(200, {name: items, **window, "count": count})
