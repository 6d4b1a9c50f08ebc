"""The CRM: accounts with their contracts, and tasks for their owners. OAuth 2, cursors, idempotency keys."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from segue.sandbox.auth import TOKENS_TABLE, ClientCredentialsLock, Lock
from segue.sandbox.contract import Call
from segue.sandbox.customers import Customer
from segue.sandbox.database import Database
from segue.sandbox.http import Refusal, Reply, Request, json_reply
from segue.sandbox.knobs import Knobs
from segue.sandbox.ledger import Write
from segue.sandbox.system import System, Work, absent

SCHEMA = (
    TOKENS_TABLE
    + """
CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY, renewal_date TEXT NOT NULL, region TEXT NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX accounts_renewal ON accounts (renewal_date, account_id);
"""
)
SCOPES = frozenset({"accounts.read", "tasks.read", "tasks.write"})
TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path


def rows(customer: Customer) -> Iterator[tuple[str, str, str, str]]:
    """The CRM's part of a customer, as rows of `accounts`."""
    published = customer.published
    record = {
        "accountId": customer.account_id,
        "displayName": customer.name,
        "email": customer.email,
        "region": customer.region,
        "gender": "female" if published["female"] == "1" else "male",
        "seniorCitizen": published["senior_citizen"] == "1",
        "hasPartner": published["partner"] == "1",
        "hasDependents": published["dependents"] == "1",
        "contractType": customer.contract,
        "tenureMonths": customer.months,
        "customerSince": str(customer.customer_since),
        "renewalDate": str(customer.renewal_date),
        "owner": {"name": customer.owner, "email": customer.owner.replace(" ", ".").lower() + "@company.example"},
        "externalRefs": {
            "billingClientNo": customer.client_no if customer.in_billing else None,
            "usageCustomerRef": customer.customer_ref,
        },
    }
    text = msgspec.json.encode(record).decode()
    yield customer.account_id, str(customer.renewal_date), customer.region, text


class Crm(System):
    name: ClassVar[str] = "crm"
    kinds: ClassVar[tuple[str, ...]] = ("task",)
    without_knobs: ClassVar[frozenset[str]] = frozenset({"stale_as_of"})
    default_knobs: ClassVar[Knobs] = Knobs(token_lifetime_s=900)

    def __init__(self, db: Database, *, admin_token: str, user: str, secret: str) -> None:
        self._clients = ClientCredentialsLock(db, user, secret, SCOPES)
        super().__init__(db, admin_token=admin_token, user=user, secret=secret)

    def lock(self) -> Lock:
        return self._clients

    @property
    def credentials(self) -> dict[str, Any]:
        return {
            "kind": "oauth2",
            "grant": "client_credentials",
            "authority": self.origin,
            "token_url": self.origin + TOKEN_PATH,
            "client_id": self.user,
            "client_secret": self.secret,
            "scopes": sorted(SCOPES),
        }

    def operations(self) -> dict[str, Work]:
        return {
            "listAccounts": self._list_accounts,
            "getAccount": self._get_account,
            "listAccountTasks": self._list_tasks,
            "listTasks": self._list_tasks,
            "createTask": self._create_task,
        }

    def error_reply(self, refusal: Refusal) -> Reply:
        error = {"code": refusal.code.upper(), "message": refusal.message}
        return json_reply(refusal.status, {"error": error})

    def turn(self, **changes: Any) -> Knobs:
        knobs = super().turn(**changes)
        if "token_lifetime_s" in changes:
            self._clients.shorten(self._token_lifetime_s)
        return knobs

    @property
    def _token_lifetime_s(self) -> float:
        lifetime = self.board.knobs.token_lifetime_s
        return 900 if lifetime is None else lifetime

    def answer_outside_contract(self, request: Request) -> Reply | None:
        if request.path != TOKEN_PATH:
            return None
        if request.method != "POST":
            raise Refusal(405, "method_not_allowed", "Use POST here.", {"Allow": "POST"})
        return self._clients.issue(request, self._token_lifetime_s)

    def _list_accounts(self, call: Call) -> Reply:
        wanted = call.arguments
        where, values = ["1"], []
        for name, condition in (
            ("renewal_from", "renewal_date >= ?"),
            ("renewal_before", "renewal_date < ?"),
            ("region", "region = ?"),
        ):
            if wanted[name] is not None:
                where.append(condition)
                values.append(wanted[name])
        if wanted["cursor"] is not None:
            where.append("(renewal_date, account_id) > (?, ?)")
            values.extend(_position(wanted["cursor"], parts=2))
        found = self.db.all(
            "SELECT record, renewal_date, account_id FROM accounts "  # noqa: S608 - fixed conditions
            f"WHERE {' AND '.join(where)} ORDER BY renewal_date, account_id LIMIT ?",
            *values,
            wanted["limit"] + 1,
        )
        page, more = found[: wanted["limit"]], len(found) > wanted["limit"]
        items = [msgspec.Raw(record.encode()) for record, _, _ in page]
        return json_reply(200, {"items": items, "nextCursor": _cursor(*page[-1][1:]) if more else None})

    def _get_account(self, call: Call) -> Reply:
        return Reply(200, self._account(call).encode())

    def _account(self, call: Call) -> str:
        account_id = call.arguments["accountId"]
        row = self.db.one("SELECT record FROM accounts WHERE account_id = ?", account_id)
        if row is None:
            raise absent("account", account_id)
        return str(row[0])

    def _create_task(self, call: Call) -> Reply:
        self._account(call)
        account_id = call.arguments["accountId"]
        record = {
            "accountId": account_id,
            "priority": "normal",
            **call.body,
            "status": "open",
            "createdAt": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write = self.ledger.write_once(
            "task",
            account_id,
            record,
            key=call.arguments["Idempotency-Key"],
            request=call.request.path.encode() + msgspec.json.encode(call.body, order="deterministic"),
        )
        return json_reply(201, _task(write), {"Idempotent-Replayed": "true"} if write.replayed else None)

    def _list_tasks(self, call: Call) -> Reply:
        if "accountId" in call.arguments:
            self._account(call)
        limit, cursor = call.arguments["limit"], call.arguments["cursor"]
        after = 0 if cursor is None else int(_position(cursor, parts=1)[0])
        found = self.ledger.page("task", limit=limit + 1, after=after, customer=call.arguments.get("accountId"))
        page, more = found[:limit], len(found) > limit
        items = [_task(write) for write in page]
        return json_reply(200, {"items": items, "nextCursor": _cursor(page[-1].sequence) if more else None})


def _task(write: Write) -> dict[str, Any]:
    return {"taskId": f"TSK-{write.sequence:06d}", **write.record}


def _cursor(*position: object) -> str:
    """Where a page ended, in a form that invites nobody to read it."""
    return base64.urlsafe_b64encode("|".join(str(part) for part in position).encode()).decode().rstrip("=")


def _position(cursor: str, *, parts: int) -> list[str]:
    try:
        position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
        if len(position) != parts or (parts == 1 and not position[0].isdecimal()):
            raise ValueError("another list's cursor")
    except (binascii.Error, ValueError):
        raise Refusal(400, "invalid_cursor", "Pass the nextCursor of the page before, unchanged.") from None
    return position
