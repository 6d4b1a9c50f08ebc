"""Texts of strangers, times and names, as a person reads them.

What steers the direction of writing is shown as a sign of its own: between the digits of an amount it would make a
reader see another one. Marks that languages need stay, and no text reaches beyond its own element.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from segue.api.pages.html import Html, el, is_address

SHOWN_MAX: Final = 20_000
"""Characters of one text; more than anybody reads, and little enough for a telephone."""
_STEERING: Final = re.compile("[\u202a-\u202e\u2066-\u2069\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u200b\u2060]")
_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def said(text: str, *, most: int = SHOWN_MAX) -> Html:
    """A text that somebody else wrote, isolated from what stands around it."""
    return el("bdi", _pieces(text[:most]), _rest(text, most))


def block(text: str, *, most: int = SHOWN_MAX) -> Html:
    """The same as a paragraph that keeps its lines."""
    return el("div", _pieces(text[:most]), _rest(text, most), class_="text", dir="auto")


def link_or_text(text: str) -> Html:
    """A text; one that is an address of the web from beginning to end can be followed."""
    if is_web_address(text):
        return el("a", text, href=text, rel="noopener noreferrer nofollow", target="_blank", class_="out")
    return said(text)


def is_web_address(text: str) -> bool:
    """It is an address of the web in plain signs, whose host can be read off it."""
    if not text.startswith(("http://", "https://")) or len(text) > 2000 or not is_address(text):
        return False
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return False
    # Before an `@` anything could stand, and be read as the host.
    return bool(parts.hostname) and "@" not in parts.netloc and "\\" not in text


def moment(at: str | None, now: datetime | None = None) -> Html | str:
    """A time as `22 Nov 2026, 05:40 UTC`, and with `now` how far away it is."""
    if at is None:
        return ""
    when = datetime.fromisoformat(at).astimezone(UTC)
    written = f"{when.day} {when:%b %Y, %H:%M} UTC"
    return el("time", written if now is None else f"{written} ({distance(when, now)})", datetime=at)


def distance(when: datetime, now: datetime) -> str:
    """`in 3 hours`, `2 days ago`."""
    seconds = (when - now).total_seconds()
    for size, unit in _UNITS:
        count = int(abs(seconds) // size)
        if count:
            counted = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {counted}" if seconds > 0 else f"{counted} ago"
    return "now"


def words(name: str) -> str:
    """A key as words: `invoiceNumber` and `invoice_number` as `Invoice number`."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        return name
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").strip()
    lowered = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in apart.split())
    return lowered[:1].upper() + lowered[1:] or name


def _pieces(text: str) -> list[Html | str]:
    found: list[Html | str] = []
    at = 0
    for sign in _STEERING.finditer(text):
        found += [text[at : sign.start()], el("span", f"U+{ord(sign[0]):04X}", class_="sign")]
        at = sign.end()
    return [*found, text[at:]]


def _rest(text: str, most: int) -> Html | None:
    if len(text) <= most:
        return None
    return el("span", f" … {len(text) - most:,} more characters, which the API and `segue` tell", class_="rest")
