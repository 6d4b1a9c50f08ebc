"""Rows that controls are judged by: what happened in a period, told in the same way whatever table it stands in.

Every row has `at` (milliseconds), `ref` (how to find it), `what` and `by`; what else it has depends on the source.
Nothing is stored for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segue.store.chain import AuditFilter, audit_rows, list_audit, record_of
from segue.store.permission import list_credentials, list_identities
from segue.types import Cipher

_AFTER_STOP_MS: Final = 1000
"""A switch acts within a second; what begins later has slipped past it."""

_TOLD: Final = ("action", "resource", "verdict", "principal", "reason", "data")

_TABLES: Final = {
    "publications": (
        "SELECT decided_at AS at, 'publication ' || number AS ref,"
        " namespace || '/' || name || ':' || version AS what, decided_by AS by, state, wanted_by, reason"
        " FROM publication WHERE decided_at >= :since AND decided_at < :until ORDER BY decided_at"
    ),
    "definitions": (
        "SELECT d.published_at AS at, 'workflow ' || d.namespace || '/' || d.name || ':' || d.version AS ref,"
        " d.digest AS what, coalesce(p.wanted_by, '') AS by, d.source, p.wanted_by,"
        " p.decided_by AS approved_by"
        " FROM definition d LEFT JOIN publication p ON p.digest = d.digest AND p.state = 'approved'"
        " WHERE d.published_at >= :since AND d.published_at < :until ORDER BY d.published_at"
    ),
    "decisions": (
        "SELECT h.closed_at AS at, 'task ' || h.id AS ref, h.namespace || '/' || h.name || ' ' || h.pointer AS what,"
        " coalesce(h.by, '') AS by, h.state, h.outcome, h.requester, h.edited, h.model, h.model_version, l.agreed,"
        " r.id AS run FROM human_task h JOIN run r ON r.seq = h.run LEFT JOIN label l ON l.task = h.id"
        " WHERE h.closed_at >= :since AND h.closed_at < :until ORDER BY h.closed_at"
    ),
    "oversight": (
        "SELECT max(h.closed_at) AS at, 'workflow ' || h.namespace || '/' || h.name AS ref,"
        " sum(h.state = 'decided') || ' decided, ' || sum(h.state = 'expired') || ' expired, '"
        " || sum(l.agreed IS NOT NULL) || ' proposals judged, '"
        " || sum(coalesce(l.agreed, 1) = 0) || ' overruled' AS what,"
        " '' AS by, sum(h.state = 'decided') AS decided, sum(h.state = 'expired') AS expired,"
        " sum(l.agreed IS NOT NULL) AS proposals, sum(coalesce(l.agreed, 1) = 0) AS overruled"
        " FROM human_task h LEFT JOIN label l ON l.task = h.id"
        " WHERE h.closed_at >= :since AND h.closed_at < :until GROUP BY h.namespace, h.name ORDER BY 2"
    ),
    "effects": (
        "SELECT e.intended_at AS at, 'effect ' || e.key AS ref,"
        " coalesce(e.connection, e.handler) || ': ' || e.state AS what,"
        " 'workflow:' || r.namespace || '/' || r.name AS by, e.state, e.attempt, e.connection, e.handler, r.id AS run"
        " FROM effect e JOIN run r ON r.seq = e.run"
        " WHERE e.intended_at >= :since AND e.intended_at < :until ORDER BY e.intended_at"
    ),
    "exceptions": (
        "SELECT i.at, 'exception ' || i.id AS ref,"
        " i.kind || ' in ' || i.namespace || '/' || i.name || ' ' || i.pointer AS what, coalesce(i.by, '') AS by,"
        " i.kind, i.state, i.action, i.reason, i.overdue, r.id AS run FROM incident i JOIN run r ON r.seq = i.run"
        " WHERE i.at >= :since AND i.at < :until ORDER BY i.at"
    ),
    "switches": (
        "SELECT at, 'switch ' || number AS ref, 'stopped ' || kind || ' ' || name || ': ' || reason AS what, by,"
        " 'stopped' AS done FROM switch WHERE at >= :since AND at < :until"
        " UNION ALL SELECT released_at, 'switch ' || number,"
        " 'released ' || kind || ' ' || name || ': ' || released_reason, released_by, 'released'"
        " FROM switch WHERE released_at >= :since AND released_at < :until ORDER BY 1"
    ),
    "after-stop": (
        "SELECT e.intended_at AS at, 'effect ' || e.key AS ref,"
        " 'began ' || (e.intended_at - s.at) || ' ms after switch ' || s.number || ' stopped ' || s.kind"
        " || ' ' || s.name AS what, 'workflow:' || r.namespace || '/' || r.name AS by,"
        " s.number AS switch, r.id AS run"
        " FROM switch s JOIN effect e ON e.intended_at >= s.at + :late"
        " AND e.intended_at < coalesce(s.released_at, :until) JOIN run r ON r.seq = e.run"
        " WHERE e.intended_at >= :since AND e.intended_at < :until AND (s.kind = 'workspace'"
        " OR (s.kind = 'connection' AND e.connection = s.name)"
        " OR (s.kind = 'workflow' AND r.namespace || '/' || r.name = s.name)) ORDER BY e.intended_at"
    ),
    "refusals": "",
    "identities": "",
}
"""Sources by name. Those without a query are told by a function below."""

SOURCES: Final = frozenset({*_TABLES, "audit"})


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to before `until`, in milliseconds since the Unix epoch."""

    since: int
    until: int


def rows_of(
    connection: sqlite3.Connection,
    source: str,
    period: Period,
    *,
    actions: Sequence[str] = (),
    verdicts: Sequence[str] = (),
    without: Sequence[str] = (),
    cipher: Cipher | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of a source, oldest first.

    Args:
        actions, verdicts, without: Of records of the audit chain: only these actions, only these verdicts, none of
            these verdicts.
    """
    if source == "audit":
        yield from _audit(connection, period, actions, verdicts, without, cipher)
    elif source == "refusals":
        yield from _refusals(connection, period, cipher)
    elif source == "identities":
        yield from _identities(connection, period)
    elif source == "definitions":
        yield from _definitions(connection, period, cipher)
    else:
        yield from _rows(connection, source, period)


def _rows(connection: sqlite3.Connection, source: str, period: Period) -> Iterator[dict[str, Any]]:
    # Read as they come: a period can hold more than fits into memory.
    found = connection.execute(_TABLES[source], _parameters(_TABLES[source], period))
    names = [column[0] for column in found.description]
    for row in found:
        yield dict(zip(names, row, strict=True))


def _definitions(connection: sqlite3.Connection, period: Period, cipher: Cipher | None) -> Iterator[dict[str, Any]]:
    """With who published them, as the chain says, where nobody had to approve."""
    for row in _rows(connection, "definitions", period):
        if row["wanted_by"] is None:
            wanted = AuditFilter(action="workflow.publish", resource=row["ref"].replace(" ", ":", 1))
            told = next(iter(list_audit(connection, wanted, limit=1)), None)
            row["by"] = "" if told is None else record_of(told, cipher).principal
        yield row


def _parameters(sql: str, period: Period) -> dict[str, int]:
    given = {"since": period.since, "until": period.until}
    return {**given, "late": _AFTER_STOP_MS} if ":late" in sql else given


def _audit(
    connection: sqlite3.Connection,
    period: Period,
    actions: Sequence[str],
    verdicts: Sequence[str],
    without: Sequence[str],
    cipher: Cipher | None,
) -> Iterator[dict[str, Any]]:
    only = verdicts[0] if len(verdicts) == 1 else None
    wanted = AuditFilter(since=period.since, until=period.until, actions=actions, verdict=only)
    for row in audit_rows(connection, wanted):
        if (verdicts and row.verdict not in verdicts) or row.verdict in without:
            continue
        told = record_of(row, cipher)
        yield {
            "at": row.at,
            "ref": f"record {row.seq}",
            "what": f"{row.action} {row.resource}" + (f": {row.verdict}" if row.verdict else ""),
            "by": told.principal,
            **{
                name: getattr(told, name) for name in ("action", "resource", "verdict", "principal", "reason", "data")
            },
        }


def _refusals(connection: sqlite3.Connection, period: Period, cipher: Cipher | None) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for row in _audit(connection, period, (), ("deny",), (), cipher):
        key = (row["principal"], row["action"])
        known = groups.setdefault(key, {"first": row["ref"], "count": 0, "by": row["by"], "action": row["action"]})
        # The first in five minutes has a record, and those that followed have one together.
        more = row["data"].get("count", 1) if isinstance(row["data"], dict) else 1
        known |= {"count": known["count"] + more, "at": row["at"], "last": row["ref"]}
    for group in sorted(groups.values(), key=lambda found: (-found["count"], found["by"], found["action"])):
        several = group["count"] > 1
        yield {
            **group,
            "ref": f"{group['first']} to {group['last'].removeprefix('record ')}" if several else group["first"],
            "what": f"{group['action']}: refused {group['count']} " + ("times" if several else "time"),
        }


def _identities(connection: sqlite3.Connection, period: Period) -> Iterator[dict[str, Any]]:
    """As they are now: who was what at an earlier time is not kept. Nothing of a credential is told."""
    tokens: dict[tuple[str, str], int] = {}
    for credential in list_credentials(connection):
        if credential.kind == "token":
            key = (credential.identity_kind, credential.identity_id)
            tokens[key] = tokens.get(key, 0) + 1
    for record in list_identities(connection):
        yield {
            "at": record.created_at,
            "ref": f"{record.kind}:{record.id}",
            "what": f"{record.state}; roles: {', '.join(record.roles) or 'none'}",
            "by": record.created_by,
            "kind": record.kind,
            "state": record.state,
            "roles": record.roles,
            "password": bool(record.password),
            "one_time_code": bool(record.totp),
            "tokens": tokens.get((record.kind, record.id), 0),
        }
