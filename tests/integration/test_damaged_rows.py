"""Rows that are no longer what was written: a bad disk, a careless hand. One run's damage is one run's trouble."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from tests.integration.service_support import PAID, WAITS

from segue.service import Settings, open_service


def spoil(data: Path, run: str, stored: str | bytes) -> str | bytes:
    """Write something else over the newest event of a run; what stood there."""
    with sqlite3.connect(data / "segue.db") as connection:
        sql = "SELECT h.id, h.data FROM history AS h JOIN run ON run.seq = h.run WHERE run.id = ? ORDER BY h.id DESC"
        number, before = connection.execute(sql, (run,)).fetchone()
        connection.execute("UPDATE history SET data = ? WHERE id = ?", (stored, number))
    connection.close()
    return before  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "stored",
    ['{"e":"started","at":', '{"e":"of-another-release","at":1}', b"\x07what is this", b"z" + b"\x78\x9c cut"],
    ids=["cut off", "unknown event", "unknown packing", "broken packing"],
)
async def test_one_run_that_cannot_be_read_keeps_no_folder_shut(tmp_path: Path, stored: str | bytes) -> None:
    """The others go on, this one is told of, and tried again when somebody has put the row right."""
    data = tmp_path / "data"
    async with open_service(data, Settings()) as service:
        await service.workflows.publish(WAITS)
        bad, _ = await service.runs.start("demo/waits", input={})
        good, _ = await service.runs.start("demo/waits", input={})
        await asyncio.sleep(0.1)
    before = spoil(data, bad.id, stored)

    async with open_service(data, Settings()) as service:
        await service.events.send([PAID])
        assert (await asyncio.wait_for(service.runs.wait(good.id), 10)).status == "completed"
        (told,) = (await service.exceptions.page()).items
        assert (told.run, told.kind) == (bad.id, "quarantined")

    spoil(data, bad.id, before)
    async with open_service(data, Settings()) as service:
        (told,) = (await service.exceptions.page()).items
        await service.exceptions.decide(told.id, "retry", reason="the row is right again")
        assert (await asyncio.wait_for(service.runs.wait(bad.id), 10)).status == "completed"
