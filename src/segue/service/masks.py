"""The mask: what stands where a value may not be seen, and how a value is masked place by place.

In data it is an object with one key, `{"$masked": ["personal"]}`; in a field that is text, `•••• (personal)`. Nobody
can mistake one for data: where something is masked, an object of the data that has this key itself is shown as
`{"$masked": [], "value": …}`, and no mask is taken in where data comes in (`refuse_masks`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from segue.dsl.flows import ITEM, Cover
from segue.service.errors import ServiceError
from segue.service.portions import OMITTED

MASK: Final = "$masked"
_DOTS: Final = "••••"
_TEXT: Final = re.compile(rf"{_DOTS} \(([^()]{{0,500}})\)")
_KEYS_SHOWN: Final = 20
_SIGNS: Final = (MASK.encode(), OMITTED.encode(), _DOTS.encode())
"""One of these stands in whatever holds a mask, written as JSON."""
_encode: Final = msgspec.json.Encoder().encode
_Place = tuple[Any, str | int]
"""The place around, or None, and the key in it: linked, so that a deep value costs no more than a flat one."""


def mask(classes: Collection[str]) -> dict[str, Any]:
    """What stands for a value of these classes."""
    return {MASK: sorted(classes)}


def mask_text(classes: Collection[str]) -> str:
    """What stands for a text of these classes, where a field can hold nothing else."""
    return f"{_DOTS} ({', '.join(sorted(classes))})"


def masked(value: Any, cover: Cover, hidden: frozenset[str]) -> Any:
    """The value with masks where one of the hidden classes holds; what is below a mask is not told apart.

    A value that is not built as its schema says is masked as a whole: the places of its classes are not in it.
    """
    if value is None:
        return None
    try:
        return _masked(value, cover, hidden)
    except RecursionError:
        return mask(cover.all() & hidden)


def refuse_masks(**values: Any) -> None:
    """Refuse what holds a mask, or stands for a value that was left out: it would be written over that.

    A text that is JSON is looked into as well, since a document may read it as data.

    Args:
        values: By the names under which whoever sent them knows them, for the place in the refusal.

    Raises:
        ServiceError: `mask-refused`, with the place of the first one found and its classes.
    """
    if not _may_hold_one(values):
        return
    pending: list[tuple[_Place, Any]] = [((None, name), value) for name, value in values.items()]
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            if MASK in value:
                raise _refusal(place, value[MASK])
            if OMITTED in value:
                what = (
                    f"{_pointer(place)!r} holds {OMITTED!r}, which stands for a large value that an answer left out."
                )
                raise ServiceError("mask-refused", what, remedy="`segue runs data` prints the whole value.")
            pending.extend(((place, key), held) for key, held in value.items())
        elif isinstance(value, list):
            pending.extend(((place, number), held) for number, held in enumerate(value))
        elif isinstance(value, str):
            if value.startswith(_DOTS) and (found := _TEXT.fullmatch(value)):
                raise _refusal(place, found[1].split(", "))
            if MASK in value or OMITTED in value:
                pending.append((place, _read(value)))


def _may_hold_one(values: Any) -> bool:
    try:
        written = _encode(values)
    except (TypeError, ValueError, RecursionError):
        return True  # No JSON, which is for others to say.
    for sign in _SIGNS:  # noqa: SIM110 - asked for every start, and a generator costs more than the rest
        if sign in written:
            return True
    return False


def _read(text: str) -> Any:
    """What a text says where it is JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _refusal(place: _Place, classes: Any) -> ServiceError:
    names = ", ".join(map(str, classes)) if isinstance(classes, list) else ""
    said = f" of the class {names}" if names else ""
    return ServiceError(
        "mask-refused", f"{_pointer(place)!r} holds a mask, which stands for data{said} that you may not see."
    )


def _pointer(place: _Place) -> str:
    keys: list[str] = []
    around: _Place | None = place
    while around is not None and len(keys) < _KEYS_SHOWN:
        around, key = around
        keys.append(str(key).replace("~", "~0").replace("/", "~1"))
    return "/".join(reversed(keys if around is None else [*keys, "…"]))


def _masked(value: Any, cover: Cover, hidden: frozenset[str]) -> Any:
    refused = cover.classes & hidden
    if refused:
        return mask(refused)
    if isinstance(value, dict):
        return _object(value, cover, hidden)
    if isinstance(value, list):
        named = Cover(parts={key: part for key, part in cover.parts.items() if key != ITEM})
        if refused := named.all() & hidden:
            return mask(refused)
        each = cover.parts.get(ITEM, _CLEAR)
        return [_masked(item, each, hidden) for item in value]
    if cover.parts and value is not None and not isinstance(value, bool) and (refused := cover.all() & hidden):
        return mask(refused)
    return value


_CLEAR: Final = Cover()


def _object(value: dict[str, Any], cover: Cover, hidden: frozenset[str]) -> Any:
    anywhere = cover.parts.get(ITEM, _CLEAR)
    if (refused := anywhere.classes & hidden) and not value.keys() <= cover.parts.keys():
        # Keys that no schema names may be as telling as what stands under them.
        return mask(refused)
    shown = {key: _masked(part, cover.at(key), hidden) for key, part in value.items()}
    return {MASK: [], "value": shown} if MASK in value else shown
