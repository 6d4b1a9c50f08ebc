"""The tree of an expression.

Every node carries `column`, counted from 1, and `end`, the offset just behind its text. Nodes are
frozen; parentheses leave no trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Node:
    """What every node has: its place."""

    column: int
    end: int


@dataclass(frozen=True, slots=True)
class Identity(Node):
    """`.`"""


@dataclass(frozen=True, slots=True)
class RecurseAll(Node):
    """`..`"""


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A number, a string, null, true or false; also what constant folding leaves."""

    value: Any


@dataclass(frozen=True, slots=True)
class Format(Node):
    """`@name`, or with `pieces` a formatted string. A piece is text or a node."""

    name: str
    pieces: tuple[str | Node, ...] | None


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """`$name`"""

    name: str


@dataclass(frozen=True, slots=True)
class Location(Node):
    """`$__loc__`"""

    line: int


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`base.key` and `base[key]`; `optional` with a `?` behind, which forgives this one access only."""

    base: Node
    key: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`base[low:high]`"""

    base: Node
    low: Node | None
    high: Node | None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Iterate(Node):
    """`base[]`"""

    base: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ArrayOf(Node):
    """`[content]`"""

    content: Node | None


@dataclass(frozen=True, slots=True)
class ObjectOf(Node):
    """`{key: value, ...}`"""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """`-operand`"""

    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic and comparison."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`and`, `or`"""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Alternative(Node):
    """`left // right`"""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`target operator value`, for `=`, `|=` and the arithmetic ones."""

    operator: str
    target: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    """`left | right`"""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comma(Node):
    """`a, b, ...`"""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if condition then yes else no end`; without `else`, `no` is `.`"""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Try(Node):
    """`try body catch handler`, and `body?`"""

    body: Node
    handler: Node | None


@dataclass(frozen=True, slots=True)
class VariablePattern(Node):
    """`$name` to the right of `as`"""

    name: str


@dataclass(frozen=True, slots=True)
class ArrayPattern(Node):
    """`[p, p]`"""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class ObjectPattern(Node):
    """`{key: p}`; an entry may bind the value to a variable as well (`{$name: p}`)."""

    entries: tuple[tuple[Node, str | None, Pattern | None], ...]


Pattern: TypeAlias = "VariablePattern | ArrayPattern | ObjectPattern"


@dataclass(frozen=True, slots=True)
class As(Node):
    """`source as p ?// p | body`"""

    source: Node
    patterns: tuple[Pattern, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Reduce(Node):
    """`reduce source as p (start; update)`"""

    source: Node
    patterns: tuple[Pattern, ...]
    start: Node
    update: Node


@dataclass(frozen=True, slots=True)
class Foreach(Node):
    """`foreach source as p (start; update; extract)`"""

    source: Node
    patterns: tuple[Pattern, ...]
    start: Node
    update: Node
    extract: Node | None


@dataclass(frozen=True, slots=True)
class Label(Node):
    """`label $name | body`"""

    name: str
    body: Node


@dataclass(frozen=True, slots=True)
class Break(Node):
    """`break $name`"""

    name: str


@dataclass(frozen=True, slots=True)
class Define(Node):
    """`def name(parameters): body; rest`. A parameter is a name, and whether it takes a value (`$name`)."""

    name: str
    parameters: tuple[tuple[str, bool], ...]
    body: Node
    rest: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(arguments)`"""

    name: str
    arguments: tuple[Node, ...]


def children(node: Node) -> list[Node]:
    """The nodes directly below `node`, in the order of the text where the fields keep it."""
    found: list[Node] = []
    for field in fields(node):
        _collect(getattr(node, field.name), found)
    return found


def _collect(value: Any, found: list[Node]) -> None:
    if isinstance(value, Node):
        found.append(value)
    elif isinstance(value, tuple):
        for item in value:
            _collect(item, found)


def variables_of(pattern: Pattern) -> Iterator[str]:
    """The variables a pattern binds, in order."""
    if isinstance(pattern, VariablePattern):
        yield pattern.name
    elif isinstance(pattern, ArrayPattern):
        for item in pattern.items:
            yield from variables_of(item)
    else:
        for _, name, item_or_none in pattern.entries:
            if name is not None:
                yield name
            if item_or_none is not None:
                yield from variables_of(item_or_none)
