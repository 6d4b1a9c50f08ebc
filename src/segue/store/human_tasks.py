"""Human tasks: rows that say what waits for whom. Written with the events that they follow from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from segue.store.codec import decode, encode, load, pack
from segue.store.records import Sql
from segue.store.urgency import Urgency, behind, urgency

HumanTaskState = Literal["offered", "claimed", "sent-back", "decided", "expired", "withdrawn"]
HumanTaskKind = Literal["task", "approval"]
PRIORITIES: Final = ("low", "normal", "high", "urgent")
KINDS: Final = ("people", "roles", "groups", "agents")

_COLUMNS: Final = (
    "h.id, h.run, r.id, r.version, r.digest, r.cause, h.task, h.state, h.namespace, h.name, h.pointer, h.title,"
    " h.priority, h.owner, h.audience, h.requester, h.level, h.votes, h.offered_at, h.due_at, h.claimed_at,"
    " h.changed_at, h.closed_at, h.outcome, h.by, h.edited, h.model, h.model_version, h.event, h.kind"
)
_FROM: Final = "FROM human_task h JOIN run r ON r.seq = h.run"
_THIS: Final = "(SELECT id FROM human_task WHERE run = ? AND task = ?)"
_LABELLED: Final = f"UPDATE label SET decided = seal(?), outcome = ?, agreed = ?, by = ?, at = ? WHERE task = {_THIS}"  # noqa: S608


class HumanTaskRecord(msgspec.Struct, frozen=True):
    """One human task.

    Attributes:
        run, run_id: Sequence number and id of its run. task: Id of its offer there.
        audience: Who may decide, as `Offer.audience`.
        level: Rung of the ladder. votes: Voices so far.
        outcome, by, edited: How it was decided; empty while it is open.
        event: How many events the run's history held with the offer.
        kind: `task`, or `approval` of an act that rules or limits leave to people.
    """

    id: int
    run: int
    run_id: str
    version: str
    digest: str
    cause: dict[str, Any]
    task: int
    state: HumanTaskState
    namespace: str
    name: str
    pointer: str
    title: str
    priority: int
    owner: str
    audience: dict[str, Any]
    requester: str | None
    level: int
    votes: int
    offered_at: int
    due_at: int | None
    claimed_at: int | None
    changed_at: int
    closed_at: int | None
    outcome: str | None
    by: str | None
    edited: int
    model: str | None
    model_version: str | None
    event: int
    kind: HumanTaskKind

    @property
    def is_open(self) -> bool:
        """Somebody can still decide it."""
        return self.closed_at is None

    @property
    def urgency(self) -> Urgency:
        """Its place among everything that waits for people."""
        return urgency(self.priority, self.due_at, self.offered_at, self.kind, self.id)


class ChangeRecord(msgspec.Struct, frozen=True):
    """Something that happened to a human task; see `UpdateOffer.change`, and `offered` and `withdrawn`."""

    id: int
    task: int
    at: int
    change: str
    by: str
    owner: str
    level: int


@dataclass(frozen=True, slots=True)
class HumanTaskFilter:
    """Which tasks to list; what is None does not restrict.

    Attributes:
        audience: Offered to any of these: kind (`people`, `roles`, `groups`, `agents`, `manager`) and name.
        owner: Claimed by this one; empty for nobody.
        mine: The same two, either of which suffices: owner and audiences.
        free_for: Claimed by nobody, or by this one.
    """

    open: bool | None = None
    audience: Sequence[tuple[str, str]] | None = None
    owner: str | None = None
    mine: tuple[str, Sequence[tuple[str, str]]] | None = None
    namespace: str | None = None
    name: str | None = None
    run: int | None = None
    overdue_at: int | None = None
    priority: int | None = None
    kind: HumanTaskKind | None = None
    free_for: str | None = None


# -- reading ---------------------------------------------------------------------------------------


def find_human_task(connection: sqlite3.Connection, number: int) -> HumanTaskRecord | None:
    """The task with this number."""
    row = connection.execute(f"SELECT {_COLUMNS} {_FROM} WHERE h.id = ?", (number,)).fetchone()
    return None if row is None else _record(row)


def places_of(connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Digest of the definition and pointer of each of these tasks."""
    sql = f"SELECT h.id, r.digest, h.pointer {_FROM} WHERE h.id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return {number: (digest, pointer) for number, digest, pointer in connection.execute(sql, (str(list(numbers)),))}


def list_human_tasks(
    connection: sqlite3.Connection, wanted: HumanTaskFilter, *, limit: int, before: int | None = None
) -> list[HumanTaskRecord]:
    """Tasks, newest first; `before` is the id of the last one seen, a negative `limit` lists all."""
    where, parameters = _where(wanted, before)
    sql = f"SELECT {_COLUMNS} {_FROM} {where} ORDER BY h.id DESC LIMIT ?"
    return [_record(row) for row in connection.execute(sql, (*parameters, limit))]


def most_urgent(
    connection: sqlite3.Connection, wanted: HumanTaskFilter, *, limit: int, after: Urgency | None = None
) -> list[HumanTaskRecord]:
    """Tasks, the most urgent first; `after` is the place of the last one seen."""
    where, parameters = _where(wanted, None)
    beyond, order = behind("h.priority", "h.due_at", "h.offered_at", "h.kind", "h.id", after)
    sql = f"SELECT {_COLUMNS} {_FROM} {where or 'WHERE 1'} AND {beyond} ORDER BY {order} LIMIT ?"
    return [_record(row) for row in connection.execute(sql, (*parameters, *(after or ()), limit))]


def changes_of(connection: sqlite3.Connection, number: int) -> list[ChangeRecord]:
    """What happened to a task, oldest first."""
    sql = "SELECT id, task, at, change, by, owner, level FROM human_task_change WHERE task = ? ORDER BY id"
    return [ChangeRecord(*row) for row in connection.execute(sql, (number,))]


def workload(connection: sqlite3.Connection, now: int) -> list[tuple[str, int, int]]:
    """Of everybody who has claimed something: who, how many open tasks, how many of them overdue."""
    sql = (
        "SELECT owner, count(*), count(*) FILTER (WHERE due_at < ?) FROM human_task"
        " WHERE open = 1 AND owner <> '' GROUP BY owner ORDER BY 2 DESC, owner"
    )
    return list(connection.execute(sql, (now,)))


def queues(connection: sqlite3.Connection, now: int) -> list[tuple[str, str, int, int, int]]:
    """Of every audience with open tasks: kind, name, how many, how many overdue, when the oldest was offered."""
    sql = (
        "SELECT a.kind, a.name, count(*), count(*) FILTER (WHERE h.due_at < ?), min(h.offered_at)"
        " FROM human_task h JOIN human_task_audience a ON a.task = h.id WHERE h.open = 1"
        " GROUP BY a.kind, a.name ORDER BY 3 DESC, a.kind, a.name"
    )
    return list(connection.execute(sql, (now,)))


def closed_since(connection: sqlite3.Connection, since: int) -> list[HumanTaskRecord]:
    """Decided and expired tasks that were closed since then, oldest first."""
    sql = (
        f"SELECT {_COLUMNS} {_FROM} WHERE h.closed_at >= ? AND h.closed_at IS NOT NULL"
        " AND h.state IN ('decided', 'expired') ORDER BY h.closed_at"
    )
    return [_record(row) for row in connection.execute(sql, (since,))]


def _where(wanted: HumanTaskFilter, before: int | None) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for column in ("open", "owner", "namespace", "name", "run", "priority", "kind"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"h.{column} = ?")
            parameters.append(value)
    if wanted.overdue_at is not None:
        conditions.append("h.due_at < ?")
        parameters.append(wanted.overdue_at)
    # Asked of each open task and not of the audience, which also has those of all closed ones.
    offered = (
        "EXISTS (SELECT 1 FROM json_each(?) AS w JOIN human_task_audience AS a"
        " ON a.kind = w.value->>0 AND a.name = w.value->>1 AND a.task = h.id)"
    )
    if wanted.audience is not None:
        conditions.append(offered)
        parameters.append(encode(list(wanted.audience)).decode())
    if wanted.mine is not None:
        conditions.append(f"(h.owner = ? OR {offered})")
        parameters += [wanted.mine[0], encode(list(wanted.mine[1])).decode()]
    if wanted.free_for is not None:
        conditions.append("h.owner IN ('', ?)")
        parameters.append(wanted.free_for)
    if before is not None:
        conditions.append("h.id < ?")
        parameters.append(before)
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), parameters


def _record(row: tuple[Any, ...]) -> HumanTaskRecord:
    values = dict(zip(HumanTaskRecord.__struct_fields__, row, strict=True))
    values["audience"] = decode(values["audience"])
    values["cause"] = load(values["cause"]) or {}
    return HumanTaskRecord(**values)


# -- writing ---------------------------------------------------------------------------------------


def offer(
    run: int,
    task: int,
    *,
    at: int,
    event: int,
    namespace: str,
    name: str,
    pointer: str,
    request: Mapping[str, Any],
    audience: Mapping[str, Any],
) -> list[Sql]:
    """A task is offered. Doing it again changes nothing while it is open; one that was closed comes back.

    An act whose approval does not suffice any more, because rules have changed, asks again under the same number.
    """
    about = request.get("about") or {}
    due_ms = request.get("due_ms")
    sql = (
        "INSERT INTO human_task (run, task, state, open, namespace, name, pointer, title, priority, owner,"
        " audience, requester, level, votes, offered_at, due_at, changed_at, model, model_version, event, kind)"
        " VALUES (?1, ?, 'offered', 1, ?, ?, ?, seal(?, ?1), ?, '', ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (run, task) DO UPDATE SET state = 'offered', open = 1, title = excluded.title, owner = '',"
        " audience = excluded.audience, requester = excluded.requester, level = 0, votes = 0, edited = 0,"
        " offered_at = excluded.offered_at, due_at = excluded.due_at, claimed_at = NULL,"
        " changed_at = excluded.changed_at, closed_at = NULL, outcome = NULL, by = NULL, event = excluded.event,"
        " kind = excluded.kind WHERE open = 0"
    )
    row = (
        *(run, task, namespace, name, pointer, request["title"], PRIORITIES.index(request["priority"])),
        *(encode(audience).decode(), request.get("requester"), at, None if due_ms is None else at + due_ms, at),
        *(about.get("model"), about.get("version"), event, request.get("kind", "task")),
    )
    statements: list[Sql] = [(sql, row), *_audience(run, task, audience), _change(run, task, at, "offered")]
    return [*statements, _label(run, task, about, request)] if about else statements


def update(
    run: int,
    task: int,
    *,
    at: int,
    change: str,
    state: str,
    owner: str,
    audience: Mapping[str, Any],
    level: int,
    votes: int,
    outcome: str,
    by: str,
    edited: bool,
    data: Any,
) -> list[Sql]:
    """Something happened to it."""
    closed = state in ("decided", "expired")
    sql = (
        "UPDATE human_task SET state = ?, open = ?, owner = ?, audience = ?, level = ?, votes = ?, changed_at = ?,"
        " claimed_at = CASE WHEN ? = '' THEN NULL WHEN owner = ? THEN claimed_at ELSE ? END,"
        " closed_at = ?, outcome = ?, by = ?, edited = ? WHERE run = ? AND task = ?"
    )
    row = (
        *(state, int(not closed), owner, encode(audience).decode(), level, votes, at, owner, owner, at),
        *((at, outcome, by, int(edited)) if closed else (None, None, None, 0)),
        *(run, task),
    )
    statements: list[Sql] = [(sql, row), _change(run, task, at, change, by, owner, level)]
    if change in ("reassigned", "escalated", "sent-back", "resubmitted"):
        statements += _audience(run, task, audience)
    if closed:
        statements += _close(run, task, at)
        agreed = int(outcome == "approve" and not edited)
        said = (pack(encode(data)), outcome, agreed, by, at, run, task)
        statements.append(
            (_LABELLED, said) if state == "decided" else (f"DELETE FROM label WHERE task = {_THIS}", (run, task))  # noqa: S608 - a constant
        )
    return statements


def withdraw(run: int, task: int, at: int) -> list[Sql]:
    """Its run goes on without it."""
    sql = (
        "UPDATE human_task SET state = 'withdrawn', open = 0, closed_at = ?, changed_at = ?"
        " WHERE run = ? AND task = ? AND open = 1"
    )
    label = f"DELETE FROM label WHERE agreed IS NULL AND task = {_THIS}"  # noqa: S608 - a constant
    return [
        (sql, (at, at, run, task)),
        _change(run, task, at, "withdrawn"),
        *_close(run, task, at),
        (label, (run, task)),
    ]


def withdraw_of_run(run: int, at: int) -> list[Sql]:
    """Its run was ended from outside."""
    sql = (
        "UPDATE human_task SET state = 'withdrawn', open = 0, closed_at = ?, changed_at = ?"
        " WHERE run = ? AND open = 1"
    )
    return [(sql, (at, at, run))]


def delete_of_runs(seqs: str) -> list[Sql]:
    """Remove what belongs to these runs, a JSON list; labels stay."""
    of = "task IN (SELECT id FROM human_task WHERE run IN (SELECT value FROM json_each(?)))"
    return [
        *(
            (f"DELETE FROM {table} WHERE {of}", (seqs,))  # noqa: S608 - constants
            for table in ("human_task_audience", "human_task_change", "notice", "task_code")
        ),
        ("DELETE FROM human_task WHERE run IN (SELECT value FROM json_each(?))", (seqs,)),
    ]


def _change(run: int, task: int, at: int, change: str, by: str = "", owner: str = "", level: int = 0) -> Sql:
    told = 0 if change in TOLD else 1
    sql = (
        "INSERT INTO human_task_change (task, at, change, by, owner, level, told)"
        " SELECT id, ?, ?, ?, ?, ?, ? FROM human_task WHERE run = ? AND task = ?"
    )
    return sql, (at, change, by, owner, level, told, run, task)


TOLD: Final = frozenset({"offered", "reminded", "escalated", "delegated", "reassigned", "sent-back", "resubmitted"})
"""Changes that somebody is told of."""


def _audience(run: int, task: int, audience: Mapping[str, Any]) -> list[Sql]:
    names = [[kind, name] for kind in KINDS for name in audience.get(kind, ())]
    if audience.get("manager"):
        names.append(["manager", ""])
    return [
        (f"DELETE FROM human_task_audience WHERE task = {_THIS}", (run, task)),  # noqa: S608 - a constant
        (
            "INSERT OR IGNORE INTO human_task_audience (kind, name, task)"  # noqa: S608 - a constant
            f" SELECT value->>0, value->>1, {_THIS} FROM json_each(?)",
            (run, task, encode(names).decode()),
        ),
    ]


def _close(run: int, task: int, at: int) -> list[Sql]:
    """Codes for it are worth nothing, and notices of it that wait are not sent."""
    return [
        (f"UPDATE task_code SET used_at = ? WHERE used_at IS NULL AND task = {_THIS}", (at, run, task)),  # noqa: S608
        (f"UPDATE notice SET state = 'void' WHERE state = 'due' AND task = {_THIS}", (run, task)),  # noqa: S608
    ]


def _label(run: int, task: int, about: Mapping[str, Any], request: Mapping[str, Any]) -> Sql:
    sql = (
        "INSERT OR IGNORE INTO label (task, subject, model, version, confidence, input, proposed)"  # noqa: S608
        f" SELECT {_THIS}, (SELECT subject FROM run WHERE seq = ?), ?, ?, ?, seal(?), seal(?)"
    )
    proposed = about.get("value", request.get("data"))
    values = (pack(encode(about.get("input"))), pack(encode(proposed)))
    return sql, (run, task, run, about["model"], about.get("version", ""), about.get("confidence"), *values)
