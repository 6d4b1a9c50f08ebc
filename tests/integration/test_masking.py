"""What somebody may not see stands in no answer, whichever way they ask."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import YAML, client_of, problem
from tests.integration.service_support import document
from tests.integration.test_permissions import OPERATIONS, account

from segue.handlers import FunctionRegistry
from segue.service import Service, Settings, open_service
from segue.service.functions import register

V1 = "/api/v1"
CLOUD_EVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
# Routes that do tell the owner a classed value in the world of this test; without them it would prove nothing.
TELLING = {
    *(
        "getRun",
        "getRunInput",
        "getRunOutput",
        "listRuns",
        "getTask",
        "listTasks",
        "getHistory",
        "getLifecycle",
        "getRunAt",
        "streamRun",
    ),
    *("getException", "listExceptions", "listExceptionGroups", "getHumanTask", "listHumanTasks", "listLabels"),
    *("getEffect", "exportSubject", "getTimeline"),
}
EMAIL, KEY, CITY = "canary-ada@example.org", "canary-secret-7731", "Lisbon"
FLOW = document(
    """
    - keep: {set: {city: '${ .customer.city }', mail: '${ .customer.email }'}}
    - greeting: {set: '${ {text: "Dear \\(.mail)", city} }'}
    """,
    more="""
    input:
      schema:
        document:
          type: object
          properties:
            customer:
              properties:
                email: {type: string, x-data-class: personal}
                city: {type: string}
            key: {x-data-class: secret}
    """,
)
GIVEN = {"customer": {"email": EMAIL, "city": CITY}, "key": KEY}
SCHEMA = """
input:
  schema:
    document:
      properties:
        email: {type: string, x-data-class: personal}
        key: {x-data-class: secret}
"""
ABOUT = "version: '1.0.0', metadata: {segue: {subject: '${ .subject }'}}}"
STORY = document(
    """
    - keep: {set: '${ . }', export: {as: '${ {kept: .email} }'}}
    - choose: {switch: [{yes: {when: .email != null, then: continue}}]}
    - tell: {emit: {event: {with: {source: /x, type: a.b, data: {mail: '${ .data // $workflow.input.email }'}}}}}
    - act: {call: touch, with: {mail: '${ $workflow.input.email }', key: '${ $workflow.input.key }'}}
    - wait:
        listen: {to: {one: {with: {type: order.paid}}}}
        output: {schema: {document: {items: {properties: {card: {x-data-class: personal}}}}}}
    - ask:
        call: human-task
        with:
          title: '${ "Pay \\($workflow.input.email)?" }'
          assign: {role: approver, person: ann}
          context: {mail: '${ $context.kept }', card: '${ .[0].card }'}
          data: {mail: '${ $context.kept }'}
          form: {type: object}
          about: {model: m, version: '1', input: {mail: '${ $context.kept }'}, value: '${ $context.kept }'}
    """,
    name="story",
    more=SCHEMA,
).replace("version: '1.0.0'}", ABOUT)
FAILS = document(
    """
    - try:
        try: [{broken: {call: broken, with: {mail: '${ .email }', key: '${ .key }'}}}]
        catch: {errors: {with: {status: 418}}, do: [{x: {set: {a: 1}}}]}
    """,
    name="fails",
    more=SCHEMA,
).replace("version: '1.0.0'}", ABOUT)
STORY_GIVEN = {"subject": "s-1", "email": EMAIL, "key": KEY}
CARD = "canary-card-4111"


def touch(mail: str, key: str) -> dict[str, str]:
    return {"echo": f"{mail} {key}"}


def broken(mail: str, key: str) -> None:
    raise ValueError(f"cannot read {mail} {key}")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, touch, "touch", recovery="ask")
    register(functions, broken, "broken")
    settings = Settings(failures="hold")
    async with open_service(tmp_path, settings, local=None, functions=functions) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


async def started(owner: httpx.AsyncClient, text: str, given: Any, workflow: str = "demo/flow") -> str:
    published = await owner.post(f"{V1}/workflows", content=text, headers=YAML)
    assert published.status_code in (200, 201), published.text
    run = await owner.post(f"{V1}/runs", json={"workflow": workflow, "input": given})
    assert run.status_code == 201, run.text
    return str(run.json()["id"])


async def ended(owner: httpx.AsyncClient, run: str) -> dict[str, Any]:
    async with owner.stream("GET", f"{V1}/runs/{run}/stream") as stream:
        async for _ in stream.aiter_lines():
            pass
    return dict((await owner.get(f"{V1}/runs/{run}")).json())


async def test_a_viewer_sees_masks_and_an_operator_what_they_work_with(owner: httpx.AsyncClient) -> None:
    """The class of a field follows it through the steps, and only it: the city beside it stays."""
    run = await started(owner, FLOW, GIVEN)
    await ended(owner, run)
    viewer, operator = await account(owner, "vic", "viewer"), await account(owner, "ola", "operator")

    seen = (await owner.get(f"{V1}/runs/{run}", headers=viewer)).json()
    assert seen["input"] == {
        "customer": {"email": {"$masked": ["personal"]}, "city": CITY},
        "key": {"$masked": ["secret"]},
    }
    assert seen["output"] == {"text": {"$masked": ["personal"]}, "city": CITY}

    seen = (await owner.get(f"{V1}/runs/{run}", headers=operator)).json()
    assert seen["input"] == {"customer": GIVEN["customer"], "key": {"$masked": ["secret"]}}
    assert seen["output"] == {"text": f"Dear {EMAIL}", "city": CITY}
    assert (await owner.get(f"{V1}/runs/{run}")).json()["input"] == GIVEN


async def test_an_event_is_masked_by_what_its_task_sends_whatever_id_the_document_gives_it(
    owner: httpx.AsyncClient,
) -> None:
    """An id that ends like the number of another task is no way around the mask."""
    for number in range(1, 5):
        sent = f"{{id: 'order-{number}', type: a.b, source: /x, data: '${{ . }}'}}"
        tell = f"- tell: {{emit: {{event: {{with: {sent}}}}}}}"
        tasks = f"- keep: {{set: {{mail: '${{ .email }}'}}}}\n{tell}\n- rest: {{set: {{a: 1}}}}"
        flow = document(tasks, name=f"tell-{number}", more=SCHEMA)
        run = await started(owner, flow, {"email": EMAIL}, f"demo/tell-{number}")
        await ended(owner, run)
        viewer = await account(owner, f"vic-{number}", "viewer")

        (event,) = (await owner.get(f"{V1}/runs/{run}", headers=viewer)).json()["events"]

        assert (event["id"], event["data"]) == (f"order-{number}", {"mail": {"$masked": ["personal"]}})


async def eventually(ask: Any) -> Any:
    for _ in range(500):
        found = await ask()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


class World:
    """Runs in every state, with canaries in them; `places` are what addresses can name."""

    def __init__(self, owner: httpx.AsyncClient) -> None:
        self.owner = owner
        self.places: dict[str, list[Any]] = {}

    async def items(self, path: str, **query: Any) -> list[Any]:
        answer = await self.owner.get(f"{V1}{path}", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def made(self) -> World:
        owner = self.owner
        waiting, decided = [await self.waiting(number) for number in (1, 2)]
        tasks = {item["run"]: item["id"] for item in await self.items("/tasks")}
        page = (await owner.get(f"{V1}/tasks/{tasks[decided]}")).json()
        assert page["title"] == f"Pay {EMAIL}?"
        said = {"outcome": "approve", "seen": page["seen"], "comment": f"for {EMAIL}", "data": {"mail": EMAIL}}
        answer = await owner.post(f"{V1}/tasks/{tasks[decided]}/decide", json=said)
        assert answer.status_code == 200, answer.text
        await ended(owner, decided)
        failed = await started(owner, FAILS, STORY_GIVEN, "demo/fails")
        (held,) = await eventually(lambda: self.items("/exceptions"))
        given_up = await self.given_up()
        (effect, *_) = await self.items("/effects")
        self.places = {
            "run": [waiting, decided, failed, given_up],
            "task": [tasks[waiting], tasks[decided], *range(1, 9)],
            "event": [3],
            "exception": [held["id"]],
            "effect": [effect["key"]],
            "record": [1, 19],
            "namespace": ["demo"],
            "name": ["story"],
            "version": ["latest"],
            "subject": ["s-1"],
        }
        return self

    async def given_up(self) -> str:
        run = await started(self.owner, FAILS, STORY_GIVEN, "demo/fails")
        (held,) = await eventually(lambda: self.items("/exceptions", run=run))
        answer = await self.owner.post(f"{V1}/exceptions/{held['id']}/give-up", json={"reason": "enough"})
        assert answer.status_code == 200, answer.text
        await ended(self.owner, run)
        return run

    async def waiting(self, number: int) -> str:
        run = await started(self.owner, STORY, STORY_GIVEN, "demo/story")
        await eventually(lambda: self.open(run, "message"))
        event = {
            "specversion": "1.0",
            "id": f"{number}",
            "source": "/s",
            "type": "order.paid",
            "data": {"card": CARD},
        }
        sent = await self.owner.post(f"{V1}/events", json=event, headers={"content-type": CLOUD_EVENT})
        assert sent.status_code == 202, sent.text
        await eventually(lambda: self.open(run, "person"))
        return run

    async def open(self, run: str, kind: str) -> bool:
        found = (await self.owner.get(f"{V1}/runs/{run}")).json()
        return any(command["kind"] == kind for command in found["open"])

    def addresses(self, operation: str) -> Iterator[tuple[str, str]]:
        """Every address that an operation has in this world."""
        method, path = OPERATIONS[operation]
        names = re.findall(r"\{(\w+)\}", path)
        # A stream of a run that goes on would not end.
        places = {**self.places, "run": self.places["run"][3:]} if operation == "streamRun" else self.places
        for values in itertools.product(*(places.get(name, [1]) for name in names)):
            yield method, path.format(**dict(zip(names, values, strict=True)))


# Routes that read: what they answer is what somebody could learn.
READING = sorted(
    name
    for name, (method, path) in OPERATIONS.items()
    if method == "GET" and name not in ("streamAll", "beginOidc", "finishOidc", "getTaskByCode")
)
CANARIES = {"viewer": (EMAIL, KEY, CARD), "auditor": (EMAIL, KEY, CARD), "operator": (KEY,)}


async def test_no_route_tells_somebody_a_value_of_a_class_that_they_may_not_see(owner: httpx.AsyncClient) -> None:
    """Every address of every route that reads, for every role; the owner is told, so there is something."""
    world = await World(owner).made()
    people = {role: await account(owner, f"a-{role}", role) for role in CANARIES}
    told, leaks = set(), []
    for operation in READING:
        for method, path in world.addresses(operation):
            asked = {"subject": "s-1"} if operation in ("exportSubject", "getTimeline") else {}
            asked |= {"include": "output"} if operation == "listRuns" else {}
            asked |= {"state": "open"} if operation == "listExceptions" else {}
            answers = {"owner": await owner.request(method, path, params=asked)}
            if any(canary in answers["owner"].text for canary in (EMAIL, KEY, CARD)):
                told.add(operation)
            for role, headers in people.items():
                answer = await owner.request(method, path, params=asked, headers=headers)
                found = [canary for canary in CANARIES[role] if canary in answer.text]
                if found:
                    leaks.append(f"{role} {path}: {found} in {answer.text[:2000]}")
                assert answer.status_code < 500, answer.text
    assert not leaks, "\n".join(leaks)
    assert told >= TELLING, sorted(TELLING - told)


async def test_answers_to_whoever_steers_hold_masks_too(owner: httpx.AsyncClient) -> None:
    """What a change answers with is an answer like others: an operator sees no secret there either."""
    world = await World(owner).made()
    operator = await account(owner, "ola", "operator")
    waiting, _, failed, _ = world.places["run"]
    why = {"reason": "a test"}
    held = world.places["exception"][0]
    steps = [
        (f"/runs/{waiting}/pause", why, operator),
        (f"/runs/{waiting}/resume", why, operator),
        (f"/tasks/{world.places['task'][0]}/reassign", {**why, "role": "approver"}, operator),
        (f"/runs/{failed}/fork", {"pointer": "/do/0/try/try/0/broken"}, operator),
        (f"/exceptions/{held}/retry", why, operator),
        (f"/runs/{failed}/cancel", why, operator),
    ]
    for path, body, headers in steps:
        answer = await owner.post(f"{V1}{path}", json=body, headers=headers)
        assert answer.status_code in (200, 201), f"{path}: {answer.text}"
        assert KEY not in answer.text, path


async def test_a_mask_that_comes_back_is_not_written_over_what_it_stands_for(owner: httpx.AsyncClient) -> None:
    """Whoever corrects a payload begins with what they are shown, and that holds masks."""
    world = await World(owner).made()
    operator = await account(owner, "ola", "operator")
    waiting, _, failed, _ = world.places["run"]
    held = world.places["exception"][0]
    shown = (await owner.get(f"{V1}/exceptions/{held}", headers=operator)).json()["payload"]
    assert shown == {"subject": "s-1", "email": EMAIL, "key": {"$masked": ["secret"]}}
    page = (await owner.get(f"{V1}/tasks/{world.places['task'][0]}")).json()
    text = {"mail": "•••• (personal)"}
    for path, body in (
        (f"/exceptions/{held}/retry", {"reason": "x", "input": {**shown, "email": "new@example.org"}}),
        (f"/exceptions/{held}/skip", {"reason": "x", "output": [shown]}),
        (f"/runs/{failed}/retry", {"pointer": "/do/0/try", "reason": "x", "input": shown}),
        (f"/runs/{waiting}/skip", {"pointer": "/do/5/ask", "reason": "x", "output": text}),
        (f"/runs/{failed}/fork", {"pointer": "/do/0/try", "input": shown}),
        ("/runs", {"workflow": "demo/story", "input": shown}),
        (f"/tasks/{world.places['task'][0]}/decide", {"outcome": "approve", "seen": page["seen"], "data": text}),
        (f"/tasks/{world.places['task'][0]}/resubmit", {"seen": page["seen"], "data": text}),
        ("/workflows/demo/story/adjust", {"reason": "x", "values": {"limit": text}}),
    ):
        problem(await owner.post(f"{V1}{path}", json=body), 422, "mask-refused")
    assert (await owner.get(f"{V1}/exceptions/{held}")).json()["payload"]["key"] == KEY


async def test_an_event_that_holds_a_mask_reaches_nobody(owner: httpx.AsyncClient) -> None:
    """Somebody copies what they see of a run into an event; in the next run the customer's mail would be a mask."""
    listens = document("- wait: {listen: {to: {one: {with: {type: a.b}}}}}", name="listens")
    run = await started(owner, listens, {}, "demo/listens")
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b"}
    mask = {"customer": {"mail": {"$masked": ["personal"]}}}
    binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "a.b"}
    bytes_of = base64.b64encode(json.dumps(mask).encode()).decode()
    for place, content, headers in (
        ("events/0/data/customer/mail", {**event, "data": mask}, {"content-type": CLOUD_EVENT}),
        ("events/0/subject", {**event, "subject": "•••• (personal)"}, {"content-type": CLOUD_EVENT}),
        ("events/0/data/customer/mail", {**event, "data": json.dumps(mask)}, {"content-type": CLOUD_EVENT}),
        ("events/0/data_base64/customer/mail", {**event, "data_base64": bytes_of}, {"content-type": CLOUD_EVENT}),
        ("events/1/data", [event, {**event, "data": mask["customer"]["mail"]}], {"content-type": BATCH}),
        ("events/0/data/customer/mail", mask, {**binary, "content-type": "application/json"}),
    ):
        answer = await owner.post(f"{V1}/events", content=json.dumps(content), headers=headers)
        assert place in problem(answer, 422, "mask-refused")["detail"]
    assert (await owner.get(f"{V1}/runs/{run}")).json()["status"] == "waiting"


async def test_an_administrator_decides_who_sees_what(owner: httpx.AsyncClient) -> None:
    """The rules are policies like others: read, changed, and in force at once; also against the owner."""
    run = await started(owner, FLOW, GIVEN)
    await ended(owner, run)
    viewer = await account(owner, "vic", "viewer")
    rule = """
        @id("flow-is-open") permit (principal in Role::"viewer", action == Action::"data.see", resource)
        when { context.class == "secret" && resource.name == "flow" };
        @id("no-mail") forbid (principal in Role::"owner", action == Action::"data.see", resource)
        when { context.class == "personal" };
    """
    changed = await owner.post(f"{V1}/policies/masks", json={"text": rule, "reason": "a test"})
    assert changed.status_code == 200, changed.text
    given = (await owner.get(f"{V1}/runs/{run}", headers=viewer)).json()["input"]
    assert (given["key"], given["customer"]["email"]) == (KEY, {"$masked": ["personal"]})
    assert (await owner.get(f"{V1}/runs/{run}")).json()["input"]["customer"]["email"] == {"$masked": ["personal"]}


async def test_a_token_sees_classed_data_only_where_it_is_meant_for_it(owner: httpx.AsyncClient) -> None:
    """A token for a dashboard is no key to everything that its account may see."""
    run = await started(owner, FLOW, GIVEN)
    await ended(owner, run)
    narrow = await account(owner, "dash", "operator", scopes=["read"])
    wide = await account(owner, "desk", "operator", scopes=["read", "data.see"])
    for headers, expected in ((narrow, {"$masked": ["personal"]}), (wide, EMAIL)):
        seen = (await owner.get(f"{V1}/runs/{run}", headers=headers)).json()
        assert seen["input"]["customer"]["email"] == expected
