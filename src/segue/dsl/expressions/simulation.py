"""Matching a pattern without backtracking, and judging how much backtracking could cost.

The matcher keeps a list of threads, each a place in the program and what its groups have captured, in order of
preference, and moves all of them over the text one character at a time. Two threads in the same place are one:
the preferred one stays. So the work is bounded by program size times text length, whatever the pattern.

Prior art: Thompson's simulation of 1968, with the captures and priorities of Pike's `sam`. Python's own parser
of patterns gives the tree, so that both matchers read a pattern alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any, Final, TypeAlias

from segue.dsl.expressions.meter import Run

PROGRAM_LENGTH_MAX: Final = 4_000
_CACHE_MAX: Final = 4_096

Test: TypeAlias = Callable[[str], bool]
Instruction: TypeAlias = tuple[Any, ...]
"""("set", test), ("split", first, second), ("jump", to), ("save", slot), ("at", kind) or ("match",)."""

_REPEATS: Final = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


# How much backtracking may cost


def degree_of(pattern: str, flags: int) -> int | None:
    """How many repetitions of the pattern can compete for the same text, or None for exponentially many.

    A repetition at the very end does not count: nothing after it can fail and make it give up what it took.
    """
    items = list(_parser.parse(pattern, flags))
    while items and items[-1][0] in _REPEATS and _is_fixed(items[-1][1][2]):
        items.pop()
    degree = _degree(items)
    if degree is None:
        return None
    anchored = bool(items) and items[0] in (
        (_constants.AT, _constants.AT_BEGINNING),
        (_constants.AT, _constants.AT_BEGINNING_STRING),
    )
    return max(0, degree - 1) if anchored else degree


def _degree(items: Any) -> int | None:
    total, choices = 0, 1
    for operation, argument in items:
        if operation in _REPEATS:
            low, high, body = argument
            inner = _degree(body)
            if inner is None:
                return None
            if not _is_fixed(body):
                if high > 4:
                    return None
                total += max(1, inner) * high
            elif high - low > 8:
                total += 1
            else:
                choices *= high - low + 1
            continue
        inner = _degree_of_one(operation, argument)
        if inner is None:
            return None
        total += inner
        if operation is _constants.BRANCH:
            choices *= len(argument[1])
    # A few small choices multiply to about as much as one long repetition.
    return total + (choices.bit_length() - 1) // 6


def _degree_of_one(operation: Any, argument: Any) -> int | None:
    if operation is _constants.SUBPATTERN:
        return _degree(argument[3])
    if operation is _constants.ATOMIC_GROUP:
        return _degree(argument)
    if operation in (_constants.ASSERT, _constants.ASSERT_NOT):
        return _degree(argument[1])
    if operation is _constants.BRANCH:
        inner = [_degree(branch) for branch in argument[1]]
        known = [degree for degree in inner if degree is not None]
        return max(known) if len(known) == len(inner) else None
    if operation in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
        return 1
    return 0


def _is_fixed(items: Any) -> bool:
    """Whether a body matches in one way only, wherever it matches."""
    for operation, argument in items:
        if operation is _constants.SUBPATTERN:
            if not _is_fixed(argument[3]):
                return False
        elif operation in _REPEATS:
            if argument[0] != argument[1] or not _is_fixed(argument[2]):
                return False
        elif operation not in _SINGLE:
            return False
    return True


_SINGLE: Final = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN, _constants.AT)


# The program


def machine_for(pattern: str, flags: int) -> Machine | None:
    """The machine of a pattern; None where it needs what only backtracking can do, or is too large."""
    parsed = _parser.parse(pattern, flags)
    builder = _Builder(parsed.state.flags | flags)
    try:
        builder.add(("save", 0))
        builder.sequence(parsed)
        builder.add(("save", 1))
        builder.add(("match",))
    except _NeedsBacktracking:
        return None
    return Machine(tuple(builder.program), 2 * parsed.state.groups, prefer_longest=False)


class _NeedsBacktracking(Exception):
    pass


class _Builder:
    def __init__(self, flags: int) -> None:
        self.program: list[Instruction] = []
        self.flags = flags

    def add(self, instruction: Instruction) -> int:
        if len(self.program) >= PROGRAM_LENGTH_MAX:
            raise _NeedsBacktracking
        self.program.append(instruction)
        return len(self.program) - 1

    def sequence(self, items: Any) -> None:
        for operation, argument in items:
            self._one(operation, argument)

    def _one(self, operation: Any, argument: Any) -> None:
        if operation in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN):
            self.add(("set", _Set(operation, argument, self.flags)))
        elif operation is _constants.AT:
            self.add(("at", argument))
        elif operation is _constants.SUBPATTERN:
            self._group(*argument)
        elif operation is _constants.BRANCH:
            self._branches(argument[1])
        elif operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            self._repeat(*argument, greedy=operation is _constants.MAX_REPEAT)
        else:
            raise _NeedsBacktracking

    def _group(self, number: int | None, on: int, off: int, body: Any) -> None:
        outer = self.flags
        self.flags = (outer | on) & ~off
        if number is not None:
            self.add(("save", 2 * number))
        self.sequence(body)
        if number is not None:
            self.add(("save", 2 * number + 1))
        self.flags = outer

    def _branches(self, branches: list[Any]) -> None:
        jumps: list[int] = []
        for branch in branches[:-1]:
            split = self.add(())
            self.sequence(branch)
            jumps.append(self.add(()))
            self.program[split] = ("split", split + 1, len(self.program))
        self.sequence(branches[-1])
        for jump in jumps:
            self.program[jump] = ("jump", len(self.program))

    def _repeat(self, low: int, high: int, body: Any, *, greedy: bool) -> None:
        for _ in range(low):
            self.sequence(body)
        if high is _constants.MAXREPEAT:
            split = self.add(())
            self.sequence(body)
            self.add(("jump", split))
            self._fill(split, len(self.program), greedy=greedy)
            return
        splits: list[int] = []
        for _ in range(high - low):
            splits.append(self.add(()))
            self.sequence(body)
        for split in splits:
            self._fill(split, len(self.program), greedy=greedy)

    def _fill(self, split: int, after: int, *, greedy: bool) -> None:
        self.program[split] = ("split", split + 1, after) if greedy else ("split", after, split + 1)


class _Set:
    """A set of characters, remembering its answers."""

    __slots__ = ("_answers", "_argument", "_flags", "_operation")

    def __init__(self, operation: Any, argument: Any, flags: int) -> None:
        self._operation = operation
        self._argument = argument
        self._flags = flags
        self._answers: dict[str, bool] = {}

    def __call__(self, character: str) -> bool:
        answer = self._answers.get(character)
        if answer is None:
            answer = self._decide(character)
            if len(self._answers) < _CACHE_MAX:
                self._answers[character] = answer
        return answer

    def _decide(self, character: str) -> bool:
        if self._operation is _constants.ANY:
            return character != "\n" or bool(self._flags & re.DOTALL)
        forms = {character}
        if self._flags & re.IGNORECASE:
            forms |= {form for form in (character.lower(), character.upper()) if len(form) == 1}
        if self._operation is _constants.LITERAL:
            return any(ord(form) == self._argument for form in forms)
        if self._operation is _constants.NOT_LITERAL:
            return all(ord(form) != self._argument for form in forms)
        negative = bool(self._argument) and self._argument[0][0] is _constants.NEGATE
        found = any(_has(item, form) for item in self._argument[negative:] for form in forms)
        return found is not negative


def _has(item: tuple[Any, Any], character: str) -> bool:
    operation, argument = item
    if operation is _constants.LITERAL:
        return ord(character) == int(argument)
    if operation is _constants.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    return _CATEGORIES[str(argument)](character)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


_CATEGORIES: Final[dict[str, Test]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_NOT_DIGIT": lambda character: not character.isdecimal(),
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_NOT_SPACE": lambda character: not character.isspace(),
    "CATEGORY_WORD": _is_word,
    "CATEGORY_NOT_WORD": lambda character: not _is_word(character),
}


# The machine


@dataclass(frozen=True, slots=True)
class Machine:
    """A program, and how to run it over a text."""

    program: tuple[Instruction, ...]
    slots: int
    prefer_longest: bool

    def longest(self) -> Machine:
        """The machine that answers the longest match instead of the preferred one."""
        return replace(self, prefer_longest=True)

    def spans(self, run: Run, text: str) -> Iterator[tuple[int, ...]]:
        """The matches of `text`, one after another, as flat start and end of match and groups."""
        position = 0
        while position <= len(text):
            found = self._search(run, text, position)
            if found is None:
                return
            yield found
            position = found[1] if found[1] > found[0] else found[1] + 1

    def _search(self, run: Run, text: str, start: int) -> tuple[int, ...] | None:
        best: tuple[int, ...] | None = None
        threads: list[tuple[int, tuple[int, ...]]] = []
        for position in range(start, len(text) + 1):
            seen: set[int] = set()
            current: list[tuple[int, tuple[int, ...]]] = []
            for place, captures in threads:
                self._follow(place, captures, text, position, seen, current)
            if best is None:
                self._follow(0, (-1,) * self.slots, text, position, seen, current)
            elif not current:
                return best
            run.spend(1 + len(seen))
            best, threads = self._advance(current, text, position, best)
        return best

    def _advance(
        self, current: list[tuple[int, tuple[int, ...]]], text: str, position: int, best: tuple[int, ...] | None
    ) -> tuple[tuple[int, ...] | None, list[tuple[int, tuple[int, ...]]]]:
        """Move the threads over one character; a match ends all threads preferred less than it."""
        threads: list[tuple[int, tuple[int, ...]]] = []
        character = text[position : position + 1]
        for place, captures in current:
            instruction = self.program[place]
            if instruction[0] == "match":
                if self.prefer_longest:
                    best = captures if best is None or captures[1] > best[1] else best
                    continue
                best = captures
                break
            if character and instruction[1](character):
                threads.append((place + 1, captures))
        return best, threads

    def _follow(
        self,
        place: int,
        captures: tuple[int, ...],
        text: str,
        position: int,
        seen: set[int],
        found: list[tuple[int, tuple[int, ...]]],
    ) -> None:
        """Add all places reachable without a character, in order of preference."""
        pending = [(place, captures)]
        while pending:
            place, captures = pending.pop()
            if place in seen:
                continue
            seen.add(place)
            instruction = self.program[place]
            match instruction[0]:
                case "jump":
                    pending.append((instruction[1], captures))
                case "split":
                    pending.append((instruction[2], captures))
                    pending.append((instruction[1], captures))
                case "save":
                    slot = instruction[1]
                    pending.append((place + 1, (*captures[:slot], position, *captures[slot + 1 :])))
                case "at":
                    if _holds(instruction[1], text, position):
                        pending.append((place + 1, captures))
                case _:
                    found.append((place, captures))


def _holds(kind: Any, text: str, position: int) -> bool:
    match str(kind):
        case "AT_BEGINNING" | "AT_BEGINNING_STRING":
            return position == 0
        case "AT_END_STRING":
            return position == len(text)
        case "AT_END":
            return position == len(text) or (position == len(text) - 1 and text[position] == "\n")
        case _:
            before = position > 0 and _is_word(text[position - 1])
            after = position < len(text) and _is_word(text[position])
            return (before != after) is (str(kind) == "AT_BOUNDARY")
