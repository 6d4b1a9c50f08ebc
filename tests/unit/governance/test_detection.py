"""Personal data in free text: what is found, what is not, and how long it may take."""

from __future__ import annotations

import time
from random import Random

import pytest
from bench.detection import score, sentences
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.governance.detection import KINDS, NAME_WORDS_MAX, TextTooLong, find_in_text, replaced
from segue.handlers.personal_data import looked_through


def found(text: str, **more: object) -> list[tuple[str, str]]:
    return [(one.of or one.kind, text[one.start : one.end]) for one in find_in_text(text, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        ("mail ada.lovelace+news@mail.example.co.uk, please", "email", "ada.lovelace+news@mail.example.co.uk"),
        ("schreib an jürgen@müller.example.de!", "email", "jürgen@müller.example.de"),
        ("call +49 30 901820-0 now", "phone", "+49 30 901820-0"),
        ("Tel. 030/1234567", "phone", "030/1234567"),
        ("phone: (415) 555-2671", "phone", "(415) 555-2671"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "iban", "DE89 3704 0044 0532 0130 00"),
        ("NO9386011117947.", "iban", "NO9386011117947"),
        ("card 4111 1111 1111 1111 12/27", "payment-card", "4111 1111 1111 1111"),
        ("amex 378282246310005", "payment-card", "378282246310005"),
        ("from 192.0.2.7, twice", "ip-address", "192.0.2.7"),
        ("peer 2001:db8::ff00:42:8329", "ip-address", "2001:db8::ff00:42:8329"),
        ("SSN 123-45-6789", "us-ssn", "123-45-6789"),
        ("NI number AB 12 34 56 C", "uk-nino", "AB 12 34 56 C"),
        ("NHS 943 476 5919", "uk-nhs", "943 476 5919"),
        ("Steuer-ID 86 095 742 719", "de-tax-id", "86 095 742 719"),
        ("BSN 111222333", "nl-bsn", "111222333"),
        ("NIR 2 55 08 14 168 025 38", "fr-nir", "2 55 08 14 168 025 38"),
        ("DNI 12345678Z", "es-nif", "12345678Z"),
        ("NIE X1234567L", "es-nif", "X1234567L"),
        ("RSSMRA85T10A562S", "it-codice-fiscale", "RSSMRA85T10A562S"),
        ("PESEL 44051401359", "pl-pesel", "44051401359"),
        ("geboren am 12.10.1985 in Bonn", "birth-date", "12.10.1985"),
        ("born 3 May 1990", "birth-date", "3 May 1990"),
    ],
)
def test_each_kind_is_found_at_its_place(text: str, kind: str, part: str) -> None:
    """With what stands around it left alone."""
    assert found(text) == [(kind, part)]


@pytest.mark.parametrize(
    "text",
    [
        "GB82 WEST 1234 5698 7654 33",
        "4111 1111 1111 1112",
        "Steuer-ID 86 095 742 718",
        "BSN 111222334",
        "12345678A",
        "RSSMRA85T10A562T",
        "shipped on 12.10.1985",
        "version 1.2.3.400",
        "000-12-3456",
        "localhost is 127.0.0.1",
        "order 2024-10-12, 14:30:05, room 030",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    """A wrong check digit is an order number; a mask over it would be in the way of work."""
    assert found(text) == []


def test_names_are_found_by_the_lists_that_are_given_and_never_guessed() -> None:
    """Whole words in any case; nothing is known of names that nobody gave."""
    text = "Ask ada lovelace, or Jean-Luc; not Adamant."

    assert found(text) == []
    assert found(text, names=["Ada Lovelace", "Jean-Luc", "Ada"]) == [("name", "ada lovelace"), ("name", "Jean-Luc")]


def test_many_texts_and_many_names_cost_what_they_are_long() -> None:
    """A table of customers, looked through for all of them: each text read the whole list again."""
    names = [f"{first}{n} {last}" for n in range(100) for first in ("Ada", "Ben") for last in ("Lovelace", "Kay")]
    rows = [f"{name} has called" for name in names] * 10
    began = time.process_time()
    told = looked_through(rows, names=names * 50, kinds=["name"])
    assert told["kinds"] == {"name": len(rows)}
    assert time.process_time() - began < 2  # It took minutes.


def test_names_that_begin_alike_cost_no_more() -> None:
    """Each word of a text was held against every length of name there was."""
    names = [" ".join(["a"] * n) for n in range(1, NAME_WORDS_MAX + 1)]
    began = time.process_time()
    assert len(found("a " * 20_000, names=names, kinds=["name"])) > 1000
    assert time.process_time() - began < 2
    with pytest.raises(ValueError, match="at most 12"):
        found("a", names=["a " * 13])


def test_less_sure_findings_are_told_only_to_whoever_wants_them() -> None:
    """A number alone may be a phone's; near a word that says so, it is one."""
    assert found("0301234567") == []
    assert found("0301234567", least=0.4) == [("phone", "0301234567")]
    assert found("0301234567 or a@b.example", kinds=["email"], least=0) == [("email", "a@b.example")]


def test_masks_take_the_place_of_what_was_found() -> None:
    """What is left still reads, and says what stood there."""
    text = "Card 4111111111111111, mail ada@example.org."

    assert replaced(text, find_in_text(text)) == "Card [payment-card], mail [email]."


def test_a_text_that_is_too_long_is_refused() -> None:
    """Looking at the beginning alone would look like having found nothing."""
    with pytest.raises(TextTooLong):
        find_in_text("a" * 4_000_001)


def test_as_much_is_found_as_the_documentation_says() -> None:
    """On sentences that are made; the figures in docs/privacy.md come from more of them."""
    seen = score(sentences(4_000, 7))

    for kind in set(KINDS) - {"name", "address"}:  # Measured on written ones.
        assert seen.recall(kind) > 0.65, kind
        assert seen.precision(kind) > 0.55, kind
    for kind in ("email", "iban", "ip-address", "national-id"):
        assert seen.precision(kind) > 0.98, kind


HOSTILE = [
    "Mr Dr. ",
    "my name is A de la B ",
    "regards\n \n",
    "12 Elm Oak ",
    "Via A B ",
    "1 ",
    "4 ",
    "444 ",
    "11 ",
    "a",
    "a.",
    "a@",
    "@",
    "+1",
    "+1111111111111111111a",
    "DE89 3704 ",
    "1.1.",
    "a:",
    "0(",
    "A",
    "AB12",
    "1-",
    "born 1 ",
]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    parts=st.lists(
        st.one_of(st.sampled_from(HOSTILE), st.text(alphabet="09 4+-.:@aAZ(/", min_size=1, max_size=12)),
        min_size=1,
        max_size=4,
    )
)
def test_hostile_text_costs_time_in_proportion_to_its_length(parts: list[str]) -> None:
    """Whoever sends the text chooses it; a pattern that backtracks would be a way to stop the server."""
    unit = "".join(parts)

    def seconds(length: int) -> float:
        text = (unit * (length // len(unit) + 1))[:length]
        began = time.process_time()
        find_in_text(text)
        return time.process_time() - began

    assert seconds(60_000) < 3 + 12 * seconds(15_000)


def test_noise_is_no_personal_data() -> None:
    """Random words of letters and digits hold next to nothing that checks out."""
    rng = Random(3)
    words = ["".join(rng.choice("abcdef0123456789XYZ-") for _ in range(rng.randint(1, 20))) for _ in range(20_000)]

    assert len(find_in_text(" ".join(words))) < 20
