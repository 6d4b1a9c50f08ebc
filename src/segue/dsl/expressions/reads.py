"""What an expression reads: variables, static paths, secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segue.dsl.expressions import tree
from segue.dsl.expressions.secrets import SECRETS, secret_path
from segue.dsl.expressions.tree import Node, children, variables_of

ReadPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Reads:
    """The outside variables, the static paths and the secrets of an expression."""

    variables: frozenset[str]
    paths: frozenset[ReadPath]
    secrets: frozenset[tuple[str, ...]]


def reads_of(node: Node, outside: frozenset[str]) -> Reads:
    """What the tree reads. Names in `outside` are variables of the place, unless the expression rebinds them."""
    walk = _Walk(outside)
    walk.visit(node, (".",), frozenset())
    return Reads(frozenset(walk.variables), frozenset(walk.paths), frozenset(walk.secrets))


class _Walk:
    """Follows where `.` stands. `here` is its path, or None where it was computed."""

    def __init__(self, outside: frozenset[str]) -> None:
        self.outside = outside
        self.variables: set[str] = set()
        self.paths: set[ReadPath] = set()
        self.secrets: set[tuple[str, ...]] = set()

    def visit(self, node: Node, here: ReadPath | None, bound: frozenset[str]) -> None:
        """Note what `node` reads."""
        secret = secret_path(node)
        if secret is not None and SECRETS not in bound:
            self.secrets.add(secret)
            self.variables.add(SECRETS)
            return
        place = self.place(node, here, bound)
        if place is not None:
            self.paths.add(place)
        match node:
            case tree.Variable(name=name):
                if name not in bound:
                    self.variables.add(name)
            case tree.RecurseAll() | tree.Format(pieces=None):
                if here is not None:
                    self.paths.add(here)
            case tree.Index(base=base) | tree.Slice(base=base) | tree.Iterate(base=base):
                self._visit_access(node, base, here, bound, whole=place is None)
            case tree.Pipe(left=left, right=right):
                self._visit_pipe(left, right, here, bound)
            case tree.As() | tree.Reduce() | tree.Foreach():
                self._visit_binding(node, here, bound)
            case tree.Define(parameters=parameters, body=body, rest=rest):
                inner = bound | {name for name, _ in parameters}
                # Where a function is called is not followed: its `.` may be any part of the data.
                self.visit(body, None, inner)
                if _reads_data(body):
                    self.paths.add((".",))
                self.visit(rest, here, bound)
            case tree.Call(name=name, arguments=arguments):
                self._visit_call(name, arguments, here, bound)
            case tree.Try(body=body, handler=handler):
                self.visit(body, here, bound)
                if handler is not None:
                    self.visit(handler, None, bound)
            case tree.Assign(target=target, value=value, operator=operator):
                if here is not None:
                    self.paths.add(here)
                self.visit(target, here, bound)
                self.visit(value, None if operator == "|=" else here, bound)
            case _:
                for child in children(node):
                    self.visit(child, here, bound)

    def place(self, node: Node, here: ReadPath | None, bound: frozenset[str]) -> ReadPath | None:
        """The static path that `node` stands for, or None."""
        match node:
            case tree.Identity():
                return here
            case tree.Variable(name=name):
                return (f"${name}",) if name not in bound and name in self.outside else None
            case tree.Index(base=base, key=tree.Constant(value=key)) if type(key) is str or type(key) is int:
                before = self.place(base, here, bound)
                return None if before is None else (*before, key)
        return None

    def _visit_access(
        self, node: Node, base: Node, here: ReadPath | None, bound: frozenset[str], *, whole: bool
    ) -> None:
        if whole:
            self.visit(base, here, bound)
        else:
            self._note_variable(base, bound)
        for child in children(node):
            if child is not base:
                self.visit(child, here, bound)

    def _note_variable(self, node: Node, bound: frozenset[str]) -> None:
        while isinstance(node, tree.Index):
            node = node.base
        if isinstance(node, tree.Variable) and node.name not in bound:
            self.variables.add(node.name)

    def _visit_pipe(self, left: Node, right: Node, here: ReadPath | None, bound: frozenset[str]) -> None:
        place = self.place(left, here, bound)
        if place is None:
            self.visit(left, here, bound)
        else:
            self._note_variable(left, bound)
        before = len(self.paths)
        self.visit(right, place, bound)
        if place is not None and len(self.paths) == before:
            self.paths.add(place)

    def _visit_binding(
        self, node: tree.As | tree.Reduce | tree.Foreach, here: ReadPath | None, bound: frozenset[str]
    ) -> None:
        self.visit(node.source, here, bound)
        inner = bound
        for pattern in node.patterns:
            inner |= set(variables_of(pattern))
            for key in _keys_of(pattern):
                self.visit(key, here, bound)
        if isinstance(node, tree.As):
            self.visit(node.body, here, inner)
            return
        self.visit(node.start, here, bound)
        # The state may be the data itself, or part of it.
        self.visit(node.update, None, inner)
        if isinstance(node, tree.Foreach) and node.extract is not None:
            self.visit(node.extract, None, inner)

    def _visit_call(
        self, name: str, arguments: tuple[Node, ...], here: ReadPath | None, bound: frozenset[str]
    ) -> None:
        if name in _WITHOUT_DATA and not arguments:
            return
        if here is not None and not (name in _ARGUMENTS_ONLY and arguments):
            self.paths.add(here)
        for argument in arguments:
            self.visit(argument, here if name in _ARGUMENTS_ONLY or name in _SAME_DATA else None, bound)


_WITHOUT_DATA = frozenset({"empty", "now", "infinite", "nan", "builtins"})
_ARGUMENTS_ONLY = frozenset({"first", "last", "limit", "skip", "isempty", "range", "path", "pick"})
_SAME_DATA = frozenset(
    [
        "select",
        "has",
        "contains",
        "inside",
        "in",
        "startswith",
        "endswith",
        "test",
        "match",
        "split",
        "join",
        "index",
        "rindex",
        "indices",
        "until",
        "while",
        "ltrimstr",
        "rtrimstr",
        "getpath",
        "recurse",
        "error",
        "pow",
    ]
)


def _keys_of(pattern: tree.Pattern) -> Iterator[Node]:
    if isinstance(pattern, tree.ArrayPattern):
        for item in pattern.items:
            yield from _keys_of(item)
    elif isinstance(pattern, tree.ObjectPattern):
        for key, _, item_or_none in pattern.entries:
            yield key
            if item_or_none is not None:
                yield from _keys_of(item_or_none)


def _reads_data(node: Node) -> bool:
    if isinstance(node, tree.Identity | tree.RecurseAll | tree.Call):
        return True
    return any(_reads_data(child) for child in children(node))
