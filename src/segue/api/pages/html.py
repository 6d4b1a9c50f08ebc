"""HTML as a tree of calls: every text is escaped, unless it is `Html` already.

No template language: pages are few, and a tree that cannot be built from an unescaped text needs no review for that.
An address can be one of our own or of the web, so that no text of a stranger becomes a `javascript:` link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final, Union

VOID: Final = frozenset({"input", "meta", "br", "hr", "link"})
_ADDRESSES: Final = frozenset({"href", "action", "src", "formaction"})
_ADDRESS: Final = re.compile(r"(?:/(?![/\\])|#|https?://)[!-~]*")
_NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
"""What HTML cannot hold: a browser reads the replacement character in its place."""


class Html:
    """A piece of a page. Made by `el` and `raw` only."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Html({self.text!r})"


Content = Union[Html, str, int, None, Iterable["Content"]]  # noqa: UP007 - it names itself
"""What stands in an element: pieces, texts, lists of them; None is nothing."""
Attribute = str | int | bool | None


def el(tag: str, /, *content: Content, **attributes: Attribute) -> Html:
    """An element.

    Args:
        attributes: `class_` and `aria_label` are written `class` and `aria-label`. True is an attribute without a
            value; False and None are none.

    Raises:
        ValueError: An address is neither of our own nor of the web.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    opened = f"<{tag}{written}>"
    return Html(opened if tag in VOID else f"{opened}{text_of(content)}</{tag}>")


def raw(text: str) -> Html:
    """Markup that we wrote ourselves."""
    return Html(text)


def text_of(content: Content) -> str:
    """The markup of what may stand in an element."""
    if content is None:
        return ""
    if isinstance(content, Html):
        return content.text
    if isinstance(content, str | int):
        return escaped(str(content))
    return "".join(text_of(one) for one in content)


def escaped(text: str) -> str:
    """A text, so that a browser shows it as it is."""
    return escape(_NO_CHARACTER.sub("\ufffd", text))


def is_address(text: str) -> bool:
    """It can stand in a link: a path of our own, a place on the page, or an address of the web in plain signs."""
    return _ADDRESS.fullmatch(text) is not None


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    if name in _ADDRESSES and not is_address(str(value)):
        raise ValueError(f"{name} must be a path of ours or an address of the web")
    return f' {name}="{escaped(str(value))}"'
