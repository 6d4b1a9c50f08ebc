"""Who the practice company's customers are: published rows, and the facts invented around them.

The published table has no id, name, address or date. Those are drawn here from a digest of the row's number,
so that every machine invents the same people. Nothing invented looks at the churn label, and the label never
leaves `read_rows`: a `Customer` has no field for it.
"""

from __future__ import annotations

import calendar
import csv
import gzip
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

SEED = "segue-practice-company-1"
"""Names one edition of the invented facts; changing it changes every name and id."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_GIVEN = {
    True: _words(
        "Ada Alma Amina Anna Bea Carla Chiara Dora Elena Emma Esra Fatima Greta Hana Ines Ingrid Irene Jana "
        "Julia Karin Laila Lea Lena Lucia Maja Maria Marta Mei Mina Nadia Nina Nora Olga Petra Priya Rosa Sara "
        "Selma Sofia Tamar Vera Yara Zoe"
    ),
    False: _words(
        "Aaron Adam Ali Anton Ben Bruno Carlos Daniel David Emil Erik Felix Filip Hugo Ian Ivan Jan Joel "
        "Jonas Karim Kofi Lars Leo Liam Luca Marco Mateo Milan Nils Noah Omar Oscar Pablo Paul Ravi Samir Simon "
        "Theo Tomas Victor Wei Yusuf"
    ),
}
_FAMILY = _words(
    "Abbott Alvarez Andersen Baker Banerjee Barros Becker Bell Blanc Bosch Brandt Castro Chen Costa Dahl "
    "Delgado Diaz Dubois Eriksen Evans Farkas Ferrari Fischer Fontaine Garcia Gruber Haas Hansen Holm Ibrahim "
    "Jensen Kaya Keller Khan Kim Kovacs Kruger Lang Larsen Lopez Marino Meyer Mori Moreau Nagy Novak Okafor "
    "Olsen Papas Patel Petrov Popescu Reyes Ricci Romero Rossi Santos Sato Schmidt Silva Singh Soto Tanaka "
    "Torres Varga Vogel Weber Winter Wolf Yilmaz Zhang"
)
REGIONS = ("north", "east", "south", "west", "central", "islands")
OWNERS = ("Adele Frost", "Bram Visser", "Cora Lind", "Dario Conti", "Edda Moll", "Finn Roche")
_TOPICS = ("Slow connection", "Invoice question", "Outage", "Change of plan", "Device set-up", "Moving house")
_PERIOD_MONTHS = {"month_to_month": 1, "one_year": 12, "two_year": 24}
CONTRACTS = {"Month-to-month": "month_to_month", "One year": "one_year", "Two year": "two_year"}


class Draws:
    """A short stream of draws that depends on its name alone, on every platform and Python version."""

    def __init__(self, name: str) -> None:
        self._digest = hashlib.blake2b(f"{SEED}/{name}".encode()).digest()
        self._at = 0

    def below(self, limit: int) -> int:
        """The next draw, from [0, limit); a stream holds 16 of them."""
        chunk = self._digest[self._at : self._at + 4]
        assert len(chunk) == 4, "a stream of draws holds 16 values"
        self._at += 4
        return int.from_bytes(chunk, "big") % limit


@dataclass(frozen=True, slots=True)
class Ticket:
    """A support ticket; invented altogether."""

    subject: str
    status: str
    priority: str
    channel: str
    created_on: date


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer as nobody sees it: all four systems' knowledge in one place, without the churn label.

    Attributes:
        published: The row's columns as published, churn left out.
        months: Whole months since the contract began (published as `tenure`).
        in_billing: False for the few accounts whose link to billing was never entered in the CRM.
        in_support: False for the few customers who wrote to support under another address.
    """

    row: int
    published: dict[str, str]
    given_name: str
    family_name: str
    region: str
    owner: str
    contract: str
    months: int
    customer_since: date
    renewal_date: date
    data_gb_30d: float
    overdue_days: int
    tickets: tuple[Ticket, ...]

    # Every prime below exceeds the number of rows, so that the products stay distinct.
    @property
    def account_id(self) -> str:
        return f"ACC-{self.row * 48271 % 999_983:06d}"

    @property
    def client_no(self) -> int:
        return 40_000_000 + self.row * 1_299_709 % 9_999_991

    @property
    def customer_ref(self) -> str:
        return "sub_" + hashlib.blake2b(f"{SEED}/ref/{self.row}".encode(), digest_size=6).hexdigest()

    @property
    def email(self) -> str:
        return f"{self.given_name}.{self.family_name}.{self.row * 7919 % 10_007}@example.net".lower()

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def in_billing(self) -> bool:
        return self.row % 701 != 17

    @property
    def in_support(self) -> bool:
        return self.row % 997 != 5


def read_rows() -> Iterator[dict[str, str]]:
    """The published rows in order, as text, label included. For training; servers use `customers`."""
    packed = files(__package__).joinpath("data/telco_customers.csv.gz").read_bytes()
    yield from csv.DictReader(gzip.decompress(packed).decode().splitlines())


def customers(today: date) -> Iterator[Customer]:
    """Every customer as of `today`; dates move with it, everything else stays the same."""
    for published in read_rows():
        del published["churn"]
        yield _customer(published, today)


def _customer(published: dict[str, str], today: date) -> Customer:
    row = int(published["row"])
    draws = Draws(str(row))
    contract, months = CONTRACTS[published["contract"]], int(published["tenure"])
    # The day of the month is invented; the published tenure counts whole months only.
    since = add_months(today, -months) - timedelta(days=draws.below(28))
    return Customer(
        row=row,
        published=published,
        given_name=_pick(draws, _GIVEN[published["female"] == "1"]),
        family_name=_pick(draws, _FAMILY),
        region=_pick(draws, REGIONS),
        owner=_pick(draws, OWNERS),
        contract=contract,
        months=months,
        customer_since=since,
        renewal_date=next_renewal(since, today, _PERIOD_MONTHS[contract]),
        data_gb_30d=0.0 if published["internet_service"] == "No" else (40 + draws.below(4000)) / 10,
        overdue_days=draws.below(45) if draws.below(100) < 9 else 0,
        tickets=tuple(_tickets(published, today, draws.below(100))),
    )


def _pick(draws: Draws, choices: Sequence[str]) -> str:
    return choices[draws.below(len(choices))]


def _tickets(published: dict[str, str], today: date, luck: int) -> Iterator[Ticket]:
    """Tickets of the last half year: more on fibre, fewer with a support plan, none for most others."""
    weight = {"Fiber optic": 60, "DSL": 40, "No": 15}[published["internet_service"]]
    if published["tech_support"] == "Yes":
        weight //= 2
    count = 0 if luck >= weight else 1 + luck % 3
    for number in range(count):
        draws = Draws(f"{published['row']}/ticket/{number}")
        age_days = draws.below(180)
        yield Ticket(
            subject=_pick(draws, _TOPICS),
            status="open" if age_days < 10 else "solved",
            priority=_pick(draws, ("low", "normal", "normal", "high")),
            channel=_pick(draws, ("email", "phone", "chat")),
            created_on=today - timedelta(days=age_days),
        )


def next_renewal(since: date, today: date, period_months: int) -> date:
    """The first renewal that is not past: a multiple of the period after `since`, at least one period on."""
    elapsed = (today.year - since.year) * 12 + today.month - since.month
    months = max(elapsed // period_months, 1) * period_months
    while (due := add_months(since, months)) < today:
        months += period_months
    return due


def add_months(day: date, months: int) -> date:
    """`day` moved by calendar months; the 31st becomes the last day of a shorter month."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month0 + 1, min(day.day, calendar.monthrange(year, month0 + 1)[1]))
