"""Finding the function that a call names: in catalogues, among Python's, or by address.

Source: Open Workflow DSL 1.0.x, "Catalog"; ruling R25.
"""

from __future__ import annotations

from typing import Any, Final

from segue.dsl.compiler.build import Build, as_object, listed
from segue.dsl.environment import PythonFunction
from segue.dsl.functions import FunctionDocument

_UNBUILT_FUNCTIONS: Final = frozenset({"agent", "gate", "knowledge", "hold", "release", "bot", "rules"})


def find_function(build: Build, called: str, pointer: str) -> FunctionDocument | PythonFunction | None:
    """Resolve what is no function of the document; complains and gives None when it leads nowhere."""
    environment = build.environment
    if "://" in called:
        return _find_remote(build, called, pointer)
    name, _, rest = called.partition(":")
    version, _, catalog = rest.partition("@")
    if rest and not (version and catalog):
        message = f"{called!r} is no name of a function"
        build.error("unresolved-function", pointer, message, "write `name`, or `name:1.0.0@catalog`")
        return None
    where: Any = None
    if catalog and catalog != "default":
        known = build.component("catalogs", catalog)
        if not isinstance(known, dict):
            message = f"there is no catalogue {catalog!r} in `use.catalogs`"
            build.error("unknown-component", pointer, message, "define it there, or use `default`")
            return None
        where = known.get("endpoint")
    found = environment.resolve_function(name, version or None, where)
    if found is None and not rest:
        registered = environment.functions.get(name)
        if registered is not None:
            return registered
    if found is None:
        _unresolved(build, called, name, where, pointer)
    return found


def _find_remote(build: Build, called: str, pointer: str) -> FunctionDocument | None:
    if not build.environment.allow_remote_functions:
        message = "functions are not called by address here"
        build.error("remote-function", pointer, message, "define it in `use.functions`, or ask an administrator")
        return None
    found = build.environment.resolve_function("", None, called)
    if found is None:
        build.error("unresolved-function", pointer, f"there is no function at {called!r}", "check the address")
    return found


def _unresolved(build: Build, called: str, name: str, where: Any, pointer: str) -> None:
    if where is None and name in _UNBUILT_FUNCTIONS:
        message = f"the function {name!r} of the default catalogue is not supported yet"
        build.error("not-yet-supported", pointer, message, "it will come; until then define it in `use.functions`")
        return
    known = sorted({*as_object(build.use.get("functions")), *build.environment.functions})
    remedy = (
        f"known here: {listed(known)}"
        if known
        else "define it in `use.functions`, or register a Python function of this name"
    )
    build.error("unresolved-function", pointer, f"there is no function {called!r}", remedy)
