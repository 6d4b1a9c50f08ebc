"""What people are told of a run whose beginning was folded: the truth, and what they can do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from segue.handlers import FunctionRegistry
from segue.service import Service, ServiceError, Settings, open_service
from segue.service.functions import register

SETTINGS = Settings(failures="hold", history_max_events=100)
DOCUMENT = """\
document: {dsl: '1.0.3', namespace: folded, name: loop, version: 1.0.0}
do:
- before: {call: work, with: {n: 0}}
- again:
    do:
    - one: {call: work, with: {n: '${ . }'}}
    - two: {set: '${ . + 1 }'}
    - more: {switch: [{on: {when: '. < 400', then: one}}]}
- rest: {listen: {to: {one: {with: {type: go}}}}}
- last: {set: {n: '${ . | length }'}}
"""


def functions(failing: int | None = None) -> FunctionRegistry:
    async def work(n: int) -> Any:
        if n == failing:
            raise RuntimeError("as the test says")
        return n

    registry = FunctionRegistry()
    register(registry, work, "work")
    return registry


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait, briefly, until it holds."""
    for _ in range(2000):
        if await holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true in time")


async def run_to(service: Service, status: str) -> str:
    await service.workflows.publish(DOCUMENT)
    run, _ = await service.runs.start("folded/loop", input={"given": True}, key="k")

    async def there() -> bool:
        assert service.host is not None
        is_folded = not service.host._engine.folding._due
        return (await service.runs.summary(run.id)).status == status and is_folded

    await until(there)
    return run.id


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, SETTINGS, functions=functions()) as opened:
        yield opened


async def refusal(asked: Any) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await asked
    return refused.value


async def test_the_run_says_what_is_left_of_its_history(service: Service) -> None:
    """Nobody takes the rest for the whole."""
    run = await run_to(service, "waiting")
    detail = await service.runs.get(run)
    assert detail.history.events == 402
    assert 50 <= detail.history.events - detail.history.folded <= 150
    assert detail.history.limit == 100
    assert detail.input == {"given": True}
    assert detail.tasks[0].pointer == "/do/1/again", "it was under way before what is kept"
    assert {t.status for t in detail.tasks if t.pointer.startswith("/do/1")} == {"completed"}
    assert (detail.tasks[-1].pointer, detail.tasks[-1].status) == ("/do/2/rest", "waiting")


async def test_events_keep_their_numbers(service: Service) -> None:
    """What somebody noted yesterday means the same today, or is refused with what is left."""
    run = await run_to(service, "waiting")
    kept = (await service.runs.get(run)).history
    page = await service.runs.history(run, limit=10)
    assert (page.first, page.folded) == (kept.folded + 1, kept.folded)
    following = await service.runs.history(run, limit=10, after=page.next)
    assert (following.first, following.folded) == (kept.folded + 11, 0)

    moment = await service.steering.at(run, kept.folded + 3)
    assert (moment.event, moment.of) == (kept.folded + 3, 402)
    behind = await service.steering.at(run, kept.folded)
    assert (behind.event, behind.event_kind, behind.status) == (kept.folded, "folded", "running")
    error = await refusal(service.steering.at(run, kept.folded - 1))
    assert error.kind == "history-folded"
    assert f"keeps its events {kept.folded + 1} to 402" in error.detail
    assert (await refusal(service.steering.at(run, 403))).kind == "event-unknown"
    assert (await refusal(service.runs.task(run, 2))).kind == "history-folded"


async def test_lifecycle_events_keep_their_ids(tmp_path: Path) -> None:
    """A consumer that saw one before the fold knows it again afterwards."""
    async with open_service(tmp_path / "a", SETTINGS):
        pass
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # two folders of one installation: a key is the same run
    async with open_service(tmp_path / "a", Settings(history_max_events=0), functions=functions()) as whole:
        run = await run_to(whole, "waiting")
        known = {e["id"]: e["type"] for e in (await whole.runs.lifecycle(run)).items}
    async with open_service(tmp_path / "b", SETTINGS, functions=functions()) as folded:
        again = await run_to(folded, "waiting")
        assert again == run, "the key gives both the same id"
        page = await folded.runs.lifecycle(run)
    assert page.folded > 0
    assert page.items
    assert {e["id"]: e["type"] for e in page.items}.items() <= known.items()


async def test_a_task_before_what_is_kept_needs_its_input(service: Service) -> None:
    """It can start again; only what it got then is not known any more."""
    run = await run_to(service, "waiting")
    error = await refusal(service.steering.retry(run, "/do/0/before", reason="again"))
    assert error.kind == "place-refused"
    assert "folded" in error.detail
    await service.steering.retry(run, "/do/0/before", input=None, reason="again")

    async def again() -> bool:
        return (await service.runs.get(run)).history.events > 700

    await until(again)


async def test_a_task_whose_start_is_kept_can_be_forked_from(service: Service) -> None:
    """The state behind the folded events is the new run's beginning; what it did outside is not done again."""
    run = await run_to(service, "waiting")
    before = await service.runs.get(run)
    made = await service.steering.fork(run, "/do/2/rest", reason="once more")
    await service.events.send([{"specversion": "1.0", "id": "1", "source": "/t", "type": "go", "data": 7}])
    await service.runs.wait(made.id)
    after = await service.runs.get(made.id)
    assert (after.status, after.output) == ("completed", {"n": 1})
    assert after.input == {"given": True}
    assert after.history.folded == before.history.folded
    assert after.cause["run"] == run
    assert (await service.runs.get(run)).status == "completed"


async def test_a_task_that_was_under_way_at_the_beginning_can_be_forked_from(service: Service) -> None:
    """Its start is gone, its data is not."""
    run = await run_to(service, "waiting")
    folded = (await service.runs.get(run)).history.folded
    made = await service.steering.fork(run, "/do/1/again", input=399)

    async def waits() -> bool:
        return (await service.runs.summary(made.id)).status == "waiting"

    await until(waits)
    detail = await service.runs.get(made.id)
    assert detail.cause["event"] == folded
    assert [task.pointer for task in detail.tasks][-1] == "/do/2/rest"
    assert detail.history.events < folded + 20


async def test_a_fork_of_a_fork_and_a_restart_of_the_host_lose_nothing(tmp_path: Path) -> None:
    """What was grafted is read back like any other run."""
    async with open_service(tmp_path, SETTINGS, functions=functions()) as service:
        run = await run_to(service, "waiting")
        first = await service.steering.fork(run, "/do/2/rest")
        second = await service.steering.fork(first.id, "/do/2/rest")
    async with open_service(tmp_path, SETTINGS, functions=functions()) as service:
        await service.events.send([{"specversion": "1.0", "id": "1", "source": "/t", "type": "go", "data": 7}])
        for made in (run, first.id, second.id):
            assert (await service.runs.wait(made)).status == "completed"


async def test_a_fork_from_what_is_truly_gone_is_refused_with_a_way_out(service: Service) -> None:
    """The task was over before the first event that is kept."""
    run = await run_to(service, "waiting")
    error = await refusal(service.steering.fork(run, "/do/0/before"))
    assert error.kind == "history-folded"
    assert "/do/1/again" in (error.remedy or "")
    other = await refusal(service.steering.fork(run, "/do/2/rest", version="1.0.0"))
    assert other.kind == "place-refused"
    assert "migrate" in (other.remedy or "")


async def test_a_key_is_still_known_with_its_input(service: Service) -> None:
    """The same key with another input is another request, whatever became of the first event."""
    run = await run_to(service, "waiting")
    again, started = await service.runs.start("folded/loop", input={"given": True}, key="k")
    assert (again.id, started) == (run, False)
    assert (await refusal(service.runs.start("folded/loop", input=1, key="k"))).kind == "key-reused"


async def test_a_held_failure_can_be_looked_at_and_decided(tmp_path: Path) -> None:
    """It happened at the newest event, so all of it is known."""
    async with open_service(tmp_path, SETTINGS, functions=functions(failing=350)) as service:
        run = await run_to(service, "suspended")
        (one,) = (await service.exceptions.page()).items
        detail = await service.exceptions.get(one.id)
        assert (detail.payload, detail.sent["arguments"], detail.note) == (350, {"n": 350}, None)
        assert [task.pointer for task in detail.position] == ["/do/1/again", "/do/1/again/do/0/one"]
        await service.exceptions.decide(one.id, "skip", reason="known", output=400)
        await run_to(service, "waiting")
        assert (await service.runs.get(run)).status == "waiting"


async def test_a_failure_before_what_is_kept_says_what_is_not_known(tmp_path: Path) -> None:
    """It was resolved long ago; the inbox still tells of it."""
    async with open_service(tmp_path, SETTINGS, functions=functions(failing=5)) as service:
        await run_to(service, "suspended")
        (one,) = (await service.exceptions.page()).items
        await service.exceptions.decide(one.id, "skip", reason="known", output=6)
        await run_to(service, "waiting")
        detail = await service.exceptions.get(one.id)
        assert detail.payload is None
        assert "not known any more" in (detail.note or "")


async def test_whoever_follows_is_not_left_behind(service: Service) -> None:
    """A slow reader goes on behind what was folded, and sees the end."""
    run = await run_to(service, "waiting")
    seen: list[str] = []

    async def follow() -> None:
        async for event in await service.runs.follow(run):
            seen.append(event["type"])

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    await service.events.send([{"specversion": "1.0", "id": "1", "source": "/t", "type": "go", "data": 1}])
    await asyncio.wait_for(following, 10)
    assert seen[-1] == "io.serverlessworkflow.workflow.completed.v1"
    assert (await service.runs.output(run)) == {"n": 1}


async def test_a_run_that_ended_is_told_from_what_is_kept(service: Service) -> None:
    """Also without a host, and in its report."""
    run = await run_to(service, "waiting")
    await service.runs.control(run, "cancel")
    report = await service.runs.report(await service.runs.summary(run))
    assert (report.status, report.folded > 0) == ("cancelled", True)
    pages = await service.runs.tasks(run, limit=100)
    assert len(pages.items) == 100
    assert pages.next


async def test_a_large_value_is_pointed_out_before_it_is_refused(tmp_path: Path) -> None:
    """Soft: the run goes on. Hard: the task fails and says what to do."""
    text = """\
document: {dsl: '1.0.3', namespace: folded, name: large, version: 1.0.0}
do:
- small: {set: {n: 1}}
- large: {set: '${ [range(1000) | "some text \\(.)"] }'}
"""
    for hard_kb, status in ((1024, "completed"), (4, "faulted")):
        settings = Settings(payload_warn_kb=2, payload_max_kb=hard_kb)
        async with open_service(tmp_path / status, settings) as service:
            await service.workflows.publish(text)
            run, _ = await service.runs.start("folded/large")
            assert (await service.runs.wait(run.id)).status == status
            detail = await service.runs.get(run.id)
        if status == "completed":
            (note,) = detail.history.notes
            assert note.startswith("/do/1/large holds a value of 1")
        else:
            assert detail.error is not None
            assert detail.error["instance"] == "/do/1/large"
            assert "payload_max_kb" in detail.error["detail"]
