"""Segue: durable, governed orchestration of AI models, data, business systems and people.

`Segue` (the embedding API) and `function` (the decorator) are what most programs need;
`segue.cli` is the command line. The rooms of the house are listed in `docs/architecture.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from segue.service.embedding import Run, Segue
    from segue.service.errors import RunFaulted, RunWasCancelled, ServiceError
    from segue.service.run_document import run_document
    from segue.service.settings import Settings
    from segue.types import EffectContext, TaskFailure, fail

__version__ = "0.1.0"

__all__ = [
    "EffectContext",
    "Run",
    "RunFaulted",
    "RunWasCancelled",
    "Segue",
    "ServiceError",
    "Settings",
    "TaskFailure",
    "__version__",
    "fail",
    "function",
    "run_document",
]

# Imported when they are first used: `import segue` costs next to nothing.
_LATER = {
    "EffectContext": "segue.types",
    "Run": "segue.service.embedding",
    "RunFaulted": "segue.service.errors",
    "RunWasCancelled": "segue.service.errors",
    "Segue": "segue.service.embedding",
    "ServiceError": "segue.service.errors",
    "Settings": "segue.service.settings",
    "TaskFailure": "segue.types",
    "fail": "segue.types",
    "run_document": "segue.service.run_document",
}

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class _Recorded(NamedTuple):
    name: str
    run: Callable[..., Any]
    inline: bool
    recovery: Literal["repeat", "ask"]


_recorded: dict[str, _Recorded] = {}


@overload
def function(fn: AnyFunction, /) -> AnyFunction: ...
@overload
def function(
    *, name: str | None = None, inline: bool = False, recovery: Literal["repeat", "ask"] = "repeat"
) -> Callable[[AnyFunction], AnyFunction]: ...
def function(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    inline: bool = False,
    recovery: Literal["repeat", "ask"] = "repeat",
) -> Any:
    """Let documents call a plain or async function: `call: score` with its parameters as `with`.

    The function is known to every service that is opened in this process afterwards. Arguments are converted to the
    types of the parameters; a parameter of the type `EffectContext` receives the context of the call.

        @segue.function(name="score")
        def score(tenure: int, charges: float) -> float:
            return charges / max(tenure, 1)

    Args:
        name: What documents call it; its Python name with hyphens for underscores where it is left out.
        inline: Run a plain function on the event loop's thread; only for what takes microseconds.
        recovery: What may follow a crash in the middle: `repeat` runs it again, `ask` waits for a person.

    Raises:
        ValueError: Another function has this name.
    """
    if fn is None:
        return lambda given: _record(given, name, inline, recovery)
    return _record(fn, name, inline, recovery)


def _record(
    fn: Callable[..., Any], name: str | None, inline: bool, recovery: Literal["repeat", "ask"]
) -> Callable[..., Any]:
    called = name or fn.__name__.replace("_", "-")
    known = _recorded.get(called)
    # The same place in the same file again is a reload, not a second function.
    if known is not None and _place(known.run) != _place(fn):
        raise ValueError(f"a function named {called!r} exists already: give one of them another name")
    _recorded[called] = _Recorded(called, fn, inline, recovery)
    return fn


def _place(fn: Callable[..., Any]) -> tuple[str, str]:
    return getattr(fn, "__module__", ""), getattr(fn, "__qualname__", repr(fn))


def recorded_functions() -> list[_Recorded]:
    """The functions that the decorator has seen so far."""
    return list(_recorded.values())


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'segue' has no attribute {name!r}")
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found
