"""How much personal data is found in free text, and how much of what is found is none.

The sentences are made here, by the same people as the detectors, so the figures say what the detectors can do and not
what they will do on anybody's mail. Half of the sentences hold something that only looks like personal data.

    python -m bench.detection [SENTENCES] [SEED]
"""

from __future__ import annotations

import random
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from segue.governance.detection import find_in_text
from segue.governance.detection.checks import CHECKS, luhn

_FIRST = "Ada Björn Chloé Dmitri Elif François Grace Hannah Inés Jürgen Katarzyna Luís Maria Noah Olga Pierre"
_LAST = "Lovelace Nyström Müller O'Brien García Kowalska Rossi Smith-Jones Dubois vanDijk Yılmaz Okafor"
FIRST, LAST = _FIRST.split(), _LAST.split()


@dataclass(frozen=True)
class Sentence:
    """A text, and what personal data stands where: `(kind, start, end)`."""

    text: str
    truth: tuple[tuple[str, int, int], ...] = ()


@dataclass
class Score:
    """Counts of one kind."""

    right: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def recall(self, kind: str) -> float:
        """Share of what stands there that was found, at its exact place."""
        return self.right[kind] / max(1, self.right[kind] + self.missed[kind])

    def precision(self, kind: str) -> float:
        """Share of what was found that stands there."""
        return self.right[kind] / max(1, self.right[kind] + self.wrong[kind])


Made = TypeVar("Made")


def drawn(rng: random.Random, makers: Sequence[Callable[[], Made]]) -> Made:
    """What one of them makes."""
    return rng.choice(makers)()


def digits(rng: random.Random, count: int, first: str = string.digits) -> str:
    return rng.choice(first) + "".join(rng.choice(string.digits) for _ in range(count - 1))


def until(rng: random.Random, made: Callable[[random.Random], str], check: str) -> str:
    """Draw until the check accepts it whole."""
    while True:
        text = made(rng)
        if CHECKS[check](text) == len(text):
            return text


def email(rng: random.Random) -> str:
    first, last = rng.choice(FIRST).lower(), rng.choice(LAST).lower().replace("'", "").replace(" ", "")
    name = rng.choice([f"{first}.{last}", f"{first[0]}{last}", f"{first}+news", f"{last}_{rng.randint(1, 99)}"])
    return f"{name}@{rng.choice(['example.org', 'mail.example.co.uk', 'firma-berlin.example.de', 'x.example.io'])}"


def phone(rng: random.Random) -> str:
    return drawn(
        rng,
        [
            lambda: f"+49 {rng.choice(['30', '89', '171'])} {digits(rng, 7, '123456789')}",
            lambda: f"+44 20 7{digits(rng, 3)} {digits(rng, 4)}",
            lambda: f"+1-{digits(rng, 3, '23456789')}-{digits(rng, 3, '23456789')}-{digits(rng, 4)}",
            lambda: f"+33 {' '.join([rng.choice('123456'), *(digits(rng, 2) for _ in range(4))])}",
            lambda: f"+34{digits(rng, 9, '679')}",
        ],
    )


def national_phone(rng: random.Random) -> str:
    return drawn(
        rng,
        [
            lambda: f"0{rng.choice(['30', '89', '171'])}/{digits(rng, 7, '123456789')}",
            lambda: f"0{rng.choice('123456')} {' '.join(digits(rng, 2) for _ in range(4))}",
            lambda: f"({digits(rng, 3, '23456789')}) {digits(rng, 3, '23456789')}-{digits(rng, 4)}",
            lambda: f"020 7{digits(rng, 3)} {digits(rng, 4)}",
        ],
    )


def iban(rng: random.Random) -> str:
    country, length = rng.choice([("DE", 22), ("NL", 18), ("FR", 27), ("GB", 22), ("ES", 24), ("NO", 15)])
    letters = {"NL": "ABNA", "GB": "WEST"}.get(country, "")
    body = letters + digits(rng, length - 4 - len(letters))
    number = "".join(str(int(one, 36)) for one in f"{body}{country}00")
    compact = f"{country}{98 - int(number) % 97:02}{body}"
    grouped = " ".join(compact[n : n + 4] for n in range(0, length, 4))
    return rng.choice([compact, grouped])


def card(rng: random.Random) -> str:
    body = rng.choice(["4", "51", "55", "2221"])
    body += digits(rng, 15 - len(body))
    number = next(body + last for last in string.digits if luhn(body + last))
    grouped = [number[n : n + 4] for n in range(0, 16, 4)]
    return rng.choice([number, " ".join(grouped), "-".join(grouped)])


def date(rng: random.Random) -> str:
    year, month, day = rng.randint(1935, 2010), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        [f"{year}-{month:02}-{day:02}", f"{day}.{month}.{year}", f"{month:02}/{day:02}/{year}", f"{day} May {year}"]
    )


def national_id(rng: random.Random) -> tuple[str, str]:
    """With the words that people write before it."""
    letters = "ABCEGHJKLMNPRSTWXYZ"
    return drawn(
        rng,
        [
            lambda: ("SSN ", f"{rng.randint(100, 665)}-{rng.randint(1, 99):02}-{rng.randint(1, 9999):04}"),
            lambda: ("Steuer-ID: ", until(rng, lambda r: digits(r, 11, "123456789"), "de-tax")),
            lambda: ("BSN ", until(rng, lambda r: digits(r, 9), "bsn")),
            lambda: ("DNI ", until(rng, lambda r: digits(r, 8) + r.choice("TRWAGMYFPDXBNJZSQVHLCKE"), "nif")),
            lambda: ("NI number ", f"A{rng.choice(letters[:10])}{digits(rng, 6)}{rng.choice('ABCD')}"),
            lambda: (
                "PESEL ",
                until(rng, lambda r: f"{r.randint(40, 99)}0{r.randint(1, 9)}1{digits(r, 6)}", "pesel"),
            ),
            lambda: ("NHS no. ", until(rng, lambda r: digits(r, 10), "nhs")),
        ],
    )


def address(rng: random.Random) -> str:
    four = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    return rng.choice([four, f"2001:db8:{rng.randrange(16**4):x}::{rng.randrange(1, 16**4):x}"])


BEFORE = {
    "email": ["Write to ", "My address is ", "Kontakt: ", "<", "mailto:"],
    "phone": ["Call me at ", "Tel. ", "Reach us on ", "mobile: ", "Telefon "],
    "iban": ["IBAN ", "Please pay to ", "Bankverbindung: "],
    "payment-card": ["My card is ", "Visa ", "charged to ", "card number "],
    "ip-address": ["logged in from ", "client ", "IP address "],
    "birth-date": ["born on ", "DOB: ", "geboren am ", "Date of birth "],
}
AFTER = [".", ", thanks.", " and that is all.", "", "\n-- \nsent from my phone", ") is what I have."]


def holding(rng: random.Random) -> Sentence:
    """A sentence with one piece of personal data."""
    kind = rng.choice([*BEFORE, "national-id"])
    if kind == "national-id":
        before, text = national_id(rng)
    else:
        before = rng.choice(BEFORE[kind])
        makers = {"email": email, "iban": iban, "payment-card": card, "ip-address": address, "birth-date": date}
        text = rng.choice([phone, national_phone])(rng) if kind == "phone" else makers[kind](rng)
        if kind == "phone" and text[0] != "+" and before == "Reach us on ":
            before = "Tel. "
    lead = rng.choice(["", f"Hello, this is {rng.choice(FIRST)}. ", "As discussed yesterday: "]) + before
    return Sentence(lead + text + rng.choice(AFTER), ((kind, len(lead), len(lead) + len(text)),))


def hard(rng: random.Random) -> Sentence:
    """A sentence with personal data as people write it who help nobody to find it."""
    kind, text = drawn(
        rng,
        [
            lambda: ("phone", national_phone(rng)),
            lambda: ("email", email(rng).replace("@", " [at] ").replace(".", " dot ")),
            lambda: ("iban", iban(rng).lower()),
            lambda: ("payment-card", ".".join(re.findall("....", card(rng).replace(" ", "").replace("-", "")))),
            lambda: ("national-id", until(rng, lambda r: digits(r, 9), "bsn")),
        ],
    )
    lead = rng.choice(["It is ", "That would be ", "Here you are: "])
    return Sentence(lead + text + rng.choice(AFTER), ((kind, len(lead), len(lead) + len(text)),))


def lookalike(rng: random.Random) -> Sentence:
    """A sentence with a number or a name that only looks like it."""
    hexes = "0123456789abcdef"
    made = drawn(
        rng,
        [
            lambda: f"Order {digits(rng, rng.randint(8, 16))} was shipped on {date(rng)}",
            lambda: (
                f"Invoice {rng.randint(2019, 2026)}-{digits(rng, 6)} over {rng.randint(1, 9)},{digits(rng, 3)}.50 EUR"
            ),
            lambda: f"Upgrade to version {rng.randint(1, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 9)} by {date(rng)}",
            lambda: f"Trace {''.join(rng.choice(hexes) for _ in range(32))}",
            lambda: f"Parcel {''.join(rng.choice(string.ascii_uppercase + string.digits) for _ in range(18))}",
            lambda: f"Meeting at {rng.randint(8, 18)}:{rng.randint(0, 59):02}, room {rng.randint(1, 400)}",
            lambda: f"ISBN 978-{rng.randint(0, 9)}-{digits(rng, 3)}-{digits(rng, 5)}-{rng.randint(0, 9)}",
            lambda: (
                f"Part no. {digits(rng, 3)}-{digits(rng, 2)}{rng.choice(string.ascii_uppercase)}-{digits(rng, 4)}"
            ),
            lambda: f"Follow @{rng.choice(FIRST).lower()} and use ratio {digits(rng, 2)}:{digits(rng, 2)}",
            lambda: f"The sum is {digits(rng, 10)} and the timestamp {rng.randint(1_500_000_000, 1_900_000_000)}",
            lambda: f"Coordinates {rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}",
            lambda: f"Call about order 0{digits(rng, 9, '123456789')}",
            lambda: f"Our company was born on {date(rng)}",
            lambda: f"SKU {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)} is sold out",
        ],
    )
    return Sentence(made + rng.choice(AFTER))


def sentences(count: int, seed: int) -> list[Sentence]:
    """As many sentences; the same for the same seed."""
    rng = random.Random(seed)
    return [rng.choice([holding] * 4 + [hard] + [lookalike] * 5)(rng) for _ in range(count)]


def score(made: list[Sentence]) -> Score:
    """Hold what is found against what stands there."""
    found = Score()
    for sentence in made:
        seen = {(one.kind, one.start, one.end) for one in find_in_text(sentence.text)}
        truth = set(sentence.truth)
        found.right.update(kind for kind, _, _ in seen & truth)
        found.missed.update(kind for kind, _, _ in truth - seen)
        found.wrong.update(kind for kind, _, _ in seen - truth)
    return found


def main() -> None:
    """Print a table by kind."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    found = score(sentences(count, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
    print("| kind | held | precision | recall |\n| --- | --- | --- | --- |")
    for kind in sorted({*found.right, *found.missed, *found.wrong}):
        held = found.right[kind] + found.missed[kind]
        print(f"| `{kind}` | {held} | {found.precision(kind):.3f} | {found.recall(kind):.3f} |")


if __name__ == "__main__":
    main()
