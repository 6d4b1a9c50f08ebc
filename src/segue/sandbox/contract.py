"""A system's OpenAPI document, read by the system itself.

The documents in `openapi/` are the vendors' word: routes, parameters and bodies are taken from them, so a
server cannot drift from what it publishes. OpenAPI 3.1, 3.0 and Swagger 2.0 are read into one form.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema_rs
import yaml

from segue.sandbox.http import Refusal, Request, read_json

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared path, query or header parameter."""

    name: str
    place: str
    required: bool
    type: str
    default: Any
    validator: Any

    def read(self, text: str) -> Any:
        """The parameter's value from its text, checked against its schema."""
        try:
            value = int(text) if self.type == "integer" else text
        except ValueError:
            value = text
        for error in self.validator.iter_errors(value):
            raise Refusal(400, "invalid_parameter", f"Parameter {self.name!r}: {error.message}.")
        return value


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document; `path` includes the base path, split at its slashes."""

    id: str
    method: str
    path: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    body: Any
    scopes: frozenset[str]

    def matches(self, path: tuple[str, ...]) -> bool:
        return len(path) == len(self.path) and all(
            mine.startswith("{") or mine == theirs for mine, theirs in zip(self.path, path, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Call:
    """An operation with the arguments of one request; absent optional parameters without default are None."""

    operation: Operation
    arguments: dict[str, Any]
    body: Any
    request: Request


class Contract:
    """The operations that one document promises."""

    def __init__(self, name: str) -> None:
        text = files(__package__).joinpath(f"openapi/{name}.yaml").read_text(encoding="utf-8")
        self.document: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
        self.operations = tuple(self._operations())

    @property
    def base_path(self) -> str:
        if "swagger" in self.document:
            return str(self.document["basePath"])
        return str(self.document["servers"][0]["url"])

    def served_at(self, origin: str) -> dict[str, Any]:
        """The document with `origin` (`http://host:port`) as the address of its server."""
        document = copy.deepcopy(self.document)
        if "swagger" in document:
            document["schemes"], document["host"] = origin.split("://")[:1], origin.split("://")[1]
            return document
        document["servers"][0]["url"] = origin + self.base_path
        for scheme in document["components"]["securitySchemes"].values():
            for flow in scheme.get("flows", {}).values():
                flow["tokenUrl"] = origin + flow["tokenUrl"]
        return document

    def find(self, request: Request) -> Operation:
        """The operation that a request means.

        Raises:
            Refusal: 404 or 405.
        """
        path = tuple(request.path.split("/"))
        fitting = [operation for operation in self.operations if operation.matches(path)]
        for operation in fitting:
            if operation.method == request.method:
                return operation
        if fitting:
            allow = ", ".join(sorted(operation.method for operation in fitting))
            raise Refusal(405, "method_not_allowed", f"Use {allow} here.", {"Allow": allow})
        raise Refusal(404, "no_such_path", f"There is nothing at {request.path!r}.")

    def _operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in _METHODS:
                if method in item:
                    declared = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                    yield self._operation(path, method, item[method], [self._resolve(one) for one in declared])

    def _operation(self, path: str, method: str, raw: dict[str, Any], declared: list[dict[str, Any]]) -> Operation:
        body = next((one["schema"] for one in declared if one["in"] == "body"), None)
        if "requestBody" in raw:
            body = raw["requestBody"]["content"]["application/json"]["schema"]
        security = raw.get("security", self.document.get("security", []))
        return Operation(
            id=raw["operationId"],
            method=method.upper(),
            path=tuple((self.base_path + path).split("/")),
            parameters=tuple(self._parameter(one) for one in declared if one["in"] != "body"),
            body=None if body is None else self.validator(body),
            scopes=frozenset(scope for entry in security for scopes in entry.values() for scope in scopes),
        )

    def _parameter(self, raw: dict[str, Any]) -> Parameter:
        # Swagger 2.0 writes the schema's keywords beside the parameter's own; both may stay, none collide.
        schema: dict[str, Any] = raw.get("schema") or {
            k: v for k, v in raw.items() if k not in ("name", "in", "required")
        }
        return Parameter(
            name=raw["name"],
            place=raw["in"],
            required=raw.get("required", False),
            type=schema.get("type", "string"),
            default=schema.get("default"),
            validator=self.validator(schema),
        )

    def _resolve(self, raw: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in raw:
            return raw
        found: Any = self.document
        for part in raw["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)

    def validator(self, schema: dict[str, Any]) -> Any:
        """A validator for a schema of this document, with its references and formats."""
        shelves: dict[str, Any] = {
            name: self.document[name] for name in ("components", "definitions") if name in self.document
        }
        return jsonschema_rs.Draft202012Validator({**schema, **shelves}, validate_formats=True)


def read_call(operation: Operation, request: Request) -> Call:
    """Take an operation's arguments from a request.

    Raises:
        Refusal: 400, 415 or 422, naming the argument that does not fit.
    """
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    path = dict(zip(operation.path, request.path.split("/"), strict=True))
    known = {parameter.name for parameter in operation.parameters if parameter.place == "query"}
    if unknown := sorted(query.keys() - known):
        # Many vendors ignore these. A misspelt filter that lists everybody is no help to those who practise.
        raise Refusal(400, "unknown_parameter", f"There is no parameter {unknown[0]!r} here.")
    arguments: dict[str, Any] = {}
    for parameter in operation.parameters:
        if parameter.place == "path":
            text: str | None = unquote(path["{" + parameter.name + "}"])
        elif parameter.place == "query":
            text = query.get(parameter.name)
        else:
            text = request.headers.get(parameter.name.lower())
        if text is None and parameter.required:
            raise Refusal(400, "missing_parameter", f"Parameter {parameter.name!r} is required.")
        arguments[parameter.name] = parameter.default if text is None else parameter.read(text)
    body = None
    if operation.body is not None:
        body = read_json(request)
        for error in operation.body.iter_errors(body):
            place = "/".join(str(part) for part in error.instance_path)
            raise Refusal(422, "invalid_body", f"At {'/' + place!r}: {error.message}.")
    return Call(operation, arguments, body, request)
