"""Covers: which data classes hold where in the values that a run has, told for whoever shows them.

The same analysis that finds what an act sends out knows every task's input and output. A cover turns what a value
may be made of into classes by place: a copy of a labelled part carries the class at that part alone, and a value
computed from it carries the class as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from segue.dsl.flows.labels import Labels, labels_at
from segue.dsl.flows.traced import DEPTH_MAX, ITEM, NOTHING, Path, Traced, join

Declared = Callable[[str], Mapping[Path, Labels]]
"""The labels of a source of data, by the place that they hold for."""

_NO_CLASSES: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Cover:
    """The classes of a value.

    Attributes:
        classes: Of the value as a whole, and so of everything in it.
        parts: Of single parts; under `ITEM`, of any.
    """

    classes: frozenset[str] = _NO_CLASSES
    parts: Mapping[str, Cover] = field(default_factory=dict)

    def at(self, key: str) -> Cover:
        """The part at a known key."""
        found = [part for name in (key, ITEM) if (part := self.parts.get(name)) is not None]
        return merged(Cover(self.classes), *found)

    def all(self) -> frozenset[str]:
        """Every class that holds somewhere in it."""
        return self.classes.union(*(part.all() for part in self.parts.values()))

    def whole(self) -> Cover:
        """The same classes for the value as a whole."""
        return Cover(self.all())


CLEAR: Final = Cover()
"""A value without classes."""


def merged(*covers: Cover) -> Cover:
    """A value that may be any of these."""
    held = [cover for cover in covers if cover.classes or cover.parts]
    if len(held) < 2:
        return held[0] if held else CLEAR
    parts: dict[str, Cover] = {}
    for cover in held:
        for key, part in cover.parts.items():
            parts[key] = merged(parts[key], part) if key in parts else part
    return Cover(_NO_CLASSES.union(*(cover.classes for cover in held)), parts)


@dataclass(frozen=True, slots=True)
class TaskCovers:
    """Covers of one task.

    Attributes:
        raw: Its input before the transform. input: after it.
        sent: Arguments of its act, or the event that it emits, or what people are shown.
        result: What its act answered, before the transform. output: what the task gave.
    """

    raw: Cover = CLEAR
    input: Cover = CLEAR
    sent: Cover = CLEAR
    result: Cover = CLEAR
    output: Cover = CLEAR


@dataclass(frozen=True, slots=True)
class Covers:
    """Covers of everything that a run of one definition may hold.

    Attributes:
        classes: Every class that its schemas name; what is not known carries all of them.
        tasks: By pointer.
    """

    classes: frozenset[str] = _NO_CLASSES
    input: Cover = CLEAR
    output: Cover = CLEAR
    context: Cover = CLEAR
    tasks: Mapping[str, TaskCovers] = field(default_factory=dict)

    def task(self, pointer: str) -> TaskCovers:
        """Of the task at this pointer. What the analysis has not met may hold everything."""
        known = self.tasks.get(pointer)
        return TaskCovers(*[Cover(self.classes)] * 5) if known is None else known


NO_COVERS: Final = Covers()
"""Of a definition whose schemas name no class."""


def both(one: Covers, other: Covers) -> Covers:
    """Of a run that was under one definition and then under another."""
    if not other.classes or one is other:
        return one
    if not one.classes:
        return other
    tasks = {}
    for pointer in {**one.tasks, **other.tasks}:
        known = [covers.tasks[pointer] for covers in (one, other) if pointer in covers.tasks]
        tasks[pointer] = TaskCovers(*(merged(*parts) for parts in zip(*map(_parts, known), strict=True)))
    return Covers(
        one.classes | other.classes,
        merged(one.input, other.input),
        merged(one.output, other.output),
        merged(one.context, other.context),
        tasks,
    )


def _parts(covers: TaskCovers) -> tuple[Cover, ...]:
    return covers.raw, covers.input, covers.sent, covers.result, covers.output


@dataclass(slots=True)
class Seen:
    """What a walk has seen of one task, over all the ways to it."""

    raw: Traced = NOTHING
    input: Traced = NOTHING
    sent: Traced = NOTHING
    result: Traced = NOTHING
    output: Traced = NOTHING

    def add(self, **more: Traced) -> None:
        """Something more that it may be."""
        for name, value in more.items():
            setattr(self, name, join(getattr(self, name), value))


def cover_of(value: Traced, declared: Declared) -> Cover:
    """The classes of a value, place by place."""
    found = [Cover(_of_all(value, declared))]
    for origin in value.copies:
        for place, labels in declared(origin.source).items():
            if labels.classes:
                found.append(_below(place, origin.path, labels.classes))
    parts = {key: cover_of(part, declared) for key, part in value.parts.items()}
    found.append(Cover(parts={key: part for key, part in parts.items() if part.classes or part.parts}))
    return merged(*found)


def _of_all(value: Traced, declared: Declared) -> frozenset[str]:
    """What a value that is computed from others carries: everything on, above and in them."""
    return _NO_CLASSES.union(*(labels_at(declared(o.source), o.path).classes for o in value.mixes))


def _below(place: Path, at: Path, classes: frozenset[str]) -> Cover:
    """What a label at `place` says of a copy of the part at `at`."""
    if not all(a == b or ITEM in (a, b) for a, b in zip(place, at, strict=False)):
        return CLEAR
    # A path that is as long as they get stands for anything further down as well.
    rest = place[len(at) :] if len(at) < DEPTH_MAX else ()
    cover = Cover(classes)
    for key in reversed(rest):
        cover = Cover(parts={key: cover})
    return cover
