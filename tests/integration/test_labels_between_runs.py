"""Labels go with the data: from a parent to a child and back, and with events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import YAML, client_of, problem
from tests.integration.service_support import document
from tests.integration.test_masking import CLOUD_EVENT, V1, eventually, started
from tests.integration.test_permissions import account

from segue.handlers import FunctionRegistry
from segue.service import Service, Settings, open_service
from segue.service.functions import register

MAIL = "canary-ada@example.org"
PERSONAL = """
input:
  schema:
    document: {properties: {mail: {type: string, x-data-class: personal}}}
"""
PARENT = document(
    """
    - ask: {run: {workflow: {namespace: demo, name: child, version: latest, input: {who: '${ .mail }', n: 1}}}}
    - keep: {set: {answer: '${ .said }', n: '${ .n }', code: '${ .code }'}}
    """,
    name="parent",
    more=PERSONAL,
)
CHILD = document(
    """
    - look: {call: touch, with: {about: 1}, output: {schema: {document: {properties: {pin: {x-data-class: secret}}}}}}
    - tell: {set: {said: '${ "of " + $workflow.input.who }', n: '${ $workflow.input.n }', code: '${ .pin }'}}
    """,
    name="child",
)
TELLS = document(
    """
    - tell: {emit: {event: {with: {source: /crm, type: customer.new, data: {mail: '${ .mail }', n: 1}}}}}
    """,
    name="tells",
    more=PERSONAL,
)
HEARS = document(
    "- keep: {call: touch, with: {about: '${ .[0].n }', mail: '${ .[0].mail }'}}",
    name="hears",
    more="schedule: {on: {one: {with: {type: customer.new}}}}",
)
NO_MAIL = """
@id("no-mail") forbid (principal, action == Action::"act.perform", resource)
when { context.classes.contains("personal") && resource.handler == "function" };
"""
NO_STRANGERS = NO_MAIL.replace("no-mail", "no-strangers").replace(
    'context.classes.contains("personal")', "context.untrusted"
)


def touch(about: Any, mail: Any = None) -> dict[str, Any]:
    return {"pin": "canary-pin", "about": about, "mail": mail}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, touch, "touch")
    async with open_service(tmp_path, Settings(), local=None, functions=functions) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


async def publish(owner: httpx.AsyncClient, text: str) -> dict[str, Any]:
    answer = await owner.post(f"{V1}/workflows", content=text, headers=YAML)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


async def run_of(owner: httpx.AsyncClient, workflow: str, headers: Any = None) -> dict[str, Any]:
    """The newest run of a workflow, once it has completed, as somebody sees it."""

    async def found() -> Any:
        listed = (await owner.get(f"{V1}/runs", params={"workflow": workflow})).json()["items"]
        return listed and listed[0]["status"] == "completed" and listed[0]["id"]

    return dict((await owner.get(f"{V1}/runs/{await eventually(found)}", headers=headers)).json())


async def rule(owner: httpx.AsyncClient, text: str) -> None:
    answer = await owner.post(f"{V1}/policies/flows", json={"text": text, "reason": "a test"})
    assert answer.status_code == 200, answer.text


async def test_a_child_is_masked_as_its_parent_and_its_answer_as_it_was_there(owner: httpx.AsyncClient) -> None:
    """A helper without a word about classes must not show what it was given, nor launder what it found."""
    await publish(owner, CHILD)
    await started(owner, PARENT, {"mail": MAIL}, "demo/parent")
    viewer = await account(owner, "vic", "viewer")
    personal, secret = {"$masked": ["personal"]}, {"$masked": ["secret"]}

    child = await run_of(owner, "demo/child", viewer)
    assert child["input"] == {"who": personal, "n": 1}
    assert child["output"] == {"said": personal, "n": 1, "code": secret}
    parent = await run_of(owner, "demo/parent", viewer)
    assert parent["output"] == {"answer": personal, "n": 1, "code": secret}
    assert (await run_of(owner, "demo/parent"))["output"]["code"] == "canary-pin"


async def test_an_event_takes_the_classes_of_its_data_along(owner: httpx.AsyncClient) -> None:
    """Who listens never saw the schema of the input that the data came from."""
    await publish(owner, HEARS)
    await started(owner, TELLS, {"mail": MAIL}, "demo/tells")
    viewer = await account(owner, "vic", "viewer")

    heard = await run_of(owner, "demo/hears", viewer)
    assert heard["input"] == [{"mail": {"$masked": ["personal"]}, "n": 1}]
    assert MAIL not in str(heard)
    assert (await run_of(owner, "demo/hears"))["input"] == [{"mail": MAIL, "n": 1}]


async def test_what_a_document_would_bring_about_elsewhere_is_refused_with_it(owner: httpx.AsyncClient) -> None:
    """The listener was harmless until somebody told it of customers: the new document is what has to change."""
    await publish(owner, HEARS)
    await rule(owner, NO_MAIL)
    answer = await owner.post(f"{V1}/workflows", content=TELLS, headers=YAML)
    (found,) = problem(answer, 422, "definition-refused")["findings"]
    assert (found["rule"], found["pointer"]) == ("forbidden-flow", "/do/0/tell")
    for part in ("demo/hears:1.0.0", "/do/0/keep", "'no-mail'", "arguments/mail"):
        assert part in found["message"]


async def test_what_comes_from_outside_is_untrusted_until_somebody_vouches_for_it(owner: httpx.AsyncClient) -> None:
    """Whoever may send events may have been sent the text by anybody."""
    await rule(owner, NO_STRANGERS)
    refused = await owner.post(f"{V1}/workflows", content=HEARS, headers=YAML)
    (found,) = problem(refused, 422, "definition-refused")["findings"]
    assert "untrusted" in found["message"]
    vouched = "input: {schema: {document: {items: {x-untrusted: false}}}}\ndo:"
    await publish(owner, HEARS.replace("\ndo:", f"\n{vouched}"))
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "customer.new", "data": {"n": 2}}
    sent = await owner.post(f"{V1}/events", json=event, headers={"content-type": CLOUD_EVENT})
    assert sent.status_code == 202, sent.text
    assert (await run_of(owner, "demo/hears"))["output"]["about"] == 2


async def test_the_door_knows_what_was_published_since(owner: httpx.AsyncClient) -> None:
    """A rule that came after a document is asked before each act, with what reaches it by then."""
    await publish(owner, HEARS)
    await publish(owner, TELLS)
    await rule(owner, NO_MAIL)
    run = await owner.post(f"{V1}/runs", json={"workflow": "demo/tells", "input": {"mail": MAIL}})
    assert run.status_code == 201

    async def faulted() -> Any:
        listed = (await owner.get(f"{V1}/runs", params={"workflow": "demo/hears"})).json()["items"]
        return listed and listed[0]["status"] == "faulted" and listed[0]["id"]

    told = (await owner.get(f"{V1}/runs/{await eventually(faulted)}")).json()
    assert "no-mail" in told["error"]["detail"]


async def test_a_computed_workflow_is_warned_of_and_counts_as_any(owner: httpx.AsyncClient) -> None:
    """What is not known when it is published is said then, and no label is lost for it."""
    await publish(owner, CHILD)
    computed = PARENT.replace("name: child", "name: '${ .which }'")
    await rule(owner, NO_MAIL.replace("no-mail", "other").replace('"personal"', '"nothing"'))
    warnings = (await publish(owner, computed))["warnings"]
    (found,) = [one for one in warnings if one["rule"] == "unknown-flow"]
    assert found["pointer"] == "/do/0/ask"
    assert "personal" in found["message"]
    await started(owner, computed, {"mail": MAIL, "which": "child"}, "demo/parent")
    viewer = await account(owner, "vic", "viewer")
    assert (await run_of(owner, "demo/child", viewer))["input"]["who"] == {"$masked": ["personal"]}
    # It may start itself, too, so what comes back may be anything.
    assert "secret" in (await run_of(owner, "demo/parent", viewer))["output"]["code"]["$masked"]
