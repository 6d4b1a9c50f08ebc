"""Text that mentions a secret without holding it.

The core and the expressions never see a secret's value: `$secrets.crm.token` evaluates to a
`SecretText`, which can be joined to other text and nothing else. The handler that needs the value
calls `reveal` at the last moment. A data value can never turn into a `SecretText`, so a stranger's
text cannot ask for a secret by imitating one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final


@final
class SecretText:
    """Text in which some pieces are references to secrets.

    Pieces are plain strings and references; a reference is a tuple: the secret's name, then the
    path inside it (`$secrets.crm.token` is `("crm", "token")`).
    """

    __slots__ = ("pieces",)

    def __init__(self, pieces: tuple[str | tuple[str, ...], ...]) -> None:
        self.pieces = pieces

    @classmethod
    def of(cls, *path: str) -> SecretText:
        """A reference to one secret, or to one field of a structured one."""
        return cls((path,))

    def joined_to(self, text: str | SecretText) -> SecretText:
        """This text followed by `text`."""
        return SecretText(self.pieces + (text.pieces if isinstance(text, SecretText) else (text,)))

    def joined_after(self, text: str) -> SecretText:
        """`text` followed by this text."""
        return SecretText((text, *self.pieces))

    @property
    def names(self) -> frozenset[str]:
        """The names of the secrets this text mentions."""
        return frozenset(piece[0] for piece in self.pieces if isinstance(piece, tuple))

    def reveal(self, lookup: Callable[[tuple[str, ...]], Any]) -> Any:
        """The text with every reference replaced by what `lookup` answers for its path.

        A text that is nothing but one reference yields the looked-up value itself, which may be
        an object; a reference inside longer text must yield a string or a number.
        """
        if len(self.pieces) == 1 and isinstance(self.pieces[0], tuple):
            return lookup(self.pieces[0])
        return "".join(p if isinstance(p, str) else str(lookup(p)) for p in self.pieces)

    def __str__(self) -> str:
        return "".join(p if isinstance(p, str) else f"[secret {'.'.join(p)}]" for p in self.pieces)

    def __repr__(self) -> str:
        return f"SecretText({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other.pieces == self.pieces

    def __hash__(self) -> int:
        return hash(self.pieces)
