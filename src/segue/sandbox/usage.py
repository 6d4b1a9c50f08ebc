"""Product usage: what a customer has booked, read-only. A bearer token, pages by Link header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec

from segue.sandbox.auth import BearerLock, Lock
from segue.sandbox.contract import Call
from segue.sandbox.customers import Customer
from segue.sandbox.http import Refusal, Reply, json_reply
from segue.sandbox.system import System, Work, absent

SCHEMA = """
CREATE TABLE customers (
    customer_ref TEXT PRIMARY KEY, internet TEXT NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;
"""
PHONE = {"No phone service": "none", "No": "single_line", "Yes": "multiple_lines"}
INTERNET = {"DSL": "dsl", "Fiber optic": "fiber", "No": "none"}
OPTION = {"Yes": "on", "No": "off", "No internet service": "n/a"}
OPTIONS = ("online_security", "online_backup", "device_protection", "streaming_tv", "streaming_movies")


def rows(customer: Customer) -> Iterator[tuple[str, str, str]]:
    """Product usage's part of a customer, as rows of `customers`."""
    published = customer.published
    internet = INTERNET[published["internet_service"]]
    record = {
        "customer_ref": customer.customer_ref,
        "phone": PHONE[published["multiple_lines"]],
        "internet": internet,
        "options": {name: OPTION[published[name]] for name in OPTIONS},
        "data_gb_30d": customer.data_gb_30d,
    }
    yield customer.customer_ref, internet, msgspec.json.encode(record).decode()


class Usage(System):
    name: ClassVar[str] = "usage"
    without_knobs: ClassVar[frozenset[str]] = frozenset({"token_lifetime_s"})

    def lock(self) -> Lock:
        return BearerLock(self.secret)

    @property
    def credentials(self) -> dict[str, Any]:
        return {"kind": "bearer", "token": self.secret}

    def operations(self) -> dict[str, Work]:
        return {"listCustomers": self._list_customers, "getCustomer": self._get_customer}

    def error_reply(self, refusal: Refusal) -> Reply:
        return json_reply(refusal.status, {"errors": [{"code": refusal.code, "detail": refusal.message}]})

    def _list_customers(self, call: Call) -> Reply:
        size, internet = call.arguments["per_page"], call.arguments["internet"]
        found = self.db.all(
            "SELECT customer_ref, record FROM customers WHERE customer_ref > ? AND (internet = ? OR ?) "
            "ORDER BY customer_ref LIMIT ?",
            call.arguments["after"] or "",
            internet,
            internet is None,
            size + 1,
        )
        page, more = found[:size], len(found) > size
        links = [self._link(call, "first", None)]
        if more:
            links.append(self._link(call, "next", page[-1][0]))
        return json_reply(200, [self._dated(record) for _, record in page], {"Link": ", ".join(links)})

    def _link(self, call: Call, rel: str, after: str | None) -> str:
        wanted = {"internet": call.arguments["internet"], "per_page": call.arguments["per_page"], "after": after}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        return f'<{self.origin}{call.request.path}?{query}>; rel="{rel}"'

    def _get_customer(self, call: Call) -> Reply:
        customer_ref = call.arguments["customer_ref"]
        row = self.db.one("SELECT record FROM customers WHERE customer_ref = ?", customer_ref)
        if row is None:
            raise absent("customer", customer_ref)
        return json_reply(200, self._dated(row[0]))

    def _dated(self, record: str) -> dict[str, Any]:
        return {**msgspec.json.decode(record), "as_of": self.as_of}
