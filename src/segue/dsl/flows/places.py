"""Labels by place: what is known of a value that leaves one run and enters another.

A run knows the values of another one by nothing but this. A place holds for the value there and everything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from segue.dsl.flows.labels import NO_LABELS, Labels, labels_at
from segue.dsl.flows.traced import DEPTH_MAX, ITEM, Origin, Path, Traced

Places = Mapping[Path, Labels]

NOWHERE: Final[Places] = MappingProxyType({})

_PLACES_MAX: Final = 256
"""A value with more places than that is taken as one: workflows that start themselves can build trees of them."""


def places_of(value: Traced, declared: Callable[[str], Places], sources: Callable[[str], frozenset[str]]) -> Places:
    """What is known of a value, place by place.

    Args:
        declared: The labels of a source of data.
        sources: The connections behind it.
    """
    found: dict[Path, Labels] = {}
    pending: list[tuple[Path, Traced]] = [((), value)]
    while pending:
        at, part = pending.pop()
        for origin in part.mixes:
            known = labels_at(declared(origin.source), origin.path) | Labels(sources=sources(origin.source))
            _put(found, at, known)
        for origin in part.copies:
            _put(found, at, Labels(sources=sources(origin.source)))
            for place, labels in declared(origin.source).items():
                if (rest := _below(place, origin)) is not None:
                    _put(found, (*at, *rest), labels)
        pending.extend(((*at, key), held) for key, held in part.parts.items())
    return bounded(found)


def _below(place: Path, origin: Origin) -> Path | None:
    """Where a label at `place` stands in a copy of the part at `origin`; None where it is about something else."""
    at = origin.path
    if not all(a == b or ITEM in (a, b) for a, b in zip(place, at, strict=False)):
        return None
    return place[len(at) :] if len(at) < DEPTH_MAX else ()


def _put(found: dict[Path, Labels], place: Path, labels: Labels) -> None:
    if labels or labels.sources:
        place = place[:DEPTH_MAX]
        found[place] = found.get(place, NO_LABELS) | labels


def bounded(places: Places) -> Places:
    """The same, without what is said of something around already; as one place where there are too many."""
    kept = {
        place: labels
        for place, labels in places.items()
        if not any(labels | held == held for n in range(len(place)) if (held := places.get(place[:n])) is not None)
    }
    return kept if len(kept) <= _PLACES_MAX else {(): total(kept)}


def together(many: Iterable[Places]) -> Places:
    """Of a value that may be any of these."""
    held = [places for places in many if places]
    if len(held) < 2:
        return held[0] if held else NOWHERE
    found: dict[Path, Labels] = {}
    for places in held:
        for place, labels in places.items():
            found[place] = found.get(place, NO_LABELS) | labels
    return bounded(found)


def within(places: Places, *keys: str) -> dict[Path, Labels]:
    """Of a value that has the other one as its part at these keys."""
    return {(*keys, *place)[:DEPTH_MAX]: labels for place, labels in places.items()}


def total(places: Places) -> Labels:
    """Everything that holds somewhere in it."""
    found = NO_LABELS
    for labels in places.values():
        found |= labels
    return found


def as_read(places: Places, read: Literal["data", "envelope", "raw"]) -> Places:
    """Of what a listener reads of an event.

    Args:
        places: Of the event with its envelope.
    """
    if read == "envelope":
        return places
    data: dict[Path, Labels] = {}
    for place, labels in places.items():
        if not place or place[0] in ("data", "data_base64", ITEM):
            _put(data, place[1:], labels)
    return data if read == "data" else {(): total(data)} if data else NOWHERE
