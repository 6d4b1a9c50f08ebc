"""Nothing that somebody wrote becomes markup, and nobody reads what is not there."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.api.pages.html import el, text_of
from segue.api.pages.text import SHOWN_MAX, is_web_address, link_or_text, said, words
from segue.api.pages.values import has_mask, shown

NASTY = st.one_of(
    st.text(), st.sampled_from(["<script>", "'\">", "</textarea>", "&lt;", "\0", "\u202e", "javascript:x"])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=12,
)


class Read(HTMLParser):
    """What a browser finds in a piece of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@given(NASTY, NASTY)
def test_no_text_becomes_markup(text: str, other: str) -> None:
    """As content and as the value of an attribute; what is read is what was written."""
    written = text_of(el("p", text, title=other))
    read = Read(written)
    assert read.tags == {"p"}
    assert [name for name, _ in read.attributes] == ["title"]
    assert unescape(read.text).replace("\ufffd", "") == unescape(text).replace("\0", "").replace("\ufffd", "")


@given(JSON)
def test_whatever_a_value_holds_is_shown_with_our_own_elements_only(value: Any) -> None:
    """Customers and models write keys and texts as they like."""
    read = Read(shown(value).text)
    ours = {
        "a",
        "bdi",
        "dd",
        "div",
        "dl",
        "dt",
        "li",
        "p",
        "pre",
        "span",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
    }
    assert read.tags <= ours | {"ul"}
    assert {name for name, _ in read.attributes} <= {"class", "dir", "href", "rel", "target", "scope", "tabindex"}
    for name, held in read.attributes:
        assert name != "href" or str(held).startswith(("http://", "https://"))
    assert "\u202e" not in read.text


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "//evil.example", "/\\evil", " /x", "data:text/html,x", "/x y"]
)
def test_no_element_points_anywhere_but_to_us_and_the_web(address: str) -> None:
    """The last place where a mistake would be noticed."""
    with pytest.raises(ValueError, match="href"):
        el("a", "x", href=address)


@pytest.mark.parametrize(
    "text",
    [
        *("javascript:alert(1)", "https://bank.example@evil.example/", "https://", "http:/x", "https://exämple.com"),
        *("https://evil.example/\u202egpj.exe", "see https://x.example", "https://x.example:no", "https://x\\y"),
    ],
)
def test_only_an_address_whose_host_can_be_read_is_a_link(text: str) -> None:
    """Whoever reads a bank's name must not land elsewhere."""
    assert not is_web_address(text)
    assert "<a" not in link_or_text(text).text


def test_an_address_of_the_web_can_be_followed_and_learns_nothing() -> None:
    """Sources are there to be looked at."""
    link = link_or_text("https://crm.example/orders/7?x=1&y=2").text
    assert 'href="https://crm.example/orders/7?x=1&amp;y=2"' in link
    assert 'rel="noopener noreferrer nofollow"' in link


def test_what_steers_the_direction_is_seen_and_what_languages_need_stays() -> None:
    """`pay 1,000` must not be what `pay 000,1` looks like."""
    assert "U+202E" in said("pay \u202e000,1").text
    assert "\u200f" in said("\u200fשלום").text


def test_a_huge_text_is_cut_and_says_so() -> None:
    """A page that does not load is no page."""
    assert len(said("x" * 10_000_000).text) < SHOWN_MAX + 200
    assert "9,980,000 more characters" in said("x" * 10_000_000).text
    assert len(shown([{"a": n} for n in range(100_000)]).text) < 50_000


def test_masks_and_omissions_are_words() -> None:
    """Whoever may not see a value sees that there is one, and of what class."""
    assert "hidden from you: " in shown({"name": {"$masked": ["personal"]}}).text
    assert "left out: 13,000,000 bytes" in shown({"$omitted": {"bytes": 13_000_000, "whole": "/x"}}).text
    assert "hidden" not in shown({"$masked": [], "value": {"$masked": ["personal"]}}).text
    assert has_mask([{"a": {"$masked": ["personal"]}}])
    assert not has_mask({"a": ["$masked"]})


@pytest.mark.parametrize(
    ("key", "read"),
    [("invoiceNumber", "Invoice number"), ("pay_on", "Pay on"), ("VAT-rate", "VAT rate"), ("<b>", "<b>"), ("", "")],
)
def test_keys_read_as_words(key: str, read: str) -> None:
    """Names for programs are not names for people; what is no such name stays as it is."""
    assert words(key) == read
