"""Reading: bytes to a `Document`, with the place of everything and no trust in the sender.

The loader works on libyaml's events, one after the other, and keeps its own stack. So size, depth and number of
values are bounded while reading, before anything recursive sees the data, and keys stay what was written
(`on` is a key, not a boolean). Tags, anchors that contain themselves, duplicate keys and second documents are
refused: each of them means something different to the next reader.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from segue.dsl.document import Document, Mark, escape
from segue.dsl.findings import Finding, in_document_order
from segue.dsl.scalars import resolve_plain

SIZE_BYTES_MAX: Final = 1_048_576
DEPTH_MAX: Final = 100
VALUES_MAX: Final = 100_000
FINDINGS_MAX: Final = 100
POINTER_CHARS_MAX: Final = 50_000_000
"""All pointers together: long keys around many values would otherwise need memory with their product."""

_PAIR: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


def read_document(source: bytes | str, *, file: str = "<document>", size_bytes_max: int = SIZE_BYTES_MAX) -> Document:
    """Read YAML 1.2 or JSON text.

    Never raises for anything that the source says: whatever is wrong stands in `Document.findings`, and
    `Document.data` is None when nothing could be made of it.

    Args:
        file: Name used in findings.
        size_bytes_max: A longer source is refused unread.
    """
    if len(source) > size_bytes_max:
        return _refused(file, "document-too-large", f"the document is longer than {size_bytes_max:,} bytes")
    try:
        text = source if isinstance(source, str) else source.decode("utf-8")
        text.encode("utf-8")
    except UnicodeError:
        return _refused(file, "not-utf-8", "the document is not UTF-8 text", "save it as UTF-8")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    document = _read(text, file)
    if document.data is None and any(f.rule == "yaml-syntax" for f in document.findings):
        plain = _json_as_yaml(text)
        if plain is not None:
            return _read(plain, file)
    return document


def _read(text: str, file: str) -> Document:
    masked, restore = _mask_breaks(text)
    builder = _Builder(file, restore)
    try:
        data = builder.build(masked)
    except _Stop:
        data = None
    except yaml.YAMLError as error:
        data = None
        builder.add_syntax_error(error, text.split("\n"))
    return Document(data, file, text, builder.marks, tuple(in_document_order(builder.findings)))


def _mask_breaks(text: str) -> tuple[str, dict[int, int]]:
    """Hide what only YAML 1.1, and so libyaml, takes for line breaks; with the table that brings it back.

    It would fold these characters into spaces, inside of quoted text too. Each is replaced by a character of the
    private use area that the text does not hold.
    """
    found = [sign for sign in "\x85\u2028\u2029" if sign in text]
    if not found:
        return text, {}
    unused = (code for code in range(0xE000, 0xF900) if chr(code) not in text)
    table = {ord(sign): next(unused, 0xFFFD) for sign in found}
    return text.translate(table), {new: old for old, new in table.items()}


def _refused(file: str, rule: str, message: str, remedy: str = "split it into several workflows") -> Document:
    return Document(None, file, findings=(Finding(rule, "error", message, remedy, file),))


def _json_as_yaml(text: str) -> str | None:
    """The text with what libyaml cannot read of JSON rewritten; None when it is not JSON or has nothing of the kind.

    JSON may be indented by tabs and may write a character as a surrogate pair. Inside its strings there are no
    raw tabs, so replacing them touches white space only, and keeps every column.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    plain = _PAIR.sub(lambda pair: json.loads(f'"{pair[0]}"'), text.replace("\t", " "))
    return plain if plain != text else None


class _Stop(Exception):
    """Reading cannot go on; the reason is among the findings."""


@dataclass(slots=True)
class _Level:
    """A mapping or list that is being read. `key` is the pending key; None where a key comes next.

    Attributes:
        before: How many values were counted when it began; the difference is its size.
    """

    value: dict[str, Any] | list[Any]
    pointer: str
    anchor: str | None
    before: int
    key: str | None = None
    key_mark: Any = None


@dataclass(slots=True)
class _Builder:
    file: str
    restore: dict[int, int]
    marks: dict[str, Mark] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    levels: list[_Level] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int] | None] = field(default_factory=dict)
    root: Any = None
    has_root: bool = False
    documents: int = 0
    values: int = 0
    pointer_chars: int = 0

    def build(self, text: str) -> Any:
        loader = yaml.CSafeLoader(text)
        try:
            while loader.check_event():
                event = loader.get_event()
                handle = _HANDLERS.get(type(event))
                if handle is not None:
                    handle(self, event)
        finally:
            loader.dispose()
        if not self.has_root or self.root is None:
            self.add("document-empty", "the document is empty", "start with `document:` and `do:`", None)
        elif not isinstance(self.root, dict):
            self.add("not-an-object", "a document is an object with keys", "start with `document:`", None)
            return None
        return self.root

    # -- events ----------------------------------------------------------------------------------

    def on_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            message = "the file holds more than one document"
            self.stop("several-documents", message, "keep one workflow in each file", event.start_mark)

    def on_start(self, event: Any) -> None:
        self.refuse_tag(event)
        level = self.levels[-1] if self.levels else None
        if level is not None and isinstance(level.value, dict) and level.key is None:
            self.stop("key-not-text", "a key is an object or a list", "keys are text", event.start_mark)
        if len(self.levels) >= DEPTH_MAX:
            message = f"the document is nested more than {DEPTH_MAX} levels deep"
            self.stop("document-too-deep", message, "move inner parts into `use.functions`", event.start_mark)
        before = self.values
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        pointer = self.place(value, event.start_mark, "")
        if event.anchor:
            self.anchors[event.anchor] = None
        self.levels.append(_Level(value, pointer, event.anchor, before))

    def on_end(self, event: Any) -> None:
        level = self.levels.pop()
        if level.anchor:
            self.anchors[level.anchor] = (level.value, self.values - level.before)

    def on_scalar(self, event: Any) -> None:
        self.refuse_tag(event)
        style = event.style or ""
        value: Any = event.value.translate(self.restore) if self.restore else event.value
        if event.implicit[0]:
            try:
                value = resolve_plain(value)
            except ValueError as error:
                self.add("number-not-json", str(error), "write it in quotes to keep it as text", event.start_mark)
                value = 0
        level = self.levels[-1] if self.levels else None
        if level is not None and isinstance(level.value, dict) and level.key is None:
            self.begin_entry(level, value, event)
            return
        self.place(value, event.start_mark, style)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)

    def on_alias(self, event: Any) -> None:
        level = self.levels[-1] if self.levels else None
        if level is not None and isinstance(level.value, dict) and level.key is None:
            self.stop("key-not-text", "a key is an alias", "write the key out", event.start_mark)
        found = self.anchors.get(event.anchor)
        if found is None:
            message = f"the alias *{event.anchor} stands inside its own anchor, or has none"
            self.stop("alias-without-anchor", message, "write the value out", event.start_mark)
            return
        value, size = found
        self.values += size - 1
        self.place(value, event.start_mark, "", is_alias=True)
        if self.depth_below(value) + len(self.levels) > DEPTH_MAX:
            message = f"aliases nest the document more than {DEPTH_MAX} levels deep"
            self.stop("document-too-deep", message, "write the values out", event.start_mark)

    # -- placing ---------------------------------------------------------------------------------

    def begin_entry(self, level: _Level, key: Any, event: Any) -> None:
        if not isinstance(key, str):
            shown = json.dumps(key)
            message = f"the key {shown} is not text"
            self.add("key-not-text", message, f'write "{shown}" in quotes if it is a name', event.start_mark)
            key = shown
        if key in level.value:
            message = f"the key {key!r} stands here twice"
            self.add("duplicate-key", message, "keep one of them", event.start_mark, f"{level.pointer}/{escape(key)}")
        level.key = key
        level.key_mark = event.start_mark

    def place(self, value: Any, start: Any, style: str, *, is_alias: bool = False) -> str:
        """Put a value where it belongs and note its place; returns its pointer."""
        self.values += 1
        if self.values > VALUES_MAX:
            message = f"the document holds more than {VALUES_MAX:,} values"
            self.stop("document-too-large", message, "split it, or use fewer aliases", start)
        if not self.levels:
            self.root, self.has_root = value, True
            self.marks[""] = Mark(start.line, start.column, start.line, start.column, style)
            return ""
        level = self.levels[-1]
        into = level.value
        if isinstance(into, dict):
            key, key_mark = level.key, level.key_mark
            assert key is not None, "a value without its key"
            level.key = None
            pointer = f"{level.pointer}/{escape(key)}"
            into[key] = value
        else:
            key_mark = start
            pointer = f"{level.pointer}/{len(into)}"
            into.append(value)
        self.pointer_chars += len(pointer)
        if self.pointer_chars > POINTER_CHARS_MAX:
            self.stop("document-too-large", "too many values stand below very long keys", "shorten the keys", start)
        self.marks[pointer] = Mark(key_mark.line, key_mark.column, start.line, start.column, style)
        return pointer

    def depth_below(self, value: Any) -> int:
        """How deep an aliased value is nested; bounded because what was read so far is."""
        depth, layer = 0, [value]
        seen: set[int] = set()
        while layer:
            below: list[Any] = []
            for held in layer:
                if isinstance(held, dict | list) and id(held) not in seen:
                    seen.add(id(held))
                    below.extend(held.values() if isinstance(held, dict) else held)
            depth += bool(below)
            layer = below
        return depth

    # -- findings --------------------------------------------------------------------------------

    def refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            message = f"the tag {event.tag[:60]!r} is not allowed"
            self.add("yaml-tag", message, "remove the tag; write text in quotes", event.start_mark)

    def add(self, rule: str, message: str, remedy: str, mark: Any, pointer: str | None = None) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if pointer is None:
            pointer = self.levels[-1].pointer if self.levels else ""
        self.findings.append(Finding(rule, "error", message, remedy, self.file, line, column, pointer))
        if len(self.findings) >= FINDINGS_MAX:
            raise _Stop

    def stop(self, rule: str, message: str, remedy: str, mark: Any) -> None:
        self.add(rule, message, remedy, mark)
        raise _Stop

    def add_syntax_error(self, error: yaml.YAMLError, lines: list[str]) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is not None and mark.line >= len(lines):
            # libyaml takes the end of a file for the start of one more line.
            mark = yaml.Mark("", 0, len(lines) - 1, len(lines[-1]), None, 0)
        parts = (getattr(error, "context", None), getattr(error, "problem", None) or getattr(error, "reason", None))
        said = ", ".join(part for part in parts if part) or "it cannot be read"
        remedy = "check the indentation, and write text that holds `: ` or ` #`, and every expression, in quotes"
        self.add("yaml-syntax", f"this is not YAML: {said}", remedy, mark)


_HANDLERS: Final[dict[type, Any]] = {
    yaml.DocumentStartEvent: _Builder.on_document,
    yaml.MappingStartEvent: _Builder.on_start,
    yaml.SequenceStartEvent: _Builder.on_start,
    yaml.MappingEndEvent: _Builder.on_end,
    yaml.SequenceEndEvent: _Builder.on_end,
    yaml.ScalarEvent: _Builder.on_scalar,
    yaml.AliasEvent: _Builder.on_alias,
}
