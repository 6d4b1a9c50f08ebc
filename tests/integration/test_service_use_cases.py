"""The use cases over a real data folder, without any transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.service_support import CHECKED, PAID, WAITS, document

from segue.service import RunFilter, Service, ServiceError, Settings, open_service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A data folder with a host."""
    async with open_service(tmp_path / "data", Settings()) as opened:
        yield opened


async def refusal(awaitable: object) -> ServiceError:
    """The refusal that this use case ends with."""
    with pytest.raises(ServiceError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


async def test_a_version_is_published_once_and_never_changes(service: Service) -> None:
    """Runs are pinned to it, and audits rely on it."""
    first = await service.workflows.publish(document())
    again = await service.workflows.publish("# a comment\n" + document())
    other = await refusal(service.workflows.publish(document("- one: {set: {a: 2}}")))

    assert (first.created, again.created) == (True, False)
    assert first.workflow.digest == again.workflow.digest
    assert other.kind == "version-taken"
    assert "version" in other.remedy


async def test_all_findings_of_a_refused_document_come_at_once(service: Service) -> None:
    """Nobody wants to mend one error an hour."""
    error = await refusal(service.workflows.publish(document("- a: {sett: 1}\n- a: {wait: PT1}"), file="f.yaml"))

    assert error.kind == "definition-refused"
    assert len([f for f in error.findings if f.severity == "error"]) >= 2
    assert all(f.file == "f.yaml" and f.line > 0 for f in error.findings)
    assert (await service.workflows.page()).items == []


async def test_latest_is_the_highest_release(service: Service) -> None:
    """Publishing a fix to an old version must not change what `latest` means."""
    for version in ("1.9.0", "1.10.0", "1.2.0", "2.0.0-rc.1"):
        await service.workflows.publish(document(version=version))

    assert (await service.workflows.get("demo", "flow")).version == "1.10.0"
    versions = (await service.workflows.versions("demo", "flow")).items
    assert [v.version for v in versions] == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.0"]
    assert [v.latest for v in versions] == [False, True, False, False]


async def test_lists_of_workflows_are_paged_by_name(service: Service) -> None:
    """Each page begins where the one before ended, whatever was published in between."""
    for name in ("c", "a", "b"):
        await service.workflows.publish(document(name=name))

    first = await service.workflows.page(limit=2)
    second = await service.workflows.page(limit=2, after=first.next)

    assert [w.name for w in first.items + second.items] == ["a", "b", "c"]
    assert (first.next, second.next) == ("demo/b", None)


async def test_an_input_that_does_not_fit_starts_nothing(service: Service) -> None:
    """A refusal before the start is cheaper than a faulted run."""
    await service.workflows.publish(CHECKED)

    error = await refusal(service.runs.start("demo/checked", input={"id": "x"}))

    assert error.kind == "input-refused"
    assert (await service.runs.page()).items == []


@pytest.mark.parametrize(
    ("workflow", "version", "kind"),
    [
        ("demo/none", "latest", "workflow-unknown"),
        ("demo/flow", "9.9.9", "workflow-unknown"),
        ("flow", "latest", "request-malformed"),
        ("demo/flow/x", "latest", "request-malformed"),
    ],
)
async def test_what_is_not_published_cannot_start(service: Service, workflow: str, version: str, kind: str) -> None:
    """The refusal says what there is."""
    await service.workflows.publish(document())

    assert (await refusal(service.runs.start(workflow, version))).kind == kind


async def test_a_key_starts_one_run_also_after_a_restart(tmp_path: Path) -> None:
    """A client that lost the answer asks again, perhaps of the next process."""
    async with open_service(tmp_path, Settings()) as service:
        await service.workflows.publish(document())
        first, created = await service.runs.start("demo/flow", input={"n": 1}, key="order-7")
        assert created
    async with open_service(tmp_path, Settings()) as service:
        await service.workflows.publish(document(version="1.1.0"))
        again, created = await service.runs.start("demo/flow", input={"n": 1}, key="order-7")

        assert (again.id, created) == (first.id, False)
        assert (await refusal(service.runs.start("demo/flow", input={"n": 2}, key="order-7"))).kind == "key-reused"
        assert len((await service.runs.page()).items) == 1


async def test_starts_with_one_key_at_the_same_time_start_one_run(service: Service) -> None:
    """Retries overlap."""
    await service.workflows.publish(document())

    answers = await asyncio.gather(*(service.runs.start("demo/flow", key="k") for _ in range(5)))

    assert len({run.id for run, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1


@pytest.mark.parametrize(
    ("tasks", "status"),
    [
        ("- one: {run: {shell: {command: sleep 5}}}", "running"),
        ("- one: {listen: {to: {one: {with: {type: order.paid}}}}}", "waiting"),
        ("- one: {set: {a: 1}}", "completed"),
    ],
)
async def test_a_start_answers_with_the_run_as_it_stands_on_disk(tmp_path: Path, tasks: str, status: str) -> None:
    """The answer is made without reading the run back, so it must not differ from what is read back."""
    async with open_service(tmp_path, Settings(allow_processes=True)) as service:
        await service.workflows.publish(document(tasks))
        told, _ = await service.runs.start("demo/flow", input={"a": 1}, cause={"kind": "person"})

        assert told == await service.runs.summary(told.id)
        assert told.status == status


async def test_waiting_for_a_run_that_is_none_is_refused(service: Service) -> None:
    """A mistyped id must not look like a run that takes long."""
    assert (await refusal(service.runs.outcome("none"))).kind == "run-unknown"
    assert (await refusal(service.runs.wait("none"))).kind == "run-unknown"


async def test_a_run_waits_for_its_event_and_takes_it_once(service: Service) -> None:
    """The whole story of an event."""
    await service.workflows.publish(WAITS)
    run, _ = await service.runs.start("demo/waits")
    assert [c.types for c in (await service.runs.get(run.id)).open] == [["order.paid"]]

    first = await service.events.send([PAID])
    second = await service.events.send([PAID])

    assert (first.accepted, second.duplicates) == (1, 1)
    assert (await service.runs.wait(run.id)).status == "completed"
    detail = await service.runs.get(run.id)
    assert detail.output == {"paid": True}
    assert [t.status for t in detail.tasks] == ["completed", "completed"]


async def test_controls_act_and_are_told(service: Service) -> None:
    """Who stopped a run, and why, stands in its history."""
    await service.workflows.publish(WAITS)
    run, _ = await service.runs.start("demo/waits")

    assert (await service.runs.control(run.id, "pause", by="ops", reason="month end")).status == "suspended"
    await service.runs.control(run.id, "resume")
    await service.runs.control(run.id, "cancel")

    assert (await service.runs.wait(run.id)).status == "cancelled"
    history = (await service.runs.history(run.id)).items
    assert [e["e"] for e in history] == ["run-started", "paused", "resumed", "cancelled"]
    assert (history[1]["by"], history[1]["reason"]) == ("ops", "month end")
    assert (await refusal(service.runs.control(run.id, "pause"))).kind == "run-closed"


async def test_runs_are_listed_newest_first_in_pages_and_filtered(service: Service) -> None:
    """A list of a million runs is read a page at a time."""
    await service.workflows.publish(document())
    await service.workflows.publish(WAITS)
    ids = [(await service.runs.start("demo/flow"))[0].id for _ in range(3)]
    waiting = (await service.runs.start("demo/waits"))[0].id
    await service.runs.wait(ids[-1])

    first = await service.runs.page(limit=3)
    second = await service.runs.page(limit=3, after=first.next)

    assert [r.id for r in first.items + second.items] == [waiting, *reversed(ids)]
    assert second.next is None
    assert [r.id for r in (await service.runs.page(RunFilter(workflow="demo/waits"))).items] == [waiting]
    assert {r.id for r in (await service.runs.page(RunFilter(status="completed"))).items} == set(ids)
    assert (await refusal(service.runs.page(after="x"))).kind == "request-malformed"


async def test_a_run_can_be_followed_from_its_start_to_its_end(service: Service) -> None:
    """Nothing is missed between what was and what comes."""
    await service.workflows.publish(WAITS)
    run, _ = await service.runs.start("demo/waits")
    events = await service.runs.follow(run.id)
    seen = [await anext(events) for _ in range(3)]

    await service.events.send([PAID])
    seen += [event async for event in events]

    assert seen == (await service.runs.lifecycle(run.id)).items
    assert seen[-1]["type"] == "io.serverlessworkflow.workflow.completed.v1"


async def test_all_runs_can_be_followed_from_now_on(service: Service) -> None:
    """What happened before is not told again."""
    await service.workflows.publish(WAITS)
    old, _ = await service.runs.start("demo/waits")
    await asyncio.sleep(0.005)
    events = service.runs.follow_all()
    pending = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.01)

    await service.events.send([PAID])

    first = await pending
    assert first["subject"] == old.id
    assert first["type"] != "io.serverlessworkflow.workflow.started.v1"
    await events.aclose()


async def test_a_published_schedule_starts_runs(service: Service) -> None:
    """Publishing is all it takes."""
    await service.workflows.publish(document(name="often", more="schedule: {every: {milliseconds: 20}}"))

    async with asyncio.timeout(5):
        await anext(service.runs.follow_all())

    (run, *_) = (await service.runs.page(RunFilter(workflow="demo/often"))).items
    assert run.cause["kind"] == "schedule"


async def test_what_was_published_without_a_host_is_scheduled_by_the_next_one(tmp_path: Path) -> None:
    """`segue publish` works while no server runs."""
    async with open_service(tmp_path, Settings(), drive=False) as service:
        await service.workflows.publish(document(name="often", more="schedule: {every: {hours: 1}}"))
    async with open_service(tmp_path, Settings()) as service:
        assert service.host is not None
        assert [s.name for s in service.host.schedules()] == ["often"]


async def test_a_version_without_a_schedule_ends_that_of_the_one_before(service: Service) -> None:
    """Otherwise the old version would go on for ever."""
    await service.workflows.publish(document(name="often", more="schedule: {every: {hours: 1}}"))
    await service.workflows.publish(document(name="often", version="1.1.0"))

    assert service.host is not None
    assert service.host.schedules() == []


async def test_a_run_beyond_the_limit_of_its_workflow_says_where_it_stands(service: Service) -> None:
    """C47. Whoever asks why nothing happens gets the answer from the run itself."""
    metadata = "metadata: {segue: {concurrency: 1}}"
    limited = WAITS.replace("version: '1.0.0'}", f"version: '1.0.0', {metadata}}}")
    await service.workflows.publish(limited)
    started = [(await service.runs.start("demo/waits"))[0] for _ in range(3)]

    assert [run.status for run in started] == ["waiting", "pending", "pending"]
    last = await service.runs.get(started[2].id)
    assert last.queued is not None
    assert (last.status, last.queued.ahead, last.queued.under_way) == ("pending", 1, 1)
    await service.runs.control(started[0].id, "cancel")
    second = await service.runs.get(started[1].id)
    assert (second.status, second.queued) == ("waiting", None)
    refused = await service.workflows.validate(limited.replace("concurrency: 1", "concurrency: 0").encode(), file="f")
    assert [finding.pointer for finding in refused.findings] == ["/document/metadata/segue/concurrency"]


async def test_without_a_host_runs_are_read_and_nothing_else(tmp_path: Path) -> None:
    """Reading a folder must not go on with its runs."""
    async with open_service(tmp_path, Settings()) as service:
        await service.workflows.publish(WAITS)
        run, _ = await service.runs.start("demo/waits")
    async with open_service(tmp_path, Settings(), drive=False) as service:
        assert (await service.runs.get(run.id)).status == "waiting"
        for use in (
            service.runs.start("demo/waits"),
            service.runs.control(run.id, "cancel"),
            service.events.send([PAID]),
        ):
            assert (await refusal(use)).kind == "server-needed"


async def test_one_process_has_a_folder(tmp_path: Path) -> None:
    """Two hosts on one history would tear it."""
    async with open_service(tmp_path, Settings()):
        with pytest.raises(ServiceError) as caught:
            async with open_service(tmp_path, Settings()):
                pass

    assert caught.value.kind == "folder-busy"


@pytest.mark.parametrize(
    "event",
    [
        1,
        {},
        {**PAID, "id": ""},
        {**PAID, "id": 7},
        {**PAID, "specversion": "0.3"},
        {**PAID, "Upper": 1},
        {**PAID, "subject": 7},
        {**PAID, "data_base64": "eA=="},
        {**PAID, "type": "io.segue.exception.overdue.v1"},
        {**PAID, "source": "/segue/exceptions"},
        {**PAID, "source": "/segue/exceptions/"},
        {**PAID, "type": "t" * 4097},
        {**PAID, "id": "i" * 4097},
        {**PAID, "extension": "x" * 4097},
    ],
)
async def test_what_is_no_cloud_event_is_refused(service: Service, event: object) -> None:
    """And the good ones of the same batch are not half taken."""
    assert (await refusal(service.events.send([PAID, event]))).kind == "event-refused"

    assert (await service.events.send([PAID])).accepted == 1
