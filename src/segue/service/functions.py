"""Python functions for documents: recorded by a decorator, named by a setting, registered when a service opens."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import segue
from segue.dsl import PythonFunction
from segue.handlers import FunctionRegistry
from segue.service.errors import ServiceError

_SPEC: Final = re.compile(r"(?:([a-z][a-z0-9-]*)=)?([A-Za-z_][\w.]*)(?::([A-Za-z_][\w.]*))?")
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def load_functions(registry: FunctionRegistry, specs: Iterable[str], *, only_named: bool = False) -> None:
    """Register functions that settings name, and all decorated ones.

    Settings name them as `module:name`, `NAME=module:name`, or `module` for all that it decorates. Modules are
    looked for in the working directory too, as `python -m` does.

    Args:
        only_named: Of decorated ones only those of the modules that are named, and of what is inside these. The
            decorator remembers them for the whole process, which may hold workspaces that are not to have them.

    Raises:
        ServiceError: `function-refused`, saying which and why.
    """
    modules: set[str] = set()
    for spec in specs:
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise ServiceError(
                "function-refused", f"{spec!r} is not written as module:name.", remedy="For example scores:score."
            )
        name, module, attribute = found.groups()
        function = _imported(spec, module, attribute)
        modules.add(module)
        if attribute is not None and not _is_decorated(function):
            register(registry, function, name or attribute.rpartition(".")[2].replace("_", "-"))
    for recorded in segue.recorded_functions():
        if only_named and not any(f"{recorded.run.__module__}.".startswith(f"{module}.") for module in modules):
            continue
        # What is named nearer to the opening counts, so a decorated function can be replaced.
        if registry.get(recorded.name) is None:
            register(registry, recorded.run, recorded.name, inline=recorded.inline, recovery=recorded.recovery)


def _is_decorated(function: Any) -> bool:
    return any(recorded.run is function for recorded in segue.recorded_functions())


def register(registry: FunctionRegistry, function: Callable[..., Any], name: str, **options: Any) -> None:
    """Register one function.

    Raises:
        ServiceError: `function-refused`.
    """
    if not NAME.fullmatch(name):
        raise ServiceError("function-refused", f"{name!r} cannot be the name of a function.")
    try:
        registry.register(function, name, **options)
    except ValueError as error:
        raise ServiceError("function-refused", f"{error}.") from None


def described(registry: FunctionRegistry) -> Mapping[str, PythonFunction]:
    """The registered functions as the compiler knows them."""
    return {
        name: PythonFunction(name, function.parameters, function.result or None, function.description)
        for name, function in registry.all().items()
    }


def _imported(spec: str, module: str, attribute: str | None) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except Exception as error:
        raise ServiceError(
            "function-refused", f"{spec!r} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if attribute is not None and not callable(found):
        raise ServiceError("function-refused", f"{spec!r} is not a function.")
    return found
