"""What a form posts, and data from what was posted.

Two laws. What a field shows and gets back unchanged is the value that was there, to the last digit and line end. And
what is no value of the field's kind is an error beside that field, and never taken for something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from segue.api.pages.fields import MISSING, Field, as_text, same

Posted = Mapping[str, Sequence[str]]
"""Names of fields with what was posted under each."""
PREFIX: Final = "data"
"""Before a field's place, so that no key of the data meets a name of our own."""
_NUMBER_MAX: Final = 400
_JSON_MAX: Final = 1_000_000
_LINE_ENDS: Final = re.compile(r"\r\n?")
_NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.0+)?")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Wrong(ValueError):
    """What was typed is no value of this kind; the message says what one is."""


def name_of(field: Field) -> str:
    """Under which name a field is posted."""
    return PREFIX + field.place


def shown_of(field: Field) -> list[str]:
    """What a browser posts of this field when nobody touches it."""
    value = field.value
    match field.kind:
        case "ticks":
            # A browser posts them in the order in which they stand on the page, whatever it is in the data.
            ticked = [] if value is MISSING or value is None else sorted(_place(field, one) for one in value)
            return [str(place) for place in ticked]
        case "choice":
            place = _place(field, value)
            return [str(place)] if place >= 0 else [""] if value is MISSING else ["as-is"]
        case "json":
            return ["" if value is MISSING or (value is None and not field.place) else browsed(pretty(value))]
        case _ if value is MISSING or value is None:
            return [""]
        case "yes-no":
            return ["yes" if value else "no"]
        case "list":
            return [browsed("\n".join(one if field.item == "line" else as_text(one) for one in value))]
        case "whole" | "number":
            return [as_text(value)]
    return [browsed(value)]


def browsed(text: str) -> str:
    """A text as a browser gives it back: with plain line ends, and without what HTML cannot hold."""
    return _NO_CHARACTER.sub("\ufffd", _LINE_ENDS.sub("\n", text))


def pretty(value: Any) -> str:
    """A value as JSON over several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def filled(field: Field, posted: Posted, wrong: dict[str, str]) -> Any:
    """The data of a form.

    Args:
        wrong: Gets a sentence for the place of each field that holds no value of its kind.

    Returns:
        The value; MISSING where it is left out.
    """
    if field.kind == "object":
        return _object(field, posted, wrong)
    given = [_LINE_ENDS.sub("\n", text) for text in posted.get(name_of(field), ())]
    untouched = field.kind != "ticks" and not given
    if field.fixed or untouched or given == shown_of(field):
        return field.value
    try:
        return _read(field, given)
    except Wrong as error:
        wrong[field.place] = str(error)
        return field.value


def _object(field: Field, posted: Posted, wrong: dict[str, str]) -> Any:
    there = field.value if isinstance(field.value, dict) else {}
    # What the schema does not name is nobody's to change here, and stays.
    made = dict(there)
    for part in field.parts:
        value = filled(part, posted, wrong)
        if value is MISSING:
            made.pop(part.key, None)
        else:
            made[part.key] = value
    return field.value if field.value is None and field.nullable and not made else made


def _read(field: Field, given: list[str]) -> Any:
    if field.kind == "ticks":
        places = {_option(field, text) for text in given}
        return [option.value for place, option in enumerate(field.options) if place in places]
    if len(given) > 1:
        raise Wrong("It came twice; fill it in again.")
    (text,) = given
    if field.kind == "lines" or (field.kind == "line" and text.strip()):
        return text if text else _nothing(field)
    if not text.strip():
        return [] if field.kind == "list" and (field.needed or field.value is not MISSING) else _nothing(field)
    match field.kind:
        case "choice":
            return field.options[_option(field, text)].value
        case "yes-no":
            if text not in ("yes", "no"):
                raise Wrong("Choose yes or no.")
            return text == "yes"
        case "json":
            return _json(text)
        case "list":
            return [_scalar(field.item, line.strip()) for line in text.split("\n") if line.strip()]
    return _scalar(field.kind, text.strip())


def _scalar(kind: str, text: str) -> Any:
    if kind == "whole":
        if not _WHOLE.fullmatch(text) or len(text) > _NUMBER_MAX:
            raise Wrong(f"{text[:40]!r} is no whole number; write one such as 1250.")
        return _json(text.partition(".")[0])
    if kind == "number":
        if not _NUMBER.fullmatch(text) or len(text) > _NUMBER_MAX:
            raise Wrong(f"{text[:40]!r} is no number; write one such as 1250.50, without signs between thousands.")
        return _json(text)
    if kind == "date":
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise Wrong(f"{text[:40]!r} is no date; write one such as 2026-01-31.") from None
    return text


def _json(text: str) -> Any:
    if len(text) > _JSON_MAX:
        raise Wrong(f"It has more than {_JSON_MAX:,} characters.")
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise Wrong(f"It is not JSON: {error}.") from None


def _nothing(field: Field) -> Any:
    """What an emptied field means: left out where it may be, else null where that is allowed, else an empty text."""
    if field.nullable and (field.needed or field.value is not MISSING):
        return None
    if not field.needed:
        return MISSING
    return "" if field.kind in ("line", "lines") else MISSING


def _option(field: Field, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) < len(field.options):
        return int(text)
    raise Wrong("Choose one of the list.")


def _place(field: Field, value: Any) -> int:
    return next((n for n, option in enumerate(field.options) if same(option.value, value)), -1)
