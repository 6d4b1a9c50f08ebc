"""Most tests work in a copied file, see `tests/cheap.py`; they prove nothing if it is another one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests import cheap

from segue.store.folder import open_writer


def told(file: sqlite3.Connection) -> tuple[str, list[str], list[object]]:
    """Its installation, everything in it besides, and how it is kept."""
    (own,) = file.execute("SELECT value FROM meta WHERE key = 'installation'").fetchone()
    pragmas = ("application_id", "user_version", "auto_vacuum", "journal_mode", "synchronous")
    kept = [file.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    return own, [line.replace(own, "…") for line in file.iterdump()], kept


def test_a_copied_file_is_like_a_migrated_one_and_another_installation(tmp_path: Path) -> None:
    """What a migration makes up for each folder must not be the same in all of them."""
    with cheap.empty_folders():
        copies = [told(open_writer(tmp_path / name)) for name in ("one", "two")]
    migrated = told(open_writer(tmp_path / "three"))

    assert len({own for own, *_ in (*copies, migrated)}) == 3
    assert copies[0][1:] == copies[1][1:] == migrated[1:]
