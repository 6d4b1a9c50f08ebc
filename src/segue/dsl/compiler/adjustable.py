"""`document.metadata.segue.adjustable`: values that operations may change without a new version of the document.

    adjustable:
      threshold: {type: number, minimum: 0.5, maximum: 0.95, default: 0.8, title: From which score we call}

Each is a JSON Schema with a `default`; `role` names who must change it. Expressions read `$adjustable.threshold`, by
names that are written outright: who changes a value is told what reads it.

Source: decision 0119.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from segue.core.plan import Adjustable
from segue.dsl.compiler.build import Build, Scope, as_object, below, listed
from segue.dsl.compiler.checks import SchemaRefused, schema_check
from segue.dsl.expressions import Expression

PLACE: Final = "/document/metadata/segue/adjustable"
DECLARED_MAX: Final = 100
BYTES_MAX: Final = 16 * 1024
"""Of one value, as JSON: they stand in the first event of each run."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_VARIABLE: Final = "adjustable"
_REMEDY: Final = "write a JSON Schema with a `default`, such as {type: number, minimum: 0, maximum: 1, default: 0.8}"


def declared_adjustables(build: Build, identity: Mapping[str, Any]) -> dict[str, Adjustable]:
    """What the document declares, as far as it is sound; every mistake leaves a finding."""
    said = as_object(as_object(identity.get("metadata")).get("segue"))
    written = said.get("adjustable")
    if written is None:
        return {}
    if not isinstance(written, dict) or len(written) > DECLARED_MAX:
        _invalid(build, PLACE, f"`adjustable` is an object of at most {DECLARED_MAX} values by name")
        return {}
    found = {}
    for name, declared in written.items():
        one = _declared(build, name, declared, below(PLACE, name))
        # What is wrong is complained about once, and not again where it is read.
        found[name] = one or Adjustable(name, {}, None, lambda value: None)
    return found


def read_adjustables(build: Build) -> dict[str, Adjustable]:
    """The same with what reads each of them; what nothing reads is warned of."""
    found = {}
    for name, one in build.adjustable.items():
        read_by = tuple(sorted(build.tally.adjusted.get(name, ())))
        if not read_by:
            message = f"nothing reads $adjustable.{name}, so changing it changes nothing"
            build.warn("unused-adjustable", below(PLACE, name), message, "read it, or leave it out", key=True)
        found[name] = replace(one, read_by=read_by)
    return found


def adjustables_are_known(
    build: Build, compiled: Expression, pointer: str, scope: Scope, *, quiet: bool = False
) -> bool:
    """Every adjustable value that the expression reads is declared; notes that it is read."""
    if _VARIABLE not in compiled.variables or _VARIABLE in scope.bound:
        return True
    names = list(_names_in(compiled))
    complaint = next(filter(None, (_complaint(build, name) for name in names)), None)
    if complaint is None:
        for name in names:
            build.tally.adjusted.setdefault(str(name), set()).add(build.prefix + pointer)
    elif not quiet:
        known = listed(build.adjustable, otherwise="none is declared")
        remedy = f"declare it in `document.metadata.segue.adjustable`; known here: {known}"
        build.error("unknown-adjustable", pointer, complaint, remedy)
    return complaint is None


def _names_in(compiled: Expression) -> Iterator[str | None]:
    """The names that it reads; None where one is computed, or all are taken at once."""
    for path in compiled.paths:
        if path[0] == f"${_VARIABLE}":
            yield path[1] if len(path) > 1 and isinstance(path[1], str) else None


def _complaint(build: Build, name: str | None) -> str | None:
    if name is None:
        return "adjustable values are read by name: which one this reads is not known before it runs"
    return None if name in build.adjustable else f"there is no adjustable value {name!r}"


def _declared(build: Build, name: Any, declared: Any, pointer: str) -> Adjustable | None:
    if _NAME.fullmatch(str(name)) is None:
        _invalid(build, pointer, f"{name!r} is no name: letters, digits, `_` and `-`, beginning with a letter")
        return None
    if not isinstance(declared, dict) or "default" not in declared:
        _invalid(build, pointer, f"{name!r} has no `default`, which counts until somebody changes it")
        return None
    texts = {key: declared.get(key, "") for key in ("title", "role")}
    wrong = next((key for key, text in texts.items() if not isinstance(text, str)), None)
    if wrong is not None:
        _invalid(build, below(pointer, wrong), f"`{wrong}` of {name!r} must be text")
        return None
    schema = {key: value for key, value in declared.items() if key != "role"}
    try:
        check = schema_check(schema)
    except SchemaRefused as error:
        _invalid(build, pointer, f"the schema of {name!r} cannot be used: {error}")
        return None
    sized = _sized(check)
    if (complaint := sized(declared["default"])) is not None:
        _invalid(build, below(pointer, "default"), f"the default of {name!r} does not fit: {complaint}")
        return None
    return Adjustable(name, schema, declared["default"], sized, **texts)


def _sized(check: Any) -> Any:
    def checked(value: Any) -> str | None:
        size = len(json.dumps(value))
        if size > BYTES_MAX:
            return f"it has {size:,} bytes as JSON, and at most {BYTES_MAX:,} are kept"
        complaint: str | None = check(value)
        return complaint

    return checked


def _invalid(build: Build, pointer: str, message: str) -> None:
    build.error("invalid-adjustable", pointer, message, _REMEDY)
