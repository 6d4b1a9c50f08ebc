"""Reading believes nothing and says where."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from segue.dsl import Document, read_document
from segue.dsl.reading import DEPTH_MAX, SIZE_BYTES_MAX, VALUES_MAX


def rules(document: Document) -> list[str]:
    return [finding.rule for finding in document.findings]


def test_yaml_1_2_words_keep_their_meaning() -> None:
    """`schedule.on` vanished in YAML 1.1 loaders, and `012` became ten."""
    document = read_document("on: yes\nno: off\na: 012\nb: 12:30:00\nc: 2026-01-01\nd: 0o17\ne: 0xff\nf: 1e3\ng: ~\n")
    assert document.findings == ()
    assert document.data == {
        "on": "yes",
        "no": "off",
        "a": 12,
        "b": "12:30:00",
        "c": "2026-01-01",
        "d": 15,
        "e": 255,
        "f": 1000.0,
        "g": None,
    }


def test_every_key_and_value_has_its_place() -> None:
    """A message without a place sends its reader searching."""
    document = read_document("a:\n  - b: x\n    'c/d': [1, 2]\n")
    assert document.position("/a/0/b", key=True) == (2, 5)
    assert document.position("/a/0/b") == (2, 8)
    assert document.position("/a/0/c~1d", key=True) == (3, 5)
    assert document.position("/a/0/c~1d/1") == (3, 16)


def test_an_unknown_pointer_has_the_place_of_what_is_around_it() -> None:
    """Findings about missing keys point at the object that lacks them."""
    document = read_document("a:\n  b: {}\n")
    assert document.position("/a/b/c/d") == (2, 6)


@pytest.mark.parametrize(
    ("text", "value", "offset", "place"),
    [
        ("a: .foo.bar", ".foo.bar", 4, (1, 8)),
        ("a: '.foo.bar'", ".foo.bar", 4, (1, 9)),
        ('a: ".foo.bar"', ".foo.bar", 4, (1, 9)),
        ("a: |\n  .foo\n  | .bar\n", ".foo\n| .bar\n", 7, (3, 5)),
        ("a: |-\n\n    .foo\n", "\n.foo", 2, (3, 6)),
        ('a: "\\u002efoo"', ".foo", 2, (1, 4)),
    ],
)
def test_a_place_inside_a_text_is_found(text: str, value: str, offset: int, place: tuple[int, int]) -> None:
    """An expression's error points at the character; where escapes blur it, at the text."""
    document = read_document(text)
    assert document.data["a"] == value
    assert document.position_in("/a", value, offset) == place


def test_json_is_read_too() -> None:
    """Tools write JSON, with tabs and surrogate pairs that libyaml does not know."""
    value = {"a": ["😀", 1.5, None, True, {"b": "x/y"}], "c": "tab\tand \\ slash"}
    assert read_document(json.dumps(value, indent="\t")).data == value
    assert read_document(json.dumps(value).encode()).findings == ()


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    """Editors add them unasked."""
    document = read_document(b"\xef\xbb\xbfa: 1\r\nb: 2\rc: 3\r\n")
    assert document.data == {"a": 1, "b": 2, "c": 3}
    assert document.position("/b") == (2, 4)


def test_unicode_line_breaks_are_ordinary_characters() -> None:
    """YAML 1.1 folded them into spaces; JSON has them inside of its texts."""
    text = "a\u2028b\x85c\u2029d"
    document = read_document(json.dumps({"x": text, "\ue000": 1}, ensure_ascii=False) + "\n# end")
    assert document.data == {"x": text, "\ue000": 1}


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("", "document-empty", 1),
        ("# only a comment\n", "document-empty", 1),
        ("- 1\n", "not-an-object", 1),
        ("a: 1\na: 2\n", "duplicate-key", 2),
        ("a: 1\n2: b\n", "key-not-text", 2),
        ("a: 1\ntrue: b\n", "key-not-text", 2),
        ("? [x]\n: 1\n", "key-not-text", 1),
        ("a: &x b\n*x : c\n", "key-not-text", 2),
        ("a: !!python/object:os.system x\n", "yaml-tag", 1),
        ("a: !x b\n", "yaml-tag", 1),
        ("a: 1\n---\nb: 2\n", "several-documents", 2),
        ("a: &x [*x]\n", "alias-without-anchor", 1),
        ("a: *y\n", "alias-without-anchor", 1),
        ("a: [1\n", "yaml-syntax", 2),
        ("a: [1", "yaml-syntax", 1),
        ("a: b: c\n", "yaml-syntax", 1),
        ("a: 1\n\tb: 2\n", "yaml-syntax", 2),
        ("a: .inf\n", "number-not-json", 1),
        ("a: .NaN\n", "number-not-json", 1),
        ("a: 1e999\n", "number-not-json", 1),
        ("a: " + "9" * 5000 + "\n", "number-not-json", 1),
        ("a: \x00\n", "yaml-syntax", 1),
    ],
)
def test_what_readers_would_read_differently_is_refused(text: str, rule: str, line: int) -> None:
    """Two programs that read one document must read the same."""
    document = read_document(text)
    found = [finding for finding in document.findings if finding.rule == rule]
    assert found, rules(document)
    assert found[0].line == line
    assert found[0].is_error


def test_several_findings_come_at_once() -> None:
    """An author corrects a file once, not once per mistake."""
    assert rules(read_document("a: 1\na: 2\n3: x\nb: !t y\n")) == ["duplicate-key", "key-not-text", "yaml-tag"]


@pytest.mark.parametrize("source", [b"a: \xff\xfe", "a: 1".encode("utf-16"), "a: \ud800"])
def test_other_encodings_are_refused(source: bytes | str) -> None:
    """Guessing an encoding is guessing at the content."""
    assert rules(read_document(source)) == ["not-utf-8"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a: [{b: "])
def test_ten_thousand_levels_are_refused_and_not_recursed_into(opening: str) -> None:
    """Neither Python's stack nor C's may depend on a stranger's file."""
    document = read_document(opening * 10_000)
    assert document.data is None
    assert set(rules(document)) <= {"document-too-deep", "key-not-text", "yaml-syntax"}


def test_depth_is_allowed_up_to_its_limit() -> None:
    """The limit is the number that the message names."""
    inside = DEPTH_MAX - 1
    assert read_document("a: " + "[" * inside + "]" * inside).findings == ()
    assert rules(read_document("a: " + "[" * (inside + 1) + "]" * (inside + 1))) == ["document-too-deep"]


def test_a_modest_alias_is_expanded() -> None:
    """Anchors are part of YAML and people use them for retries and the like."""
    document = read_document("a: &x {n: 1}\nb: *x\nc: [*x, *x]\n")
    assert document.findings == ()
    assert document.data["c"] == [{"n": 1}, {"n": 1}]


def test_an_alias_bomb_is_refused() -> None:
    """Nine lines would otherwise stand for a thousand million values."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert rules(read_document("\n".join(lines))) == ["document-too-large"]


def test_aliases_do_not_get_around_the_depth() -> None:
    """Thirty levels, anchored and nested in each other, would be nine hundred."""
    level = "a0: &a0 " + "[" * 40 + "]" * 40
    nested = [f"a{n}: &a{n} " + "[" * 40 + f"*a{n - 1}" + "]" * 40 for n in range(1, 4)]
    assert rules(read_document("\n".join([level, *nested]))) == ["document-too-deep"]


def test_fifty_megabytes_are_refused_unread() -> None:
    """Time and memory do not grow with what is refused."""
    source = b"a: b\n" * 10_000_000
    tracemalloc.start()
    started = time.perf_counter()
    document = read_document(source)
    elapsed_s = time.perf_counter() - started
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rules(document) == ["document-too-large"]
    assert elapsed_s < 0.5
    assert peak_bytes < 1_000_000


def test_the_largest_document_is_read_in_bounded_memory() -> None:
    """Long keys around many values cost their product unless somebody counts."""
    source = "k" * 400_000 + ": [" + "1," * 90_000 + "1]"
    assert len(source) < SIZE_BYTES_MAX
    tracemalloc.start()
    document = read_document("? " + source.replace(": [", "\n: [", 1))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert document.data is None
    assert rules(document) == ["document-too-large"]
    assert peak_bytes < 300_000_000


def test_the_number_of_values_is_limited() -> None:
    """A million empty lists fit into a file that is small enough."""
    assert rules(read_document("a: [" + "1," * (VALUES_MAX + 1) + "1]")) == ["document-too-large"]


def test_the_limit_of_size_is_a_setting() -> None:
    """A service that takes large documents says so."""
    assert rules(read_document("a: 12345", size_bytes_max=5)) == ["document-too-large"]
