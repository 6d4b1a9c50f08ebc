"""Full, nearly full and read-only disks: real ones, small enough to fill.

A disk is a tmpfs of a few megabytes. Where mounting is not permitted these tests are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.hosts.building import NoSecrets, PlanBook, act, listen, workflow
from tests.integration.api_support import YAML, api, problem
from tests.integration.cli_support import Cli, serving
from tests.integration.service_support import PAID, WAITS

from segue.hosts import EmbeddedHost, HostSettings
from segue.service import Settings
from segue.store import DiskLow, FolderNotUsable, HostError, Store
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, RunCancelled

WORK = workflow("work", *(act(f"step-{n}", "step") for n in range(20)), listen("go", "go"), act("last", "step"))
MB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "segue-test", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip(f"NOT SHOWN HERE: a full disk needs the right to mount a tmpfs ({mount.stderr.strip()})")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


class World:
    """An outside system that remembers who acted on it."""

    def __init__(self) -> None:
        self.acts: Counter[str] = Counter()
        self.may_act = asyncio.Event()
        self.may_act.set()

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        await self.may_act.wait()
        self.acts[context.key] += 1
        return {"text": "x" * 500}

    def recovery(self, command: Perform) -> Recovery:
        return "verify"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        return {"text": "x" * 500} if self.acts[context.key] else NOT_DONE


async def opened(folder: Path, world: World, **settings: Any) -> EmbeddedHost:
    return await EmbeddedHost.open(
        folder, handlers={"step": world}, plans=PlanBook(WORK), secrets=NoSecrets(), settings=HostSettings(**settings)
    )


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Write a file until nothing more fits, then give back `leave` bytes."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    os.truncate(filler, filler.stat().st_size - leave)
    return filler


async def until(host: EmbeddedHost, accepting: bool) -> None:
    async with asyncio.timeout(20):
        while host.health().accepting is not accepting:  # noqa: ASYNC110 - the host tells nobody
            await asyncio.sleep(0.02)


async def test_a_full_disk_loses_nothing_and_the_host_goes_on_by_itself(small_disk: Path) -> None:
    """Nothing that was confirmed is lost, nothing is done twice, new work is refused with the reason."""
    world = World()
    host = await opened(small_disk / "data", world)
    world.may_act.clear()
    confirmed = [await host.start(WORK.digest, n, run_id=f"run-{n}") for n in range(20)]
    filler = fill(small_disk, leave=256 * 1024)
    world.may_act.set()
    await until(host, False)
    assert "disk" in (host.health().trouble or "")
    with pytest.raises(HostError, match=r"cannot write.*No new work is taken"):
        await host.start(WORK.digest, 99)

    filler.unlink()
    await until(host, True)
    await host.publish({"id": "1", "source": "/t", "type": "go"})
    outcomes = await asyncio.wait_for(asyncio.gather(*(host.wait_closed(i) for i in confirmed)), 30)
    assert {o.status for o in outcomes} == {"completed"}
    await host.close()
    assert set(world.acts.values()) == {1}
    assert len(world.acts) == 20 * 21


async def test_a_process_that_dies_on_a_full_disk_goes_on_where_it_was(small_disk: Path, tmp_path: Path) -> None:
    """Closing cannot write what is pending; the next start knows all that was confirmed, and repeats no act."""
    world = World()
    host = await opened(small_disk / "data", world)
    world.may_act.clear()
    confirmed = [await host.start(WORK.digest, n, run_id=f"run-{n}") for n in range(20)]
    filler = fill(small_disk, leave=256 * 1024)
    world.may_act.set()
    await until(host, False)
    await host.close()
    filler.unlink()

    host = await opened(small_disk / "data", world)
    await host.publish({"id": "1", "source": "/t", "type": "go"})
    outcomes = await asyncio.wait_for(asyncio.gather(*(host.wait_closed(i) for i in confirmed)), 30)
    await host.close()
    assert {o.status for o in outcomes} == {"completed"}
    assert set(world.acts.values()) == {1}


async def test_new_work_is_shed_before_live_work_is_harmed(small_disk: Path) -> None:
    """Starts and events are refused at the watermark; runs under way end; it ends by itself."""
    world = World()
    host = await opened(small_disk / "data", world, disk_free_min_bytes=3 * MB)
    world.may_act.clear()
    run = await host.start(WORK.digest, 1)
    await host.publish({"id": "1", "source": "/t", "type": "go"})
    filler = fill(small_disk, leave=2 * MB)
    await until(host, False)
    for new_work in (host.start(WORK.digest, 2), host.publish({"id": "2", "source": "/t", "type": "go"})):
        with pytest.raises(DiskLow, match="disk_free_min_mb"):
            await new_work
    world.may_act.set()
    assert (await asyncio.wait_for(host.wait_closed(run), 20)).status == "completed"

    filler.unlink()
    await until(host, True)
    assert await host.start(WORK.digest, 2)
    await host.close()


async def test_a_run_can_be_cancelled_while_new_work_is_shed(small_disk: Path) -> None:
    """What frees the machine must not wait for space."""
    world = World()
    host = await opened(small_disk / "data", world, disk_free_min_bytes=3 * MB)
    world.may_act.clear()
    run = await host.start(WORK.digest, 1)
    fill(small_disk, leave=2 * MB)
    await until(host, False)
    assert await host.control(run, RunCancelled(0))
    await host.close()


async def test_the_api_sheds_with_its_own_problem(small_disk: Path) -> None:
    """A client can tell a full disk from a mistake of its own."""
    async with api(small_disk / "data", Settings(disk_free_min_mb=3)) as client:
        assert (await client.post("/api/v1/workflows", content=WAITS, headers=YAML)).status_code == 201
        fill(small_disk, leave=2 * MB)
        async with asyncio.timeout(10):
            while (await client.get("/api/v1/ready")).status_code == 200:  # noqa: ASYNC110 - asked, as a probe does
                await asyncio.sleep(0.05)
        answer = await client.post("/api/v1/runs", json={"workflow": "demo/waits"})
        assert "MB are free" in problem(answer, 507, "disk-low")["detail"]
        event = {"content-type": "application/cloudevents+json"}
        problem(await client.post("/api/v1/events", json=PAID, headers=event), 507, "disk-low")
        assert (await client.get("/api/v1/runs")).status_code == 200


@pytest.fixture
def read_only_disk(small_disk: Path) -> Path:
    """A disk that takes no writes any more, with a data folder on it."""
    asyncio.run(_closed_store(small_disk / "data"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


def test_a_read_only_disk_is_refused_with_its_reason(read_only_disk: Path) -> None:
    """At the start, before any work is taken."""
    for folder in (read_only_disk / "data", read_only_disk / "new"):
        with pytest.raises(FolderNotUsable, match="Read-only file system"):
            asyncio.run(_closed_store(folder))


def test_the_command_says_that_the_disk_is_read_only(
    read_only_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a traceback."""
    ended = Cli(capsys)("serve", "--data", read_only_disk / "data", "--port", "0")
    assert ended.code == 2
    assert "Read-only file system" in ended.err


def test_a_folder_on_a_read_only_disk_can_be_backed_up(
    read_only_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Often the disk became read-only because it is dying."""
    cli = Cli(capsys)
    assert cli("backup", tmp_path / "kept.db", "--data", read_only_disk / "data").code == 0
    assert cli("restore", tmp_path / "kept.db", "--data", tmp_path / "new").code == 0


def test_a_disk_too_full_for_a_backup_leaves_no_half_of_one(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a backup is worse than none: somebody may believe in it."""
    data = small_disk / "data"
    asyncio.run(_closed_store(data))
    fill(small_disk, leave=64 * 1024)
    ended = Cli(capsys)("backup", small_disk / "kept.db", "--data", data)
    assert ended.code == 2
    assert "could not be made" in ended.err
    assert not [p.name for p in small_disk.iterdir() if p.name.startswith("kept")]


async def _closed_store(folder: Path) -> None:
    await Store.open(folder).close()


def test_a_second_server_on_the_folder_is_refused_and_the_first_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two hosts on one file would each run every unfinished run."""
    cli = Cli(capsys)
    with serving(tmp_path / "data") as first:
        second = cli("serve", "--data", tmp_path / "data", "--port", "0", "--json")
        assert second.code == 2
        assert second.json["error"]["type"] == "urn:segue:problem:folder-busy"
        assert f"process {first.pid}" in second.err
        assert cli("runs", "list", "--data", tmp_path / "data").code == 0


def test_a_copied_back_older_file_is_refused_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a reason, a way out, and an exit code."""
    cli, data = Cli(capsys), tmp_path / "data"
    with serving(data):
        pass
    shutil.copy(data / "segue.db", tmp_path / "older.db")
    with serving(data):
        pass
    shutil.copy(tmp_path / "older.db", data / "segue.db")
    refused = cli("serve", "--data", data, "--port", "0")
    assert refused.code == 2
    assert "older" in refused.err
    assert "segue restore" in refused.err
    assert cli("restore", tmp_path / "older.db", "--data", data, "--force", "--without-manifest").code == 0
    with serving(data):
        pass
