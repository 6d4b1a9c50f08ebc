"""Looking for personal data in a text, in time in proportion to its length."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from segue.governance.detection.checks import CHECKS, Check

TEXT_MAX: Final = 4_000_000
"""Longest text that is looked through, in characters."""
NAME: Final = "name"
_NAME_CONFIDENCE: Final = 0.8
NAME_WORDS_MAX: Final = 12
"""Longest name that is looked for, in words."""
_BEFORE: Final = 40
_AFTER: Final = 16
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")


class TextTooLong(ValueError):
    """The text is longer than `TEXT_MAX`."""


class Detection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that looks like personal data. What stands there is not repeated.

    Attributes:
        start, end: Its place, in characters; `end` is behind it.
        confidence: How sure it is, 0 to 1: an estimate by the detector's author, and no measured probability.
        of: What exactly, where the kind has several, such as `de-tax-id`.
    """

    kind: str
    start: int
    end: int
    confidence: float
    of: str = ""


class _Detector(msgspec.Struct, frozen=True):
    kind: str
    pattern: re.Pattern[str]
    check: Check
    confidence: float
    of: str
    near: re.Pattern[str] | None
    sure: float
    needed: bool


@cache
def _detectors() -> tuple[_Detector, ...]:
    said = resources.files("segue.governance.detection").joinpath("detectors.toml").read_text("utf-8")
    return tuple(_detector(**one) for one in tomllib.loads(said)["detector"])


def _detector(*, kind: str, pattern: str, confidence: float, **more: Any) -> _Detector:
    words = "|".join(re.escape(word) for word in more.get("near", ()))
    return _Detector(
        kind,
        re.compile(pattern),
        CHECKS[more.get("check", "")],
        confidence,
        more.get("of", ""),
        re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None,
        more.get("sure", confidence),
        more.get("needed", False),
    )


KINDS: Final = ("email", "phone", "iban", "payment-card", "ip-address", "national-id", "birth-date", "address", NAME)
"""Kinds that can be found; `name` by what people write before their names, and by the names that are given."""


class Names:
    """Names of people to find, as sequences of words. Made once for many texts.

    Raises:
        ValueError: One of them has more than `NAME_WORDS_MAX` words.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._known = {tuple(word.casefold() for word in _TOKEN.findall(name)) for name in names}
        # By the first word, so that each word of a text costs one look-up however many names there are.
        self._lengths: dict[str, list[int]] = {}
        for name in self._known - {()}:
            if len(name) > NAME_WORDS_MAX:
                raise ValueError(f"a name has {len(name)} words, and at most {NAME_WORDS_MAX} are looked for")
            lengths = self._lengths.setdefault(name[0], [])
            if len(name) not in lengths:
                lengths.append(len(name))
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)

    def within(self, text: str) -> Iterator[Detection]:
        """Where they stand; at each place the longest."""
        words = [(m.start(), m.end(), m[0].casefold()) for m in _TOKEN.finditer(text)] if self._lengths else []
        for place, (start, _, first) in enumerate(words):
            for length in self._lengths.get(first, ()):
                part = words[place : place + length]
                if len(part) == length and tuple(word for _, _, word in part) in self._known:
                    yield Detection(kind=NAME, start=start, end=part[-1][1], confidence=_NAME_CONFIDENCE)
                    break


def find_in_text(
    text: str, *, kinds: Collection[str] = KINDS, least: float = 0.5, names: Names | Iterable[str] = ()
) -> list[Detection]:
    """What in a text looks like personal data, in the order of its places. No two overlap: the surer one counts.

    Args:
        kinds: What to look for.
        least: Nothing less sure is told.
        names: Names of people to find, as whole words in any case; `Names`, where there are many texts.

    Raises:
        TextTooLong: The text has more than `TEXT_MAX` characters.
        ValueError: A name has too many words.
    """
    if len(text) > TEXT_MAX:
        raise TextTooLong(f"the text has {len(text)} characters, and at most {TEXT_MAX} are looked through")
    found = [one for detector in _detectors() if detector.kind in kinds for one in _found(detector, text, least)]
    if NAME in kinds and least <= _NAME_CONFIDENCE:
        found += (names if isinstance(names, Names) else Names(names)).within(text)
    return _apart(found)


def replaced(text: str, found: Sequence[Detection]) -> str:
    """The text with `[kind]` in place of each detection."""
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], f"[{one.kind}]"]
        at = one.end
    return "".join([*parts, text[at:]])


def _found(detector: _Detector, text: str, least: float) -> Iterator[Detection]:
    if max(detector.confidence, detector.sure) < least:
        return
    at = 0
    while (match := detector.pattern.search(text, at)) is not None:
        start, words = (
            (match.start(), match[0]) if "it" not in match.re.groupindex else (match.start("it"), match["it"])
        )
        length = detector.check(words)
        at = max(match.start() + 1, start + length)
        if not length:
            continue
        is_near = detector.near is not None and _is_near(detector.near, text, start, start + length)
        if detector.needed and not is_near:
            continue
        confidence = detector.sure if is_near else detector.confidence
        if confidence >= least:
            yield Detection(
                kind=detector.kind, start=start, end=start + length, confidence=confidence, of=detector.of
            )


def _is_near(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - _BEFORE) : start], text[end : end + _AFTER]
    return words.search(before) is not None or words.search(after) is not None


def _apart(found: list[Detection]) -> list[Detection]:
    """Those that are left when of two that overlap the less sure one, then the shorter one, gives way."""
    kept: list[Detection] = []
    taken: set[int] = set()
    for one in sorted(found, key=lambda one: (-one.confidence, one.start - one.end, one.start)):
        # Detections are short, so the characters that are taken say it all.
        if taken.isdisjoint(range(one.start, one.end)):
            taken.update(range(one.start, one.end))
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)
