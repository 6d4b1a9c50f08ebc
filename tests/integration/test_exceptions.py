"""The exception inbox end to end: service, HTTP and command line over a real data folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.cli_support import Cli, serving, wait_until
from tests.integration.service_support import document

from segue.handlers import FunctionRegistry
from segue.service import ExceptionView, RunSummary, Service, ServiceError, Settings, open_service
from segue.service.functions import register
from segue.types import fail

TWO = document(
    """
    - charge:
        call: charge
        with: {amount: '${ .amount }'}
        export: {as: '${ {charged: .} }'}
    - tell:
        call: tell
        with: {receipt: '${ . }'}
    """,
    name="billing",
)


class Books:
    """A system that takes only whole amounts, and can be made to lose its answers."""

    def __init__(self) -> None:
        self.charged: list[Any] = []
        self.told: list[Any] = []
        self.lost = False

    def charge(self, amount: Any) -> dict[str, Any]:
        if not isinstance(amount, int):
            raise fail("validation", f"{amount!r} is no amount")
        self.charged.append(amount)
        if self.lost:
            raise fail("communication", "no answer came", outcome_unknown=True)
        return {"receipt": len(self.charged)}

    def tell(self, receipt: Any) -> Any:
        self.told.append(receipt)
        return receipt


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def service(tmp_path: Path, books: Books) -> AsyncIterator[Service]:
    """A data folder that holds failures, with one delicate function and one that may be repeated."""
    functions = FunctionRegistry()
    register(functions, books.charge, "charge", recovery="ask")
    register(functions, books.tell, "tell")
    async with open_service(tmp_path / "data", Settings(failures="hold"), functions=functions) as opened:
        await opened.workflows.publish(TWO)
        yield opened


async def exception(service: Service, run: str) -> ExceptionView:
    """The open exception of a run, once it is there."""
    for _ in range(2000):
        page = await service.exceptions.page(run=run)
        if page.items:
            return page.items[0]
        await asyncio.sleep(0.002)
    raise AssertionError("no exception came")


async def failed(service: Service, amount: Any = "ten") -> tuple[RunSummary, ExceptionView]:
    run, _ = await service.runs.start("demo/billing", input={"amount": amount})
    return run, await exception(service, run.id)


async def refusal(awaitable: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        await awaitable
    return caught.value.kind


class TestDeciding:
    async def test_the_payload_is_shown_corrected_and_the_run_goes_on(self, service: Service, books: Books) -> None:
        """The whole story of an exception."""
        run, found = await failed(service)
        detail = await service.exceptions.get(found.id)
        assert (detail.payload, detail.sent["arguments"]) == ({"amount": "ten"}, {"amount": "ten"})
        assert (detail.run_status, [t.pointer for t in detail.position]) == ("suspended", ["/do/0/charge"])
        assert detail.choices == ["retry", "skip", "give-up"]
        (listed,) = (await service.runs.page()).items
        assert listed.held is not None
        assert (listed.held.exception, listed.held.pointer, listed.held.title) == (
            found.id,
            "/do/0/charge",
            "Validation error",
        )

        decided = await service.exceptions.decide(found.id, "retry", input={"amount": 10}, reason="typo", by="ann")

        assert (await service.runs.wait(run.id)).status == "completed"
        assert (books.charged, books.told) == ([10], [{"receipt": 1}])
        assert decided.resolution is not None
        assert (decided.resolution.action, decided.resolution.by, decided.resolution.reason) == (
            "retry",
            "ann",
            "typo",
        )
        history = (await service.runs.history(run.id)).items
        assert {"e": "restarted", "by": "ann", "reason": "typo"}.items() <= history[2].items()
        assert (await service.exceptions.page()).items == []

    async def test_skipping_gives_the_next_task_what_the_person_said(self, service: Service, books: Books) -> None:
        """Somebody did it by hand."""
        run, found = await failed(service)
        await service.exceptions.decide(found.id, "skip", output="by hand", reason="done on paper")
        assert (await service.runs.wait(run.id)).status == "completed"
        assert (books.charged, books.told) == ([], ["by hand"])

    async def test_giving_up_faults_the_run(self, service: Service) -> None:
        """The failure goes the way that the document gives it."""
        run, found = await failed(service)
        await service.exceptions.decide(found.id, "give-up", reason="customer left")
        assert (await service.runs.wait(run.id)).status == "faulted"

    async def test_only_one_of_two_decisions_counts(self, service: Service) -> None:
        """The other person is told."""
        _, found = await failed(service)
        answers = await asyncio.gather(
            service.exceptions.decide(found.id, "skip", output=1, reason="a"),
            service.exceptions.decide(found.id, "give-up", reason="b"),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, ServiceError)]
        assert [error.kind for error in refused] == ["exception-closed"]
        assert await refusal(service.exceptions.decide(found.id, "retry", reason="c")) == "exception-closed"

    @pytest.mark.parametrize(
        ("action", "more"),
        [
            ("retry", {"reason": " "}),
            ("retry", {"reason": "x", "output": 1}),
            ("skip", {"reason": "x"}),
            ("give-up", {"reason": "x", "input": 1}),
            ("happened", {"reason": "x", "output": 1}),
            ("repeat", {"reason": "x"}),
            ("shrug", {"reason": "x"}),
        ],
    )
    async def test_a_decision_that_makes_no_sense_is_refused(self, service: Service, action: Any, more: Any) -> None:
        """Nothing is decided, and the reason says what is lacking."""
        _, found = await failed(service)
        assert await refusal(service.exceptions.decide(found.id, action, **more)) == "choice-refused"
        assert (await service.exceptions.get(found.id)).state == "open"

    async def test_what_is_not_there_cannot_be_decided(self, service: Service) -> None:
        """Numbers and groups."""
        assert await refusal(service.exceptions.decide(99, "retry", reason="x")) == "exception-unknown"
        assert await refusal(service.exceptions.decide_group("none", "retry", reason="x")) == "exception-unknown"


class TestGroups:
    async def test_failures_with_one_cause_are_decided_together(self, service: Service, books: Books) -> None:
        """A thousand runs that failed over one missing thing are one decision, looked at first."""
        runs = [(await failed(service, amount))[0] for amount in ("one", "two", "three")]
        (group,) = await service.exceptions.groups()
        assert (group.count, group.workflow, group.pointer) == (3, "demo/billing", "/do/0/charge")

        looked = await service.exceptions.decide_group(group.group, "skip", output=0, reason="wrong import")
        assert (looked.dry_run, looked.matched, looked.done) == (True, 3, 0)
        assert len((await service.exceptions.page(group=group.group)).items) == 3

        done = await service.exceptions.decide_group(
            group.group, "skip", output=0, reason="wrong import", by="ann", dry_run=False
        )
        assert (done.matched, done.done, done.refused) == (3, 3, [])
        for run in runs:
            assert (await service.runs.wait(run.id)).status == "completed"
        closed = (await service.exceptions.page(state="closed")).items
        assert {e.resolution.reason for e in closed if e.resolution} == {"wrong import"}

    async def test_those_that_cannot_be_decided_so_are_named(self, service: Service, books: Books) -> None:
        """The others are decided all the same."""
        books.lost = True
        _, found = await failed(service, 1)
        done = await service.exceptions.decide_group(found.group, "retry", reason="again", dry_run=False)
        assert (done.done, [r.id for r in done.refused]) == (0, [found.id])
        assert "happened" in done.refused[0].why

    async def test_lists_are_filtered_and_paged(self, service: Service) -> None:
        """By state, kind, workflow and run."""
        found = [(await failed(service))[1].id for _ in range(3)]
        first = await service.exceptions.page(limit=2)
        second = await service.exceptions.page(limit=2, after=first.next)
        assert [e.id for e in first.items + second.items] == found[::-1]
        assert second.next is None
        assert (await service.exceptions.page(kind="quarantined")).items == []
        assert len((await service.exceptions.page(workflow="demo/billing", state=None)).items) == 3
        assert (await service.exceptions.page(workflow="demo/other")).items == []


class TestUnknownOutcomes:
    async def test_a_lost_answer_can_only_be_settled_by_saying_what_happened(
        self, service: Service, books: Books
    ) -> None:
        """Trying again would charge twice."""
        books.lost = True
        _, found = await failed(service, 5)
        assert found.outcome_unknown
        assert found.choices == ["happened", "repeat", "skip", "give-up"]
        assert await refusal(service.exceptions.decide(found.id, "retry", reason="x")) == "choice-refused"

    async def test_it_happened_and_the_ledger_says_so(self, service: Service, books: Books) -> None:
        """The receipt that the person found is the act's."""
        books.lost = True
        run, found = await failed(service, 5)
        (act,) = (await service.effects.page(run=run.id)).items
        assert (act.state, act.handler, act.pointer) == ("unknown", "function", "/do/0/charge")
        await service.exceptions.decide(found.id, "happened", output={"receipt": 7}, reason="seen in the books")
        assert (await service.runs.wait(run.id)).status == "completed"
        assert (books.charged, books.told) == ([5], [{"receipt": 7}])
        (attempt,) = await service.effects.get(act.key)
        assert (attempt.state, attempt.receipt) == ("done", {"receipt": 7})

    async def test_it_did_not_and_goes_out_again(self, service: Service, books: Books) -> None:
        """Exactly once more, under the same key."""
        books.lost = True
        run, found = await failed(service, 5)
        books.lost = False
        books.charged.clear()
        await service.exceptions.decide(found.id, "repeat", reason="not in the books")
        assert (await service.runs.wait(run.id)).status == "completed"
        assert books.charged == [5]
        attempts = await service.effects.get(f"{run.id}:1")
        assert [(a.state, a.receipt) for a in attempts] == [("failed", None), ("done", {"receipt": 1})]

    async def test_a_run_that_faults_leaves_the_question_open(self, tmp_path: Path, books: Books) -> None:
        """The run is over; whether the customer was charged is not."""
        books.lost = True
        functions = FunctionRegistry()
        register(functions, books.charge, "charge", recovery="ask")
        register(functions, books.tell, "tell")
        async with open_service(tmp_path / "other", Settings(), functions=functions) as service:
            await service.workflows.publish(TWO)
            run, _ = await service.runs.start("demo/billing", input={"amount": 5})
            assert (await service.runs.wait(run.id)).status == "faulted"
            found = (await service.exceptions.page(state=None)).items
            assert {(e.kind, e.state) for e in found} == {("faulted", "closed"), ("unknown", "open")}
            (question,) = (await service.exceptions.page()).items
            assert (await service.exceptions.get(question.id)).payload == {"amount": 5}
            await service.exceptions.decide(question.id, "give-up", reason="books are gone")
            assert (await service.effects.page(state="unknown")).items[0].run == run.id


async def test_every_listing_of_effects_has_its_filter(service: Service) -> None:
    """By run, handler, connection, state and time; in pages."""
    for amount in range(3):
        run, _ = await service.runs.start("demo/billing", input={"amount": amount})
        await service.runs.wait(run.id)
    first = await service.effects.page(limit=2)
    second = await service.effects.page(limit=2, after=first.next)
    assert len({e.key for e in first.items + second.items}) == 3
    assert [e.state for e in first.items] == ["done", "done"]
    assert len((await service.effects.page(handler="function", state="done")).items) == 3
    assert (await service.effects.page(handler="http")).items == []
    assert (await service.effects.page(connection="crm")).items == []
    assert len((await service.effects.page(run=run.id)).items) == 1
    assert await refusal(service.effects.page(after="1-2")) == "request-malformed"
    assert await refusal(service.effects.page(run="none")) == "run-unknown"
    assert await refusal(service.effects.get("none")) == "effect-unknown"


async def test_the_api_lists_shows_and_decides(service: Service, books: Books) -> None:
    """The same, as clients see it."""
    run, found = await failed(service)
    async with client_of(service) as client:
        listed = (await client.get("/api/v1/exceptions")).json()["items"]
        assert [(e["id"], e["kind"], e["choices"][0]) for e in listed] == [(found.id, "held", "retry")]
        path = f"/api/v1/exceptions/{found.id}"
        assert (await client.get(path)).json()["payload"] == {"amount": "ten"}
        problem(await client.post(f"{path}/retry", json={}), 400, "request-malformed")
        problem(await client.post(f"{path}/skip", json={"reason": "x"}), 422, "choice-refused")
        problem(await client.post(f"{path}/shrug", json={"reason": "x"}), 400, "request-malformed")
        problem(await client.get("/api/v1/exceptions/999"), 404, "exception-unknown")
        (group,) = (await client.get("/api/v1/exceptions/groups")).json()
        looked = await client.post(f"/api/v1/exceptions/groups/{group['group']}/retry", json={"reason": "x"})
        assert (looked.json()["dryRun"], looked.json()["matched"]) == (True, 1)
        answer = await client.post(f"{path}/retry", json={"reason": "typo", "by": "ann", "input": {"amount": 3}})
        assert answer.json()["resolution"]["by"] == "ann"
        problem(await client.post(f"{path}/retry", json={"reason": "typo"}), 409, "exception-closed")
        await service.runs.wait(run.id)
        (act,) = (await client.get("/api/v1/effects", params={"state": "done"})).json()["items"]
        assert (await client.get(f"/api/v1/effects/{act['key']}")).json()[-1]["receipt"] == {"receipt": 1}


HTTP = document(
    """
    - ask:
        call: http
        with: {method: get, endpoint: 'http://127.0.0.1:1/none'}
    """,
    name="calls",
)


def test_the_command_line_of_a_served_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server holds by default; an operator finds, looks and decides."""
    cli = Cli(capsys)
    data = tmp_path / "data"
    monkeypatch.setenv("SEGUE_DATA", str(data))
    (tmp_path / "calls.yaml").write_text(HTTP)
    assert cli("publish", tmp_path / "calls.yaml").code == 0
    with serving(data, "--allow-loopback"):
        first, second = (cli("runs", "start", "demo/calls", "--input", "7").out.strip() for _ in range(2))
        wait_until(lambda: len(cli("exceptions", "list", "--json").json["items"]) == 2)
        assert "at /do/0/ask" in cli("runs", "list").out
        shown = cli("exceptions", "list").out
        assert "/do/0/ask" in shown
        newest = cli("exceptions", "list", "--json").json["items"][0]
        told = cli("exceptions", "show", str(newest["id"])).out
        assert "payload\n7" in told
        assert cli("exceptions", "skip", str(newest["id"]), "--output", "1").code == 2
        assert cli("exceptions", "skip", str(newest["id"]), "--output", "1", "--reason", "by hand").code == 0
        group = cli("exceptions", "list", "--by-cause", "--json").json[0]["group"]
        looked = cli("exceptions", "give-up", "--group", group, "--reason", "too late")
        assert "would decide 1" in looked.out
        assert "--yes" in looked.err
        assert "decided 1 of 1" in cli("exceptions", "give-up", "--group", group, "--reason", "late", "--yes").out
        wait_until(lambda: cli("runs", "show", first, "--json").json["status"] == "faulted")
        assert cli("runs", "show", second, "--json").json["status"] == "completed"
        assert cli("exceptions", "list").err.strip() == "No exceptions."
        assert cli("exceptions", "give-up", "--reason", "x").code == 2
    assert "give-up" in cli("exceptions", "list", "--state", "all").out
    assert cli("effects", "list", "--json").json["items"] == []
    assert json.loads(cli("exceptions", "list", "--state", "closed", "--json").out)["items"]


def test_waiting_for_a_run_ends_where_a_failure_is_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that waits for a person for ever is found by nobody: it ends with a word and a code of its own."""
    cli = Cli(capsys)
    data = tmp_path / "data"
    monkeypatch.setenv("SEGUE_DATA", str(data))
    (tmp_path / "calls.yaml").write_text(HTTP)
    assert cli("publish", tmp_path / "calls.yaml").code == 0
    with serving(data, "--allow-loopback"):
        done = cli("runs", "start", "demo/calls", "--input", "7", "--wait")
        told = cli("runs", "start", "demo/calls", "--input", "7", "--wait", "--json")

    assert (done.code, told.code) == (4, 4)
    assert done.err.startswith("held: ")
    assert "at /do/0/ask (exception 1); `segue exceptions show 1` tells" in done.err
    assert (told.json["status"], told.json["held"]["pointer"]) == ("suspended", "/do/0/ask")


def test_what_waits_for_a_person_survives_kill_9(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next server shows the same inbox, and a decision goes on from there."""
    cli = Cli(capsys)
    data = tmp_path / "data"
    monkeypatch.setenv("SEGUE_DATA", str(data))
    (tmp_path / "calls.yaml").write_text(HTTP)
    assert cli("publish", tmp_path / "calls.yaml").code == 0
    with serving(data, "--allow-loopback") as process:
        run = cli("runs", "start", "demo/calls", "--input", "7").out.strip()
        wait_until(lambda: cli("exceptions", "list", "--json").json["items"])
        before = cli("exceptions", "list", "--json").json
        process.kill()
        process.wait()
    with serving(data, "--allow-loopback"):
        assert cli("exceptions", "list", "--json").json == before
        number = str(before["items"][0]["id"])
        assert cli("exceptions", "retry", number, "--reason", "perhaps it is up").code == 0
        wait_until(lambda: cli("exceptions", "list", "--run", run, "--state", "all", "--json").json["items"][1:])
        opened = cli("exceptions", "list", "--json").json["items"]
        assert [e["id"] for e in opened] != [e["id"] for e in before["items"]], "it failed again, and says so anew"
