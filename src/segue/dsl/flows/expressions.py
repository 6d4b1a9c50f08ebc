"""Following data through an expression or a template.

What a value is made of counts, not what decided about it: the condition of an `if` or a `select` is not followed
into the value that it lets pass (decision 0090).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from segue.dsl.compiler.shapes import Constant, Derived, ForEach, Shape
from segue.dsl.expressions import tree
from segue.dsl.flows.traced import ITEM, NOTHING, Traced, join, made_of

Variables = Mapping[str, Traced]


def trace_shape(shape: Shape, data: Traced, variables: Variables) -> Traced:
    """What the value of a program may come from, when it is given `data` and `variables`."""
    match shape:
        case Constant():
            return NOTHING
        case tree.Node():
            return trace(shape, data, variables)
        case dict():
            return made_of({key: trace_shape(part, data, variables) for key, part in shape.items()})
        case list():
            return made_of({ITEM: join(*(trace_shape(part, data, variables) for part in shape))})
        case Derived(source=source):
            return trace_shape(source, data, variables).derived()
        case ForEach(shape=inner):
            each = trace_shape(inner, data.any(), variables)
            return join(trace_shape(inner, data, variables), made_of({ITEM: each}))
        case None:
            return everything(data, variables)


def everything(data: Traced, variables: Variables) -> Traced:
    """Something that may be computed from all that can be seen."""
    return join(data, *variables.values()).derived()


def trace(node: tree.Node, dot: Traced, variables: Variables) -> Traced:
    """What the results of an expression may come from; several results are joined."""
    match node:
        case tree.Identity():
            return dot
        case tree.Constant() | tree.Location() | tree.Break():
            return NOTHING
        case tree.Variable(name=name):
            return variables.get(name, NOTHING)
        case tree.RecurseAll():
            return join(dot, dot.derived())
        case tree.Index() | tree.Slice() | tree.Iterate():
            return _access(node, dot, variables)
        case tree.ArrayOf() | tree.ObjectOf() | tree.Format():
            return _built(node, dot, variables)
        case tree.Pipe(left=left, right=right):
            return trace(right, trace(left, dot, variables), variables)
        case tree.Comma(items=items):
            return join(*(trace(item, dot, variables) for item in items))
        case tree.If(yes=yes, no=no):
            return join(trace(yes, dot, variables), trace(no, dot, variables))
        case tree.Alternative(left=left, right=right):
            return join(trace(left, dot, variables), trace(right, dot, variables))
        case tree.Negate() | tree.Binary() | tree.Logic():
            return _operands(node, dot, variables)
        case tree.Try(body=body, handler=handler):
            return _tried(body, handler, dot, variables)
        case tree.As() | tree.Reduce() | tree.Foreach():
            return _binding(node, dot, variables)
        case tree.Label():
            return trace(tree.children(node)[-1], dot, variables)
        case tree.Call(name=name, arguments=arguments):
            return _call(name, arguments, dot, variables)
    # Assignments and functions of the expression's own: not followed.
    return everything(dot, variables)


def _operands(node: tree.Node, dot: Traced, variables: Variables) -> Traced:
    """Operators. `+` may also merge objects or arrays, so the parts of both sides stay visible as they are."""
    sides = [trace(child, dot, variables) for child in tree.children(node)]
    if isinstance(node, tree.Binary) and node.operator == "+":
        return join(*sides)
    return join(*sides).derived()


def _access(node: tree.Index | tree.Slice | tree.Iterate, dot: Traced, variables: Variables) -> Traced:
    base = trace(node.base, dot, variables)
    if isinstance(node, tree.Slice):
        return base
    key = _name(node.key) if isinstance(node, tree.Index) else None
    return base.any() if key is None else base.at(key)


def _name(node: tree.Node) -> str | None:
    """The key that stands here in plain, if it does."""
    return node.value if isinstance(node, tree.Constant) and isinstance(node.value, str) else None


def _built(node: tree.ArrayOf | tree.ObjectOf | tree.Format, dot: Traced, variables: Variables) -> Traced:
    if isinstance(node, tree.ArrayOf):
        return NOTHING if node.content is None else made_of({ITEM: trace(node.content, dot, variables)})
    if isinstance(node, tree.Format):
        pieces = [piece for piece in node.pieces or () if isinstance(piece, tree.Node)]
        given = [dot] if node.pieces is None else [trace(piece, dot, variables) for piece in pieces]
        return join(*given).derived()
    parts: dict[str, Traced] = {}
    for key, value in node.entries:
        traced, name = trace(value, dot, variables), _name(key)
        if name is None:
            # A computed key is data too, and `keys` or `to_entries` read it again.
            name, traced = ITEM, join(traced, trace(key, dot, variables).derived())
        parts[name] = join(parts.get(name, NOTHING), traced)
    return made_of(parts)


def _tried(body: tree.Node, handler: tree.Node | None, dot: Traced, variables: Variables) -> Traced:
    done = trace(body, dot, variables)
    if handler is None:
        return done
    return join(done, trace(handler, everything(dot, variables), variables))


# -- bindings --------------------------------------------------------------------------------------


def _binding(node: tree.As | tree.Reduce | tree.Foreach, dot: Traced, variables: Variables) -> Traced:
    source = trace(node.source, dot, variables)
    bound = dict(variables)
    for pattern in node.patterns:
        for name, value in _bound(pattern, source):
            bound[name] = join(bound[name], value) if name in bound else value
    if isinstance(node, tree.As):
        return trace(node.body, dot, bound)
    # The state goes round any number of times: what it reaches in two rounds, it may mix in more.
    state = trace(node.start, dot, variables)
    for _ in range(2):
        state = join(state, trace(node.update, state, bound))
    state = join(state, state.derived())
    if isinstance(node, tree.Foreach) and node.extract is not None:
        return trace(node.extract, state, bound)
    return state


def _bound(pattern: tree.Pattern, value: Traced) -> list[tuple[str, Traced]]:
    """The variables that a pattern binds, with their values."""
    if isinstance(pattern, tree.VariablePattern):
        return [(pattern.name, value)]
    if isinstance(pattern, tree.ArrayPattern):
        return [pair for item in pattern.items for pair in _bound(item, value.any())]
    found: list[tuple[str, Traced]] = []
    for key, name, inner in pattern.entries:
        known = _name(key)
        part = value.any() if known is None else value.at(known)
        if name is not None:
            found.append((name, part))
        if inner is not None:
            found.extend(_bound(inner, part))
    return found


# -- functions -------------------------------------------------------------------------------------

_PASSING: Final = frozenset({"select", "sort", "sort_by", "reverse", "unique", "unique_by", "values"})
"""Give their input, or some of it, or its elements in another order; their arguments only decide."""

_TYPES: Final = frozenset({"strings", "numbers", "booleans", "nulls", "arrays", "objects", "scalars", "iterables"})
_FRESH: Final = frozenset({"empty", "now", "infinite", "nan", "builtins"})
_LAST_ARGUMENT: Final = frozenset({"first", "last", "limit", "skip"})
_ANY_ELEMENT: Final = frozenset({"first", "last", "min", "max", "min_by", "max_by"})


def _call(name: str, arguments: tuple[tree.Node, ...], dot: Traced, variables: Variables) -> Traced:
    if name in _PASSING or name in _TYPES:
        return dot
    if name in _FRESH:
        return NOTHING
    if name in ("map", "map_values") and len(arguments) == 1:
        mapped = made_of({ITEM: trace(arguments[0], dot.any(), variables)})
        # `map_values` keeps the keys of an object, and keys are data too.
        return mapped if name == "map" else join(mapped, dot.derived())
    if name in _LAST_ARGUMENT and arguments:
        return trace(arguments[-1], dot, variables)
    if name in _ANY_ELEMENT:
        return dot.any()
    if name == "add" and not arguments:
        return join(dot.any(), dot.derived())
    # Any other function computes from its input and from what its arguments can reach in it.
    reach = join(dot, dot.derived())
    return join(dot, *(trace(argument, reach, variables) for argument in arguments)).derived()
