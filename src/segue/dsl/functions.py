"""Functions of catalogues: reading their files, and finding them in the default catalogue.

A catalogue is a folder, `functions/NAME/SEMVER/function.yaml`. A file holds either one task, as the language
defines it, or a description of a built-in function: `title`, `description`, the JSON Schemas `with` and `result`,
and one of `handler` (performed by the handler of that name), `core` (expanded by the compiler) and `body` (a task).
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources.abc import Traversable
from typing import Any, Final

from segue.dsl.findings import DefinitionError, Finding
from segue.dsl.reading import read_document
from segue.dsl.schema import TASK_KINDS

_KEYS: Final = frozenset({"title", "description", "with", "result", "handler", "core", "body"})
_CORE: Final = frozenset({"map", "human-task"})


@dataclass(frozen=True, slots=True)
class FunctionDocument:
    """One version of a function. Exactly one of `handler`, `core` and `body` is set.

    Attributes:
        digest: Of the file's content as data; definitions that call the function are pinned to it.
        parameters, result: JSON Schemas of its `with` and of its result; None: anything goes.
        body: A task; the arguments are its raw input.
    """

    name: str
    version: str
    digest: str
    title: str = ""
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    handler: str | None = None
    core: str | None = None
    body: Mapping[str, Any] | None = None


def read_function(source: bytes | str, *, name: str, version: str, file: str = "<function>") -> FunctionDocument:
    """Read a function's file.

    Raises:
        DefinitionError: It is not YAML, or describes no function.
    """
    document = read_document(source, file=file)
    data = document.data
    if document.findings or data is None:
        raise DefinitionError(document.findings)
    digest = content_digest(data)
    if any(kind in data for kind in TASK_KINDS):
        return FunctionDocument(name, version, digest, body=data)
    given = [key for key in ("handler", "core", "body") if key in data]
    unknown = sorted(set(data) - _KEYS)
    if len(given) != 1 or unknown or data.get("core", "map") not in _CORE:
        said = f"unknown keys {unknown}" if unknown else "neither a task nor exactly one of handler, core, body"
        raise DefinitionError([Finding("invalid-function", "error", f"the function {name!r} has {said}", file=file)])
    return FunctionDocument(
        name,
        version,
        digest,
        str(data.get("title", "")),
        str(data.get("description", "")),
        data.get("with"),
        data.get("result"),
        data.get("handler"),
        data.get("core"),
        data.get("body"),
    )


def default_functions() -> Mapping[str, Mapping[str, FunctionDocument]]:
    """The default catalogue: name to version to function."""
    return _read_folder()


def default_function(name: str, version: str | None = None, endpoint: Any = None) -> FunctionDocument | None:
    """Find a function in the default catalogue; the latest release when no version is asked for."""
    if endpoint is not None:
        return None
    versions = default_functions().get(name)
    if not versions:
        return None
    return versions[latest(versions)] if version is None else versions.get(version)


def latest(versions: Mapping[str, Any] | list[str]) -> str:
    """The highest version; a pre-release counts only when there is nothing else."""
    releases = [version for version in versions if "-" not in version.partition("+")[0]]
    return max(releases or list(versions), key=_order)


def content_digest(data: Any) -> str:
    """SHA-256 over the data's canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _order(version: str) -> tuple[tuple[int, ...], str]:
    numbers, _, more = version.partition("+")[0].partition("-")
    return tuple(int(part) if part.isdigit() else 0 for part in numbers.split(".")), more


@lru_cache(maxsize=1)
def _read_folder() -> Mapping[str, Mapping[str, FunctionDocument]]:
    # Found by path and not by import: the catalogue is data, and no room of ours imports it.
    root = importlib.resources.files("segue") / "catalog" / "functions"
    found: dict[str, dict[str, FunctionDocument]] = {}
    for folder in _folders(root):
        for versioned in _folders(folder):
            source = (versioned / "function.yaml").read_bytes()
            function = read_function(source, name=folder.name, version=versioned.name, file=f"{folder.name}")
            found.setdefault(folder.name, {})[versioned.name] = function
    return found


def _folders(root: Traversable) -> list[Traversable]:
    if not root.is_dir():
        return []
    return sorted((entry for entry in root.iterdir() if entry.is_dir()), key=lambda entry: entry.name)
