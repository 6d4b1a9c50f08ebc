"""Who is told of human tasks, codes that let people decide, labels, and profiles: rows beside the tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from segue.store.codec import decode, encode, load
from segue.store.records import Sql


class UntoldChange(msgspec.Struct, frozen=True):
    """A change of a task of which nobody has been told yet. `voices`: of whom it has one that counts."""

    id: int
    task: int
    change: str
    at: int
    owner: str
    audience: dict[str, Any]
    requester: str | None
    priority: int
    open: bool
    voices: frozenset[str] = frozenset()


class UntoldStep(msgspec.Struct, frozen=True):
    """An exception that was passed on to an owner who has not been told yet."""

    incident: int
    level: int
    owner: str


class NoticeRecord(msgspec.Struct, frozen=True):
    """One notice. state: due, sending, sent, failed, unknown (the process died while it was sent), void.

    Attributes:
        task: 0 where it is about something else. incident: 0 where it is about no exception.
        about: Kind and number of a wish, such as `consent:3`; empty where it is about a task or an exception.
    """

    id: int
    task: int
    change: int
    person: str
    channel: str
    kind: str
    state: str
    made_at: int
    due_at: int
    sent_at: int | None
    read_at: int | None
    receipt: str | None
    title: str
    due: int | None
    incident: int = 0
    about: str = ""


class CodeRecord(msgspec.Struct, frozen=True):
    """A one-time code, of which only the hash is known."""

    task: int
    person: str
    expires_at: int
    used_at: int | None


class LabelRecord(msgspec.Struct, frozen=True):
    """What a person's decision says about a model's answer. agreed: 1 where it was approved as it was."""

    task: int
    model: str
    version: str
    confidence: float | None
    input: Any
    proposed: Any
    decided: Any
    outcome: str
    agreed: int
    by: str
    at: int


_NOTICE = (
    "SELECT n.id, n.task, n.change, n.person, n.channel, n.kind, n.state, n.made_at, n.due_at, n.sent_at, n.read_at,"
    " n.receipt, coalesce(h.title, n.title, i.namespace || '/' || i.name || ' at ' || i.pointer),"
    " coalesce(h.due_at, i.deadline),"
    " coalesce(n.incident, 0), coalesce(n.about, '')"
    " FROM notice n LEFT JOIN human_task h ON h.id = n.task LEFT JOIN incident i ON i.id = n.incident"
)

# -- reading ---------------------------------------------------------------------------------------


def untold(connection: sqlite3.Connection, *, limit: int) -> list[UntoldChange]:
    """Changes that people are still to be told of, oldest first."""
    sql = (
        "SELECT c.id, c.task, c.change, c.at, c.owner, h.audience, h.requester, h.priority, h.open, h.votes"
        " FROM human_task_change c JOIN human_task h ON h.id = c.task WHERE c.told = 0 ORDER BY c.id LIMIT ?"
    )
    found = []
    voices = "SELECT by FROM human_task_change WHERE task = ? AND change = 'voted' ORDER BY id DESC LIMIT ?"
    rows = connection.execute(sql, (limit,)).fetchall()
    for number, task, change, at, owner, audience, requester, priority, is_open, votes in rows:
        # The newest ones: those before an edit or a resubmission count no more.
        given = frozenset(by for (by,) in connection.execute(voices, (task, votes))) if votes else frozenset()
        named = (decode(audience), requester, priority, bool(is_open), given)
        found.append(UntoldChange(number, task, change, at, owner, *named))
    return found


def untold_steps(connection: sqlite3.Connection, *, limit: int) -> list[UntoldStep]:
    """Exceptions whose present owner is still to be told, oldest first."""
    where = "WHERE state = 'open' AND level > told"
    sql = f"SELECT id, level, coalesce(owner, '') FROM incident {where} ORDER BY id LIMIT ?"  # noqa: S608 - a constant
    return [UntoldStep(*row) for row in connection.execute(sql, (limit,))]


def due_notices(connection: sqlite3.Connection, now: int, *, limit: int) -> list[NoticeRecord]:
    """Notices that are to go out now, those of one person together."""
    sql = f"{_NOTICE} WHERE n.state = 'due' AND n.due_at <= ? ORDER BY n.due_at, n.person, n.id LIMIT ?"
    return [NoticeRecord(*row) for row in connection.execute(sql, (now, limit))]


def next_due(connection: sqlite3.Connection) -> int | None:
    """When the next notice is to go out."""
    found: int | None = connection.execute("SELECT min(due_at) FROM notice WHERE state = 'due'").fetchone()[0]
    return found


def notices_of_person(
    connection: sqlite3.Connection, person: str, *, limit: int, before: int | None = None
) -> list[NoticeRecord]:
    """What somebody was told in the app, newest first."""
    sql = f"{_NOTICE} WHERE n.person = ? AND n.channel = 'app' AND n.id < ? ORDER BY n.id DESC LIMIT ?"
    newest = 2**62 if before is None else before
    return [NoticeRecord(*row) for row in connection.execute(sql, (person, newest, limit))]


def notices_of_task(connection: sqlite3.Connection, task: int) -> list[NoticeRecord]:
    """Everything that anybody was told of a task, oldest first."""
    return [NoticeRecord(*row) for row in connection.execute(f"{_NOTICE} WHERE n.task = ? ORDER BY n.id", (task,))]


def find_code(connection: sqlite3.Connection, hashed: str) -> CodeRecord | None:
    """The code with this hash."""
    sql = "SELECT task, person, expires_at, used_at FROM task_code WHERE hash = ?"
    row = connection.execute(sql, (hashed,)).fetchone()
    return None if row is None else CodeRecord(*row)


def labels(
    connection: sqlite3.Connection, model: str | None, version: str | None, *, limit: int, after: int = 0
) -> list[LabelRecord]:
    """Labels in the order of their tasks; of one model, or of one version of it."""
    conditions, parameters = ["agreed IS NOT NULL", "task > ?"], [after]
    for column, value in (("model", model), ("version", version)):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)  # type: ignore[arg-type]
    sql = (
        "SELECT task, model, version, confidence, input, proposed, decided, outcome, agreed, by, at FROM label"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY task LIMIT ?"
    )
    rows = connection.execute(sql, (*parameters, limit))
    return [LabelRecord(*row[:4], *(load(value) for value in row[4:7]), *row[7:]) for row in rows]


def profiles(connection: sqlite3.Connection) -> list[Any]:
    """Every profile, as JSON."""
    return [decode(data) for (data,) in connection.execute("SELECT data FROM profile ORDER BY id")]


# -- writing ---------------------------------------------------------------------------------------


def make_notice(change: UntoldChange, person: str, channel: str, now: int, due: int) -> Sql:
    """Somebody is to be told; doing it again changes nothing. What stands in the app has arrived with that."""
    sent = channel == "app"
    sql = (
        "INSERT OR IGNORE INTO notice (task, change, person, channel, kind, state, made_at, due_at, sent_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    state = "sent" if sent else "due"
    return sql, (change.task, change.id, person, channel, change.change, state, now, due, now if sent else None)


def make_step_notice(step: UntoldStep, kind: str, person: str, channel: str, now: int, due: int) -> Sql:
    """Somebody is to be told that an exception is theirs; doing it again changes nothing."""
    sent = channel == "app"
    sql = (
        "INSERT OR IGNORE INTO notice"
        " (task, change, person, channel, kind, state, made_at, due_at, sent_at, incident)"
        " VALUES (0, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    change, state = -(step.incident * _STEPS + step.level), "sent" if sent else "due"
    return sql, (change, person, channel, kind, state, now, due, now if sent else None, step.incident)


_STEPS: Final = 1000
"""More than an exception can have."""


def mark_step_told(step: UntoldStep) -> Sql:
    """Everybody whom this step concerns has their notice."""
    return "UPDATE incident SET told = ? WHERE id = ? AND told < ?", (step.level, step.incident, step.level)


def delete_of_runs(seqs: str) -> Sql:
    """Forget what was told of exceptions of these runs, a JSON list."""
    about = "SELECT id FROM incident WHERE run IN (SELECT value FROM json_each(?))"
    return f"DELETE FROM notice WHERE incident IN ({about})", (seqs,)  # noqa: S608 - a constant


def mark_told(numbers: Sequence[int]) -> Sql:
    """Everybody whom these changes concern has their notice."""
    return "UPDATE human_task_change SET told = 1 WHERE id IN (SELECT value FROM json_each(?))", (str(list(numbers)),)


def mark_notices(numbers: Sequence[int], state: str, at: int | None, receipt: str | None = None) -> Sql:
    """What became of notices."""
    sql = "UPDATE notice SET state = ?, sent_at = ?, receipt = ? WHERE id IN (SELECT value FROM json_each(?))"
    return sql, (state, at, receipt, str(list(numbers)))


def postpone_notices(numbers: Sequence[int], due: int, receipt: str) -> Sql:
    """They could not go out, and are tried again."""
    sql = "UPDATE notice SET state = 'due', due_at = ?, receipt = ? WHERE id IN (SELECT value FROM json_each(?))"
    return sql, (due, receipt, str(list(numbers)))


def doubt_mail() -> Sql:
    """The process died while these were sent: they may have arrived, so they are not sent again."""
    return "UPDATE notice SET state = 'unknown' WHERE state = 'sending' AND channel = 'email'", ()


def repeat_chat() -> Sql:
    """The same, where a key tells whoever gets it twice."""
    return "UPDATE notice SET state = 'due' WHERE state = 'sending' AND channel <> 'email'", ()


def mark_read(person: str, number: int, at: int) -> Sql:
    """Somebody has seen a notice in the app, and all before it."""
    sql = "UPDATE notice SET read_at = ? WHERE person = ? AND channel = 'app' AND id <= ? AND read_at IS NULL"
    return sql, (at, person, number)


def put_code(hashed: str, task: int, person: str, now: int, expires_at: int) -> Sql:
    """A code comes into being."""
    sql = "INSERT INTO task_code (hash, task, person, made_at, expires_at) VALUES (?, ?, ?, ?, ?)"
    return sql, (hashed, task, person, now, expires_at)


def use_code(hashed: str, at: int) -> Sql:
    """It has done what it was for."""
    return "UPDATE task_code SET used_at = ? WHERE hash = ? AND used_at IS NULL", (at, hashed)


def put_profile(name: str, data: Any, at: int) -> Sql:
    """Keep a profile, over an older one of the same person."""
    sql = "INSERT OR REPLACE INTO profile (id, data, updated_at) VALUES (?, seal(?), ?)"
    return sql, (name, encode(data).decode(), at)


def delete_profile(name: str) -> Sql:
    """Forget how somebody can be reached."""
    return "DELETE FROM profile WHERE id = ?", (name,)
