"""What an encryption that died leaves behind (`encrypting.py`), and how it is tidied up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from segue.governance import KEYS_NAME
from segue.service.errors import as_refusal
from segue.store import FolderInUse, FolderNotUsable
from segue.store.encrypting import is_sealed
from segue.store.folder import DATABASE_NAME, FolderLock

STAGING: Final = "encrypting"
"""Folder in a data folder in which an encrypted one is made of it."""
ASIDE_NOTE: Final = "aside"
"""File there that says under which name the old data file is kept."""


def settle(folder: Path) -> None:
    """Tidy up behind an encryption that did not end, on whichever side of its last step it died.

    Raises:
        ServiceError: `folder-busy`: it is under way.
    """
    staging = folder / STAGING
    if not staging.is_dir():
        return
    try:
        lock = FolderLock(folder)
    except (FolderInUse, FolderNotUsable) as error:
        raise as_refusal(error) or error from None
    try:
        if not is_sealed(folder / DATABASE_NAME):
            note = staging / ASIDE_NOTE
            if note.exists():
                shutil.rmtree(folder / note.read_text(encoding="utf-8"), ignore_errors=True)
            # It was not there when the encryption began, and without the new file it opens nothing.
            (folder / KEYS_NAME).unlink(missing_ok=True)
            sync(folder)
        shutil.rmtree(staging)
    finally:
        lock.release()


def sync(path: Path) -> None:
    """Bring a file, or what a folder says of its files, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
