"""`docs/practice-company.md` is true: its program runs, its mapping fits the model, its numbers are right."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from segue.sandbox import PracticeCompany, billing, crm, support, usage
from segue.sandbox.customers import customers, read_rows
from segue.sandbox.knobs import Knobs

PAGE = (Path(__file__).parents[2] / "docs/practice-company.md").read_text(encoding="utf-8")
TODAY = date(2026, 11, 21)


def snippet(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_the_program_runs() -> None:
    """What people copy first must work."""
    done = subprocess.run([sys.executable, "-c", snippet("python")], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "/openapi.json oauth2" in done.stdout


@pytest.mark.ml
def test_the_feature_mapping_gives_what_the_model_was_trained_on() -> None:
    """A field mapped to the wrong feature would still give a score, and nobody would see that it is wrong."""
    jq = pytest.importorskip("jq")
    training = pytest.importorskip("scripts.train_churn_model")
    mapping = jq.compile(snippet("jq"))
    published = {int(row["row"]): row for row in read_rows()}

    checked = 0
    for one in customers(TODAY):
        for requester in support.requester_rows(one):
            (account,), (client,), (customer,) = crm.rows(one), billing.rows(one), usage.rows(one)
            texts = {"account": account, "client": client, "customer": customer, "requester": requester}
            records: dict[str, Any] = {name: msgspec.json.decode(row[-1]) for name, row in texts.items()}
            assert mapping.input_value(records).first() == training.features_of(published[one.row])
            checked += 1
    assert checked == 7043 - 8


def test_the_knobs_are_all_described() -> None:
    """A knob that nobody can find is no knob."""
    _, section = PAGE.split("## Trouble on demand")
    described = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))

    assert described == set(Knobs.__struct_fields__)


async def test_the_count_looks_as_shown() -> None:
    """People write their checks against the example."""
    shown = msgspec.json.decode(snippet("json"))
    async with PracticeCompany(today=TODAY) as company:
        system = company.systems["support"]
        headers = {system.credentials["header"]: system.credentials["key"]}
        body = {"requester_email": "zoe.papas.5730@example.net", "template": "welcome_back", "external_ref": "r"}
        async with httpx.AsyncClient(headers=headers) as client:
            await client.post(system.url + "/outreach", json=body)
            system.turn(drop_after_write=1.0)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(system.url + "/outreach", json=body)
            await client.get(system.url + "/outreach?external_ref=r")

        assert system.stats() == shown


@pytest.mark.ml
def test_the_numbers_of_renewals_are_as_told() -> None:
    """Demonstrations plan by them, and count their actions against them."""
    training = pytest.importorskip("scripts.train_churn_model")
    told = re.findall(r"^\| (\d+) days " + r"\| ([\d,]+) " * 4 + r"\|$", PAGE, re.MULTILINE)
    graph = (training.FOLDER / "churn.onnx").read_bytes()
    threshold = msgspec.json.decode((training.FOLDER / "churn.json").read_bytes())["threshold"]
    scored = list(zip(customers(TODAY), training.score(graph, list(read_rows())), strict=True))

    assert len(told) == 3
    for days, *numbers in told:
        near = [(one, score) for one, score in scored if (one.renewal_date - TODAY).days < int(days)]
        assert [int(number.replace(",", "")) for number in numbers] == [
            len(near),
            sum(not one.in_billing for one, _ in near),
            sum(not one.in_support for one, _ in near),
            sum(score >= threshold for one, score in near if one.in_billing and one.in_support),
        ]
