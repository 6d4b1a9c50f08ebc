"""What a person did or was told as a user: only references to it, for what it was about may be another person."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from segue.store.codec import encode

_ACTS: Final = {
    "tasks": (
        "SELECT id, (SELECT id FROM run WHERE seq = h.run) AS run, namespace || '/' || name AS workflow, pointer,"
        " state, owner, requester, offered_at AS at, closed_at, outcome, by FROM human_task h"
        " WHERE owner IN ({who}) OR by IN ({who}) OR requester IN ({who}) ORDER BY id"
    ),
    "taskChanges": (
        "SELECT task, change, at, level, by, owner FROM human_task_change"
        " WHERE by IN ({who}) OR owner IN ({who}) ORDER BY id"
    ),
    "notices": (
        "SELECT id, task, about, kind, channel, state, made_at AS at, sent_at, read_at FROM notice"
        " WHERE person IN ({who}) ORDER BY id"
    ),
    "labels": "SELECT task, model, version, outcome, agreed, at FROM label WHERE by IN ({who}) ORDER BY task",
    "exceptions": (
        "SELECT id, (SELECT id FROM run WHERE seq = i.run) AS run, namespace || '/' || name AS workflow,"
        " pointer, kind, state, at, action, owner, by, closed_at FROM incident i"
        " WHERE owner IN ({who}) OR by IN ({who}) ORDER BY id"
    ),
    "publications": (
        "SELECT number, namespace || '/' || name || ':' || version AS workflow, state, wanted_at AS at, wanted_by,"
        " decided_at, decided_by, reason FROM publication WHERE wanted_by IN ({who}) OR decided_by IN ({who})"
        " ORDER BY number"
    ),
    "accountChanges": (
        "SELECT number, what, kind || '/' || id AS whom, state, wanted_at AS at, wanted_by, decided_at, decided_by,"
        " reason FROM account_change WHERE wanted_by IN ({who}) OR decided_by IN ({who})"
        " OR (kind = 'person' AND id IN ({who})) ORDER BY number"
    ),
    "policyChanges": "SELECT number, name, at, by, reason FROM policy_change WHERE by IN ({who}) ORDER BY number",
    "switches": (
        "SELECT number, kind, name, at, by, reason, released_at, released_by, released_reason FROM switch"
        " WHERE by IN ({who}) OR released_by IN ({who}) ORDER BY number"
    ),
}


def acts_of(connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows that name somebody as whoever did, owns or was told something, by kind. Times in milliseconds.

    Args:
        names: Every form in which they are written down.
    """
    found = {}
    who = "SELECT value FROM json_each(:names)"
    for kind, sql in _ACTS.items():
        rows = connection.execute(sql.replace("{who}", who), {"names": encode(list(names)).decode()})
        columns = [column[0] for column in rows.description]
        found[kind] = [dict(zip(columns, row, strict=True)) for row in rows]
    return found


def labels_about(connection: sqlite3.Connection, tasks: Sequence[int]) -> list[tuple[Any, ...]]:
    """Labels by their tasks: task, model, version, input, proposed, decided, outcome, by, at."""
    sql = (
        "SELECT task, model, version, input, proposed, decided, outcome, by, at FROM label"
        " WHERE task IN (SELECT value FROM json_each(?)) ORDER BY task"
    )
    return connection.execute(sql, (str(list(tasks)),)).fetchall()


def events_by_number(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[tuple[int, int, Any]]:
    """Events: number, time of arrival, envelope in stored form."""
    sql = "SELECT seq, received_at, envelope FROM event WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
    return connection.execute(sql, (str(list(numbers)),)).fetchall()
