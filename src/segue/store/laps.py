"""Acts of a live run that belong to laps that are over: what may leave the ledger while the run goes on.

Of earlier laps of its own list no state of the run can ask again (decision 0127). Of a loop inside, a list that
starts again may. So the newest lap of each task stays, and where older ones go, the ledger keeps up to which place it
has forgotten: an act that is asked for at or below it, and that is not there, may have happened (decision 0141).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

from segue.store.records import Sql


class Laps(NamedTuple):
    """How far a run has come: in its own list, and by task in the loops around that, as text that sorts."""

    own: int
    inside: Mapping[str, str]


class Past(NamedTuple):
    """Acts of laps that are over, the newest place of each task among them, and where to go on."""

    commands: list[int]
    floors: Mapping[str, str]
    goes_on: int | None


def newest_laps(c: sqlite3.Connection, run: int) -> Laps:
    """Where a run is. Going on only takes it further, so what is past stays past."""
    newest = "SELECT key FROM effect WHERE run = ? ORDER BY command DESC LIMIT ?"
    own = max((_lap_of(key) for (key,) in c.execute(newest, (run, _NEWEST))), default=0)
    inside = "SELECT task, max(place) FROM effect WHERE run = ? AND task IS NOT NULL GROUP BY task"
    return Laps(own, dict(c.execute(inside, (run,))))


def past_acts(c: sqlite3.Connection, run: int, newest: Laps, before_ms: int, after: int, limit: int) -> Past:
    """Settled acts of laps that are over, of so many rows behind the command `after`."""
    sql = "SELECT command, key, state, settled_at, task, place FROM effect WHERE run = ? AND command > ?"
    rows = c.execute(f"{sql} ORDER BY command LIMIT ?", (run, after, limit)).fetchall()
    found: list[int] = []
    floors: dict[str, str] = {}
    for command, key, state, settled_at, task, place in rows:
        is_old = state in ("done", "failed") and settled_at is not None and settled_at < before_ms
        is_over = _lap_of(key) < newest.own or (task is not None and place < newest.inside.get(task, ""))
        if is_old and is_over:
            found.append(command)
            if task is not None:
                floors[task] = max(floors.get(task, ""), place)
    return Past(found, floors, rows[-1][0] if len(rows) == limit else None)


def forget(run: int, past: Past) -> list[Sql]:
    """Remove them, and say up to where."""
    floor = (
        "INSERT INTO effect_floor (run, task, place) VALUES (?, ?, ?)"
        " ON CONFLICT (run, task) DO UPDATE SET place = max(place, excluded.place)"
    )
    gone = "DELETE FROM effect WHERE run = ? AND command IN (SELECT value FROM json_each(?))"
    return [(gone, (run, str(past.commands))), *((floor, (run, *pair)) for pair in past.floors.items())]


def _lap_of(key: str) -> int:
    """In which lap of the run's own list an act was done: how often that had jumped back by then."""
    found = _OF_ROOT.search(key)
    return 0 if found is None else int(found[1])


_NEWEST: Final = 100
_OF_ROOT: Final = re.compile(r"~0\.([0-9]+)(?:\^[0-9]+)?$")
"""How the name of an act ends once the list of the root, node 0, has jumped back; see `core/machines/act.py`."""
