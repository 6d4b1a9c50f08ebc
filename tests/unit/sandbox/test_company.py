"""A company's files exist whole or not at all, and stay what they were made."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from segue.sandbox import CompanyError, PracticeCompany
from segue.sandbox.database import Database, create


def test_a_file_that_could_not_be_filled_is_not_there(tmp_path: Path) -> None:
    """A process that dies while filling must not leave a company with half its customers."""

    def broken() -> Iterator[tuple[int]]:
        yield (1,)
        raise RuntimeError("died here")

    path, schema = tmp_path / "one.sqlite3", "CREATE TABLE things (id INTEGER PRIMARY KEY);"
    with pytest.raises(RuntimeError):
        create(path, schema, date(2026, 1, 1), {"things": broken()})
    assert not path.exists()

    create(path, schema, date(2026, 1, 1), {"things": iter([(1,)])})
    db = Database(path)
    assert db.all("SELECT id FROM things") == [(1,)]
    db.close()


async def test_a_directory_keeps_its_date_ports_and_credentials(tmp_path: Path) -> None:
    """Connections that were registered before a restart must still lead somewhere, and renewals stay put."""
    async with PracticeCompany(tmp_path, today=date(2026, 3, 1)) as company:
        first = company.described()

    with pytest.raises(CompanyError, match="made for 2026-03-01"):
        await PracticeCompany(tmp_path, today=date(2026, 3, 2)).__aenter__()
    async with PracticeCompany(tmp_path) as company:
        assert company.described() == first


async def test_a_port_that_is_taken_is_said_plainly(tmp_path: Path) -> None:
    """The person who starts it needs to know which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CompanyError, match=f"crm cannot use port {port}.*another port base"):
            await PracticeCompany(tmp_path, port_base=port).__aenter__()


async def test_credentials_are_not_readable_by_others(tmp_path: Path) -> None:
    """Practice is also for habits."""
    async with PracticeCompany(tmp_path):
        assert (tmp_path / "practice.json").stat().st_mode & 0o077 == 0
