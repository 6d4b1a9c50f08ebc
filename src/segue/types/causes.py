"""The way by which data came to a run, as its cause tells it: which runs started each other before it.

`RunStarted.cause` says who or what started a run. For whoever follows data it also says through which tasks of which
definitions its input came, and whether personal data was looked for in it in vain. What a release before this one
wrote says neither; then nobody can tell runs of a definition apart, and every caller that it may have counts.

Source: decision 0149.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from segue.types.events import Event, RunMigrated, TaskRestarted, TaskSkipped

LOOKED: Final = "looked"
"""What looking for personal data in the input gave. Its field `door` says that the second door may go by it: runs of
earlier releases do not tell when somebody put something in later."""

THROUGH: Final = "through"
"""The tasks that started one another before this run, from the first on: `namespace/name:version` and the pointer."""

MIXED: Final = "mixed"
"""Somebody put something in, or the run went on under another version: its values came by more than its way."""

HOPS_MAX: Final = 16
"""Longer ways are not told: then every caller counts."""

_CLEAN: Final = "clean "
_STARTED_BY_RUNS: Final = frozenset({None, "run", "fork"})


UNTOLD: Final[Mapping[str, Any]] = MappingProxyType({})
"""The cause of a run of which nothing is known."""


class Way(NamedTuple):
    """How data came to a run.

    Attributes:
        hops: Tasks that started others, each once; none where no run started it. `hop_of` reads one.
        clean: Personal data was looked for in the input of this run in vain.
    """

    hops: tuple[str, ...] = ()
    clean: bool = False


FIRST: Final = Way()
"""Of a run that no other run started."""


def way_of(cause: Mapping[str, Any]) -> Way | None:
    """The way to the run with this cause; None where it is not known."""
    hops = cause.get(THROUGH)
    if (hops is None and cause.get("kind") in _STARTED_BY_RUNS) or MIXED in cause:
        return None
    looked = cause.get(LOOKED)
    clean = looked is not None and looked.get("door") is True
    return Way(tuple(hops or ()), clean) if hops or clean else FIRST


def handed_on(cause: Mapping[str, Any], workflow: str, pointer: str) -> dict[str, Any]:
    """What the cause of a run tells of the way to it, where a task of the run with this cause starts it.

    Args:
        workflow: `namespace/name:version` of that run. pointer: of the task.
    """
    way = way_of(cause)
    if way is None:
        return {}
    hops = dict.fromkeys((*way.hops, f"{_CLEAN if way.clean else ''}{workflow}{pointer}"))
    return {THROUGH: list(hops)} if len(hops) <= HOPS_MAX else {}


def copied_way(cause: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a copy of the run. What was looked for in the input does not count for it: it may get another."""
    way = way_of(cause)
    return {} if way is None else {THROUGH: list(way.hops)}


def hop_of(text: str) -> tuple[str, str, bool]:
    """The workflow of a hop (`namespace/name:version`), the pointer of its task, and whether its run was clean."""
    said = text.removeprefix(_CLEAN)
    name, _, rest = said.partition(":")
    version, slash, pointer = rest.partition("/")
    return f"{name}:{version}", slash + pointer, said != text


def told(cause: Any) -> dict[str, Any]:
    """The cause of a run for people, without what is only for following data."""
    if not isinstance(cause, dict):
        return {}
    kept = {name: value for name, value in cause.items() if name not in (THROUGH, MIXED)}
    if isinstance(looked := kept.get(LOOKED), dict):
        kept[LOOKED] = {name: value for name, value in looked.items() if name != "door"}
    return kept


def changed_by(cause: dict[str, Any], event: Event) -> dict[str, Any]:
    """The cause of a run after an operator's event; itself where that changes nothing of the way.

    What somebody puts in may be from anywhere, another run of this definition too, and was not looked through.
    """
    mixes = isinstance(event, RunMigrated | TaskSkipped) or (
        isinstance(event, TaskRestarted) and event.input is not msgspec.UNSET
    )
    return {**cause, MIXED: True} if mixes and MIXED not in cause else cause
