"""Laws of the invented customers."""

from __future__ import annotations

import hashlib
from datetime import date

import msgspec
import pytest

from segue.sandbox import billing, crm, support, usage
from segue.sandbox import customers as module
from segue.sandbox.customers import Customer, add_months, customers, next_renewal, read_rows

TODAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def everybody() -> list[Customer]:
    return list(customers(TODAY))


def test_every_published_customer_has_ids_of_their_own(everybody: list[Customer]) -> None:
    """Ids are invented by arithmetic; two customers with one id would merge two people."""
    assert len(everybody) == 7043
    for identity in ("account_id", "client_no", "customer_ref", "email"):
        assert len({getattr(one, identity) for one in everybody}) == 7043


def test_the_same_people_are_invented_everywhere(everybody: list[Customer]) -> None:
    """Reports of different machines speak of the same customers, so the invention must not drift unnoticed."""
    text = repr([(one.account_id, one.email, one.region, one.renewal_date, one.tickets) for one in everybody])

    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "afbce50a85533df4"


def test_no_system_is_told_who_left(everybody: list[Customer]) -> None:
    """A churn model that could read the answer from a system would look better than it is."""
    for one in everybody[:200]:
        records = [*crm.rows(one), *billing.rows(one), *usage.rows(one), *support.requester_rows(one)]
        assert "churn" not in repr([*records, *support.ticket_rows(one), one]).lower()


def test_what_is_invented_does_not_depend_on_who_left(
    everybody: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swapping every label changes nothing that any system says."""
    swapped = [{**row, "churn": {"Yes": "No", "No": "Yes"}[row["churn"]]} for row in read_rows()]
    monkeypatch.setattr(module, "read_rows", lambda: iter(swapped))

    assert list(customers(TODAY)) == everybody


def test_renewals_stand_between_today_and_one_period_ahead(everybody: list[Customer]) -> None:
    """'Renewal nears' is the job's first question; a past or far-off renewal would answer it wrongly."""
    months = {"month_to_month": 1, "one_year": 12, "two_year": 24}
    for one in everybody:
        assert TODAY <= one.renewal_date <= add_months(TODAY, months[one.contract])
        assert one.customer_since <= TODAY


def test_hundreds_to_thousands_of_renewals_are_near(everybody: list[Customer]) -> None:
    """The demonstration needs a crowd for a week as well as for a month."""
    near = {days: sum((one.renewal_date - TODAY).days < days for one in everybody) for days in (7, 30)}

    assert near == {7: 721, 30: 4192}


@pytest.mark.parametrize(
    ("since", "today", "period", "due"),
    [
        (date(2025, 11, 21), date(2026, 11, 21), 12, date(2026, 11, 21)),
        (date(2025, 11, 20), date(2026, 11, 21), 12, date(2027, 11, 20)),
        (date(2026, 11, 21), date(2026, 11, 21), 1, date(2026, 12, 21)),
        (date(2026, 1, 31), date(2026, 2, 10), 1, date(2026, 2, 28)),
        (date(2024, 2, 29), date(2025, 2, 27), 12, date(2025, 2, 28)),
        (date(2026, 10, 30), date(2026, 11, 21), 24, date(2028, 10, 30)),
    ],
)
def test_a_contract_renews_at_multiples_of_its_period(since: date, today: date, period: int, due: date) -> None:
    """Whole periods after the start, at least one, the day clipped to the month, and never past."""
    assert next_renewal(since, today, period) == due


def test_amounts_are_told_in_whole_cents(everybody: list[Customer]) -> None:
    """19.55 is no binary fraction; cents must not come out one short."""
    for one in everybody:
        _, _, text = next(billing.rows(one))
        assert msgspec.json.decode(text)["monthly_fee_cents"] / 100 == float(one.published["monthly_charges"])
