"""Looking for personal data in the inputs of runs, where their schemas ask for it with `x-detect`.

A value at such a place counts as having its class, unless it was looked through and nothing was found. So what nobody
looked through, because it is too large or because no person and no system started the run, is masked like the rest.

Source: decision 0135.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from segue.core import Plan
from segue.dsl.flows import ITEM, detected_places, input_schema_of
from segue.governance.detection import find_in_text
from segue.service.past import Past
from segue.types import TaskRestarted, TaskSkipped
from segue.types.causes import LOOKED, Way, way_of

CHARACTERS_MAX: Final = 200_000
"""Texts of one input that are looked through, all together: well under a second of one core."""

_AT_ONCE: Final = 2
_KEPT_MAX: Final = 1_000
_Path = tuple[str, ...]


class Detecting:
    """Looks through inputs, in threads, a few at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._places: dict[str, tuple[_Path, ...]] = {}

    async def look(self, plan: Plan, given: Any) -> dict[str, Any] | None:
        """What was found; None where the schema asks for nothing.

        Returns:
            `result`: `found`, `nothing` or `too-large`. With `nothing` also `door`: a release that tells when
            somebody puts something in later (`segue.types.causes`). With `found` also `kinds`, how many of each, and
            `at`, the places of the schema; never what stands there.
        """
        places = self._places_of(plan)
        if not places:
            return None
        texts = [(place, text) for place in places for text in _texts(given, place)]
        if sum(len(text) for _, text in texts) > CHARACTERS_MAX:
            return {"result": "too-large"}
        async with self._free:
            found = await asyncio.to_thread(_found, texts)
        if not found:
            return {"result": "nothing", "door": True}
        kinds = sum(found.values(), Counter[str]())
        return {"result": "found", "kinds": dict(sorted(kinds.items())), "at": sorted(map(_pointer, found))}

    def _places_of(self, plan: Plan) -> tuple[_Path, ...]:
        """Where the schema of the input asks for it. Read once: every start asks, and schemas are large."""
        found = self._places.get(plan.digest)
        if found is None:
            if len(self._places) >= _KEPT_MAX:
                self._places.clear()
            found = self._places[plan.digest] = tuple(detected_places(input_schema_of(plan)))
        return found


def way_to(past: Past) -> Way | None:
    """The way by which data came to a run; None where any of its definition counts."""
    way = way_of(past.record.cause or {})
    if way is None or len(past.definitions()) > 1:
        return None
    # Runs of earlier releases do not say that the door may go by what was looked for.
    return Way(way.hops, _is_clean(past))


def _is_clean(past: Past) -> bool:
    """Personal data was looked for in all that the run was given, and there was none."""
    cause = past.record.cause
    looked = cause.get(LOOKED) if isinstance(cause, Mapping) else None
    if not isinstance(looked, Mapping) or looked.get("result") != "nothing":
        return False
    # What operators put in, and inputs of other versions, nobody looked through.
    put_in = any(isinstance(event, TaskRestarted | TaskSkipped) for event in past.events)
    return not put_in and past.before == 0 and len(past.definitions()) == 1


def _found(texts: list[tuple[_Path, str]]) -> dict[_Path, Counter[str]]:
    found: dict[_Path, Counter[str]] = {}
    for place, text in texts:
        if kinds := Counter(one.kind for one in find_in_text(text)):
            found[place] = found.get(place, Counter()) + kinds
    return found


def _texts(value: Any, place: _Path) -> Iterator[str]:
    """The texts at a place of a value and below it, keys and numbers too."""
    pending = [(value, place)]
    while pending:
        part, rest = pending.pop()
        if isinstance(part, dict):
            if not rest:
                yield from part
            wanted = part.values() if not rest or rest[0] == ITEM else [part[key] for key in rest[:1] if key in part]
            pending.extend((held, rest[1:]) for held in wanted)
        elif isinstance(part, list):
            pending.extend((held, rest[1:] if rest[:1] == (ITEM,) else rest) for held in part)
        elif isinstance(part, str):
            yield part
        elif part is not None and not isinstance(part, bool):
            yield str(part)


def _pointer(place: _Path) -> str:
    return "".join(f"/{'*' if key == ITEM else key}" for key in place)
