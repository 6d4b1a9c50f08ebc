"""Oniguruma's syntax for regular expressions, rewritten for Python."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import Final

from segue.dsl.expressions.errors import EvaluationError

_POSIX: Final = {
    "alnum": r"\w",
    "alpha": r"a-zA-Z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02c1\u0370-\u1fff\u3040-\ud7ff",
    "ascii": r"\x00-\x7f",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f-\x9f",
    "digit": r"\d",
    "graph": r"!-~\u00a1-\U0010ffff",
    "lower": "a-zµß-öø-ÿ",
    "print": r" -~\u00a0-\U0010ffff",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-ZÀ-ÖØ-Þ",
    "word": r"\w",
    "xdigit": "0-9a-fA-F",
}
_SAME_ESCAPES: Final = frozenset("AbBdDwWsSntrfav0123456789")
_QUANTIFIER: Final = re.compile(r"\{\d+(?:,\d*)?\}", re.ASCII)
_INLINE: Final = re.compile(r"\(\?([imx]*)(-[imx]+)?([:)])", re.ASCII)


def translate(source: str, *, extended: bool) -> str:
    """`source` in Python's syntax.

    Raises:
        EvaluationError: It uses something Python has no word for.
    """
    return _Translator(source, extended).whole()


class _Translator:
    def __init__(self, source: str, extended: bool) -> None:
        self._source = source
        self._extended = extended
        self._at = 0
        self._out: list[str] = []
        # Groups opened by an option such as (?i), to be closed with the group around them.
        self._open: list[int] = [0]

    def whole(self) -> str:
        while self._at < len(self._source):
            self._step()
        self._out.append(")" * self._open[0])
        return "".join(self._out)

    def _step(self) -> None:
        character = self._source[self._at]
        if character == "\\":
            self._escape()
        elif character == "[":
            self._class()
        elif character == "(":
            self._group()
        elif character == ")":
            extra = self._open.pop() if len(self._open) > 1 else 0
            self._put(")" * (1 + extra), 1)
        elif character == "|" and self._open[-1]:
            # An option reaches to the end of its group, over the bar as well.
            self._put("|", 1)
        elif character == "{" and not _QUANTIFIER.match(self._source, self._at):
            self._put(r"\{", 1)
        elif character == "#" and self._extended:
            end = self._source.find("\n", self._at)
            self._at = len(self._source) if end < 0 else end
        else:
            self._put(character, 1)

    def _put(self, text: str, width: int) -> None:
        self._out.append(text)
        self._at += width

    def _refuse(self, what: str) -> EvaluationError:
        return EvaluationError(f"{what} is not available in patterns ({self._source[:60]!r})")

    def _group(self) -> None:
        rest = self._source[self._at :]
        option = _INLINE.match(self._source, self._at)
        if rest.startswith("(?<") and not rest.startswith(("(?<=", "(?<!")):
            self._open.append(0)
            self._put("(?P<", 3)
        elif option is not None:
            on = option[1].replace("m", "s")
            off = (option[2] or "").replace("m", "s")
            self._put(f"(?{on}{off}:", len(option[0]))
            if option[3] == ")":
                self._open[-1] += 1
            else:
                self._open.append(0)
        elif rest.startswith("(?#"):
            end = rest.find(")")
            if end < 0:
                raise EvaluationError("a comment in the pattern is not closed")
            self._at += end + 1
        elif rest.startswith(("(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!")):
            self._open.append(0)
            width = 4 if rest.startswith("(?<") else 3
            self._put(rest[:width], width)
        elif rest.startswith("(?"):
            raise self._refuse(f"the group {rest[:4]!r}")
        else:
            self._open.append(0)
            self._put("(", 1)

    def _escape(self) -> None:
        letter = self._source[self._at + 1 : self._at + 2]
        if not letter:
            raise EvaluationError("a pattern ends in a backslash")
        if letter == "z":
            self._put(r"\Z", 2)
        elif letter == "Z":
            self._put(r"(?=\n?\Z)", 2)
        elif letter in ("k", "g"):
            self._reference(letter)
        elif letter == "Q":
            end = self._source.find(r"\E", self._at + 2)
            end = len(self._source) if end < 0 else end
            self._put(re.escape(self._source[self._at + 2 : end]), end + 2 - self._at)
        elif letter in "GKXRNO":
            raise self._refuse(f"\\{letter}")
        else:
            self._put(*self._character_escape())

    def _reference(self, letter: str) -> None:
        found = re.compile(r"\\k<(\w+)>|\\k'(\w+)'").match(self._source, self._at)
        if letter == "g" or found is None:
            raise self._refuse(f"\\{letter}")
        name = found[1] or found[2]
        self._put(rf"(?:\{name})" if name.isdigit() else f"(?P={name})", len(found[0]))

    def _character_escape(self, *, inside: bool = False) -> tuple[str, int]:
        """What an escape that stands for characters becomes, and how long it was."""
        rest = self._source[self._at :]
        letter = rest[1:2]
        if letter in ("p", "P"):
            return self._property(rest, inside=inside)
        code = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}|\\x([0-9A-Fa-f]{1,2})").match(rest)
        if code:
            point = int(code[1] or code[2], 16)
            if point >= 0x110000:
                raise EvaluationError(f"{code[0]} is not a character")
            return re.escape(chr(point)), len(code[0])
        if letter == "e":
            return r"\x1b", 2
        if inside and letter == "b":
            return r"\b", 2
        if letter in _SAME_ESCAPES:
            return f"\\{letter}", 2
        # Any other escaped character stands for itself.
        return re.escape(letter), 2

    def _property(self, rest: str, *, inside: bool) -> tuple[str, int]:
        found = re.compile(r"\\([pP])\{(\^?)(\w+)\}").match(rest)
        if found is None:
            raise self._refuse(rest[:2])
        negative = (found[1] == "P") != bool(found[2])
        ranges = property_ranges(found[3].lower(), negative)
        if ranges is None:
            raise self._refuse(found[0])
        return (ranges if inside else f"[{ranges}]"), len(found[0])

    def _class(self) -> None:
        """A character class. Nested ones and intersections have no word in Python."""
        self._put("[", 1)
        if self._source.startswith("^", self._at):
            self._put("^", 1)
        if self._source.startswith("]", self._at):
            self._put(r"\]", 1)
        while not self._source.startswith("]", self._at):
            if self._at >= len(self._source):
                raise EvaluationError(f"a character class in the pattern {self._source[:60]!r} is not closed")
            self._class_step()
        self._put("]", 1)

    def _class_step(self) -> None:
        rest = self._source[self._at :]
        posix = re.compile(r"\[:(\^?)(\w+):\]").match(rest)
        if posix:
            name = posix[2]
            if name not in _POSIX or posix[1]:
                raise self._refuse(posix[0])
            self._put(_POSIX[name], len(posix[0]))
        elif rest.startswith("["):
            raise self._refuse("a character class inside another")
        elif rest.startswith("&&"):
            raise self._refuse("an intersection of character classes")
        elif rest.startswith("\\") and len(rest) > 1:
            self._put(*self._character_escape(inside=True))
        else:
            # Doubled signs are reserved in Python's classes.
            self._put("\\" + rest[0] if rest[0] in "&|~-" and rest[1:2] == rest[0] else rest[0], 1)


_NAMED: Final = {
    "alpha": "l",
    "digit": "nd",
    "upper": "lu",
    "lower": "ll",
    "letter": "l",
    "number": "n",
    "punct": "p",
}


@lru_cache(maxsize=64)
def property_ranges(name: str, negative: bool) -> str | None:
    """The characters of a Unicode general category, as the inside of a class; None if there is none such."""
    if name in ("word", "alnum", "space"):
        letter = "s" if name == "space" else "w"
        return f"\\{letter.upper() if negative else letter}"
    wanted = _NAMED.get(name, name)
    if len(wanted) > 2 or wanted[0] not in "lmnpszc":
        return None
    ranges: list[str] = []
    start = -1
    for point in range(sys.maxunicode + 2):
        inside = point <= sys.maxunicode and _in_category(point, wanted) is not negative
        if inside and start < 0:
            start = point
        elif not inside and start >= 0:
            ranges.append(f"\\U{start:08x}-\\U{point - 1:08x}")
            start = -1
    return "".join(ranges) if ranges else None


def _in_category(point: int, wanted: str) -> bool:
    return unicodedata.category(chr(point)).lower().startswith(wanted)
