"""Functions written in Python, which documents call by name.

Everything that inspection can tell is worked out once, at registration; a call looks the function up, converts
its arguments if they are typed, and runs it. An `async` or `inline` function costs no thread.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import typing
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from segue.governance import Redactor, mentions_secret
from segue.types import NOT_DONE, EffectContext, Failure, Perform, Recovery, TaskFailure, fail, failure, whereabouts

_log = logging.getLogger("segue.handlers.functions")
_BUILT_IN: Final = (str, int, float, bool, type(None), list, dict, object, Any)


@dataclass(frozen=True, slots=True)
class Function:
    """A registered function with everything a call needs to know.

    Attributes:
        run: The function itself.
        is_async: It is awaited.
        inline: It runs on the event loop's own thread.
        recovery: What to do when the process died while it ran.
        context_name: Its parameter that takes the `EffectContext`, if it has one.
        parameters: JSON Schema of the object of its arguments.
        result: JSON Schema of what it returns.
        description: The first paragraph of its docstring.
        returns: Its annotation for what it returns.
        check: Refuses a result that is not what the annotation promises; None where it promises nothing.
    """

    name: str
    run: Callable[..., Any]
    is_async: bool
    inline: bool
    recovery: Recovery
    context_name: str | None
    parameters: dict[str, Any]
    result: dict[str, Any]
    description: str
    model: type[msgspec.Struct]
    names: tuple[str, ...]
    known: frozenset[str]
    open_ended: bool
    plain_result: bool
    returns: Any
    check: Callable[[Any], None] | None


class FunctionRegistry:
    """Python functions by the name under which documents call them."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def register(
        self,
        fn: Callable[..., Any] | None = None,
        name: str | None = None,
        *,
        inline: bool = False,
        recovery: Recovery = "repeat",
    ) -> Any:
        """Make a function callable from documents. Works as a call and as a decorator.

        Arguments arrive by name and are converted to the types of the parameters (dataclasses, msgspec structs,
        enums, dates, typed containers …); without a type they arrive as JSON values. A parameter of the type
        `EffectContext` receives the context of the act. What the function returns is converted to JSON, and
        checked against its annotation.

        Args:
            fn: The function; left out when `register` is used as a decorator with options.
            name: Its name in documents; the Python name with hyphens for underscores when left out.
            inline: Run a plain function on the event loop's thread. Only for functions that take microseconds:
                while one runs, nothing else does.
            recovery: What may follow a crash in the middle: `repeat` (it is safe to run twice) or `ask`.

        Returns:
            The function, unchanged; or a decorator when `fn` is left out.

        Raises:
            ValueError: The name is taken, or the signature cannot be called with named arguments.
        """
        if fn is None:
            return lambda function: self.register(function, name, inline=inline, recovery=recovery)
        described = _describe(fn, name or fn.__name__.replace("_", "-"), inline, recovery)
        if described.name in self._functions:
            raise ValueError(
                f"a function named {described.name!r} is registered already: give one of them another name"
            )
        self._functions[described.name] = described
        return fn

    def get(self, name: str) -> Function | None:
        """The function of this name."""
        return self._functions.get(name)

    def all(self) -> Mapping[str, Function]:
        """Every function by its name."""
        return dict(self._functions)


class FunctionHandler:
    """Calls registered functions.

    Args:
        registry: Where they are registered.
        threads: Where plain functions run; the event loop's default pool when left out.
    """

    def __init__(self, registry: FunctionRegistry, threads: Executor | None = None) -> None:
        self._functions = registry._functions
        self._threads = threads

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Call the function with its arguments and return what it returned, as JSON."""
        arguments = command.arguments.get("arguments") or {}
        function = self._function(command)
        if mentions_secret(arguments):
            return await self._with_secrets(function, arguments, context)
        return await self._call(function, arguments, context)

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        """Call an `inline` function at once; `NotImplemented` for any other, and where a secret must be read."""
        function = self._functions.get(command.arguments.get("name", ""))
        if function is None or not function.inline or function.is_async:
            return NotImplemented
        arguments = command.arguments.get("arguments") or {}
        if mentions_secret(arguments):
            return NotImplemented
        named = _named(function, arguments, context)
        try:
            return _result(function, function.run(**named))
        except TaskFailure:
            raise
        except Exception as error:
            raise TaskFailure(_broken(function, error)) from None

    def target(self, command: Perform) -> str:
        """The function."""
        return str(command.arguments.get("name"))

    def recovery(self, command: Perform) -> Recovery:
        """As declared at registration."""
        function = self._functions.get(command.arguments.get("name", ""))
        return function.recovery if function is not None else "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never needed: `register` accepts no `verify`."""
        return NOT_DONE

    def _function(self, command: Perform) -> Function:
        name = command.arguments.get("name", "")
        function = self._functions.get(name)
        if function is None:
            raise fail("configuration", f"There is no function {name!r} here: register it before the service starts.")
        return function

    async def _with_secrets(self, function: Function, arguments: Any, context: EffectContext) -> Any:
        redactor = Redactor()
        try:
            revealed = await redactor.reveal(arguments, context.secrets)
            return redactor.mask(await self._call(function, revealed, context))
        except TaskFailure as failed:
            raise TaskFailure(redactor.mask_failure(failed.failure)) from None

    async def _call(self, function: Function, arguments: Any, context: EffectContext) -> Any:
        named = _named(function, arguments, context)
        try:
            if function.is_async:
                result = await function.run(**named)
            elif function.inline:
                result = function.run(**named)
            else:
                result = await asyncio.get_running_loop().run_in_executor(
                    self._threads, lambda: function.run(**named)
                )
            return _result(function, result)
        except TaskFailure:
            raise
        except Exception as error:
            raise TaskFailure(_broken(function, error)) from None


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def _result(function: Function, result: Any) -> Any:
    # JSON values need no conversion when the function promises one of the plain types.
    if function.plain_result and type(result) in _PLAIN:
        if type(result) is function.returns:
            return result
    else:
        result = msgspec.to_builtins(result, str_keys=True)
    if function.check is not None:
        function.check(result)
    return result


class _ResultCheck:
    """Checks what a function returned. The schema is compiled when it is first needed."""

    __slots__ = ("_any_object", "_check", "_name", "_schema")

    def __init__(self, name: str, schema: dict[str, Any]) -> None:
        self._name = name
        self._schema = schema
        self._any_object = schema == {"type": "object"}
        self._check: Callable[[Any], None] | None = None

    def __call__(self, result: Any) -> None:
        if self._any_object and type(result) is dict:
            return
        if self._check is None:
            from segue.connectors.schemas import Check

            self._check = Check(self._schema, f"the result of the function {self._name!r}")
        self._check(result)


def _named(function: Function, arguments: Any, context: EffectContext) -> dict[str, Any]:
    """What the function is called with."""
    named = _bound(function, arguments)
    if function.context_name is not None:
        named[function.context_name] = context
    return named


def _broken(function: Function, error: Exception) -> Failure:
    # The traceback goes to the log only, and without what exceptions say: it may quote secrets.
    _log.warning("the function %r raised %s", function.name, whereabouts(error))
    message = str(error)
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return failure("runtime", f"The function {function.name!r} raised {text}")


def _bound(function: Function, arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, dict):
        raise fail("validation", f"The arguments of {function.name!r} must be an object.")
    try:
        typed = msgspec.convert(arguments, function.model)
    except msgspec.ValidationError as error:
        raise fail("validation", f"The arguments of {function.name!r} do not fit: {_plainly(error)}.") from None
    if arguments.keys() == function.known:
        return msgspec.structs.asdict(typed)
    named = {name: value for name in function.names if (value := getattr(typed, name)) is not msgspec.UNSET}
    if len(arguments) > len(named):
        unknown = [name for name in arguments if name not in function.names]
        if unknown and not function.open_ended:
            known = ", ".join(function.names) or "none"
            raise fail("validation", f"{function.name!r} has no parameter {unknown[0]!r}; it has: {known}.")
        named |= {name: arguments[name] for name in unknown}
    return named


def _plainly(error: msgspec.ValidationError) -> str:
    return str(error).replace("Object ", "The object ", 1).replace(" - at `$", " - at `arguments")


def _describe(fn: Callable[..., Any], name: str, inline: bool, recovery: Recovery) -> Function:
    if recovery not in ("repeat", "ask"):
        raise ValueError(f"recovery must be 'repeat' or 'ask', got {recovery!r}")
    signature = inspect.signature(fn)
    hints = typing.get_type_hints(fn, include_extras=True)
    fields: list[Any] = []
    names: list[str] = []
    context_name, open_ended = None, False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            open_ended = True
            continue
        if parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
            raise ValueError(f"{name!r} cannot be called by name: {parameter.name!r} is positional")
        hint = hints.get(parameter.name, Any)
        if hint is EffectContext:
            context_name = parameter.name
            continue
        names.append(parameter.name)
        fields.append(_field(parameter, hint))
    try:
        # Keyword-only, so that a parameter with a default may stand before one without.
        model = msgspec.defstruct(f"Arguments of {name}", fields, kw_only=True)
        parameters = _schema(model)
        result_type = hints.get("return", Any)
        result = _schema(result_type)
    except TypeError as error:
        raise ValueError(f"the types of {name!r} have no JSON form: {error}") from error
    return Function(
        name=name,
        run=fn,
        is_async=inspect.iscoroutinefunction(fn),
        inline=inline,
        recovery=recovery,
        context_name=context_name,
        parameters=_closed(parameters, open_ended),
        result=result,
        description=(inspect.getdoc(fn) or "").split("\n\n", 1)[0],
        model=model,
        names=tuple(names),
        known=frozenset(names),
        open_ended=open_ended,
        plain_result=result_type in _BUILT_IN,
        returns=result_type,
        check=_ResultCheck(name, result) if result else None,
    )


def _field(parameter: inspect.Parameter, hint: Any) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return (parameter.name, hint)
    # The function's own default applies, so a mutable or odd default needs no JSON form.
    return (parameter.name, hint | msgspec.UnsetType if hint is not Any else Any, msgspec.UNSET)


def _schema(kind: Any) -> dict[str, Any]:
    """One self-contained JSON Schema of a type."""
    schema = msgspec.json.schema(kind)
    reference = schema.get("$ref")
    definitions = schema.get("$defs", {})
    if isinstance(reference, str):
        top = definitions.pop(reference.rsplit("/", 1)[-1])
        schema = {**top, **({"$defs": definitions} if definitions else {})}
    return schema


def _closed(schema: dict[str, Any], open_ended: bool) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "title"} | {"additionalProperties": open_ended}
