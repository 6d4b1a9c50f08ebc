"""From an operation and its arguments to the request that goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from segue.connectors.content import encode_body, scalar_text
from segue.connectors.operations import Operation, Parameter
from segue.types import fail

# What RFC 3986 reserves; kept as it is where a parameter says `allowReserved`.
_RESERVED: Final = ":/?#[]@!$&'()*+,;="


class Prepared(msgspec.Struct, frozen=True):
    """A request that fits its operation's schemas and is ready to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None


def prepare(operation: Operation, arguments: Mapping[str, Any], *, base_url: str | None = None) -> Prepared:
    """Check arguments against the operation and write the request.

    Parameters travel as text, so text that reads as the wanted number or boolean fits, and a single value fits
    where an array is wanted. The body is checked as it is.

    Args:
        arguments: By parameter name; the body under `body`, or for Swagger 2.0 its own name (ruling R24).
        base_url: Takes the place of the document's server.

    Raises:
        TaskFailure: `validation`, naming the argument and the place in it.
    """
    left = dict(arguments)
    path, query, cookies = operation.path, [], []
    headers = {"accept": operation.accept}
    for parameter in operation.parameters:
        value = left.pop(parameter.name, None) if _appears_once(operation, parameter) else left.get(parameter.name)
        if value is None:
            _refuse_missing(operation, parameter)
            continue
        value = _checked(parameter, value)
        if parameter.place == "path":
            path = path.replace("{" + parameter.name + "}", _path_text(parameter, value))
        elif parameter.place == "query":
            query += _query_parts(parameter, value)
        elif parameter.place == "header":
            headers[parameter.name] = _delimited(parameter, value, ",", encode=False)
        else:
            cookies.append(f"{parameter.name}={_delimited(parameter, value, ',')}")
    if cookies:
        headers["cookie"] = "; ".join(cookies)
    content = _take_body(operation, left, headers)
    _refuse_unknown(operation, {name for name in left if not any(p.name == name for p in operation.parameters)})
    url = (base_url or operation.base_url).rstrip("/") + path
    if query:
        url += ("&" if "?" in url else "?") + "&".join(query)
    return Prepared(operation.method, url, headers, content)


def _appears_once(operation: Operation, parameter: Parameter) -> bool:
    return sum(other.name == parameter.name for other in operation.parameters) == 1


def _refuse_missing(operation: Operation, parameter: Parameter) -> None:
    if parameter.required:
        raise fail("validation", f"The operation {operation.id!r} needs the argument {parameter.name!r}.")


def _refuse_unknown(operation: Operation, unknown: set[str]) -> None:
    if unknown:
        known = sorted({p.name for p in operation.parameters} | ({operation.body.name} if operation.body else set()))
        raise fail(
            "validation",
            f"The operation {operation.id!r} has no argument {min(unknown)!r}; it has: {', '.join(known) or 'none'}.",
        )


def _checked(parameter: Parameter, value: Any) -> Any:
    value = read_value(parameter, value)
    parameter.check(value)
    return value


def read_value(parameter: Parameter, value: Any) -> Any:
    """An argument as its schema means it: one value where a list is wanted, text that stands for a number."""
    kinds = parameter.kinds
    if "array" in kinds and not isinstance(value, list):
        value = [value]
    if isinstance(value, str) and kinds and "string" not in kinds:
        value = _read_as(kinds, value)
    return value


def _read_as(kinds: frozenset[str], text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if isinstance(value, bool):
        return value if "boolean" in kinds else text
    if isinstance(value, (int, float)):
        return value if kinds & {"integer", "number"} else text
    return text


def _take_body(operation: Operation, left: dict[str, Any], headers: dict[str, str]) -> bytes | None:
    body = operation.body
    if body is None:
        return None
    value = left.pop(body.name, None)
    if value is None and body.fields:
        value = {name: left.pop(name) for name in sorted(body.fields) if name in left} or None
    if value is None:
        if body.required:
            raise fail("validation", f"The operation {operation.id!r} needs a body: give the argument {body.name!r}.")
        return None
    body.check(value)
    content, headers["content-type"] = encode_body(value, body.media)
    return content


def _encode(parameter: Parameter, value: Any) -> str:
    safe = _RESERVED if parameter.allow_reserved and parameter.place == "query" else "~"
    return quote(scalar_text(value), safe=safe)


def _path_text(parameter: Parameter, value: Any) -> str:
    if parameter.as_json:
        return quote(msgspec.json.encode(value).decode(), safe="")
    text = _path_styled(parameter, value)
    if text in ("", ".", ".."):
        # Written into a path these would address something other than the operation's own resource.
        raise fail("validation", f"The argument {parameter.name!r} stands in the path and cannot be {text!r}.")
    return text


def _path_styled(parameter: Parameter, value: Any) -> str:
    if parameter.style == "label":
        return "." + _delimited(parameter, value, "." if parameter.explode else ",")
    if parameter.style == "matrix":
        return _matrix(parameter, value)
    return _delimited(parameter, value, ",")


def _matrix(parameter: Parameter, value: Any) -> str:
    name = parameter.name
    if parameter.explode and isinstance(value, list):
        return "".join(f";{name}={_encode(parameter, item)}" for item in value)
    if parameter.explode and isinstance(value, dict):
        return "".join(f";{quote(key, safe='')}={_encode(parameter, item)}" for key, item in value.items())
    return f";{name}={_delimited(parameter, value, ',')}"


def _delimited(parameter: Parameter, value: Any, delimiter: str, *, encode: bool = True) -> str:
    """A value as one text: items joined, objects as `k,v` or, exploded, `k=v`."""

    def write(item: Any) -> str:
        return _encode(parameter, item) if encode else scalar_text(item)

    if parameter.as_json:
        text = msgspec.json.encode(value).decode()
        return quote(text, safe="") if encode else text
    if isinstance(value, list):
        return delimiter.join(write(item) for item in value)
    if isinstance(value, dict):
        between = "=" if parameter.explode and parameter.style != "form" else delimiter
        return delimiter.join(f"{write(key)}{between}{write(item)}" for key, item in value.items())
    return write(value)


def _query_parts(parameter: Parameter, value: Any) -> list[str]:
    name = quote(parameter.name, safe="")
    if parameter.as_json:
        return [f"{name}={quote(msgspec.json.encode(value).decode(), safe='')}"]
    if parameter.style == "deepObject" and isinstance(value, dict):
        return [part for key, item in value.items() for part in _deep(parameter, f"{parameter.name}[{key}]", item)]
    if parameter.explode and isinstance(value, list):
        return [f"{name}={_encode(parameter, item)}" for item in value]
    if parameter.explode and isinstance(value, dict):
        return [f"{quote(key, safe='')}={_encode(parameter, item)}" for key, item in value.items()]
    delimiter = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}.get(parameter.style, ",")
    return [f"{name}={_delimited(parameter, value, delimiter)}"]


def _deep(parameter: Parameter, name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [part for key, item in value.items() for part in _deep(parameter, f"{name}[{key}]", item)]
    items = value if isinstance(value, list) else [value]
    return [f"{quote(name, safe='[]')}={_encode(parameter, item)}" for item in items]
