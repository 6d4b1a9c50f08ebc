"""Names that an erasure takes out of human tasks: whom a task was offered to, told about, and handed to.

A document may offer a task to whoever its data names, so an audience is data of the run like its title. Roles and
groups stay, and so do users who decided: they are the house's, unless they are the subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segue.store.codec import encode
from segue.store.records import Sql

_OF: Final = "run IN (SELECT value FROM json_each(?1))"
_TASKS: Final = f"task IN (SELECT id FROM human_task WHERE {_OF})"  # noqa: S608 - constants
_SUBJECT: Final = "IN (SELECT value FROM json_each(?2))"
_STRANGER: Final = (
    "(person NOT IN (SELECT id FROM main.identity WHERE kind = 'person')"
    " AND person NOT IN (SELECT id FROM main.profile))"
)


def forget_names(runs: Sequence[int], subject: str) -> list[Sql]:
    """Statements for what stands in plain text beside runs of a data subject, all of which have ended."""
    of, both = (encode(list(runs)).decode(),), (encode(list(runs)).decode(), _names(subject))
    gone = f"{_TASKS} AND (person {_SUBJECT} OR {_STRANGER})"
    found: list[Sql] = [
        (f"DELETE FROM notice WHERE {gone}", both),  # noqa: S608 - constants
        (f"DELETE FROM task_code WHERE {gone}", both),  # noqa: S608
        (f"DELETE FROM human_task_audience WHERE kind IN ('people', 'manager', 'agents') AND {_TASKS}", of),  # noqa: S608
        (
            "UPDATE human_task SET audience = json_set(audience, '$.people', json('[\"erased\"]'))"  # noqa: S608
            f" WHERE {_OF} AND json_array_length(audience, '$.people') > 0",
            of,
        ),
    ]
    for table, which in (("human_task", _OF), ("human_task_change", _TASKS)):
        for column in ("by", "owner"):
            sql = f"UPDATE {table} SET {column} = 'erased' WHERE {which} AND {column} {_SUBJECT}"  # noqa: S608
            found.append((sql, both))
    return found


def _names(subject: str) -> str:
    """Every form in which a person of this name is written down."""
    return encode([subject, f"person:{subject}"]).decode()
