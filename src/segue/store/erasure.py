"""Erasing what belongs to runs of one data subject, besides destroying its key.

The key takes histories, results, snapshots and large values with it. What was written while no key was assigned (the
receipt that a person gave for a run that had ended) and what lies outside a run (events that reached it) is removed
here. What remains is who started which workflow when, and how it ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from segue.store.blobs import load_event, release
from segue.store.codec import ERASED, load
from segue.store.records import Sql, event_seq, keep_newest_event
from segue.types import MessageConsumed


class About(NamedTuple):
    """What belongs to a data subject: its runs by number, events that they sent, took or were started by, labels."""

    runs: Sequence[int]
    events: Sequence[int]
    labels: Sequence[int] = ()


def about(connection: sqlite3.Connection, subject: str) -> About:
    """What is there about a data subject, given as it is looked up."""
    runs = [seq for (seq,) in connection.execute("SELECT seq FROM run WHERE subject = ? ORDER BY seq", (subject,))]
    # Labels are kept when their runs are gone.
    labels = [task for (task,) in connection.execute("SELECT task FROM label WHERE subject = ?", (subject,))]
    return About(runs, _events_of(connection, runs), labels)


def open_runs(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[str]:
    """Ids of those of these runs that have not ended."""
    sql = "SELECT id FROM run WHERE seq IN (SELECT value FROM json_each(?)) AND ended_at IS NULL"
    return [id for (id,) in connection.execute(sql, (str(list(seqs)),))]


def _events_of(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[int]:
    wanted = (str(list(seqs)),)
    chosen = "IN (SELECT value FROM json_each(?))"
    events = {seq for (seq,) in connection.execute(f"SELECT seq FROM event WHERE run {chosen}", wanted)}  # noqa: S608
    # Those of which the history says nothing any more.
    rows = connection.execute(f"SELECT event FROM event_of WHERE run {chosen}", wanted)  # noqa: S608
    events |= {seq for (seq,) in rows}
    for (data,) in connection.execute(f"SELECT data FROM history WHERE run {chosen}", wanted).fetchall():  # noqa: S608
        if data == ERASED:
            continue
        event: Any = load_event(connection, data)
        if isinstance(event, MessageConsumed):
            events.add(event_seq(connection, event.event["source"], event.event["id"]))
    for (cause,) in connection.execute(f"SELECT cause FROM run WHERE seq {chosen}", wanted).fetchall():  # noqa: S608
        events |= _started_by(connection, load(cause))
    return sorted(seq for seq in events if seq is not None)


def _started_by(connection: sqlite3.Connection, cause: Any) -> set[int | None]:
    """Events that started a run; its cause names them `source#id`."""
    named = cause.get("events") if isinstance(cause, dict) and cause.get("kind") == "event" else None
    found: set[int | None] = set()
    for name in named or ():
        # Either part may hold the sign itself.
        for place in (i for i, letter in enumerate(name) if letter == "#"):
            found.add(event_seq(connection, name[:place], name[place + 1 :]))
    return found


def erase(found: About) -> list[Sql]:
    """Statements for what the key does not take."""
    runs, events, labels = (str(list(numbers)) for numbers in found)
    of = "run IN (SELECT value FROM json_each(?))"
    tasks = f"task IN (SELECT id FROM human_task WHERE {of})"  # noqa: S608 - constants
    return [
        (f"UPDATE effect SET receipt = '{ERASED}' WHERE receipt IS NOT NULL AND {of}", (runs,)),  # noqa: S608
        (
            f"UPDATE incident SET failure = '{ERASED}', owner = NULL, reason = NULL WHERE {of}",  # noqa: S608
            (runs,),
        ),
        # The requester is a value of the run's data: often whoever it is about.
        (f"UPDATE human_task SET requester = 'erased' WHERE requester IS NOT NULL AND {of}", (runs,)),  # noqa: S608
        (f"UPDATE human_task SET title = 'erased' WHERE {of}", (runs,)),  # noqa: S608
        (
            "UPDATE label SET input = NULL, proposed = NULL, decided = NULL"  # noqa: S608
            f" WHERE {tasks} OR task IN (SELECT value FROM json_each(?))",
            (runs, labels),
        ),
        (f"UPDATE notice SET receipt = NULL WHERE {tasks}", (runs,)),  # noqa: S608
        (f"DELETE FROM inbox WHERE {of}", (runs,)),  # noqa: S608
        (f"DELETE FROM snapshot WHERE {of}", (runs,)),  # noqa: S608
        (f"DELETE FROM event_of WHERE {of}", (runs,)),  # noqa: S608
        keep_newest_event(),
        ("DELETE FROM event WHERE seq IN (SELECT value FROM json_each(?))", (events,)),
        *release(-seq for seq in found.events),
    ]
