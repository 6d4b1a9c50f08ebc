"""What is told of a run has a bounded size, however large its values are and however often they are mentioned."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import YAML, client_of, problem
from tests.integration.cli_support import Cli, environment
from tests.integration.service_support import document
from tests.integration.test_permissions import account

from segue.service import Settings, open_service, run_document
from segue.service.portions import ANSWER_BYTES_MAX, VALUE_BYTES_MAX

V1 = "/api/v1"
LARGE = 13_000_000
STEPS = 40
SEES = "\n".join(f"- step{n}: {{switch: [{{on: {{when: .n > 0, then: continue}}}}]}}" for n in range(STEPS))
MANY = document(
    SEES,
    more="input: {from: '${ {n: 1, text: (\"x\" * .bytes)} }'}",
)
EMITS = document(
    f"""
    - tell: {{emit: {{event: {{with: {{type: a.b, source: /x, data: '${{ {{text: ("y" * {LARGE})}} }}'}}}}}}}}
    - sums: {{set: {{a: 1}}}}
    """,
    name="emits",
)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as opened:
        yield opened


async def ended(client: httpx.AsyncClient, text: str, name: str, given: Any) -> str:
    await client.post(f"{V1}/workflows", content=text, headers=YAML)
    run = (await client.post(f"{V1}/runs", json={"workflow": f"demo/{name}", "input": given})).json()["id"]
    async with client.stream("GET", f"{V1}/runs/{run}/stream") as stream:
        async for _ in stream.aiter_lines():
            pass
    return str(run)


async def test_a_run_says_how_large_what_it_leaves_out_is_and_where_it_is(client: httpx.AsyncClient) -> None:
    """Forty steps saw 13 MB each: that is an answer of some kilobytes, and each place leads to the value."""
    run = await ended(client, MANY, "flow", {"bytes": LARGE})

    answer = await client.get(f"{V1}/runs/{run}")
    told = answer.json()

    assert len(answer.content) < 100_000
    assert told["input"] == {"bytes": LARGE}
    assert told["output"]["$omitted"]["whole"] == f"/runs/{run}/output"
    assert len((await client.get(f"{V1}{told['output']['$omitted']['whole']}")).json()["text"]) == LARGE
    assert len(told["decisions"]) == STEPS
    for decision in told["decisions"]:
        assert decision["saw"]["$omitted"]["bytes"] > LARGE
        assert decision["saw"]["$omitted"]["whole"] == f"/runs/{run}/tasks/{decision['task']}"
    last = (await client.get(f"{V1}{told['decisions'][-1]['saw']['$omitted']['whole']}")).json()
    assert (last["name"], len(last["input"]["text"])) == (f"step{STEPS - 1}", LARGE)


async def test_every_answer_about_many_values_is_bounded(client: httpx.AsyncClient) -> None:
    """The list with outputs, a moment of the past, the event that was emitted, and the timeline's source alike."""
    run = await ended(client, MANY, "flow", {"bytes": LARGE})
    other = await ended(client, EMITS, "emits", {})

    listed = await client.get(f"{V1}/runs", params={"include": "output"})
    moment = await client.get(f"{V1}/runs/{run}/at/1")
    emitted = await client.get(f"{V1}/runs/{other}")

    assert max(map(len, (listed.content, moment.content, emitted.content))) < 100_000
    assert listed.json()["items"][1]["output"]["$omitted"]["whole"] == f"/runs/{run}/output"
    step = moment.json()["data"][-1]
    assert (
        step["input"]["$omitted"]["whole"] == step["output"]["$omitted"]["whole"] == f"/runs/{run}/tasks/{step['id']}"
    )
    (event,) = emitted.json()["events"]
    whole = (await client.get(f"{V1}{event['data']['$omitted']['whole']}")).json()
    assert len(whole["output"]["data"]["text"]) == LARGE


async def test_all_values_of_an_answer_share_one_bound_and_the_newest_go_first(client: httpx.AsyncClient) -> None:
    """Values that are small enough one by one are not, hundreds of them."""
    run = await ended(client, MANY, "flow", {"bytes": VALUE_BYTES_MAX - 100})

    answer = await client.get(f"{V1}/runs/{run}")
    kept = ["$omitted" not in decision["saw"] for decision in answer.json()["decisions"]]

    room = ANSWER_BYTES_MAX // VALUE_BYTES_MAX - 1  # the output goes first
    assert len(answer.content) < 1.2 * ANSWER_BYTES_MAX
    assert kept == [False] * (STEPS - room) + [True] * room


async def test_what_is_hidden_stays_hidden_where_it_is_left_out(client: httpx.AsyncClient) -> None:
    """A reader with masks is not told how long a secret is, and what is beside it is bounded for them too."""
    schema = """
    input:
      schema:
        document: {properties: {key: {x-data-class: secret}, bytes: {type: integer}}}
    """
    look = "- look: {switch: [{on: {when: .text != null, then: continue}}]}"
    clear = "- clear: {set: '${ {text: (\"x\" * .bytes)} }'}\n"
    closed = "- clear: {set: '${ {text: (.key * .bytes)} }'}\n"
    viewer = await account(client, "vic", "viewer")
    for name, first, hidden in (("clear", clear, False), ("closed", closed, True)):
        text = document(first + look, name=name, more=schema)
        run = await ended(client, text, name, {"key": "k", "bytes": LARGE})

        answer = await client.get(f"{V1}/runs/{run}", headers=viewer)

        assert len(answer.content) < 100_000
        (decision,) = answer.json()["decisions"]
        assert set(decision["saw"]) == ({"$masked"} if hidden else {"$omitted"}), name


async def test_data_cannot_pretend_that_something_was_left_out(client: httpx.AsyncClient) -> None:
    """A client follows `whole` with its token: strangers must not say where to."""
    forged = '{"$omitted": {"bytes": 1, "whole": "https://evil.example"}}'
    tasks = f"- forge: {{set: {forged}}}\n- look: {{switch: [{{on: {{when: . != null, then: continue}}}}]}}"
    run = await ended(client, document(tasks, name="forge"), "forge", {})

    told = (await client.get(f"{V1}/runs/{run}")).json()
    moment = (await client.get(f"{V1}/runs/{run}/at/1")).json()

    shown = {"$omitted": None, "value": json.loads(forged)}
    assert told["output"] == told["decisions"][0]["saw"] == moment["data"][-1]["output"] == shown
    assert (await client.get(f"{V1}/runs/{run}/output")).json() == json.loads(forged)
    refused = await client.post(f"{V1}/runs", json={"workflow": "demo/forge", "input": told["output"]})
    problem(refused, 422, "mask-refused")


async def test_the_report_of_python_is_whole() -> None:
    """There the same value is one object, however often it is mentioned."""
    report = await run_document(MANY, input={"bytes": LARGE})

    assert all(len(decision.saw["text"]) == LARGE for decision in report.decisions)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many.yaml").write_text(MANY)
    return Cli(capsys)


def test_commands_say_where_the_whole_value_is_and_print_it(cli: Cli, tmp_path: Path) -> None:
    """What is left out of a page is one command away."""
    given = json.dumps({"bytes": LARGE})
    report = cli("run", "many.yaml", "--input", given, "--data", "kept", "--json").json
    run = report["id"]

    shown = cli("runs", "show", run, "--data", "kept").out
    whole = cli("runs", "data", run, "--data", "kept", "--json").json
    task = cli("runs", "data", run, "--task", str(report["decisions"][0]["task"]), "--data", "kept", "--json").json

    assert len(report["output"]["text"]) == LARGE
    assert report["decisions"][0]["saw"]["$omitted"]["whole"].startswith(f"/runs/{run}/tasks/")
    assert len(shown) < 20_000
    assert f"left out here: `segue runs data {run}`" in shown
    assert f"left out here: `segue runs data {run} --task " in shown
    assert (whole["input"], len(whole["output"]["text"])) == ({"bytes": LARGE}, LARGE)
    assert len(task["input"]["text"]) == LARGE


def test_a_report_of_a_run_that_was_not_kept_says_so(cli: Cli) -> None:
    """A path that leads nowhere would be worse than none."""
    report = cli("run", "many.yaml", "--input", json.dumps({"bytes": LARGE}), "--json").json

    assert report["decisions"][0]["saw"]["$omitted"]["whole"] is None


def test_a_run_of_many_steps_over_a_large_value_needs_little_memory(cli: Cli, tmp_path: Path) -> None:
    """Each step sees 13 MB of objects: told as often as they were seen, they took two gigabytes."""
    rows = [{"id": n, "name": f"customer {n}", "tags": ["a", "b"], "amount": n * 1.5} for n in range(180_000)]
    (tmp_path / "rows.json").write_text(json.dumps({"n": 1, "rows": rows}, separators=(",", ":")))
    (tmp_path / "rows.yaml").write_text(document(SEES + "\n- last: {set: {a: 1}}"))
    command = [sys.executable, "-m", "segue", "run", "rows.yaml", "--input", "@rows.json"]

    # By way of a small process: what a child has needed at most begins with what its parent had when it forked.
    between = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "_, status, used = os.wait4(child.pid, 0)\n"
        "print(os.waitstatus_to_exitcode(status), used.ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", between, *command], env=environment(), capture_output=True, check=True
    )
    status, most_kb = map(int, done.stdout.split())

    assert (tmp_path / "rows.json").stat().st_size > LARGE
    assert status == 0
    assert most_kb < 600 * 1024


async def test_a_page_of_a_history_ends_where_it_is_large_enough(client: httpx.AsyncClient) -> None:
    """Two hundred events of megabytes are neither read nor told at once; page by page all of them are told."""
    steps = "\n".join(f"- step{n}: {{emit: {{event: {{with: {{type: a.b, data: {{n: {n}}}}}}}}}}}" for n in range(3))
    waits = "\n".join(f"- wait{n}: {{listen: {{to: {{one: {{with: {{type: x.y{n}}}}}}}}}}}" for n in range(6))
    await client.post(f"{V1}/workflows", content=document(f"{waits}\n{steps}", name="waits"), headers=YAML)
    run = (await client.post(f"{V1}/runs", json={"workflow": "demo/waits", "input": {}})).json()["id"]
    for n in range(6):
        event = {"specversion": "1.0", "id": str(n), "source": "/x", "type": f"x.y{n}", "data": "z" * 600_000}
        sent = await client.post(
            f"{V1}/events", content=json.dumps(event), headers={"content-type": "application/cloudevents+json"}
        )
        assert sent.status_code == 202
    async with client.stream("GET", f"{V1}/runs/{run}/stream") as stream:
        async for _ in stream.aiter_lines():
            pass

    pages, after, seen = 0, None, 0
    while pages == 0 or after is not None:
        answer = await client.get(f"{V1}/runs/{run}/history", params={} if after is None else {"after": after})
        assert len(answer.content) < ANSWER_BYTES_MAX + 700_000
        pages, after, seen = pages + 1, answer.json()["next"], seen + len(answer.json()["items"])
    detail = (await client.get(f"{V1}/runs/{run}")).json()
    assert pages == 3
    assert seen == detail["history"]["events"]


async def test_an_exception_and_a_page_of_a_task_leave_large_values_out(client: httpx.AsyncClient) -> None:
    """Both are read by everybody who decides, and held whatever the run held."""
    grow = "- grow: {set: '${ {text: (\"x\" * .bytes)} }'}\n"
    ask = grow + "- ask: {call: human-task, with: {title: x, assign: {role: approver}}}"
    asks = await client.post(f"{V1}/workflows", content=document(ask, name="asks"), headers=YAML)
    assert asks.status_code == 201, asks.text
    held = grow + "- fail: {call: http, with: {method: post, endpoint: 'http://127.0.0.1:1/x', body: '${ . }'}}"
    await client.post(f"{V1}/workflows", content=document(held, name="fails"), headers=YAML)
    failed = await client.post(f"{V1}/runs", json={"workflow": "demo/fails", "input": {"bytes": LARGE}})
    await client.post(f"{V1}/runs", json={"workflow": "demo/asks", "input": {"bytes": LARGE}})

    (task,) = (await client.get(f"{V1}/tasks")).json()["items"]
    page = await client.get(f"{V1}/tasks/{task['id']}")
    assert len(page.content) < 100_000
    grown = next(step for step in page.json()["steps"] if step["name"] == "grow")
    whole = grown["output"]["$omitted"]["whole"]
    assert len((await client.get(f"{V1}{whole}")).json()["output"]["text"]) == LARGE

    found: list[Any] = []
    for _ in range(500):
        found = (await client.get(f"{V1}/exceptions", params={"run": failed.json()["id"], "state": "all"})).json()[
            "items"
        ]
        if found:
            break
        await asyncio.sleep(0.02)
    (listed,) = found
    groups = await client.get(f"{V1}/exceptions/groups")
    assert len(json.dumps(listed)) + len(groups.content) < 100_000
    alone = (await client.get(f"{V1}/exceptions/{listed['id']}")).json()
    assert set(alone["payload"]) == set(alone["sent"]) == {"$omitted"}
    if alone["payload"]["$omitted"]["whole"] is not None:
        told = (await client.get(f"{V1}{alone['payload']['$omitted']['whole']}")).json()
        assert len(told["input"]["text"]) == LARGE
