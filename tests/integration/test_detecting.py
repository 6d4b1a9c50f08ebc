"""`x-detect`: free text of an input has its class unless it was looked through and nothing was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.api_support import api
from tests.integration.service_support import document
from tests.integration.test_masking import V1, ended, started
from tests.integration.test_permissions import account

from segue.dsl import Environment, compile_plan, read_document
from segue.dsl.flows import detected_places
from segue.service import detecting
from segue.service.detecting import CHARACTERS_MAX, Detecting

TICKET = document(
    "- keep: {set: {text: '${ .text }', id: '${ .id }'}}",
    name="ticket",
    more="""
    input:
      schema:
        document:
          properties:
            id: {type: string}
            text: {type: string, x-detect: true}
            notes: {type: array, items: {x-detect: health}}
    """,
)
STARTS = document(
    "- go: {run: {workflow: {namespace: demo, name: ticket, version: latest, input: {text: '${ .text }'}}}}",
    name="starts",
)
CALM, MAIL = "The door does not close.", "Write to ada@example.org, please."
PERSONAL = {"$masked": ["personal"]}


async def seen(client: httpx.AsyncClient, given: Any, viewer: Any, workflow: str = "demo/ticket") -> dict[str, Any]:
    run = await started(client, TICKET if workflow == "demo/ticket" else STARTS, given, workflow)
    await ended(client, run)
    return dict((await client.get(f"{V1}/runs/{run}", headers=viewer)).json())


async def test_a_text_in_which_something_is_found_is_masked_and_another_is_not(tmp_path: Path) -> None:
    """Masks on every ticket would be switched off; on none, they would miss the ones that matter."""
    async with api(tmp_path) as client:
        viewer = await account(client, "vic", "viewer")
        found = await seen(client, {"id": "1", "text": MAIL}, viewer)
        assert found["input"] == {"id": "1", "text": PERSONAL}
        assert found["output"] == {"id": "1", "text": PERSONAL}
        assert found["cause"]["looked"] == {"result": "found", "kinds": {"email": 1}, "at": ["/text"]}

        nothing = await seen(client, {"id": "2", "text": CALM}, viewer)
        assert nothing["input"] == {"id": "2", "text": CALM}
        assert nothing["cause"]["looked"] == {"result": "nothing"}
        operator = await account(client, "ola", "operator")
        assert (await seen(client, {"id": "3", "text": MAIL}, operator))["input"]["text"] == MAIL


async def test_what_nobody_looked_through_counts_as_found(tmp_path: Path) -> None:
    """Too large, started by another run, or put in by an operator: no mask may fall for want of looking."""
    async with api(tmp_path) as client:
        viewer = await account(client, "vic", "viewer")
        large = await seen(client, {"text": "a " * CHARACTERS_MAX}, viewer)
        assert "$masked" in str(large["input"])
        assert "a a" not in str(large)
        assert large["cause"]["looked"] == {"result": "too-large"}
        parent = await seen(client, {"text": CALM}, viewer, "demo/starts")
        children = (await client.get(f"{V1}/runs", params={"parent": parent["id"]})).json()["items"]
        child = (await client.get(f"{V1}/runs/{children[0]['id']}", headers=viewer)).json()
        assert child["input"] == {"text": PERSONAL}
        # Lists do not read what was found, so they mask.
        listed = (await client.get(f"{V1}/runs?include=output&workflow=demo/ticket", headers=viewer)).json()["items"]
        assert len(listed) == 2
        assert CALM not in str(listed)


PLAN = compile_plan(read_document(TICKET), Environment())
TEXTS = st.lists(st.sampled_from([CALM, MAIL, "call +49 30 901820 today", "x", ""]), max_size=4)


@settings(max_examples=60, deadline=None)
@given(text=st.sampled_from([CALM, MAIL]), notes=TEXTS, deep=st.booleans())
@pytest.mark.filterwarnings("ignore")
async def test_whatever_stands_at_a_marked_place_is_looked_through(text: str, notes: list[str], deep: bool) -> None:
    """However it is nested there, also as a key; and nothing else is."""
    held: Any = [{"a": [note], note: 1} if deep else note for note in notes]
    looked = await Detecting().look(PLAN, {"id": MAIL, "text": text, "notes": held})
    assert looked is not None
    at = {"/text"} if "@" in text else set()
    at |= {"/notes/*"} if any("@" in note or "+" in note for note in notes) else set()
    assert set(looked.get("at", ())) == at
    assert looked["result"] == ("found" if at else "nothing")


async def test_a_schema_is_read_once_and_not_at_each_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 200 properties takes a millisecond to read, nineteen times as long as starting its run."""
    reads: list[Any] = []

    def counted(schema: Any) -> Any:
        reads.append(schema)
        return detected_places(schema)

    monkeypatch.setattr(detecting, "detected_places", counted)
    looking = Detecting()
    for _ in range(3):
        assert await looking.look(PLAN, {"text": MAIL}) == await looking.look(PLAN, {"text": MAIL})
    assert len(reads) == 1
