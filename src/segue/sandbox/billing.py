"""Billing: clients with their charges in cents, and alerts for finance. HTTP basic, page numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec

from segue.sandbox.auth import BasicLock, Lock
from segue.sandbox.contract import Call
from segue.sandbox.customers import Customer
from segue.sandbox.http import Refusal, Reply, json_reply
from segue.sandbox.ledger import Write
from segue.sandbox.system import System, Work, absent

SCHEMA = """
CREATE TABLE clients (client_no INTEGER PRIMARY KEY, payment_method TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX clients_payment ON clients (payment_method, client_no);
"""
PAYMENT_METHODS = {
    "Electronic check": "electronic_check",
    "Mailed check": "mailed_check",
    "Bank transfer (automatic)": "bank_transfer",
    "Credit card (automatic)": "credit_card",
}


def rows(customer: Customer) -> Iterator[tuple[int, str, str]]:
    """Billing's part of a customer, as rows of `clients`."""
    published = customer.published
    method = PAYMENT_METHODS[published["payment_method"]]
    monthly = cents(published["monthly_charges"])
    record = {
        "client_no": customer.client_no,
        "full_name": f"{customer.family_name}, {customer.given_name}",
        "payment_method": method,
        "paperless": published["paperless_billing"] == "1",
        "monthly_fee_cents": monthly,
        "billed_to_date_cents": cents(published["total_charges"]) if published["total_charges"] else None,
        "balance_cents": monthly if customer.overdue_days else 0,
        "days_overdue": customer.overdue_days,
    }
    yield customer.client_no, method, msgspec.json.encode(record).decode()


def cents(amount: str) -> int:
    """A published amount as cents."""
    return round(float(amount) * 100)


class Billing(System):
    name: ClassVar[str] = "billing"
    kinds: ClassVar[tuple[str, ...]] = ("alert",)
    without_knobs: ClassVar[frozenset[str]] = frozenset({"token_lifetime_s"})

    def lock(self) -> Lock:
        return BasicLock("Ledgerline", self.user, self.secret)

    @property
    def credentials(self) -> dict[str, Any]:
        return {"kind": "basic", "username": self.user, "password": self.secret}

    def operations(self) -> dict[str, Work]:
        return {
            "listClients": self._list_clients,
            "getClient": self._get_client,
            "listFinanceAlerts": self._list_alerts,
            "getFinanceAlert": self._get_alert,
            "raiseFinanceAlert": self._raise_alert,
        }

    def error_reply(self, refusal: Refusal) -> Reply:
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(refusal.status).phrase,
            "status": refusal.status,
            "detail": refusal.message,
        }
        return Reply(refusal.status, msgspec.json.encode(problem), media_type="application/problem+json")

    def _list_clients(self, call: Call) -> Reply:
        method = call.arguments["payment_method"]
        where, values = ("1", ()) if method is None else ("payment_method = ?", (method,))
        total = self.db.one(f"SELECT count(*) FROM clients WHERE {where}", *values)  # noqa: S608
        assert total is not None
        found = self.db.all(
            f"SELECT record FROM clients WHERE {where} ORDER BY client_no LIMIT ? OFFSET ?",  # noqa: S608
            *values,
            *_window(call),
        )
        return _page(call, [self._dated(record) for (record,) in found], total[0])

    def _get_client(self, call: Call) -> Reply:
        return json_reply(200, self._dated(self._client(call.arguments["client_no"])))

    def _client(self, client_no: int) -> str:
        row = self.db.one("SELECT record FROM clients WHERE client_no = ?", client_no)
        if row is None:
            raise absent("client", client_no)
        return str(row[0])

    def _dated(self, record: str) -> dict[str, Any]:
        return {**msgspec.json.decode(record), "statement_as_of": self.as_of}

    def _raise_alert(self, call: Call) -> Reply:
        self._client(call.body["client_no"])
        write = self.ledger.write_once(
            "alert",
            str(call.body["client_no"]),
            {**call.body, "raised_at": datetime.now(UTC).isoformat(timespec="seconds")},
            key=call.arguments["Idempotency-Key"],
            request=msgspec.json.encode(call.body, order="deterministic"),
        )
        return json_reply(200 if write.replayed else 201, _alert(write))

    def _get_alert(self, call: Call) -> Reply:
        write = self.ledger.get("alert", call.arguments["alert_no"])
        if write is None:
            raise absent("alert", call.arguments["alert_no"])
        return json_reply(200, _alert(write))

    def _list_alerts(self, call: Call) -> Reply:
        client_no = call.arguments["client_no"]
        customer = None if client_no is None else str(client_no)
        limit, offset = _window(call)
        found = self.ledger.page("alert", limit=limit, offset=offset, customer=customer)
        total = self.ledger.count("alert", customer=customer)
        return _page(call, [_alert(write) for write in found], total)


def _alert(write: Write) -> dict[str, Any]:
    return {"alert_no": write.sequence, **write.record}


def _window(call: Call) -> tuple[int, int]:
    """How many records, and how many before them."""
    size = call.arguments["page_size"]
    return size, (call.arguments["page"] - 1) * size


def _page(call: Call, data: list[Any], total: int) -> Reply:
    page, size = call.arguments["page"], call.arguments["page_size"]
    return json_reply(200, {"data": data, "page": page, "page_size": size, "total": total})
