"""Workspaces on disk: sub-folders of a folder that has `workspaces.toml`. Found, made, and put aside.

Nothing of a workspace stands anywhere but in its folder, so making one is making a folder, and removing one is moving
it to `.removed`, where it stays until somebody deletes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from segue.service.errors import ServiceError, as_refusal
from segue.service.settings import FILE_NAME
from segue.service.shared import SHARED_NAME, is_name
from segue.store import FolderInUse, FolderNotUsable
from segue.store.folder import DATABASE_NAME, FolderLock
from segue.store.mark import read_position

REMOVED_NAME: Final = ".removed"
_OF_A_WORKSPACE: Final = (DATABASE_NAME, FILE_NAME)
_SHARED_TEXT: Final = """\
# Settings of the server that serves these workspaces, and defaults for each of them.
# What only one of them has (keys, secrets) stands in its own segue.toml.
"""
_OWN_TEXT: Final = "# Settings of this workspace alone. What all of them share stands in ../workspaces.toml.\n"


def find_workspaces(folder: Path) -> list[str]:
    """Names of the sub-folders that are workspaces, in order; also of those whose name cannot be one's.

    Raises:
        ServiceError: `folder-unusable`.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise ServiceError("folder-unusable", f"{folder} cannot be read: {error.strerror}.") from None
    return [
        entry.name
        for entry in inside
        if not entry.name.startswith(".") and any((entry / name).is_file() for name in _OF_A_WORKSPACE)
    ]


def make_installation(folder: Path) -> bool:
    """Make a folder one of workspaces; whether it was none.

    Raises:
        ServiceError: `folder-unusable`, also where it is a data folder itself.
    """
    path = folder / SHARED_NAME
    if path.is_file():
        return False
    if (folder / DATABASE_NAME).exists():
        raise ServiceError(
            "folder-unusable",
            f"{folder} is a data folder itself.",
            remedy="Make a folder for workspaces, and move this one into it, under the name of its workspace.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(_SHARED_TEXT, encoding="utf-8")
    except OSError as error:
        raise ServiceError("folder-unusable", f"{path} cannot be written: {error.strerror}.") from None
    return True


def require_installation(folder: Path) -> None:
    """The folder is one of workspaces.

    Raises:
        ServiceError: `folder-unusable`.
    """
    if not (folder / SHARED_NAME).is_file():
        raise ServiceError(
            "folder-unusable",
            f"{str(folder)!r} is no folder of workspaces: there is no {SHARED_NAME} in it.",
            remedy="`segue workspaces create NAME --workspaces DIR` makes one, or name another with --workspaces.",
        )


def create_workspace(folder: Path, name: str) -> Path:
    """Make a workspace. A server that serves the folder notices it within seconds; else its first opening fills it.

    Raises:
        ServiceError: `workspace-refused` for a name that cannot be one's, or that is taken; `folder-unusable`.
    """
    if not is_name(name):
        raise ServiceError("workspace-refused", f"{name!r} cannot be the name of a workspace.")
    make_installation(folder)
    place = folder / name
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        if any(place.iterdir()):
            raise ServiceError(
                "workspace-refused", f"There is a folder {str(place)!r} already.", remedy="Choose another name."
            )
        # Whoever looks for workspaces sees the folder only once this file is whole.
        part = place / f"{FILE_NAME}.part"
        part.write_text(_OWN_TEXT, encoding="utf-8")
        part.rename(place / FILE_NAME)
    except OSError as error:
        raise ServiceError("folder-unusable", f"{place} cannot be written: {error.strerror}.") from None
    return place


def require_workspace(folder: Path, name: str) -> Path:
    """The folder of a workspace that there is.

    Raises:
        ServiceError: `workspace-unknown`.
    """
    if name not in find_workspaces(folder):
        raise ServiceError("workspace-unknown", f"There is no workspace {name!r} in {str(folder)!r}.")
    return folder / name


def is_copy(folder: Path, other: Path, *, other_is_open: bool) -> bool:
    """The folder holds a copy of the other's file, and is the one of the two that must not go on.

    Raises:
        ServiceError: `folder-unusable` where it cannot be told.
    """
    try:
        mine, its = read_position(folder), read_position(other)
    except FolderNotUsable as error:
        raise as_refusal(error) or error from None
    if mine is None or its is None or mine.file != its.file:
        return False
    behind = (mine.generation, mine.tick) < (its.generation, its.tick)
    alike = (mine.generation, mine.tick) == (its.generation, its.tick)
    return other_is_open or behind or (alike and folder.name > other.name)


def put_aside(folder: Path, name: str) -> Path:
    """Move a workspace to where no server looks; nothing of it is deleted. Returns where it is.

    Raises:
        ServiceError: `folder-busy` where a process works with it; `folder-unusable`.
    """
    place = require_workspace(folder, name)
    target = folder / REMOVED_NAME / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    with locked(place):
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            place.rename(target)
        except OSError as error:
            raise ServiceError("folder-unusable", f"{place} cannot be moved: {error.strerror}.") from None
    return target


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """No other process works with the folder meanwhile.

    Raises:
        ServiceError: `folder-busy` or `folder-unusable`.
    """
    try:
        lock = FolderLock(folder)
    except (FolderInUse, FolderNotUsable) as error:
        raise as_refusal(error) or error from None
    try:
        yield
    finally:
        lock.release()
