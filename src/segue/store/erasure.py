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
from segue.store.codec import ERASED
from segue.store.records import Sql, event_seq, keep_newest_event
from segue.types import MessageConsumed


class About(NamedTuple):
    """What belongs to some runs: their numbers, and those of events that they sent or took."""

    runs: Sequence[int]
    events: Sequence[int]


def runs_about(connection: sqlite3.Connection, seqs: Sequence[int]) -> About:
    """What erasing these runs takes."""
    wanted = str(list(seqs))
    sql = "SELECT seq FROM event WHERE run IN (SELECT value FROM json_each(?))"
    events = {seq for (seq,) in connection.execute(sql, (wanted,))}
    sql = "SELECT data FROM history WHERE run IN (SELECT value FROM json_each(?))"
    for (data,) in connection.execute(sql, (wanted,)).fetchall():
        if data == ERASED:
            continue
        event: Any = load_event(connection, data)
        if isinstance(event, MessageConsumed):
            key = (event.event["source"], event.event["id"])
            seq = event_seq(connection, *key)
            if seq is not None:
                events.add(seq)
    return About(seqs, sorted(events))


def erase_runs(about: About) -> list[Sql]:
    """Statements for what the key does not take."""
    runs, events = str(list(about.runs)), str(list(about.events))
    of = "run IN (SELECT value FROM json_each(?))"
    tasks = f"task IN (SELECT id FROM human_task WHERE {of})"  # noqa: S608 - constants
    return [
        (f"UPDATE effect SET receipt = '{ERASED}' WHERE receipt IS NOT NULL AND {of}", (runs,)),  # noqa: S608
        (
            f"UPDATE incident SET failure = '{ERASED}', owner = NULL, reason = NULL WHERE {of}",  # noqa: S608
            (runs,),
        ),
        (f"UPDATE human_task SET title = 'erased' WHERE {of}", (runs,)),  # noqa: S608
        (f"UPDATE label SET input = NULL, proposed = NULL, decided = NULL WHERE {tasks}", (runs,)),  # noqa: S608
        (f"DELETE FROM inbox WHERE {of}", (runs,)),  # noqa: S608
        (f"DELETE FROM snapshot WHERE {of}", (runs,)),  # noqa: S608
        keep_newest_event(),
        ("DELETE FROM event WHERE seq IN (SELECT value FROM json_each(?))", (events,)),
        *release(-seq for seq in about.events),
    ]
