"""W1 with all of governance on, beside W1 without any of it.

    python -m bench.governed [--quick] [--rounds 9] [--json]

*With*: an encrypted folder whose document says whom each run is about, so that every run is sealed with a key of its
own subject; the guard before each start and each act, with a rule that reads what an act can send out, and labels on
the input that reach it; the audit chain in every commit; and the effect ledger, which acts that may be
repeated do not need.

*Without*: the same document in a plain folder, without subject and labels, with a guard that lets everything through
unasked, no guard before acts, and no record in the chain. Nobody can have that; it is what governance costs.

Both take turns, wave by wave, in the same process, so that whatever disturbs the machine meets both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench import _document
from bench._document import CUSTOMER, Calls
from bench._figures import Effort, Figure, command
from bench.w1 import STEPS
from segue import Segue, Settings
from segue.governance import Verdict
from segue.hosts.contracts import OpenDoor
from segue.service.keys import init_keys
from segue.service.permissions import NewPolicy

_LABELS = """\
input:
  schema:
    document:
      type: object
      properties:
        customer: { type: object, x-data-class: personal }
"""
_RULE = """\
@id("no-personal-data-to-mail")
forbid (principal, action == Action::"act.perform", resource)
when { resource.handler == "notify" && context.classes.contains("personal") };
"""
_SUBJECTS = 50
"""How many people the runs are about, in turns."""


def governed_document() -> str:
    """The document of W1, with whom it is about and what its input is."""
    plain = _document.chain(STEPS)
    head, body = plain.split("\ndo:\n", 1)
    said = head.replace(
        "version: '1.0.0' }",
        "version: '1.0.0', metadata: { segue: { subject: '${ .customer.id }' } } }",
    )
    return f"{said}\n{_LABELS}do:\n{body}"


@asynccontextmanager
async def opened(folder: Path, *, governed: bool) -> AsyncIterator[tuple[Segue, Calls]]:
    """A folder with everything on, or with nothing."""
    calls = Calls()
    settings = Settings()
    folder.mkdir()  # noqa: ASYNC240 - before anything is measured
    if governed:
        key = folder.parent / f"{folder.name}.key"
        init_keys(folder, key)
        settings = Settings(key_file=str(key))
    async with Segue.open(folder, settings=settings, alone=True) as house:
        house.function(name="bench-step", inline=True)(calls.__call__)
        await house.publish((governed_document() if governed else _document.chain(STEPS)).encode())
        if governed:
            rule = NewPolicy(text=_RULE, reason="nothing personal leaves by mail")
            await house.service.permissions.change("no-leaks", rule)
        else:
            _let_go(house)
        yield house, calls


def _let_go(house: Segue) -> None:
    """Take the two doors out of an open folder. There is no setting for it, and there shall be none."""
    everything = Verdict("allow", (), "none", "not asked")
    service = house.service
    setattr(service.guard, "check", lambda *_, **__: everything)  # noqa: B010 - it is a method
    assert service.host is not None
    service.host._engine.performer._door = OpenDoor()


@contextmanager
def without_chain() -> Iterator[None]:
    """No record of any audit chain is made or linked meanwhile, and none is signed: that comes after it."""

    async def later(_: Any) -> None: ...

    with (
        patch("segue.store.batch.AuditRecord", lambda **_: None),
        patch("segue.store.store.AuditRecord", lambda **_: None),
        patch("segue.store.batch.link", lambda head, *_: ([], head)),
        patch("segue.service.audit.Audit._sign_if_moved", later),
    ):
        yield


async def wave(house: Segue, calls: Calls, runs: int) -> float:
    """Durable steps per second of so many runs at once."""

    async def one(number: int) -> Any:
        customer = {**CUSTOMER, "id": f"c-{number % _SUBJECTS}"}
        run = await house.start("bench/chain", input={"customer": customer, "score": 0.5})
        return await run.result()

    before = calls.number
    began = time.perf_counter()
    outputs = await asyncio.gather(*(one(number) for number in range(runs)))
    took = time.perf_counter() - began
    assert all(output["step"] == STEPS - 1 for output in outputs), outputs[0]
    assert calls.number - before == runs * STEPS
    return runs * STEPS / took


async def _recorded(house: Segue) -> int:
    """How many starts the audit chain of a folder tells of."""
    asked = "SELECT count(*) FROM audit WHERE action = 'run.start'"
    found: int = await house.service.store.read(lambda c: c.execute(asked).fetchone()[0])
    return found


async def turns(folder: Path, runs: int, waves: int) -> list[tuple[float, float]]:
    """Rates with and without governance, wave by wave. The first wave of each does not count."""
    found = []
    async with opened(folder / "with", governed=True) as ours, opened(folder / "without", governed=False) as bare:
        for number in range(waves + 1):
            on = await wave(*ours, runs)
            with without_chain():
                off = await wave(*bare, runs)
            if number:
                found.append((on, off))
        assert await _recorded(ours[0]) >= runs * (waves + 1)
        assert await _recorded(bare[0]) == 0
    return found


def measure(effort: Effort) -> list[Figure]:
    """The one figure of governance."""
    runs, waves = (20, 2) if effort.quick else (200, 5 * effort.rounds)
    found = asyncio.run(turns(effort.folder, runs, waves))
    what = f"{runs} runs of ten steps at once, everything on"
    return [Figure.compared("governed", what, "steps/s", "without guard, chain, encryption, labels", found)]


if __name__ == "__main__":
    command(measure, __doc__)
