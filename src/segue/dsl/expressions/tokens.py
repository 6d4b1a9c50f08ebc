"""Text to tokens.

A string is one token even when it holds interpolations: its value is the list of its pieces, and an
interpolated piece is the list of its own tokens. So the parser never has to look at characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from segue.dsl.expressions.errors import ExpressionSyntaxError

KEYWORDS: Final = frozenset(
    [
        "def",
        "if",
        "then",
        "elif",
        "else",
        "end",
        "as",
        "reduce",
        "foreach",
        "try",
        "catch",
        "label",
        "import",
        "include",
        "and",
        "or",
        "__loc__",
    ]
)

NESTING_MAX = 100
"""Brackets and interpolations inside one another. People stop at ten."""

Piece: TypeAlias = "str | list[Token]"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression.

    `kind` is one of: name, keyword, field, variable, number, format, string, op, end. `text` is the name
    without its dot, dollar or at sign; `start` and `end` are offsets, from 0.
    """

    kind: str
    text: str
    start: int
    end: int
    pieces: tuple[str | list[Token], ...] = ()


_SPACE = re.compile(r"(?:[ \t\r\n]|#(?:[^\\\r\n]|\\(?:\r\n|.|\n)|\\$|\r(?!\n))*)+", re.ASCII)
_WORD = re.compile(
    r"""
      (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<field>\.[A-Za-z_][A-Za-z_0-9]*)
    | (?P<variable>\$[ \t]*[A-Za-z_](?:[A-Za-z_0-9]|::(?=[A-Za-z_]))*)
    | (?P<format>@[A-Za-z0-9_]+)
    | (?P<name>[A-Za-z_](?:[A-Za-z_0-9]|::(?=[A-Za-z_]))*)
    | (?P<op>\?//=?|//=|\|=|\+=|-=|\*=|/=|%=|==|!=|<=|>=|//|\.\.|[.\[\](){}|,:;=<>+\-*/%?])
    """,
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(r'[^"\\]+')
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"[0-9a-fA-F]{4}")


def tokenize(text: str) -> list[Token]:
    """All tokens of `text`, the last one of kind `end`.

    Raises:
        ExpressionSyntaxError: A character no token starts with, an unfinished string, a bad escape.
    """
    tokens, position = _Scanner(text).scan(0, depth=0, closing=False)
    tokens.append(Token("end", "", position, position))
    return tokens


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text

    def scan(self, position: int, *, depth: int, closing: bool) -> tuple[list[Token], int]:
        """Tokens up to the end, or up to the bracket that closes an interpolation."""
        text, tokens, open_brackets = self._text, list[Token](), 0
        while True:
            space = _SPACE.match(text, position)
            if space:
                position = space.end()
            if position >= len(text):
                if closing:
                    raise self._error("the interpolation is not closed", position, "end it with )")
                return tokens, position
            is_string = text[position] == '"'
            token = self._string(position, depth) if is_string else self._word(position)
            if closing and token.kind == "op":
                open_brackets += (token.text == "(") - (token.text == ")")
                if open_brackets < 0:
                    return tokens, position
            tokens.append(token)
            position = token.end

    def _word(self, position: int) -> Token:
        found = _WORD.match(self._text, position)
        if found is None:
            raise self._error(f"{self._text[position]!r} has no meaning here", position)
        kind, text = str(found.lastgroup), found.group()
        if kind in ("field", "format"):
            text = text[1:]
        elif kind == "variable":
            text = text[1:].lstrip(" \t")
        elif kind == "name" and text in KEYWORDS:
            kind = "keyword"
        elif text == "?//=":
            # `.a?//=1` can only mean `.a? //= 1`; the longer word is not one of the language.
            return Token("op", "?", position, position + 1)
        return Token(kind, text, position, found.end())

    def _string(self, start: int, depth: int) -> Token:
        if depth >= NESTING_MAX:
            raise self._error(f"strings are interpolated more than {NESTING_MAX} deep", start)
        text, position = self._text, start + 1
        pieces: list[str | list[Token]] = []
        literal: list[str] = []
        while True:
            plain = _PLAIN.match(text, position)
            if plain:
                literal.append(plain.group())
                position = plain.end()
            if position >= len(text):
                raise self._error("the string is not closed", start, 'end it with "')
            if text[position] == '"':
                break
            if text.startswith("\\(", position):
                if literal:
                    pieces.append("".join(literal))
                    literal = []
                inner, position = self.scan(position + 2, depth=depth + 1, closing=True)
                inner.append(Token("end", "", position, position))
                pieces.append(inner)
                position += 1
            else:
                character, position = self._escape(position)
                literal.append(character)
        if literal or not pieces:
            pieces.append("".join(literal))
        return Token("string", text[start : position + 1], start, position + 1, tuple(pieces))

    def _escape(self, position: int) -> tuple[str, int]:
        letter = self._text[position + 1 : position + 2]
        if letter in _ESCAPES and letter:
            return _ESCAPES[letter], position + 2
        if letter != "u":
            hint = 'a backslash itself is written "\\\\"'
            raise self._error(f"\\{letter} is not an escape", position, hint)
        code = self._hex(position + 2)
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", position + 6):
            low = self._hex(position + 8)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), position + 12
        if 0xD800 <= code < 0xE000:
            raise self._error("half of a surrogate pair is not a character", position)
        return chr(code), position + 6

    def _hex(self, position: int) -> int:
        found = _HEX.match(self._text, position)
        if found is None:
            raise self._error("\\u needs four hexadecimal digits", position)
        return int(found.group(), 16)

    def _error(self, message: str, position: int, hint: str = "") -> ExpressionSyntaxError:
        return ExpressionSyntaxError(message, column=position + 1, text=self._text, hint=hint)
