"""Data folders of every release, opened with today's code: what was begun then goes on now.

The folder of a release that has no tag yet may be written anew when its schema changes: see `write_folder.py`.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.replay.folder_story import FOLDERS, LARGE, SETTINGS, WHATS, functions, run_named

from segue.service import Service, open_service

RELEASES = sorted(path.name for path in FOLDERS.iterdir())
PAID = {"specversion": "1.0", "id": "late", "source": "/shop", "type": "order.paid", "data": {"order": 7}}


@pytest.fixture(params=RELEASES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy: the folder itself stays as its release left it."""
    return Path(shutil.copytree(FOLDERS / request.param, tmp_path / "data"))


async def ending(service: Service, what: str) -> object:
    """The output of this run, once it has ended."""
    found = await asyncio.wait_for(service.runs.wait(await run_named(service, what)), 10)
    assert found.status == "completed", (what, found)
    return (await service.runs.get(found.id)).output


async def test_a_folder_opens_and_everything_in_it_goes_on(folder: Path) -> None:
    """Upgrading is replacing the program: no export, no lost run, nothing done twice."""
    async with open_service(folder, SETTINGS, functions=functions(later=True)) as service:
        assert (await service.workflows.get("golden", "upgrade")).version == "1.0.0"
        outputs = {what: await ending(service, what) for what in ("ended", "under-way", "clock")}
        assert outputs["ended"]["first"] == {"what": "ended", "later": False, "times": 0}  # type: ignore[index]
        assert outputs["under-way"]["first"]["later"], "the act that was under way is done again"  # type: ignore[index]
        assert not outputs["clock"]["first"]["later"]  # type: ignore[index]

        await service.events.send([PAID])
        waited = await ending(service, "event")
        assert waited["before"] == [{"order": 7}]  # type: ignore[index]
        assert waited["large"] == len(LARGE)  # type: ignore[index]

        await service.runs.control(await run_named(service, "paused"), "resume")
        assert (await ending(service, "paused"))["before"]["what"] == "paused"  # type: ignore[index]


async def test_a_failure_that_waits_for_a_person_is_still_there(folder: Path) -> None:
    """It is in the inbox, and what is decided about it takes effect."""
    async with open_service(folder, SETTINGS, functions=functions(later=True)) as service:
        (open_one,) = (await service.exceptions.page()).items
        await service.exceptions.decide(open_one.id, "retry", reason="mended by the upgrade", by="eva")
        assert (await ending(service, "held"))["first"]["later"]  # type: ignore[index]


async def test_what_it_holds_can_be_read_without_a_host(folder: Path) -> None:
    """Somebody looks before anything goes on."""
    async with open_service(folder, SETTINGS, functions=functions(later=True), drive=False) as service:
        page = await service.runs.page()
        assert len(page.items) == len(WHATS)
        for run in page.items:
            assert (await service.runs.history(run.id)).items[0]["e"] == "run-started"
