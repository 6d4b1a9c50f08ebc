"""A program that encrypts copies of one folder, each killed one step later, and says what each copy then is."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from segue.service import Settings, encrypt_folder, open_service
from segue.service.settling import STAGING

STEPS = ("os.rename", "os.link", "os.mkdir", "os.rmdir", "os.remove", "shutil.copyfile")
OUTCOMES = {0: "encrypted", 3: "plain"}
FLOW = """
document: {dsl: '1.0.3', namespace: demo, name: flow, version: '1.0.0', metadata: {segue: {subject: '${ .name }'}}}
do:
  - one: {set: {a: '${ . }'}}
"""


def main(place: Path) -> None:
    """Encrypt copies until one is not killed any more."""
    original, key = place / "original", place / "kek"
    require(apart(fill(original)) == 0)
    require(apart(encrypt(shutil.copytree(original, place / "first"), key)) == 0)
    moment = 0
    while True:
        moment += 1
        folder = shutil.copytree(original, place / f"copy-{moment}")
        status = apart(encrypt(folder, key), kill_at=moment)
        is_now = apart(check(folder, key))
        require(is_now in OUTCOMES)
        print(OUTCOMES[is_now], flush=True)
        shutil.rmtree(folder)
        if status == 0:
            return


def apart(work: Coroutine[Any, Any, None], kill_at: int | None = None) -> int:
    """The work in a process of its own; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child:
        work.close()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if kill_at is not None:
            kill_before(kill_at)
        asyncio.run(work)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(2)


def kill_before(moment: int) -> None:
    """Let this process die like a power cut before its step of this number."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in STEPS:
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


async def fill(folder: Path) -> None:
    """A folder with a run."""
    async with open_service(folder, Settings()) as service:
        await service.workflows.publish(FLOW)
        run, _ = await service.runs.start("demo/flow", input={"name": "anna"})
        await service.runs.wait(run.id)


async def encrypt(folder: Path, key: Path) -> None:
    """What is killed."""
    await encrypt_folder(folder, Settings(), key_file=key)


async def check(folder: Path, key: Path) -> None:
    """Open the folder; ends the process with 3 where it is plain, with another code where it is not whole."""
    async with open_service(folder, Settings(key_file=str(key))) as service:
        (run,) = (await service.runs.page()).items
        require((await service.runs.get(run.id)).output == {"a": {"name": "anna"}})
        require((await service.audit.verify()).problems == [])
        sealed = service.store.commit.cipher is not None
    require(not (folder / STAGING).exists())
    require((folder / "segue.keys").exists() == sealed)
    os._exit(0 if sealed else 3)


def require(holds: bool) -> None:
    if not holds:
        raise AssertionError


if __name__ == "__main__":
    main(Path(sys.argv[1]))
