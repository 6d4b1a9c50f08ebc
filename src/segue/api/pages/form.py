"""The fields of a form as HTML, with what is there, or with what somebody typed and what is wrong with it."""

from __future__ import annotations

from typing import Final, NamedTuple

from segue.api.pages.fields import MISSING, Field, as_text
from segue.api.pages.filling import Posted, browsed, name_of, shown_of
from segue.api.pages.html import Content, Html, el, raw
from segue.api.pages.text import said
from segue.api.pages.values import shown

_ROWS_MAX: Final = 16
_KEYS: Final = {"whole": "numeric", "number": "decimal"}


class Typed(NamedTuple):
    """What somebody sent in that did not count.

    Attributes:
        wrong: A sentence for the place of each field that holds no value of its kind.
        kept: The fields show it again. Otherwise the data became another meanwhile: the fields show that, and what
            was typed stands beside.
    """

    posted: Posted
    wrong: dict[str, str]
    comment: str
    kept: bool = True


def form_fields(field: Field, typed: Typed | None) -> Html:
    """The fields of a form."""
    if field.kind == "object":
        return el("div", [_field(part, typed) for part in field.parts], _others(field))
    return _field(field, typed)


def comment_field(typed: Typed | None, needed_by: list[str], most: int) -> Html:
    """Where somebody says why. needed_by: titles of the outcomes that need it."""
    hint = f"Needed for: {', '.join(needed_by)}" if needed_by else "Not needed"
    return el(
        "div",
        el("label", "Comment", el("span", hint, class_="hint"), for_="comment"),
        _area("comment", typed.comment if typed else "", rows=3, maxlength=most),
        class_="field",
    )


def _field(field: Field, typed: Typed | None) -> Html:
    told = _description(field)
    if field.kind == "object":
        return el("fieldset", el("legend", said(field.title)), told, form_fields(field, typed))
    if field.fixed:
        there = None if field.value is MISSING else shown(field.value)
        return el("div", el("b", said(field.title)), told, there, class_="field")
    name, wrong = name_of(field), typed.wrong.get(field.place) if typed else None
    texts, entered = _texts(field, typed)
    error = el("span", wrong, class_="wrong", id=f"{name}-wrong") if wrong else None
    if field.kind == "ticks":
        ticks = _ticks(field, name, texts)
        return el("fieldset", el("legend", said(field.title)), told, entered, error, ticks, class_="ticks")
    control = _control(field, name, texts[0] if texts else "", f"{name}-wrong" if wrong else None)
    return el("div", el("label", said(field.title), for_=name), told, entered, error, control, class_="field")


def _texts(field: Field, typed: Typed | None) -> tuple[list[str], Html | None]:
    """What the field shows, and what somebody had entered where that is not it."""
    there = shown_of(field)
    if typed is None:
        return there, None
    sent = list(typed.posted.get(name_of(field), ()))
    if not sent and field.kind != "ticks":
        return there, None
    if typed.kept:
        return sent, None
    if list(map(browsed, sent)) == there:
        return there, None
    return there, el("span", "You had entered: ", said(", ".join(_chosen(field, sent)), most=1000), class_="hint")


def _control(field: Field, name: str, text: str, error: str | None) -> Html:
    invalid = "true" if error else None
    match field.kind:
        case "choice" | "yes-no":
            return el(
                "select", _choices(field, text), name=name, id=name, aria_invalid=invalid, aria_describedby=error
            )
        case "json":
            return _area(name, text, rows=_rows(text), class_="code", error=error, spellcheck="false")
        case "lines" | "list":
            return _area(name, text, rows=_rows(text), error=error)
    return el(
        "input",
        type="date" if field.kind == "date" and not error else "text",
        inputmode=_KEYS.get(field.kind),
        name=name,
        id=name,
        value=text,
        dir="auto",
        autocomplete="off",
        aria_invalid=invalid,
        aria_describedby=error,
    )


def _area(
    name: str,
    text: str,
    *,
    rows: int,
    class_: str | None = None,
    error: str | None = None,
    spellcheck: str | None = None,
    maxlength: int | None = None,
) -> Html:
    return el(
        "textarea",
        raw("\n"),  # A browser drops the first line end of a text area, and only that.
        text,
        name=name,
        id=name,
        rows=rows,
        dir="auto",
        class_=class_,
        spellcheck=spellcheck,
        maxlength=maxlength,
        aria_invalid="true" if error else None,
        aria_describedby=error,
    )


def _choices(field: Field, text: str) -> list[Html]:
    if field.kind == "yes-no":
        known = [("yes", "Yes"), ("no", "No")]
    else:
        known = [(str(place), option.title) for place, option in enumerate(field.options)]
    # Nothing is chosen for anybody: what is not there yet has a line of its own.
    empty = [("", "—")] if text == "" or not field.needed or field.nullable else []
    as_it_is = "" if field.value is MISSING else as_text(field.value)[:100]
    strange = [("as-is", f"as it is: {as_it_is}")] if "as-is" in (text, *shown_of(field)) else []
    return [
        el("option", title[:200], value=value, selected=value == text) for value, title in (*empty, *strange, *known)
    ]


def _ticks(field: Field, name: str, texts: list[str]) -> list[Html]:
    return [
        el(
            "label",
            el("input", type="checkbox", name=name, value=str(place), checked=str(place) in texts),
            " ",
            said(option.title, most=200),
        )
        for place, option in enumerate(field.options)
    ]


def _chosen(field: Field, sent: list[str]) -> list[str]:
    """What was chosen, as it read."""
    if field.kind not in ("choice", "ticks"):
        return sent
    return [
        field.options[int(text)].title if text.isdecimal() and int(text) < len(field.options) else text
        for text in sent
    ]


def _description(field: Field) -> Html | None:
    how = {"json": "as JSON", "list": "one on each line"}.get(field.kind, "")
    what = "" if field.kind == "date" else field.hint
    optional = "" if field.needed or not field.place or field.fixed or field.kind == "ticks" else "can stay empty"
    told = "; ".join(text for text in (how, what, optional) if text)
    if not field.text and not told:
        return None
    text: Content = [said(field.text, most=1000), " "] if field.text else None
    return el("span", text, told[:1].upper() + told[1:], class_="hint")


def _others(field: Field) -> Html | None:
    """What the data holds besides; it stays as it is."""
    if not isinstance(field.value, dict):
        return None
    rest = {key: held for key, held in field.value.items() if key not in {part.key for part in field.parts}}
    return (
        el("div", el("span", "Besides, and staying as it is:", class_="hint"), shown(rest), class_="field")
        if rest
        else None
    )


def _rows(text: str) -> int:
    return min(_ROWS_MAX, max(3, text.count("\n") + 2, len(text) // 40))
