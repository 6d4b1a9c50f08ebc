"""What the shape of a tree tells before anything runs: frames, recursion, growth."""

from __future__ import annotations

import math
from typing import Final

from segue.dsl.expressions import tree
from segue.dsl.expressions.tree import Node, children

FRAMES_PER_LEVEL = 3
"""Interpreter frames that one level of the tree can take: its closure, and helpers around it."""

GROWTH_UNMEASURED_MAX: Final = 16
"""How many times a result may hold the input or a variable before it is measured. Times the largest value that a run
keeps, it is what whoever writes the result out needs in memory."""


def height_of(node: Node) -> int:
    """Levels of a tree."""
    level, height = [node], 0
    while level:
        height += 1
        level = [child for parent in level for child in children(parent)]
    return height


def frames_of(node: Node) -> int:
    """Frames that evaluating a tree can stack up, what it calls aside."""
    return FRAMES_PER_LEVEL * height_of(node)


def calls_itself(node: tree.Define) -> bool:
    """Whether a function's body calls the function, directly or through functions defined inside it."""
    return _calls(node.body, node.name, len(node.parameters), {name for name, _ in node.parameters})


def _calls(node: Node, name: str, arity: int, parameters: set[str]) -> bool:
    if arity == 0 and name in parameters:
        return False
    if isinstance(node, tree.Call) and node.name == name and len(node.arguments) == arity:
        return True
    if isinstance(node, tree.Define) and node.name == name and len(node.parameters) == arity:
        # Shadowed from here on, in its own body as well.
        return False
    return any(_calls(child, name, arity, parameters) for child in children(node))


def growth_of(node: Node) -> float:
    """How many times the result can hold the input or a variable; infinite where a loop decides.

    Results share structure, so a short expression can make a value that is far larger written out than in
    memory. What can do so is measured after the evaluation; what cannot needs no look.
    """
    match node:
        case tree.Identity() | tree.Constant() | tree.Variable() | tree.Location():
            return 1.0
        case tree.Pipe(left=left, right=right):
            return growth_of(left) * growth_of(right)
        case tree.As(source=source, body=body):
            return max(1.0, growth_of(source)) * growth_of(body)
        case tree.Index(base=base):
            return growth_of(base)
        case tree.If(yes=yes, no=no):
            return max(growth_of(yes), growth_of(no))
        case tree.Alternative(left=left, right=right):
            return max(growth_of(left), growth_of(right))
        case tree.ObjectOf(entries=entries):
            return sum(growth_of(value) for _, value in entries)
        case tree.ArrayOf() | tree.Comma() | tree.Slice() | tree.Negate() | tree.Binary() | tree.Logic():
            return sum(growth_of(child) for child in children(node))
        case tree.Try(body=body, handler=None):
            return growth_of(body)
        case tree.Format() | tree.Call():
            return sum((growth_of(child) for child in children(node)), start=1.0)
    return math.inf
