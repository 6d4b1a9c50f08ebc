"""What nodes compile to, and the names that are visible where.

**Code.** A node becomes one closure `run(data, env)`. How many results it has is known at compile time as far
as it can be: `ONE` returns the value itself, `MAYBE` the value or `NOTHING`, `MANY` an iterable. So the common
expressions are plain calls, and generators exist only where there really are several results.

**Path code.** Where places are wanted instead of values (assignments, `path`, `del`), a node becomes
`follow(data, path, env)`, an iterable of `(path, value)`. A path of None means that the value stands nowhere
in the input; using it as a place is an error, dropping it is not.

**Environment.** A tuple that only grows: slot 0 is the account (`Run`, or None where none is kept), then the
outside variables, then whatever is bound on the way. Slots are known at compile time. Because environments
are immutable, a suspended generator can never see another one's variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from segue.dsl.expressions import tree
from segue.dsl.expressions.tree import Node

if TYPE_CHECKING:
    from segue.dsl.expressions.compiler import Compiler

Env: TypeAlias = tuple[Any, ...]
Runner: TypeAlias = Callable[[Any, Env], Any]
Path: TypeAlias = "tuple[Any, ...] | None"
Follower: TypeAlias = Callable[[Any, Path, Env], Iterable[tuple[Path, Any]]]


class Card(IntEnum):
    """How many results a code has."""

    ONE = 1
    MAYBE = 2
    MANY = 3


class _Nothing:
    """No result, where a single one might have been."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled node.

    A constant code ignores its arguments. `parts` are the runners of a comma whose items have one result
    each, so that an array of them can be built without a generator.
    """

    card: Card
    run: Runner
    is_constant: bool = False
    parts: tuple[Runner, ...] = ()


def one(run: Runner) -> Code:
    """Code with exactly one result."""
    return Code(Card.ONE, run)


def maybe(run: Runner) -> Code:
    """Code with one result or none."""
    return Code(Card.MAYBE, run)


def many(run: Runner) -> Code:
    """Code with any number of results."""
    return Code(Card.MANY, run)


def constant(value: Any) -> Code:
    """Code whose one result is known already."""
    return Code(Card.ONE, lambda data, env: value, is_constant=True)


def stream(code: Code) -> Runner:
    """The code as a function that returns an iterable of results, whatever its card."""
    run = code.run
    if code.card is Card.MANY:
        return run
    if code.card is Card.ONE:
        return lambda data, env: (run(data, env),)

    def run_maybe(data: Any, env: Env) -> Iterable[Any]:
        value = run(data, env)
        return () if value is NOTHING else (value,)

    return run_maybe


class Broken(Exception):
    """`break` on its way to the label that holds the same token."""

    def __init__(self, token: object) -> None:
        self.token = token


@dataclass(frozen=True, slots=True)
class Parameter:
    """A function's parameter inside its body: a slot that holds an `Argument` and its environment."""

    slot: int
    card: Card


class Argument:
    """What a caller passes for a parameter: a node together with the names visible around it."""

    __slots__ = ("_compiler", "_follow", "code", "node", "scope")

    def __init__(self, compiler: Compiler, node: Node, scope: Scope) -> None:
        self._compiler = compiler
        self._follow: Follower | None = None
        self.node = node
        self.scope = scope
        self.code = compiler.code(node, scope)

    @property
    def follow(self) -> Follower:
        """The argument as path code; compiled when first wanted, which it rarely is."""
        if self._follow is None:
            self._follow = self._compiler.follow(self.node, self.scope)
        return self._follow


@dataclass(slots=True)
class Instance:
    """One compiled form of a function: for these cards of arguments, as values or as paths."""

    card: Card
    run: Runner
    follow: Follower | None = None


@dataclass(slots=True)
class Function:
    """A function of the expression itself."""

    node: tree.Define
    scope: Scope
    is_recursive: bool
    frames: int
    instances: dict[tuple[bool, tuple[Card, ...]], Instance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """The names visible at a node, and how many slots the environment has there."""

    variables: Mapping[str, int]
    functions: Mapping[tuple[str, int], Function | Parameter]
    labels: Mapping[str, int]
    size: int

    def bind(self, *names: str) -> Scope:
        """With variables in the next slots."""
        slots = {name: self.size + at for at, name in enumerate(names)}
        return Scope({**self.variables, **slots}, self.functions, self.labels, self.size + len(names))

    def bind_label(self, name: str) -> Scope:
        """With a label in the next slot."""
        return Scope(self.variables, self.functions, {**self.labels, name: self.size}, self.size + 1)

    def define(self, name: str, arity: int, function: Function | Parameter) -> Scope:
        """With one more function."""
        functions = {**self.functions, (name, arity): function}
        return Scope(self.variables, functions, self.labels, self.size)

    def reserve(self, slots: int) -> Scope:
        """With slots that no name refers to."""
        return Scope(self.variables, self.functions, self.labels, self.size + slots)
