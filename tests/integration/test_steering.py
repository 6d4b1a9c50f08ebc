"""Retry from a task, skip, look back and fork, over a real data folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.cli_support import Cli, serving, wait_until
from tests.integration.service_support import PAID, WAITS, document

from segue.handlers import FunctionRegistry
from segue.service import RunDetail, Service, ServiceError, Settings, open_service
from segue.service.functions import register

STEPS = """
- one:
    call: work
    with: {step: one, got: '${ . }'}
    export: {as: '${ {first: .} }'}
- choose:
    set: {n: '${ .n + 1 }'}
- two:
    call: work
    with: {step: two, got: '${ . }'}
- waits:
    listen: {to: {one: {with: {type: order.paid}}}}
- three:
    call: work
    with: {step: three, got: '${ . }'}
"""


class Work:
    """Counts what was done, by step."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def work(self, step: str, got: Any) -> Any:
        self.done.append((step, got))
        return {"n": len(self.done)}


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def service(tmp_path: Path, work: Work) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, work.work, "work")
    async with open_service(tmp_path / "data", Settings(), functions=functions) as opened:
        await opened.workflows.publish(document(STEPS, name="steps"))
        yield opened


async def waiting(service: Service, run_id: str) -> RunDetail:
    """The run, once it waits for its event."""
    for _ in range(2000):
        found = await service.runs.get(run_id)
        if any(command.kind == "message" for command in found.open):
            return found
        await asyncio.sleep(0.002)
    raise AssertionError("the run did not come to wait")


async def parked_at_event(service: Service, given: Any = 0) -> str:
    run, _ = await service.runs.start("demo/steps", input=given)
    await waiting(service, run.id)
    return run.id


async def refusal(awaitable: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await awaitable
    return caught.value


class TestRetry:
    async def test_a_run_goes_back_with_what_the_task_got_before(self, service: Service, work: Work) -> None:
        """The input is found in the trace."""
        run_id = await parked_at_event(service)
        await service.steering.retry(run_id, "/do/2/two", reason="once more", by="ann")
        await waiting(service, run_id)
        assert work.done == [("one", 0), ("two", {"n": 2}), ("two", {"n": 2})]
        history = (await service.runs.history(run_id)).items
        assert {"e": "restarted", "by": "ann", "reason": "once more"}.items() <= history[3].items()

    async def test_a_task_that_takes_no_time_can_be_gone_back_to(self, service: Service, work: Work) -> None:
        """With another input."""
        run_id = await parked_at_event(service)
        await service.steering.retry(run_id, "/do/1/choose", input={"n": 10}, reason="corrected")
        await waiting(service, run_id)
        assert work.done[-1] == ("two", {"n": 11})

    async def test_a_live_task_starts_again(self, service: Service) -> None:
        """What it waits for is asked for anew."""
        run_id = await parked_at_event(service)
        before = (await service.runs.get(run_id)).open[0].id
        await service.steering.retry(run_id, "/do/3/waits", reason="again")
        assert (await waiting(service, run_id)).open[0].id != before

    @pytest.mark.parametrize("pointer", ["/do/4/three", "/do/9/none", "/do"])
    async def test_a_run_goes_only_where_it_has_been(self, service: Service, pointer: str) -> None:
        """And history tells nothing of the attempt."""
        run_id = await parked_at_event(service)
        events = len((await service.runs.history(run_id)).items)
        error = await refusal(service.steering.retry(run_id, pointer, reason="x"))
        assert error.kind == "place-refused"
        assert len((await service.runs.history(run_id)).items) == events

    async def test_a_run_that_has_ended_goes_nowhere(self, service: Service) -> None:
        """A fork is the way; the refusal says so."""
        run_id = await parked_at_event(service)
        await service.runs.control(run_id, "cancel")
        error = await refusal(service.steering.retry(run_id, "/do/0/one", reason="x"))
        assert error.kind == "run-closed"
        assert "fork" in error.remedy

    async def test_it_needs_a_reason(self, service: Service) -> None:
        """Whoever reads the history later wants to know."""
        run_id = await parked_at_event(service)
        assert (await refusal(service.steering.retry(run_id, "/do/0/one", reason=" "))).kind == "choice-refused"


async def test_a_task_that_waits_is_skipped_with_a_value(service: Service, work: Work) -> None:
    """The event will not come; somebody knows what it would have said."""
    run_id = await parked_at_event(service)
    await service.steering.skip(run_id, "/do/3/waits", [{"order": 7}], reason="by phone")
    assert (await service.runs.wait(run_id)).status == "completed"
    assert work.done[-1] == ("three", [{"order": 7}])
    task = next(t for t in (await service.runs.get(run_id)).tasks if t.pointer == "/do/3/waits")
    assert (task.status, task.by_hand) == ("completed", True)


async def test_only_a_live_task_can_be_skipped(service: Service) -> None:
    """What is over has its output."""
    run_id = await parked_at_event(service)
    assert (await refusal(service.steering.skip(run_id, "/do/0/one", 1, reason="x"))).kind == "place-refused"


class TestLookingBack:
    async def test_a_run_is_shown_as_it_was_after_an_event(self, service: Service) -> None:
        """State, data and what it waited for."""
        run_id = await parked_at_event(service)
        await service.events.send([PAID])
        await service.runs.wait(run_id)

        first = await service.steering.at(run_id, 1)
        assert (first.status, first.event_kind, first.of) == ("running", "run-started", 5)
        assert [(t.pointer, t.status) for t in first.data] == [("/do/0/one", "running")]
        assert [(c.kind, c.pointer) for c in first.open] == [("act", "/do/0/one")]

        third = await service.steering.at(run_id, 3)
        assert (third.status, third.output, third.ended_at) == ("waiting", None, None)
        assert third.context == {"first": {"n": 1}}
        assert [(t.pointer, t.output) for t in third.data][:3] == [
            ("/do/0/one", {"n": 1}),
            ("/do/1/choose", {"n": 2}),
            ("/do/2/two", {"n": 2}),
        ]
        assert [c.types for c in third.open] == [["order.paid"]]

        last = await service.steering.at(run_id, 5)
        assert (last.status, last.output) == ("completed", {"n": 3})

    @pytest.mark.parametrize("number", [0, 99])
    async def test_there_is_nothing_to_see_outside_its_life(self, service: Service, number: int) -> None:
        """The refusal says how many events there are."""
        run_id = await parked_at_event(service)
        assert (await refusal(service.steering.at(run_id, number))).kind == "event-unknown"


class TestForks:
    async def test_a_fork_has_the_past_and_does_not_do_it_again(self, service: Service, work: Work) -> None:
        """What the copied events did outside is done; what follows is the new run's own."""
        run_id = await parked_at_event(service)
        await service.events.send([PAID])
        await service.runs.wait(run_id)
        work.done.clear()

        made = await service.steering.fork(run_id, "/do/2/two", input={"n": 100}, reason="what if", by="ann")
        assert made.id != run_id
        assert made.cause.items() >= {"kind": "fork", "run": run_id, "task": "/do/2/two", "by": "ann"}.items()
        await waiting(service, made.id)
        assert work.done == [("two", {"n": 100})]

        seen = await service.steering.at(made.id, 3)
        assert seen.context == {"first": {"n": 1}}
        original = await service.runs.history(run_id)
        assert len(original.items) == 5, "the run itself is as it was"

    async def test_a_fork_survives_a_restart(self, tmp_path: Path, work: Work) -> None:
        """It is a run like any other."""
        functions = FunctionRegistry()
        register(functions, work.work, "work")
        async with open_service(tmp_path, Settings(), functions=functions) as service:
            await service.workflows.publish(document(STEPS, name="steps"))
            made = await service.steering.fork(await parked_at_event(service), "/do/3/waits")
        async with open_service(tmp_path, Settings(), functions=functions) as service:
            # The fork came later than nothing it waits for, so it takes the event that comes now.
            await service.events.send([PAID])
            assert (await service.runs.wait(made.id)).status == "completed"

    async def test_a_fork_goes_on_with_another_version(self, service: Service, work: Work) -> None:
        """A corrected document, from the task that failed."""
        run_id = await parked_at_event(service)
        changed = STEPS.replace("step: two", "step: changed")
        await service.workflows.publish(document(changed, name="steps", version="1.1.0"))
        work.done.clear()
        made = await service.steering.fork(run_id, "/do/2/two", version="1.1.0")
        await waiting(service, made.id)
        assert made.workflow.version == "1.1.0"
        assert work.done == [("changed", {"n": 2})]

    async def test_a_version_that_leads_elsewhere_is_refused(self, service: Service) -> None:
        """Events of one document mean something else in another."""
        run_id = await parked_at_event(service)
        other = "- zero: {wait: PT1H}\n" + STEPS.strip()
        await service.workflows.publish(document(other, name="steps", version="2.0.0"))
        assert (await refusal(service.steering.fork(run_id, "/do/2/two", version="2.0.0"))).kind == "place-refused"
        assert (await refusal(service.steering.fork(run_id, "/do/2/two", version="9.0.0"))).kind == "workflow-unknown"

    async def test_a_task_that_took_no_time_is_no_place_to_fork(self, service: Service) -> None:
        """No event stands before it alone; saying so is better than being a little wrong."""
        run_id = await parked_at_event(service)
        error = await refusal(service.steering.fork(run_id, "/do/1/choose"))
        assert (error.kind, "took no time" in error.detail) == ("place-refused", True)
        assert (await refusal(service.steering.fork(run_id, "/do/4/three"))).kind == "place-refused"

    async def test_clocks_of_a_fork_have_as_much_left_as_they_had(self, service: Service) -> None:
        """A fork of an old run must not time out at once."""
        await service.workflows.publish(
            document("- a: {listen: {to: {one: {with: {type: x}}}}}", name="slow", more="timeout: {after: PT1H}")
        )
        run, _ = await service.runs.start("demo/slow")
        found = await waiting(service, run.id)
        made = await service.steering.fork(run.id, "/do/0/a")
        fork = await waiting(service, made.id)
        due = [next(c.due_at for c in seen.open if c.kind == "timer") for seen in (found, fork)]
        assert due[0] is not None
        assert due[1] is not None
        assert due[0] <= due[1]

    async def test_children_under_way_are_started_anew(self, service: Service) -> None:
        """The original's child answers the original only."""
        await service.workflows.publish(WAITS)
        child = "run: {workflow: {namespace: demo, name: waits, version: '1.0.0'}}"
        tasks = f"- both:\n    fork:\n      branches:\n        - below: {{{child}}}\n        - nap: {{wait: PT1H}}"
        await service.workflows.publish(document(tasks, name="above"))
        run, _ = await service.runs.start("demo/above")
        pointer = "/do/0/both/fork/branches/1/nap"
        made = await service.steering.fork(run.id, pointer)
        assert await service.runs.counts(made.id) == {"waiting": 1}
        await service.steering.skip(made.id, pointer, 1, reason="x")
        await service.events.send([PAID])
        assert (await service.runs.wait(made.id)).status == "completed"


async def test_the_api_steers(service: Service) -> None:
    """The same, as clients see it."""
    run_id = await parked_at_event(service)
    async with client_of(service) as client:
        base = f"/api/v1/runs/{run_id}"
        assert (await client.get(f"{base}/at/1")).json()["eventKind"] == "run-started"
        problem(await client.get(f"{base}/at/77"), 404, "event-unknown")
        answer = await client.post(f"{base}/retry", json={"pointer": "/do/2/two", "reason": "again"})
        assert answer.status_code == 200
        problem(await client.post(f"{base}/retry", json={"pointer": "/do/2/two"}), 400, "request-malformed")
        await waiting(service, run_id)
        made = await client.post(f"{base}/fork", json={"pointer": "/do/3/waits"})
        assert made.status_code == 201
        assert made.headers["location"] == f"/api/v1/runs/{made.json()['id']}"
        problem(
            await client.post(f"{base}/skip", json={"pointer": "/x", "output": 1, "reason": "x"}),
            409,
            "place-refused",
        )
        skipped = await client.post(f"{base}/skip", json={"pointer": "/do/3/waits", "output": 1, "reason": "x"})
        assert skipped.status_code == 200
        problem(await client.post(f"{base}/terminate", json={}), 400, "request-malformed")
        await client.post(f"/api/v1/runs/{made.json()['id']}/terminate", json={"reason": "enough", "by": "ann"})
        ended = (await service.runs.history(made.json()["id"])).items[-1]
        assert {"e": "cancelled", "by": "ann", "reason": "enough"}.items() <= ended.items()


def test_the_command_line_steers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look back, skip, fork, terminate."""
    cli = Cli(capsys)
    data = tmp_path / "data"
    monkeypatch.setenv("SEGUE_DATA", str(data))
    (tmp_path / "waits.yaml").write_text(WAITS)
    assert cli("publish", tmp_path / "waits.yaml").code == 0
    with serving(data):
        run = cli("runs", "start", "demo/waits").out.strip()
        wait_until(lambda: cli("runs", "show", run, "--json").json["open"])
        fork = cli("runs", "fork", run, "--from", "/do/0/paid").out.strip()
        assert cli("runs", "retry", run, "--from", "/do/0/paid", "--reason", "again").code == 0
        assert cli("runs", "skip", run, "/do/0/paid", "--output", "1", "--reason", "by phone").code == 0
        wait_until(lambda: cli("runs", "show", run, "--json").json["status"] == "completed")
        assert cli("runs", "terminate", fork).code == 2
        assert "cancelled" in cli("runs", "terminate", fork, "--reason", "enough").out
    told = cli("runs", "show", run, "--at", "1").out
    assert "after event 1 of 3: run-started" in told
    assert "/do/0/paid waiting" in told
