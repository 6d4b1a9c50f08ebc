"""Programs: expressions and templates of the document as functions of data and variables.

A template is compiled once into nested closures; what is constant in it is built once. Only the document's own
text is ever compiled: a value that happens to look like `${ ... }` when it arrives as data stays a value.

Source: Open Workflow DSL 1.0.x, "Runtime expressions"; rulings R13 to R15.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from segue.core.plan import Evaluate, Program
from segue.dsl.compiler.adjustable import adjustables_are_known
from segue.dsl.compiler.build import LANGUAGE, Build, Place, Scope, TaskList, below, listed
from segue.dsl.compiler.shapes import CONSTANT, Constant, Derived, Shape
from segue.dsl.expressions import (
    GROWTH_UNMEASURED_MAX,
    Expression,
    ExpressionError,
    compile_expression,
    growth_of,
    is_wrapped,
    require_within_budget,
    unwrap,
)
from segue.dsl.expressions.errors import RaisedError
from segue.dsl.expressions.tree import Node
from segue.types import TaskFailure, fail

Part = tuple[Any, Evaluate | None, frozenset[str], Shape]
"""A piece of a template: its constant value, or its function with the variables it reads and what it is made of."""

_NO_READS: Final[frozenset[str]] = frozenset()
_VALUE: Final = re.compile(r' \(".*"\)| \((?:-?[0-9][^() ]*|true|false)\)| ".*"', re.DOTALL)
"""Where an evaluation's message shows a value. From the first quote to the last: a value may hold quotes itself."""


def constant(value: Any, text: str = "") -> Program:
    """A program that always gives this value. Callers must not change what they get."""

    def run(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        return value

    return Program(run, (), text or (value if isinstance(value, str) else ""), constant=True, shape=CONSTANT)


NOTHING: Final = constant(None)
"""Stands in for what could not be compiled; never reaches a plan that is returned."""


def expression(build: Build, text: Any, pointer: str, scope: Scope, place: Place) -> Program | None:
    """Compile a field that is an expression, bare or wrapped. None when there is nothing to compile."""
    if not isinstance(text, str) or not build.is_sound(pointer):
        return None
    compiled = _compile(build, text, pointer, scope, place)
    if compiled is None:
        return NOTHING
    run, reads = _run_of(build, compiled, pointer)
    return Program(run, tuple(sorted(reads)), text, shape=compiled.tree)


def template(build: Build, value: Any, pointer: str, scope: Scope, place: Place) -> Program:
    """Compile a value whose text may hold expressions, at any depth."""
    if not build.is_sound(pointer):
        return NOTHING
    return _program(_part(build, value, pointer, scope, place), value)


def transform(build: Build, value: Any, pointer: str, scope: Scope, place: Place) -> Program | None:
    """Compile `from` or `as`: text is an expression, an object is a template. None when the key is absent."""
    if value is None:
        return None
    if isinstance(value, str):
        return expression(build, value, pointer, scope, place)
    return template(build, value, pointer, scope, place)


def literal_text(build: Build, text: str, pointer: str) -> None:
    """Warn of expressions in the middle of a text, which are not evaluated (ruling R14)."""
    if "${" in text and not is_wrapped(text):
        message = "this text holds `${ }` in its middle, which is not evaluated"
        build.warn(
            "expression-in-text", pointer, message, 'build the text inside one expression: ${ "Hello " + .name }'
        )


def combine(parts: Mapping[str, Program | Any]) -> Program:
    """An object made of programs and constants."""
    pieces: dict[str, Part] = {}
    for key, part in parts.items():
        if not isinstance(part, Program):
            pieces[key] = _fixed(part)
        elif part.constant:
            pieces[key] = _fixed(part.run(None, {}, 0))
        else:
            pieces[key] = (None, part.run, frozenset(part.reads), part.shape)
    return _program(_object(pieces), None)


def mapped(program: Program, function: Callable[[Any], Any]) -> Program:
    """A program whose value passes through a pure function, which may raise `TaskFailure`."""
    inner = program.run
    if program.constant:
        value = inner(None, {}, 0)
        # Null stands for what could not be compiled; there is a finding about it already.
        return NOTHING if value is None else constant(function(value), program.text)

    def run(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        return function(inner(data, variables, now_ms))

    return Program(run, program.reads, program.text, shape=Derived(program.shape))


def constant_value(program: Program | None) -> Any:
    """The value of a constant program, otherwise None."""
    return program.run(None, {}, 0) if program is not None and program.constant else None


# -- templates -------------------------------------------------------------------------------------


def _program(part: Part, source: Any) -> Program:
    value, run, reads, shape = part
    text = source if isinstance(source, str) else ""
    if run is None:
        return constant(value, text)
    if isinstance(shape, dict | list) and _copies(shape) > GROWTH_UNMEASURED_MAX:
        run = _measured(run)
    return Program(run, tuple(sorted(reads)), text, shape=shape)


def _copies(shape: Shape) -> float:
    """How many times a template's value can hold its data; an expression that is measured counts once."""
    match shape:
        case dict():
            return sum(_copies(part) for part in shape.values())
        case list():
            return sum(_copies(part) for part in shape)
        case Derived(source=source):
            return _copies(source)
        case Constant():
            return 0
        case Node():
            growth = growth_of(shape)
            return growth if growth <= GROWTH_UNMEASURED_MAX else 1
    return 1


def _measured(run: Evaluate) -> Evaluate:
    """The same, but refuses what is larger written out than one expression may build, before anybody tries."""

    def measured(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        value = run(data, variables, now_ms)
        try:
            require_within_budget(value)
        except ExpressionError as error:
            raise fail("expression", f"what is put together here is too large: {error.message}") from None
        return value

    return measured


def _fixed(value: Any) -> Part:
    return value, None, _NO_READS, CONSTANT


def _part(build: Build, value: Any, pointer: str, scope: Scope, place: Place) -> Part:
    if isinstance(value, str):
        return _text(build, value, pointer, scope, place)
    if isinstance(value, dict):
        return _object({k: _part(build, v, below(pointer, k), scope, place) for k, v in value.items()})
    if isinstance(value, list):
        return _array([_part(build, v, below(pointer, i), scope, place) for i, v in enumerate(value)])
    return _fixed(value)


def _text(build: Build, text: str, pointer: str, scope: Scope, place: Place) -> Part:
    if is_wrapped(text):
        compiled = _compile(build, text, pointer, scope, place)
        if compiled is None:
            return _fixed(None)
        run, reads = _run_of(build, compiled, pointer)
        return None, _or_text(run, text) if build.is_loose else run, reads, compiled.tree
    if build.is_loose:
        return _tried(build, text, pointer, scope, place)
    literal_text(build, text, pointer)
    return _fixed(text)


def _tried(build: Build, text: str, pointer: str, scope: Scope, place: Place) -> Part:
    """Loose mode: text is an expression if it compiles as one here, and its own value if that fails."""
    names = (place.variables | set(scope.bound)) - {"secrets"}
    try:
        compiled = compile_expression(text, variables=names)
    except ExpressionError:
        return _fixed(text)
    if "steps" in compiled.variables and not _steps_are_known(build, compiled, pointer, scope, quiet=True):
        return _fixed(text)
    if not adjustables_are_known(build, compiled, pointer, scope, quiet=True):
        return _fixed(text)
    run, reads = _run_of(build, compiled, pointer)
    return None, _or_text(run, text), reads, compiled.tree


def _or_text(run: Evaluate, text: str) -> Evaluate:
    def tried(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        try:
            return run(data, variables, now_ms)
        except TaskFailure:
            return text

    return tried


def _object(pieces: Mapping[str, Part]) -> Part:
    base = {key: part[0] for key, part in pieces.items()}
    moving = [(key, part[1]) for key, part in pieces.items() if part[1] is not None]
    if not moving:
        return _fixed(base)

    def run(data: Any, variables: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        made = base.copy()
        for key, inner in moving:
            made[key] = inner(data, variables, now_ms)
        return made

    return None, run, _reads(pieces.values()), {key: part[3] for key, part in pieces.items()}


def _array(pieces: list[Part]) -> Part:
    base = [part[0] for part in pieces]
    moving = [(place, part[1]) for place, part in enumerate(pieces) if part[1] is not None]
    if not moving:
        return _fixed(base)

    def run(data: Any, variables: Mapping[str, Any], now_ms: int) -> list[Any]:
        made = base.copy()
        for place, inner in moving:
            made[place] = inner(data, variables, now_ms)
        return made

    return None, run, _reads(pieces), [part[3] for part in pieces]


def _reads(pieces: Iterable[Part]) -> frozenset[str]:
    return frozenset().union(*(part[2] for part in pieces))


# -- expressions -----------------------------------------------------------------------------------


def _run_of(build: Build, compiled: Expression, pointer: str) -> tuple[Evaluate, frozenset[str]]:
    """The function of an expression, and what it reads of the run; secrets are constants of the expression."""
    evaluate = compiled.evaluate
    where = build.prefix + pointer

    def run(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        try:
            return evaluate(data, variables, now_ms=now_ms)
        except ExpressionError as error:
            raise fail("expression", f"the expression at {where}{_said(error)}") from None

    return compiled.quick(otherwise=run), compiled.variables - {"secrets"}


def _said(error: ExpressionError) -> str:
    """Why an expression failed, without the values: they belong to the run's data, and this ends up in logs.

    What the document's author says by `error(...)` is said as it is.
    """
    place = "" if error.column is None else f", column {error.column},"
    message = error.message if isinstance(error, RaisedError) else _VALUE.sub("", error.message)
    return f"{place} failed: {message}"


def _compile(build: Build, text: str, pointer: str, scope: Scope, place: Place) -> Expression | None:
    """Compile, and check that everything it reads is there to be read."""
    inner = unwrap(text) if is_wrapped(text) else text
    try:
        compiled = compile_expression(inner, variables=LANGUAGE | set(scope.bound))
    except ExpressionError as error:
        _refuse(build, error, text, inner, pointer)
        return None
    return compiled if _is_allowed(build, compiled, pointer, scope, place) else None


def _refuse(build: Build, error: ExpressionError, text: str, inner: str, pointer: str) -> None:
    offset = text.find(inner) + (error.column or 1) - 1
    line, column = build.document.position_in(pointer, text, offset)
    finding = build.document.finding("invalid-expression", "error", error.message, error.hint, pointer=pointer)
    build.add(replace(finding, line=line, column=column))


def _is_allowed(build: Build, compiled: Expression, pointer: str, scope: Scope, place: Place) -> bool:
    allowed = place.variables | set(scope.bound)
    hidden = sorted(set(compiled.variables) - allowed)
    for name in hidden:
        if name == "secrets":
            message = f"secrets may not be read in {place.name}: their values would end up in data"
            remedy = "read them in `headers`, `environment`, `authentication`, or the `with` of a function"
            build.error("secret-not-allowed", pointer, message, remedy)
        else:
            names = ", ".join(f"${other}" for other in sorted(allowed)) or "none"
            message = f"${name} is not available in {place.name}"
            build.error("variable-not-available", pointer, message, f"available here: {names}")
    if hidden:
        return False
    if "secrets" in compiled.variables and not _secrets_are_declared(build, compiled, pointer):
        return False
    if not adjustables_are_known(build, compiled, pointer, scope):
        return False
    return "steps" not in compiled.variables or _steps_are_known(build, compiled, pointer, scope)


def _secrets_are_declared(build: Build, compiled: Expression, pointer: str) -> bool:
    missing = sorted({path[0] for path in compiled.secrets} - build.secrets)
    for name in missing:
        message = f"the secret {name!r} is not declared"
        build.error("undeclared-secret", pointer, message, "add it to the list `use.secrets`")
    return not missing


def _steps_are_known(build: Build, compiled: Expression, pointer: str, scope: Scope, *, quiet: bool = False) -> bool:
    named = _steps_of(compiled)
    if named is None:
        if not quiet:
            message = "tasks are read by name: which ones this reads is not known before it runs"
            build.error("dynamic-steps", pointer, message, 'write $steps.NAME, or $steps["NAME"]')
        return False
    fine = True
    for name in sorted(named):
        complaint = _use_step(name, scope.around)
        if complaint:
            fine = False
            if not quiet:
                build.error(*_unknown_step(name, complaint, pointer, scope))
    return fine


def _use_step(name: str, around: tuple[tuple[TaskList, int], ...]) -> str:
    """Note that this task's output is read; says why that cannot be, if it cannot."""
    complaint = f"there is no task {name!r} in this list or around it"
    for tasks, at in around:
        if name not in tasks.order:
            continue
        if tasks.is_done(name, at):
            tasks.use(name)
            return ""
        complaint = (
            f"the branch {name!r} may not be done here" if tasks.needs else f"the task {name!r} has not run yet here"
        )
    return complaint


def _unknown_step(name: str, complaint: str, pointer: str, scope: Scope) -> tuple[str, str, str, str]:
    known = {other for tasks, at in scope.around for other in tasks.order if tasks.is_done(other, at)}
    rule = "$steps reads tasks that ran before in the same list or in one around it"
    return "unknown-step", pointer, f"$steps: {complaint}", f"{rule}; readable here: {listed(sorted(known))}"


def _steps_of(compiled: Expression) -> set[str] | None:
    """The tasks that an expression reads by name, or None when the names are computed."""
    names: set[str] = set()
    for path in compiled.paths:
        if path[0] == "$steps":
            if len(path) < 2 or not isinstance(path[1], str):
                return None
            names.add(path[1])
    return names
