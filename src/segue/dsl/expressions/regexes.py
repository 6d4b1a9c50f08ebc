"""Regular expressions: jq's (Oniguruma, Perl flavour) on top of two matchers.

**Translation.** Oniguruma and Python agree on most of the syntax; `translate` rewrites what differs and
refuses what Python has no word for.

**Time.** Patterns may come from data, and a backtracking matcher can take time exponential in the length of
its subject. So a pattern is taken apart first:

- How many repetitions can compete for the same text is counted (`degree_of`). A pattern of degree d needs at
  most about n^(d+1) steps on n characters, the one being for where the match starts. While that stays below
  `BACKTRACKING_STEPS_MAX`, Python's matcher does the work, which it does in C, holding the interpreter for a
  few milliseconds at worst.
- Beyond, or where repetitions stand inside one another, a matcher without backtracking takes over
  (`simulation.py`). It is slower, but linear in the length of the subject, and pays steps of the budget.
- Back-references and look-around exist in the first matcher only. Where they meet a subject too long for it,
  the evaluation fails and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.meter import Run
from segue.dsl.expressions.regex_syntax import translate
from segue.dsl.expressions.simulation import Machine, degree_of, machine_for

PATTERN_CHARS_MAX: Final = 2_000
BACKTRACKING_STEPS_MAX: Final = 4_000_000
"""About ten milliseconds in Python's matcher."""


@dataclass(frozen=True, slots=True)
class Group:
    """A captured group; `start` is -1 and `text` None where it took no part."""

    name: str | None
    start: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """One match."""

    start: int
    end: int
    text: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern ready for use. `degree` None means that backtracking may be exponential."""

    source: str
    compiled: re.Pattern[str]
    names: tuple[str | None, ...]
    degree: int | None
    machine: Machine | None
    everywhere: bool
    skip_empty: bool


def find_all(run: Run, text: str, source: str, flags: str, *, everywhere: bool) -> Iterator[Found]:
    """The matches of a pattern, all of them with the flag g or with `everywhere`.

    Raises:
        EvaluationError: The pattern or its flags mean nothing, or the pattern cannot be matched in bounded time.
        BudgetExceeded: The steps are used up.
    """
    pattern = _prepare(source, flags)
    spans = _spans(run, pattern, text)
    for span in spans:
        run.step()
        if pattern.skip_empty and span[0] == span[1]:
            continue
        groups = tuple(
            Group(name, span[2 * at], text[span[2 * at] : span[2 * at + 1]] if span[2 * at] >= 0 else None)
            for at, name in enumerate(pattern.names, start=1)
        )
        yield Found(span[0], span[1], text[span[0] : span[1]], groups)
        if not (pattern.everywhere or everywhere):
            return


def _spans(run: Run, pattern: Pattern, text: str) -> Iterator[tuple[int, ...]]:
    """Start and end of each match and of its groups, flat; -1 where a group took no part."""
    if _is_cheap(pattern, len(text)):
        run.spend(len(text) >> 6)
        yield from _python_spans(pattern.compiled, text)
    elif pattern.machine is not None:
        yield from pattern.machine.spans(run, text)
    else:
        raise EvaluationError(
            f"the pattern {pattern.source[:60]!r} could take too long on {len(text)} characters",
            hint="avoid look-around and back-references in long texts, or repetitions inside repetitions",
        )


def _is_cheap(pattern: Pattern, length: int) -> bool:
    if pattern.degree is None:
        return False
    return float(length + 1) ** (pattern.degree + 1) <= BACKTRACKING_STEPS_MAX


def _python_spans(compiled: re.Pattern[str], text: str) -> Iterator[tuple[int, ...]]:
    position, end = 0, len(text)
    while position <= end:
        found = compiled.search(text, position)
        if found is None:
            return
        yield tuple(bound for at in range(compiled.groups + 1) for bound in found.span(at))
        # An empty match moves on by one character, and may not be looked for in the same place again.
        position = found.end() if found.end() > found.start() else found.end() + 1


_FLAGS: Final = frozenset("ginpslx")


@lru_cache(maxsize=512)
def _prepare(source: str, flags: str) -> Pattern:
    if not _FLAGS.issuperset(flags):
        raise EvaluationError(f"{flags!r} are not flags of a regular expression", hint="flags are g i n p s l x")
    if len(source) > PATTERN_CHARS_MAX:
        raise EvaluationError(f"a pattern has {len(source)} characters, more than {PATTERN_CHARS_MAX}")
    options = re.NOFLAG
    if "i" in flags:
        options |= re.IGNORECASE
    if "x" in flags:
        options |= re.VERBOSE
    if "p" in flags:
        options |= re.DOTALL
    translated = translate(source, extended="x" in flags)
    try:
        compiled = re.compile(translated, options)
    except (re.error, OverflowError, RecursionError) as error:
        raise EvaluationError(f"the pattern {source[:60]!r} is not a regular expression: {error}") from None
    names: list[str | None] = [None] * compiled.groups
    for name, at in compiled.groupindex.items():
        names[at - 1] = name
    machine = machine_for(translated, options)
    longest = "l" in flags
    if longest and machine is None:
        raise EvaluationError("the flag l is not available for a pattern with look-around or back-references")
    degree = None if longest else degree_of(translated, options)
    if machine is not None and longest:
        machine = machine.longest()
    return Pattern(source, compiled, tuple(names), degree, machine, "g" in flags, "n" in flags)
