"""What a document is checked against: the functions, connections and permissions of the place that publishes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import segue
from segue.core.plan import RUNTIME_NAME
from segue.dsl.functions import FunctionDocument, default_function

ResolveFunction = Callable[[str, "str | None", Any], "FunctionDocument | None"]
"""`(name, version, endpoint) -> function`. Version None: the latest. Endpoint None: the default catalogue; otherwise
the catalogue's endpoint as the document writes it, or the absolute URI of a function file (then the name is empty).
"""

ResolveResource = Callable[[Any], bytes]
"""`(endpoint as written) -> content`. Raises `OSError` or `ValueError` with a message for the author."""

CheckCall = Callable[[str, Mapping[str, Any], Callable[[Any], bool]], Iterable[tuple[Sequence[str | int], str, str]]]
"""`(connection, arguments of the call, is_unknown) -> findings`: for each the steps that lead there, what is wrong,
and what to do. `is_unknown` tells of a value whether it is known only when the call is made.
"""

CheckOperation = Callable[
    [str, Mapping[str, Any], Callable[[Any], bool]], "Iterable[tuple[Sequence[str | int], str, str]] | None"
]
"""The same for a call of `openapi`, by the address of the description; None where that cannot be had now."""


def _runtime() -> dict[str, Any]:
    return {"name": RUNTIME_NAME, "version": segue.__version__, "metadata": {}}


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A function registered in Python.

    Attributes:
        parameters, result: JSON Schemas of its arguments and of its result; None: anything goes.
    """

    name: str
    parameters: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The facts that the linter and the compiler need and that no document holds.

    Attributes:
        functions: Functions registered in Python, by name. Functions of the default catalogue come first.
        resolve_function: Finds functions of catalogues. The default knows the default catalogue only.
        resolve_resource: Reads schemas kept elsewhere. None: they are refused.
        allow_processes: An administrator allows tasks to start processes (`run.script`, `run.shell`).
        allow_remote_functions: Functions may be called by absolute URI (ruling R25: off by default).
        connections: Names of the known connections. None: not known, so not checked.
        check_call: Says what is wrong with a call of one of them, as far as it is known. None: not checked.
        check_operation: The same of calls of `openapi`, by the description's address. None: not checked.
        workflows: `(namespace, name)` of the published workflows. None: not checked.
        runtime: What `$runtime` shows: name, version and metadata.
    """

    functions: Mapping[str, PythonFunction] = field(default_factory=dict)
    resolve_function: ResolveFunction = default_function
    resolve_resource: ResolveResource | None = None
    allow_processes: bool = False
    allow_remote_functions: bool = False
    connections: Collection[str] | None = None
    check_call: CheckCall | None = None
    check_operation: CheckOperation | None = None
    workflows: Collection[tuple[str, str]] | None = None
    runtime: Mapping[str, Any] = field(default_factory=_runtime)
