"""Operations of an API description: what each needs, what it answers, and whether it can be repeated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, Final, Literal

from segue.connectors.content import FORM, MULTIPART, is_json
from segue.connectors.documents import Document
from segue.connectors.schemas import Check, self_contained
from segue.types import fail

Place = Literal["path", "query", "header", "cookie"]
_DEFAULT_STYLE: Final = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_KEY_HEADERS: Final = frozenset({"idempotency-key", "x-idempotency-key"})
# These are set by content negotiation and authentication, never by arguments (OpenAPI, parameter object).
_IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})
_COLLECTION_STYLES: Final = {"ssv": "spaceDelimited", "pipes": "pipeDelimited"}


class Parameter:
    """One named argument of an operation, in the path, query, headers or cookies."""

    def __init__(self, document: Document, raw: dict[str, Any]) -> None:
        self.name = str(raw.get("name", ""))
        self.place: Place = raw["in"]
        self.required = bool(raw.get("required")) or self.place == "path"
        self.description = str(raw.get("description", ""))
        content = raw.get("content")
        self.as_json = isinstance(content, dict) and bool(content)
        schema = (
            next(iter(content.values())).get("schema", {}) if self.as_json and content else _schema_of(document, raw)
        )
        self.schema = self_contained(document, schema, "request")
        self.style = str(raw.get("style") or _COLLECTION_STYLES.get(str(raw.get("collectionFormat"))) or "")
        self.style = self.style or _DEFAULT_STYLE[self.place]
        self.explode = bool(raw.get("explode", self.style == "form"))
        if document.flavour == "2.0":
            self.explode = raw.get("collectionFormat") == "multi"
        self.allow_reserved = bool(raw.get("allowReserved"))

    @cached_property
    def check(self) -> Check:
        """The check of its value."""
        return Check(self.schema, f"argument {self.name!r}")

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The JSON types its schema allows at the top; empty when it does not say."""
        schema: Any = self.schema
        while isinstance(schema, dict) and set(schema) <= {"$ref", "$defs"} and "$ref" in schema:
            schema = self.schema["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        kinds = schema.get("type", ()) if isinstance(schema, dict) else ()
        return frozenset((kinds,) if isinstance(kinds, str) else kinds)


class Body:
    """The request body: a media type with its schema, and the argument that carries it."""

    def __init__(self, name: str, required: bool, media: str, schema: dict[str, Any], fields: frozenset[str]) -> None:
        self.name = name
        self.required = required
        self.media = media
        self.schema = schema
        self.fields = fields
        """Names of form fields that may be given as arguments of their own (Swagger 2.0)."""

    @cached_property
    def check(self) -> Check:
        """The check of its value."""
        return Check(self.schema, f"argument {self.name!r}")


class Operation:
    """One callable operation of a document."""

    def __init__(self, document: Document, path: str, method: str, item: dict[str, Any], raw: dict[str, Any]) -> None:
        self._document = document
        self._raw = raw
        self.id = operation_id(method, path, raw)
        self.method = method.upper()
        self.path = path
        self.base_url = document.base_url(item, raw)
        self.summary = str(raw.get("summary") or raw.get("description") or "").strip()
        merged = _merged_parameters(document, item, raw)
        self.parameters = [
            Parameter(document, entry)
            for entry in merged
            if entry["in"] in _DEFAULT_STYLE
            and not (entry["in"] == "header" and str(entry.get("name", "")).lower() in _IGNORED_HEADERS)
        ]
        self.body = _body_2(document, merged, raw) if document.flavour == "2.0" else _body_3(document, raw)
        self.security: list[dict[str, Any]] = raw.get("security", document.data.get("security") or [])
        self._answers = {str(key): document.follow(answer) for key, answer in (raw.get("responses") or {}).items()}
        self.accept = "application/json, */*;q=0.5" if any(map(is_json, self._answer_media())) else "*/*"
        """The Accept header: JSON first where the operation answers JSON."""
        self._checks: dict[str, Check | None] = {}

    @cached_property
    def key_header(self) -> str | None:
        """The header parameter that carries an idempotency key, if the operation declares one."""
        for parameter in self.parameters:
            if parameter.place == "header" and parameter.name.lower() in _KEY_HEADERS:
                return parameter.name
        return None

    def response_check(self, status: int) -> Check | None:
        """The check of a JSON answer with this status, or None where the document promises nothing."""
        for key in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
            if key in self._answers:
                return self._check_of(key)
        return None

    def result_schema(self) -> dict[str, Any] | None:
        """The schema of a successful JSON answer, if the document has one."""
        for key in sorted(self._answers):
            if key.startswith("2"):
                check = self._check_of(key)
                if check is not None:
                    return check.schema
        return None

    def result_schemas(self) -> list[dict[str, Any]]:
        """The schemas of every JSON answer that it may give as its result."""
        checks = [self._check_of(key) for key in sorted(self._answers) if key[:1] in ("2", "d")]
        return [check.schema for check in checks if check is not None]

    def arguments_schema(self) -> dict[str, Any]:
        """One JSON Schema of the object of arguments, for forms and checks."""
        properties = {p.name: {**p.schema, **_described(p.description)} for p in self.parameters}
        required = [p.name for p in self.parameters if p.required]
        if self.key_header is not None:
            # The effect's own key is sent there.
            properties.pop(self.key_header, None)
            required = [name for name in required if name != self.key_header]
        if self.body is not None:
            properties[self.body.name] = self.body.schema
            if self.body.required:
                required.append(self.body.name)
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def _answer_media(self) -> list[str]:
        if self._document.flavour == "2.0":
            return list(self._raw.get("produces") or self._document.data.get("produces") or ["application/json"])
        return [media.lower() for answer in self._answers.values() for media in (answer.get("content") or {})]

    def _check_of(self, key: str) -> Check | None:
        if key not in self._checks:
            with _well_formed(f"the answers of {self.id!r}"):
                answer = self._answers[key]
                old = self._document.flavour == "2.0"
                schema = answer.get("schema") if old else _json_schema_of(answer.get("content"))
            contained = None if schema is None else self_contained(self._document, schema, "response")
            self._checks[key] = None if contained is None else Check(contained, f"the answer of {self.id!r}")
        return self._checks[key]


@contextmanager
def _well_formed(where: str) -> Iterator[None]:
    """Explain a document that has something else where the format wants an object or a list.

    Checking each place would bury what the code is about; the place that matters to people is the operation.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise fail("configuration", f"The API description is malformed in {where}: correct it there.") from error


class Operations:
    """The operations of one document by id, read when they are first asked for."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._places: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {}
        self._read: dict[str, Operation] = {}
        with _well_formed("paths"):
            for path, method, item, raw in document.operations():
                self._places.setdefault(operation_id(method, path, raw), (path, method, item, raw))

    def get(self, name: str) -> Operation:
        """The operation of this id.

        Raises:
            TaskFailure: `configuration`, naming what there is, when the document has no such operation.
        """
        found = self._read.get(name)
        if found is None:
            place = self._places.get(name)
            if place is None:
                known = ", ".join(sorted(self._places)[:20]) or "none"
                raise fail("configuration", f"The API description has no operation {name!r}; it has: {known}.")
            path, method, item, raw = place
            with _well_formed(f"the operation {name!r}"):
                found = self._read[name] = Operation(self.document, path, method, item, raw)
        return found

    def names(self) -> list[str]:
        """Every operation's id, in the order of the document."""
        return list(self._places)


class OperationsCache:
    """Read operations by the digest of their document; the least used are forgotten."""

    def __init__(self, documents_max: int = 64) -> None:
        self._max = documents_max
        self._kept: OrderedDict[str, Operations] = OrderedDict()

    def get(self, digest: str, data: dict[str, Any], source: str) -> Operations:
        """The operations of this document."""
        key = f"{digest} {source}"
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = Operations(Document(data, source))
            if len(self._kept) > self._max:
                self._kept.pop(next(iter(self._kept)), None)
        else:
            with suppress(KeyError):  # Another thread may have let it go meanwhile.
                self._kept.move_to_end(key)
        return found


def operation_id(method: str, path: str, raw: Mapping[str, Any]) -> str:
    """The operation's id; `get /pets/{id}` where the document gives none."""
    given = raw.get("operationId")
    return given if isinstance(given, str) and given else f"{method.lower()} {path}"


def _schema_of(document: Document, raw: dict[str, Any]) -> Any:
    if document.flavour != "2.0":
        return raw.get("schema", {})
    # In 2.0 the words of the schema stand in the parameter itself.
    outside = {"name", "in", "required", "description", "collectionFormat", "allowEmptyValue"}
    return {key: value for key, value in raw.items() if key not in outside}


def _merged_parameters(document: Document, item: dict[str, Any], raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Parameters of the path and of the operation; the operation's win."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in [*(item.get("parameters") or []), *(raw.get("parameters") or [])]:
        parameter = document.follow(entry)
        merged[str(parameter.get("name")), str(parameter.get("in"))] = {"in": "", **parameter}
    return list(merged.values())


def _body_3(document: Document, raw: dict[str, Any]) -> Body | None:
    if raw.get("requestBody") is None:
        return None
    request = document.follow(raw["requestBody"])
    media = _preferred(list(request.get("content") or {}))
    schema = (request.get("content") or {}).get(media, {}).get("schema", {})
    contained = self_contained(document, schema, "request")
    if media == MULTIPART:
        contained = _files_open(contained)
    return Body("body", bool(request.get("required")), media, contained, frozenset())


def _body_2(document: Document, merged: list[dict[str, Any]], raw: dict[str, Any]) -> Body | None:
    consumes = list(raw.get("consumes") or document.data.get("consumes") or ["application/json"])
    for entry in merged:
        if entry["in"] == "body":
            schema = self_contained(document, entry.get("schema", {}), "request")
            return Body(
                str(entry.get("name", "body")), bool(entry.get("required")), _preferred(consumes), schema, frozenset()
            )
    fields = [entry for entry in merged if entry["in"] == "formData"]
    if not fields:
        return None
    files = any(entry.get("type") == "file" for entry in fields)
    media = MULTIPART if files or (MULTIPART in consumes and FORM not in consumes) else FORM
    schema = {
        "type": "object",
        "properties": {entry["name"]: _schema_of(document, entry) for entry in fields},
        "required": [entry["name"] for entry in fields if entry.get("required")],
    }
    contained = self_contained(document, schema, "request")
    return Body("body", bool(schema["required"]), media, contained, frozenset(entry["name"] for entry in fields))


def _preferred(medias: list[str]) -> str:
    for wanted in (is_json, FORM.__eq__, MULTIPART.__eq__):
        for media in medias:
            if wanted(media.split(";", 1)[0].strip().lower()):
                return media
    return medias[0] if medias else "application/json"


def _json_schema_of(content: Any) -> Any:
    for media, entry in (content or {}).items():
        if is_json(media.split(";", 1)[0].strip().lower()):
            return entry.get("schema")
    return None


def _files_open(schema: dict[str, Any]) -> dict[str, Any]:
    """A file of a multipart body may be an object with its name, so binary fields take anything."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    opened = {
        name: {} if isinstance(item, dict) and item.get("format") in ("binary", "base64") else item
        for name, item in properties.items()
    }
    return {**schema, "properties": opened}


def _described(text: str) -> dict[str, str]:
    return {"description": text} if text else {}
