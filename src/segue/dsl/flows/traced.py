"""The abstract value: of every part of a value, which data it may be a copy of, and what it may be computed from.

Only ever too much, never too little: what is not understood counts as computed from all that it could see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

Path = tuple[str, ...]

INPUT_SOURCE: Final = "input"
"""The source of what starts a run."""

ITEM: Final = "[]"
"""The step of a path that stands for any element of an array, or any value of an object."""

DEPTH_MAX: Final = 8
"""Paths and templates deeper than this are taken as one value: more origins, never fewer."""


PARTS_MAX: Final = 1000
"""So many parts of one value are told apart. Values share their parts, so `{a: ., b: .}` once more doubles them each
time: eight lines with eight keys have sixteen million."""


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A place that data enters a run by.

    Attributes:
        source: `input`, or the pointer of the task whose result it is.
        path: Where in that data; `ITEM` for any element. Everything below belongs to it.
    """

    source: str
    path: Path = ()

    def below(self, key: str) -> Origin:
        """The part at `key`; itself where paths get too long."""
        return self if len(self.path) >= DEPTH_MAX else Origin(self.source, (*self.path, key))

    def __str__(self) -> str:
        return self.source + "".join(f".{key}" if key != ITEM else key for key in self.path)


_NO_ORIGINS: Final[frozenset[Origin]] = frozenset()


@dataclass(frozen=True, slots=True)
class Traced:
    """What is known of a value.

    Attributes:
        copies: It may be a copy of one of these, so its part at `k` is theirs at `k`.
        mixes: It and each of its parts may be computed from these.
        parts: What is known of single parts; under `ITEM`, of any.
        size: Number of its parts, and of theirs, and itself. depth: Levels of parts.
    """

    copies: frozenset[Origin] = _NO_ORIGINS
    mixes: frozenset[Origin] = _NO_ORIGINS
    parts: Mapping[str, Traced] = field(default_factory=dict)
    size: int = field(init=False, compare=False, repr=False)
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        parts = self.parts.values()
        object.__setattr__(self, "size", 1 + sum(part.size for part in parts))
        object.__setattr__(self, "depth", 1 + max(part.depth for part in parts) if parts else 0)

    def at(self, key: str) -> Traced:
        """The part at a known key."""
        found = [part for name in (key, ITEM) if (part := self.parts.get(name)) is not None]
        return join(Traced(frozenset(origin.below(key) for origin in self.copies), self.mixes), *found)

    def any(self) -> Traced:
        """A part at a key that is not known."""
        own = Traced(frozenset(origin.below(ITEM) for origin in self.copies), self.mixes)
        return join(own, *self.parts.values())

    def origins(self) -> frozenset[Origin]:
        """All that it and its parts are made of."""
        if not self.parts:
            return self.copies | self.mixes
        return self.copies.union(self.mixes, *(part.origins() for part in self.parts.values()))

    def derived(self) -> Traced:
        """Something computed from it, in a way that is not followed."""
        return Traced(mixes=self.origins())

    def leaves(self, path: Path = ()) -> Iterable[tuple[Path, frozenset[Origin]]]:
        """Each known part that holds something, with its path."""
        own = self.copies | self.mixes
        if own:
            yield path, own
        for key, part in self.parts.items():
            yield from part.leaves((*path, key))


NOTHING: Final = Traced()
"""A value of the document itself."""


def join(*values: Traced) -> Traced:
    """A value that may be any of these.

    Where one adds nothing to another, that is given itself and no copy of it: loops come back with what they began
    with, and telling that something is the same as before must not cost what it holds.
    """
    joined = NOTHING
    for value in values:
        joined = _joined(joined, value)
    return _within(joined, PARTS_MAX)


def _joined(one: Traced, other: Traced) -> Traced:
    if one is other or other is NOTHING:
        return one
    if one is NOTHING:
        return other
    copies, mixes = one.copies | other.copies, one.mixes | other.mixes
    parts = dict(one.parts)
    for key, part in other.parts.items():
        parts[key] = _joined(parts[key], part) if key in parts else part
    for known in (one, other):
        same = len(parts) == len(known.parts) and all(part is known.parts.get(key) for key, part in parts.items())
        if same and copies == known.copies and mixes == known.mixes:
            return known
    return Traced(copies, mixes, parts)


def made_of(parts: Mapping[str, Traced]) -> Traced:
    """An object or, under `ITEM`, an array with these parts."""
    held = {key: part for key, part in parts.items() if part != NOTHING}
    if sum(part.size for part in held.values()) > PARTS_MAX:
        # Before anything is copied: each part has its share.
        held = {key: _within(part, PARTS_MAX // len(held)) for key, part in held.items()}
    return named(held)


def named(parts: Mapping[str, Traced]) -> Traced:
    """Values that are known by names, as steps are. They are no value of the run, so all their parts stay."""
    held = {key: _shallow(part, DEPTH_MAX - 1) for key, part in parts.items() if part != NOTHING}
    return Traced(parts=held) if held else NOTHING


def _within(value: Traced, most: int) -> Traced:
    """The value with fewer parts, the deepest of them taken as one."""
    depth = DEPTH_MAX
    while value.size > most and depth > 0:
        depth -= 1
        value = _shallow(value, depth)
    return value


def seen_from_outside(value: Traced, given: Traced) -> Traced:
    """What somebody who started a run knows of a value of it: which parts of its input it is made of.

    Args:
        value: In terms of the run that was started.
        given: The input of that run, in terms of the one that started it.
    """
    found = _from_input(value, given)
    return Traced(found.copies, found.mixes, _shallow(Traced(parts=found.parts), DEPTH_MAX).parts)


def _from_input(value: Traced, given: Traced) -> Traced:
    copies = [_part_of(given, origin.path) for origin in value.copies if origin.source == INPUT_SOURCE]
    mixes = [_part_of(given, origin.path).derived() for origin in value.mixes if origin.source == INPUT_SOURCE]
    parts = {key: found for key, part in value.parts.items() if (found := _from_input(part, given)) != NOTHING}
    return join(*copies, *mixes, Traced(parts=parts) if parts else NOTHING)


def _part_of(value: Traced, path: Path) -> Traced:
    for key in path:
        value = value.any() if key == ITEM else value.at(key)
    # A path that is as long as they get stands for anything further down as well.
    return value.derived() if len(path) >= DEPTH_MAX else value


def _shallow(value: Traced, depth: int) -> Traced:
    if value.depth <= depth:
        return value
    if depth == 0:
        return value.derived()
    return Traced(value.copies, value.mixes, {key: _shallow(part, depth - 1) for key, part in value.parts.items()})
