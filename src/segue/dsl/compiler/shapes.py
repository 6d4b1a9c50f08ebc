"""What a program's value is made of: the form in which `segue.dsl.flows` reads expressions and templates.

A shape is one of: `CONSTANT`; the tree of an expression; a dict or a list of shapes, for a template; `Derived`,
for a value computed from another; `ForEach`, for a shape applied to a value or to each element of a list.
None says that nothing is known, which whoever follows data must take for "anything".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from segue.dsl.expressions.tree import Node


@dataclass(frozen=True, slots=True)
class Constant:
    """Made of nothing but the document."""


CONSTANT: Final = Constant()


@dataclass(frozen=True, slots=True)
class Derived:
    """Computed from `source`, in a way that is not followed."""

    source: Shape


@dataclass(frozen=True, slots=True)
class ForEach:
    """`shape`, on the value or on each of its elements where it is a list."""

    shape: Shape


Shape: TypeAlias = "Constant | Node | dict[str, Shape] | list[Shape] | Derived | ForEach | None"
