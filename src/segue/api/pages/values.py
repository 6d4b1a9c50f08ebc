"""Data as a person reads it: objects as lists of terms, rows of a kind as a table, masks and omissions as words.

Everything here came from customers, models and other systems. It becomes text and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from segue.api.pages.html import Html, el
from segue.api.pages.text import block, link_or_text, said, words

MASK: Final = "$masked"
OMITTED: Final = "$omitted"
_DEEPEST: Final = 5
_ITEMS_MAX: Final = 200
_COLUMNS_MAX: Final = 8
_LINE: Final = 120
_JSON_MAX: Final = 20_000


def shown(value: Any) -> Html:
    """Any value that an answer of the API could hold."""
    return _shown(msgspec.to_builtins(value), 0)


def has_mask(value: Any) -> bool:
    """Something in it is hidden, or was left out: it can be read, and not written over."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            if MASK in one or OMITTED in one:
                return True
            pending += one.values()
        elif isinstance(one, list):
            pending += one
    return False


def _shown(value: Any, depth: int) -> Html:
    if isinstance(value, dict):
        return _special(value, depth) or _object(value, depth)
    if isinstance(value, list):
        return _list(value, depth)
    if isinstance(value, str):
        if not value:
            return el("span", "empty text", class_="none")
        return block(value) if len(value) > _LINE or "\n" in value else link_or_text(value)
    if value is None:
        return el("span", "nothing", class_="none")
    if isinstance(value, bool):
        return el("span", "yes" if value else "no")
    return el("span", number(value), class_="number")


def number(value: float) -> str:
    """As JSON has it, with its thousands apart where it is whole and plain."""
    return f"{value:,}" if isinstance(value, int) else msgspec.json.encode(value).decode()


def _special(value: Mapping[str, Any], depth: int) -> Html | None:
    """What stands for a value that may not be seen, or is too large for the answer; and what only looks like it."""
    if MASK in value:
        classes = value[MASK]
        if classes == [] and "value" in value:
            return _inside(value["value"], depth)
        named = ", ".join(map(str, classes)) if isinstance(classes, list) else ""
        return el("span", "hidden from you: ", said(named, most=200), class_="mask")
    if OMITTED in value:
        if value[OMITTED] is None and "value" in value:
            return _inside(value["value"], depth)
        size = value[OMITTED].get("bytes") if isinstance(value[OMITTED], dict) else None
        much = f"{size:,} bytes" if isinstance(size, int) else "a large value"
        return el("span", f"left out: {much}", class_="mask")
    return None


def _inside(value: Any, depth: int) -> Html:
    """Data that looks like a mask itself: what is in it is data."""
    return _object(value, depth) if isinstance(value, dict) else _shown(value, depth)


def _object(value: Mapping[str, Any], depth: int) -> Html:
    if not value:
        return el("span", "no entries", class_="none")
    if depth >= _DEEPEST:
        return _as_json(value)
    items = list(value.items())
    rows = [
        el("div", el("dt", said(words(key), most=200)), el("dd", _shown(held, depth + 1)))
        for key, held in items[:_ITEMS_MAX]
    ]
    return el("div", el("dl", rows), _more(len(items)))


def _list(value: list[Any], depth: int) -> Html:
    if not value:
        return el("span", "no entries", class_="none")
    if depth >= _DEEPEST:
        return _as_json(value)
    columns = _columns(value)
    if columns:
        head = el("tr", [el("th", said(words(key), most=200), scope="col") for key in columns])
        rows = [
            el("tr", [el("td", _shown(row[key], depth + 1) if key in row else None) for key in columns])
            for row in value[:_ITEMS_MAX]
        ]
        table = el("table", el("thead", head), el("tbody", rows))
        return el("div", table, _more(len(value)), class_="wide", tabindex="0")
    return el("div", el("ul", [el("li", _shown(item, depth + 1)) for item in value[:_ITEMS_MAX]]), _more(len(value)))


def _columns(rows: list[Any]) -> list[str]:
    """Keys of flat objects of a kind; empty where they are none."""
    if len(rows) < 2 or not all(isinstance(row, dict) for row in rows):
        return []
    found: dict[str, None] = {}
    for row in rows[:_ITEMS_MAX]:
        if not row or MASK in row or OMITTED in row:
            return []
        if any(isinstance(held, dict | list) and held and not _is_mask(held) for held in row.values()):
            return []
        found |= dict.fromkeys(row)
    return list(found) if len(found) <= _COLUMNS_MAX else []


def _is_mask(value: Any) -> bool:
    return isinstance(value, dict) and (MASK in value or OMITTED in value)


def _as_json(value: Any) -> Html:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return el("pre", said(text, most=_JSON_MAX))


def _more(count: int) -> Html | None:
    if count <= _ITEMS_MAX:
        return None
    return el("p", f"… and {count - _ITEMS_MAX:,} more, which the API and `segue` tell", class_="rest")
