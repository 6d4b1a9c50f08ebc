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


KINDS: Final = ("email", "phone", "iban", "payment-card", "ip-address", "national-id", "birth-date", NAME)
"""Kinds that can be found; `name` only by the names that are given."""


def find_in_text(
    text: str, *, kinds: Collection[str] = KINDS, least: float = 0.5, names: Iterable[str] = ()
) -> list[Detection]:
    """What in a text looks like personal data, in the order of its places. No two overlap: the surer one counts.

    Args:
        kinds: What to look for.
        least: Nothing less sure is told.
        names: Names of people to find, as whole words in any case.

    Raises:
        TextTooLong: The text has more than `TEXT_MAX` characters.
    """
    if len(text) > TEXT_MAX:
        raise TextTooLong(f"the text has {len(text)} characters, and at most {TEXT_MAX} are looked through")
    found = [one for detector in _detectors() if detector.kind in kinds for one in _found(detector, text, least)]
    if NAME in kinds and least <= _NAME_CONFIDENCE:
        found += _named(text, names)
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
        start = match.start()
        length = detector.check(match[0])
        at = start + max(length, 1)
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


def _named(text: str, names: Iterable[str]) -> Iterator[Detection]:
    """Names as sequences of words; each word of the text is looked up once for each length of name."""
    known = {tuple(word.casefold() for word in _TOKEN.findall(name)) for name in names}
    lengths = sorted({len(name) for name in known if name}, reverse=True)
    words = [(match.start(), match.end(), match[0].casefold()) for match in _TOKEN.finditer(text)] if lengths else []
    for place in range(len(words)):
        for length in lengths:
            part = words[place : place + length]
            if len(part) == length and tuple(word for _, _, word in part) in known:
                start, end = part[0][0], part[-1][1]
                yield Detection(kind=NAME, start=start, end=end, confidence=_NAME_CONFIDENCE)
                break


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
