"""How functions are found: by name and number of arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from segue.dsl.expressions import tree
    from segue.dsl.expressions.codes import Code, Follower, Scope
    from segue.dsl.expressions.compiler import Compiler

CompileCall: TypeAlias = "Callable[[Compiler, tree.Call, Scope], Code]"
CompileCallPath: TypeAlias = "Callable[[Compiler, tree.Call, Scope], Follower]"


@dataclass(frozen=True, slots=True)
class Plain:
    """A function of values.

    `run(input, *arguments)` returns the result; with `metered` it takes the account first. `outermost_last`
    says which argument varies slowest where arguments have several results; `walks` that it visits its whole
    input, which has to be paid.
    """

    run: Callable[..., Any]
    metered: bool
    outermost_last: bool
    walks: bool


@dataclass(frozen=True, slots=True)
class Special:
    """A function that compiles its arguments itself, as values and, where it can, as paths."""

    compile: CompileCall
    follow: CompileCallPath | None = None


_plain: dict[tuple[str, int], Plain] = {}
_special: dict[tuple[str, int], Special] = {}


def plain(
    *names: str, arity: int = 0, metered: bool = False, outermost_last: bool = False, walks: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of values under one or more names."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _plain[name, arity] = Plain(run, metered, outermost_last, walks)
        return run

    return register


def special(*names: str, arity: int = 0) -> Callable[[CompileCall], CompileCall]:
    """Register a function that compiles its own arguments."""

    def register(compile_call: CompileCall) -> CompileCall:
        for name in names:
            _special[name, arity] = Special(compile_call)
        return compile_call

    return register


def special_path(*names: str, arity: int = 0) -> Callable[[CompileCallPath], CompileCallPath]:
    """Add the path form to special functions that are registered already."""

    def register(follow: CompileCallPath) -> CompileCallPath:
        for name in names:
            _special[name, arity] = Special(_special[name, arity].compile, follow)
        return follow

    return register


def find_plain(name: str, arity: int) -> Plain | None:
    """The function of values by that name."""
    return _plain.get((name, arity))


def find_special(name: str, arity: int) -> Special | None:
    """The special function by that name."""
    return _special.get((name, arity))


def known_functions() -> Iterable[tuple[str, int]]:
    """Names and numbers of arguments, in no order."""
    return {*_plain, *_special}
