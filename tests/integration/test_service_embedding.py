"""The Python API, as the docs show it."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from tests.integration.service_support import PAID, WAITS, document

import segue
from segue import RunFaulted, RunWasCancelled, Segue, ServiceError, Settings

DOUBLES = document("- s: {call: double, with: {x: '${ .x }'}}", name="doubles")


async def test_publish_start_result(tmp_path: Path) -> None:
    """The first lines that anybody writes."""
    (tmp_path / "flow.yaml").write_text(document())

    async with Segue.open(tmp_path / "data") as opened:
        await opened.publish(tmp_path / "flow.yaml")
        await opened.publish(str(tmp_path / "flow.yaml"))
        run = await opened.start("demo/flow", input={"n": 1})

        assert await run.result() == {"a": 1}
        assert (await run.detail()).status == "completed"
        assert (await (await opened.run(run.id)).result()) == {"a": 1}


async def test_a_decorated_function_is_called_with_its_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the module, before anything is opened; plain or async."""
    monkeypatch.setattr(segue, "_recorded", {})

    @segue.function(name="double")
    async def twice(x: int) -> int:
        return x * 2

    assert await twice(2) == 4
    async with Segue.open(tmp_path, settings=Settings()) as opened:
        await opened.publish(DOUBLES.encode())
        assert await (await opened.start("demo/doubles", input={"x": 21})).result() == 42


async def test_a_function_can_belong_to_one_folder(tmp_path: Path) -> None:
    """On the instance, after it was opened."""
    async with Segue.open(tmp_path, settings=Settings()) as opened:

        @opened.function(name="double")
        def twice(x: int) -> int:
            return x * 2

        await opened.publish(DOUBLES.encode())
        assert await (await opened.start("demo/doubles", input={"x": 4})).result() == 8
        with pytest.raises(ServiceError) as caught:
            opened.function(name="double")(twice)
    assert caught.value.kind == "function-refused"


async def test_arguments_that_do_not_fit_a_functions_types_fail_the_task(tmp_path: Path) -> None:
    """The types of the parameters are a contract."""
    async with Segue.open(tmp_path, functions={"double": _double}, settings=Settings()) as opened:
        await opened.publish(DOUBLES.encode())

        with pytest.raises(RunFaulted) as caught:
            await (await opened.start("demo/doubles", input={"x": "many"})).result()

    assert caught.value.failure.type.endswith("/validation")


async def test_an_unfinished_run_goes_on_at_the_next_opening(tmp_path: Path) -> None:
    """The program may end at any time."""
    async with Segue.open(tmp_path, settings=Settings()) as opened:
        await opened.publish(WAITS.encode())
        run_id = (await opened.start("demo/waits")).id
    async with Segue.open(tmp_path, settings=Settings()) as opened:
        assert (await opened.send(PAID)).accepted == 1
        assert await (await opened.run(run_id)).result() == {"paid": True}


async def test_a_run_can_be_controlled_and_followed(tmp_path: Path) -> None:
    """All that the command line can do."""
    async with Segue.open(tmp_path, settings=Settings()) as opened:
        await opened.publish(WAITS.encode())
        run = await opened.start("demo/waits", key="k")
        assert (await opened.start("demo/waits", key="k")).id == run.id

        assert (await run.pause("lunch")).status == "suspended"
        assert (await run.resume()).status == "waiting"
        await run.cancel()

        with pytest.raises(RunWasCancelled):
            await run.result()
        assert [e["type"].split(".")[-2] async for e in run.follow()][-1] == "cancelled"


async def test_a_function_of_an_unfinished_run_that_is_gone_fails_its_task_and_says_so(tmp_path: Path) -> None:
    """The run was pinned to the function's name; the message says what to register."""
    tasks = "- w: {listen: {to: {one: {with: {type: order.paid}}}}}\n- s: {call: double, with: {x: 1}}"
    async with Segue.open(tmp_path, functions={"double": _double}, settings=Settings()) as opened:
        await opened.publish(document(tasks).encode())
        run_id = (await opened.start("demo/flow")).id
    async with Segue.open(tmp_path, settings=Settings()) as opened:
        assert (await opened.send(PAID)).accepted == 1
        with pytest.raises(RunFaulted, match="double"):
            await (await opened.run(run_id)).result()


def test_two_functions_cannot_have_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one a document means must not depend on the order of imports."""
    monkeypatch.setattr(segue, "_recorded", {})
    segue.function(name="same")(_double)

    with pytest.raises(ValueError, match="same"):
        segue.function(name="same")(_other)


def test_a_function_is_called_by_its_own_name_with_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Underscores are not for names in documents."""
    monkeypatch.setattr(segue, "_recorded", {})

    @segue.function
    def lead_score() -> int:
        return 1

    assert [f.name for f in segue.recorded_functions()] == ["lead-score"]


async def test_a_cancelled_caller_cancels_the_document_it_runs(tmp_path: Path) -> None:
    """And still learns what became of it."""
    started = asyncio.Event()
    task = asyncio.ensure_future(segue.run_document(WAITS, on_started=lambda *_: started.set()))
    await started.wait()

    task.cancel()

    assert (await task).status == "cancelled"


def test_everything_that_is_promised_can_be_imported() -> None:
    """The names are found when they are first used."""
    for name in segue.__all__:
        assert getattr(segue, name) is not None
    with pytest.raises(AttributeError):
        segue.nothing  # type: ignore[attr-defined]


def _double(x: int) -> int:
    return x * 2


def _other(x: int) -> int:
    return x


CHECKED = document(
    """
    - first: {call: rate, with: {n: 1}}
    - rest: {listen: {to: {one: {with: {type: go}}}}}
    - second: {call: rate, with: {n: 2}}
    """
)


async def test_a_definition_keeps_what_its_functions_said_of_themselves(tmp_path: Path) -> None:
    """What is checked is part of what a run replays: an edited function must not tear it from its history."""

    def before(n: int) -> int:
        return n

    def after(n: str) -> str:
        return n

    async with Segue.open(tmp_path) as opened:
        opened.function(name="rate")(before)
        await opened.publish(CHECKED)
        started = await opened.start("demo/flow")
        for _ in range(1000):
            if (await started.detail()).status == "waiting":
                break
            await asyncio.sleep(0.01)
    async with Segue.open(tmp_path, functions={"rate": after}) as again:
        run = await again.run(started.id)
        assert (await run.detail()).status == "waiting"
        await again.send({"specversion": "1.0", "id": "1", "source": "/t", "type": "go"})
        with pytest.raises(RunFaulted) as faulted:
            await run.result()
        # The function of today refuses what the document was published to give it; what it gave before stands.
        assert "rate" in str(faulted.value)
        assert [task.status for task in (await run.detail()).tasks] == ["completed", "completed", "faulted"]


async def test_only_a_program_that_says_so_has_its_collector_set(tmp_path: Path) -> None:
    """It belongs to the whole process: a library that sets it is a bad guest, and a server's own program is none."""
    before = gc.get_threshold()
    async with Segue.open(tmp_path / "data"):
        assert gc.get_threshold() == before
    async with Segue.open(tmp_path / "data", alone=True):
        assert gc.get_threshold() > before
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
