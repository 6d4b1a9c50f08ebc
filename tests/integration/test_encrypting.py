"""A plain data folder becomes an encrypted one: it says the same, shows nothing, and no crash leaves half of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path

import msgspec
import pytest
from tests.integration.cli_support import Cli, environment
from tests.integration.service_support import PAID, document
from tests.integration.test_encryption import CANARY, LONG, LOOP, STORY, opened, showing, story

from segue.governance import Checkpoint, KeyRing, new_key_file
from segue.service import (
    NewErasure,
    NewHold,
    NewIdentity,
    NewSwitch,
    ServiceError,
    Settings,
    backup_of_folder,
    encrypt_folder,
    init_keys,
    open_service,
    remove_plain,
)
from segue.store.encrypting import Differs, compare, write_sealed

ASKS = document(
    """
    - ask:
        call: human-task
        with: {title: '${ .name }', assign: {role: approver}, data: '${ . }'}
    """,
    name="asks",
    more="input: {from: '${ . }'}",
)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


async def filled(folder: Path) -> tuple[str, str, str]:
    """A plain folder with a bit of everything; ids of a run that ended, one that waits, and one that was folded.

    Somebody's large value is in runs of two data subjects, so that it must be kept under two keys.
    """
    async with opened(folder, folder / "none") as service:
        anna = await story(service, f"{CANARY}-anna")
        await story(service, f"{CANARY}-ben")
        waits, _ = await service.runs.start("demo/story", input={"name": f"{CANARY}-carl", "text": LONG})
        await service.workflows.publish(LOOP)
        folded, _ = await service.runs.start("demo/loop", input={"name": f"{CANARY}-dora", "text": LONG})
        await service.runs.wait(folded.id)
        await service.workflows.publish(ASKS)
        await service.runs.start("demo/asks", input={"name": f"{CANARY}-task"})
        await service.accounts.add(NewIdentity(id="ann", display=CANARY, password="correct horse battery"))
        await service.switches.stop(NewSwitch(kind="connection", name="crm", reason=CANARY))
        await service.subjects.hold(NewHold(subject=f"{CANARY}-ben", reason="court"))
        await service.audit.sign()
        return anna, waits.id, folded.id


async def told(folder: Path, key: Path, runs: tuple[str, ...]) -> str:
    """What the service tells of everything, as one text."""
    async with opened(folder, key) as service:
        found = [
            *[await service.runs.get(run) for run in runs],
            *[await service.runs.history(run) for run in runs],
            *(await service.runs.page(limit=100, results=True)).items,
            *(await service.exceptions.page(state=None)).items,
            *(await service.tasks.page()).items,
            *(await service.effects.page(limit=500)).items,
            *(await service.accounts.page()).items,
            *(await service.switches.page(all=True)).items,
            *(await service.workflows.page()).items,
        ]
        return msgspec.json.encode(found).decode()


async def test_an_encrypted_folder_says_what_the_plain_one_said(tmp_path: Path) -> None:
    """Whatever it is asked; and a search of its files finds nothing of it."""
    data, key = tmp_path / "data", tmp_path / "kek"
    runs = await filled(data)
    before = await told(data, key, runs)
    async with opened(data, key) as service:
        # Whether the chain had told of the rows that were folded depends on which of the two was quicker.
        folded = (await service.audit.verify()).removed
    checkpoints = [json.loads(line) for line in (data / "audit.checkpoints").read_text().splitlines()]
    assert "segue.db" in showing(data)

    done = await encrypt_folder(data, Settings(), key_file=key, remove_plain=True)

    assert (done.runs, done.replayed, done.kept, done.plain) == (7, 7, None, [])
    assert showing(data) == []
    assert await told(data, key, runs) == before
    assert showing(data) == []
    async with opened(data, key) as service:
        await service.events.send([{**PAID, "source": "/late", "id": "1"}])
        assert (await service.runs.wait(runs[1])).status == "completed"
        # The chain is the same chain: what was signed before, and perhaps kept elsewhere, still vouches for it.
        await service.audit.sign()
        kept = [msgspec.convert(c, Checkpoint) for c in checkpoints]
        verified = await service.audit.verify(checkpoints=kept)
        assert (verified.problems, verified.removed) == ([], folded)
        assert verified.history > 50
        assert (await service.audit.get(checkpoints[-1]["seq"])).hash == checkpoints[-1]["hash"]
        mine = await service.audit.page(limit=500, principal="person:local", action="switch.stop")
        assert CANARY in repr(mine.items) or not mine.items
        assert (
            await service.events.send([{**PAID, "id": f"{CANARY}-anna-1", "source": f"/shop/{CANARY}-anna"}])
        ).duplicates
        with pytest.raises(ServiceError, match="legal hold"):
            await service.subjects.erase(NewErasure(subject=f"{CANARY}-ben", reason="x", dry_run=False))
        erased = await service.subjects.erase(NewErasure(subject=f"{CANARY}-anna", reason="x", dry_run=False))
        assert (erased.runs, erased.keys) == (2, 1)
        assert (await service.runs.get(runs[0])).input == "erased"
        assert (await service.runs.input(runs[1]))["text"] == LONG
        await service.audit.sign()
        assert (await service.audit.verify()).problems == []


async def test_tampering_is_found_after_it_was_encrypted(tmp_path: Path) -> None:
    """A history or a record of before that is exchanged for another one."""
    data, key = tmp_path / "data", tmp_path / "kek"
    await filled(data)
    await encrypt_folder(data, Settings(), key_file=key)
    with closing(sqlite3.connect(data / "segue.db")) as file, file:
        file.execute("UPDATE history SET data = (SELECT data FROM history WHERE id = 3) WHERE id = 2")
        file.execute("UPDATE audit SET data = (SELECT data FROM audit WHERE seq = 4) WHERE seq = 5")
    async with opened(data, key) as service:
        kinds = [(p.kind, p.first) for p in (await service.audit.verify()).problems]
    assert ("changed", 5) in kinds
    assert "history" in [kind for kind, _ in kinds]


async def test_a_copy_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    """The comparison must be able to fail, in each kind of table."""
    data, key = tmp_path / "data", tmp_path / "kek"
    await filled(data)
    old, new = data / "segue.db", tmp_path / "new.db"
    ring = KeyRing.create(tmp_path / "keys", new_key_file(key))
    write_sealed(old, new, ring)
    for change in (
        "DELETE FROM effect",
        "UPDATE run SET status = 'faulted' WHERE seq = 1",
        "UPDATE incident SET reason = NULL WHERE reason IS NOT NULL",
        "UPDATE history SET data = (SELECT data FROM history WHERE id = 3) WHERE id = 2",
        "UPDATE run SET output = NULL WHERE output IS NOT NULL",
    ):
        copy = Path(shutil.copy(new, tmp_path / "copy.db"))
        compare(old, copy, ring)
        with closing(sqlite3.connect(copy)) as file, file:
            assert file.execute(change).rowcount, change
        with pytest.raises(Differs):
            compare(old, copy, ring)


def names(folder: Path) -> list[str]:
    """Files of a folder, without those of an open database."""
    return sorted(p.name for p in folder.rglob("*") if p.suffix not in (".db-shm", ".db-wal", ".lock"))


async def test_what_is_not_encrypted_is_named_and_goes_only_when_told(tmp_path: Path) -> None:
    """The old file is the only way back, and it is plain: both must be said."""
    data, key = tmp_path / "data", tmp_path / "kek"
    await filled(data)
    (data / "backups").mkdir()
    backup_of_folder(data, data / "backups" / "b.db")

    done = await encrypt_folder(data, Settings(), key_file=key)

    assert done.kept is not None
    assert done.plain == ["backups/b.db"]
    assert showing(data / done.kept) == ["segue.db"]
    assert remove_plain(data) == [done.kept]
    assert not (data / done.kept).exists()
    assert remove_plain(data) == []


@pytest.mark.parametrize("why", ["nothing", "encrypted", "in use", "broken chain", "no key"])
async def test_a_folder_that_cannot_be_encrypted_stays_as_it_is(tmp_path: Path, why: str) -> None:
    """And the refusal says why."""
    data, key = tmp_path / "data", tmp_path / "kek"
    expected = {
        "nothing": "holds no data",
        "encrypted": "encrypted already",
        "in use": "in use",
        "broken chain": "does not verify",
        "no key": "SEGUE_KEY",
    }[why]
    if why == "encrypted":
        init_keys(data, key)
    elif why != "nothing":
        async with opened(data, key) as service:
            await service.workflows.publish(STORY)
            await service.audit.sign()
    if why == "broken chain":
        with closing(sqlite3.connect(data / "segue.db")) as file, file:
            file.execute("UPDATE audit SET verdict = 'x' WHERE seq = 1")
    files = names(data)
    async with AsyncExitStack() as stack:
        if why == "in use":
            await stack.enter_async_context(open_service(data, Settings()))
        with pytest.raises(ServiceError, match=expected):
            await encrypt_folder(data, Settings(), key_file=None if why == "no key" else key)
    if why not in ("nothing", "encrypted"):
        assert names(data) == files
        async with opened(data, key) as service:
            assert (await service.workflows.page()).items


def test_on_the_command_line(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an administrator does it."""
    data, key, file = tmp_path / "data", tmp_path / "kek", tmp_path / "flow.yaml"
    file.write_text(document())
    assert cli("publish", file, "--data", data).code == 0
    assert cli("keys", "init", key, "--data", data).code == 2

    done = cli("keys", "encrypt", key, "--data", data)

    assert (done.code, "is encrypted" in done.out, "remove-plain" in done.err) == (0, True, True)
    assert cli("workflows", "list", "--data", data).code == 2
    monkeypatch.setenv("SEGUE_KEY", key.read_text())
    assert "demo/flow" in cli("workflows", "list", "--data", data).out
    assert "removed: before-encryption" in cli("keys", "remove-plain", "--data", data).out
    assert cli("audit", "verify", "--data", data).code == 0
    assert "already" in cli("keys", "encrypt", "--data", data).err


def test_a_crash_at_any_moment_leaves_the_old_or_the_new_folder_whole(tmp_path: Path) -> None:
    """Killed before each step that changes a name, makes or removes a file; opened again each time."""
    worker = Path(__file__).with_name("encrypting_killed.py")
    done = subprocess.run(
        [sys.executable, worker, tmp_path],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = done.stdout.split()
    # Plain up to one moment, encrypted from then on.
    assert outcomes == sorted(outcomes, reverse=True)
    assert {"plain", "encrypted"} == set(outcomes)
    assert outcomes.count("encrypted") >= 3
    assert len(outcomes) > 10
