"""OpenAPI 3.0, 3.1 and Swagger 2.0 documents: parsed within bounds, and asked for what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal
from urllib.parse import unquote, urljoin

import msgspec
import yaml

from segue.types import fail

Flavour = Literal["2.0", "3.0", "3.1"]
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_TEXT_BYTES_MAX: Final = 16 * 1024 * 1024
_NODES_MAX: Final = 1_000_000
_DEPTH_MAX: Final = 150


class _JsonLikeLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with the values JSON has: `on` and dates stay text."""


_JsonLikeLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if first not in "yYnNoO"
}


def parse_document(text: str | bytes) -> dict[str, Any]:
    """An API description from JSON or YAML text.

    Raises:
        TaskFailure: `configuration`, when the text is neither, is too large, or describes no API known here.
    """
    if len(text) > _TEXT_BYTES_MAX:
        raise fail("configuration", f"The API description is larger than {_TEXT_BYTES_MAX} bytes.")
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        data = _parse_yaml(text)
    if not isinstance(data, dict):
        raise fail("configuration", "The API description is not an object: give an OpenAPI or Swagger document.")
    plain: dict[str, Any] = _json_only(data)
    flavour(plain)
    return plain


def flavour(data: dict[str, Any]) -> Flavour:
    """Which kind of document this is.

    Raises:
        TaskFailure: `configuration`, when it is none of the kinds that are read here.
    """
    openapi, swagger = str(data.get("openapi", "")), str(data.get("swagger", ""))
    if swagger == "2.0":
        return "2.0"
    if openapi.startswith("3.0"):
        return "3.0"
    if openapi.startswith(("3.1", "3.2")):
        return "3.1"
    found = openapi or swagger or "neither key"
    raise fail("configuration", f"The API description must be OpenAPI 3.0 or 3.1 or Swagger 2.0; it says {found}.")


class Document:
    """One parsed API description.

    Args:
        data: The parsed document.
        source: Where it came from; relative server addresses are resolved against it.
    """

    def __init__(self, data: dict[str, Any], source: str = "") -> None:
        self.data = data
        self.source = source
        self.flavour = flavour(data)

    def resolve(self, reference: str) -> Any:
        """What a local reference points to.

        Raises:
            TaskFailure: `configuration`, when it leaves the document or points to nothing.
        """
        if not reference.startswith("#"):
            raise fail(
                "configuration",
                f"The API description refers to another file ({reference!r}): bundle it into one document first.",
            )
        found: Any = self.data
        for step in filter(None, unquote(reference[1:]).split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise fail("configuration", f"The API description refers to {reference!r}, which is not in it.")
        return found

    def follow(self, value: Any) -> dict[str, Any]:
        """The object itself where a reference to one may stand."""
        for _ in range(32):
            if not isinstance(value, dict):
                raise fail("configuration", "The API description has something else where an object is needed.")
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = self.resolve(reference)
        raise fail("configuration", "References in the API description run in a circle.")

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
        """Path, method, path item and operation of everything that can be called."""
        paths = self.data.get("paths") or {}
        for path, item in paths.items():
            item = self.follow(item)
            for method in METHODS:
                if isinstance(item.get(method), dict):
                    yield path, method, item, item[method]

    def base_url(self, item: dict[str, Any], operation: dict[str, Any]) -> str:
        """The address that the operation's path is appended to; without a slash at its end."""
        if self.flavour == "2.0":
            return self._base_url_2()
        for level in (operation, item, self.data):
            servers = level.get("servers")
            if servers:
                return urljoin(self.source, _server_url(servers[0])).rstrip("/")
        return urljoin(self.source, "/").rstrip("/")

    def security_schemes(self) -> dict[str, dict[str, Any]]:
        """The security schemes by name, with references followed."""
        if self.flavour == "2.0":
            found = self.data.get("securityDefinitions") or {}
        else:
            found = (self.data.get("components") or {}).get("securitySchemes") or {}
        return {name: self.follow(scheme) for name, scheme in found.items()}

    def _base_url_2(self) -> str:
        path = str(self.data.get("basePath", "")).rstrip("/")
        host = self.data.get("host")
        if not host:
            return urljoin(self.source, path or "/").rstrip("/")
        schemes = self.data.get("schemes") or [self.source.split(":", 1)[0] or "https"]
        scheme = "https" if "https" in schemes else schemes[0]
        return f"{scheme}://{host}{path}"


def _server_url(server: Any) -> str:
    url = str(server.get("url", "/"))
    for name, variable in (server.get("variables") or {}).items():
        url = url.replace("{" + name + "}", str(variable.get("default", "")))
    return url


def _parse_yaml(text: str | bytes) -> Any:
    try:
        return yaml.load(text, Loader=_JsonLikeLoader)  # noqa: S506 - a safe loader with fewer types
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise fail("configuration", f"The API description is neither JSON nor YAML: it breaks off{where}.") from None
    except RecursionError:
        raise fail("configuration", "The API description is nested too deeply.") from None


def _json_only(root: Any) -> Any:
    """A copy that holds nothing but JSON, made within a budget: YAML aliases can stand for billions of nodes."""
    budget = _NODES_MAX

    def copy(value: Any, depth: int) -> Any:
        nonlocal budget
        budget -= 1
        if budget < 0 or depth > _DEPTH_MAX:
            raise fail("configuration", "The API description is nested too deeply or unfolds to too much.")
        if isinstance(value, dict):
            return {_key(key): copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [copy(item, depth + 1) for item in value]
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        return str(value)

    return copy(root, 0)


def _key(key: Any) -> str:
    # Status codes are numbers in most YAML documents.
    return key if isinstance(key, str) else str(key).lower() if isinstance(key, bool) else str(key)
