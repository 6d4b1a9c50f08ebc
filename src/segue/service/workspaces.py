"""Several workspaces in one process: each is a data folder of its own, kept open by a task of its own.

Nothing is shared but the process: each has its file, its writer, its people, keys and chain. One that cannot be
opened is tried again now and then, and the others do not notice. What holds for whoever asks in one of them is
decided by its own guard; what stands here is for the holder of the folder that they are all in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import msgspec

import segue
from segue.service.errors import ServiceError
from segue.service.opening import open_service
from segue.service.service import Service
from segue.service.settings import Settings, load_settings
from segue.service.shapes import Health, Shape, Why
from segue.service.shared import address_of, is_name
from segue.service.workspace_folders import (
    create_workspace,
    find_workspaces,
    is_copy,
    put_aside,
    require_workspace,
)
from segue.types import acting_as, owner_of, whereabouts

_log = logging.getLogger("segue.workspaces")
_SCAN_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 10.0
State = Literal["opening", "open", "broken", "closing"]


class NewWorkspace(msgspec.Struct, forbid_unknown_fields=True):
    """What to make. `name`: letters in lower case, digits, and single hyphens between them."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]


class WorkspaceRemoval(msgspec.Struct, forbid_unknown_fields=True):
    """Why a workspace is put aside."""

    reason: Why


class WorkspaceView(Shape, frozen=True, kw_only=True):
    """A workspace.

    Attributes:
        state: `open`, `opening`, `broken`, `closing`; `found` where no server serves it.
        reason: Why it is broken.
        address: Where it answers, below the server's address.
    """

    name: str
    state: str
    address: str
    reason: str = ""


class RemovedWorkspace(Shape, frozen=True, kw_only=True):
    """Where a workspace lies now."""

    name: str
    folder: str


class Door(Protocol):
    """Lets requests into the workspaces that are open."""

    def admit(self, folder: Path, service: Service, settings: Settings) -> None:
        """Requests for this workspace may come."""

    async def dismiss(self, folder: Path) -> None:
        """None come any more; returns when those that were under way are answered."""


class _Kept:
    """One workspace, and the task that keeps it open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state: State = "opening"
        self.reason = ""
        self.service: Service | None = None
        self.leaving = asyncio.Event()
        self.settled = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Workspaces:
    """The workspaces of a folder, as long as the block lasts.

    Args:
        load: Reads the settings of one.
        door: Where requests come in.
        start_seconds: Entering the block waits so long for those that take long to open.
    """

    def __init__(
        self, folder: Path, load: Callable[[Path], Settings], door: Door, *, start_seconds: float = 20.0
    ) -> None:
        self._folder = folder
        self._load = load
        self._door = door
        self._start_seconds = start_seconds
        self._kept: dict[str, _Kept] = {}
        self._scanning: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    async def __aenter__(self) -> Workspaces:
        self._look()
        waiting = [asyncio.ensure_future(one.settled.wait()) for one in self._kept.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self._start_seconds)
            for task in late:
                task.cancel()
        self._scanning = asyncio.create_task(self._scan(), context=Context())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._scanning is not None, "the block was entered"
        self._scanning.cancel()
        await asyncio.gather(self._scanning, return_exceptions=True)
        await asyncio.gather(*(self._close(one) for one in self._kept.values()))

    # -- use cases of whoever holds the folder -----------------------------------------------------

    def health(self) -> Health:
        """The process is alive; `degraded` where a workspace cannot be opened or takes no work. Open to all."""
        well = all(self._is_well(one) for one in self._kept.values())
        return Health(status="ok" if well else "degraded", version=segue.__version__)

    def list(self) -> list[WorkspaceView]:
        """Every workspace with its state, by name."""
        return [self._view(name, one) for name, one in sorted(self._kept.items())]

    def service(self, name: str) -> Service | None:
        """The service of a workspace that is open, for programs that serve workspaces themselves."""
        one = self._kept.get(name)
        return None if one is None else one.service

    async def create(self, wanted: NewWorkspace) -> WorkspaceView:
        """Make a workspace and open it.

        Raises:
            ServiceError: `workspace-refused` or `folder-unusable`.
        """
        async with self._changing:
            await asyncio.to_thread(create_workspace, self._folder, wanted.name)
            one = self._keep(wanted.name)
            await one.settled.wait()
            return self._view(wanted.name, one)

    async def remove(self, name: str, wanted: WorkspaceRemoval) -> RemovedWorkspace:
        """Close a workspace and put its folder aside; nothing of it is deleted. Its chain tells who did it and why.

        Raises:
            ServiceError: `workspace-unknown`, `folder-busy` or `folder-unusable`.
        """
        async with self._changing:
            require_workspace(self._folder, name)
            one = self._kept.get(name)
            if one is not None:
                await _note_removal(one.service, name, wanted.reason)
                await self._close(one)
                del self._kept[name]
            target = await asyncio.to_thread(put_aside, self._folder, name)
            return RemovedWorkspace(name=name, folder=str(target))

    # -- keeping them open -------------------------------------------------------------------------

    def _look(self) -> None:
        """Take up what is new, and forget what could not be opened and is gone."""
        found = find_workspaces(self._folder)
        for name in found:
            if name not in self._kept:
                self._keep(name)
        for name, one in list(self._kept.items()):
            if name not in found and one.state == "broken":
                one.leaving.set()
                del self._kept[name]

    def _keep(self, name: str) -> _Kept:
        known = self._kept.get(name)
        if known is not None:
            return known
        one = self._kept[name] = _Kept(self._folder / name)
        # Of nobody, whoever asked for it; and what it sets in its context no other workspace sees.
        one.task = asyncio.create_task(self._kept_open(one), name=f"workspace {name}", context=Context())
        return one

    async def _scan(self) -> None:
        while True:
            await asyncio.sleep(_SCAN_SECONDS)
            async with self._changing:
                try:
                    self._look()
                except ServiceError as refusal:
                    _log.warning("%s", refusal.detail)

    async def _kept_open(self, one: _Kept) -> None:
        """Open it, and again after a while where that fails, until it is to be left."""
        while not one.leaving.is_set():
            one.state = "opening"
            try:
                await self._opened(one)
            except ServiceError as refusal:
                self._break(one, f"{refusal.detail} {refusal.remedy}")
            except Exception as error:
                _log.error("the workspace %s failed: %s", one.folder.name, whereabouts(error))
                self._break(one, "A fault of the program; the log says more.")
            if not one.leaving.is_set():
                try:
                    await asyncio.wait_for(one.leaving.wait(), _RETRY_SECONDS)
                except TimeoutError:
                    continue

    async def _opened(self, one: _Kept) -> None:
        settings = self._load(one.folder)
        self._refuse_copy(one)
        async with open_service(one.folder, settings, alone=True, local=None, among=True) as service:
            one.service = service
            self._door.admit(one.folder, service, settings)
            one.state, one.reason = "open", ""
            one.settled.set()
            try:
                await one.leaving.wait()
            finally:
                one.state = "closing"
                await self._door.dismiss(one.folder)
                one.service = None

    def _refuse_copy(self, one: _Kept) -> None:
        """Of a folder and its copy one goes on: both would do what is under way, and know the same tokens.

        It is the one that is open; else the one that has come further, since a copy stays behind.
        """
        for other in self._kept.values():
            if other is not one and is_copy(one.folder, other.folder, other_is_open=other.service is not None):
                raise ServiceError(
                    "folder-unusable",
                    f"The data file of {one.folder.name!r} is a copy of that of {other.folder.name!r}.",
                    remedy="Two would do twice what is under way. `segue backup` one and `segue restore` it to make"
                    " another of it, or remove the copy.",
                )

    def _break(self, one: _Kept, reason: str) -> None:
        if one.reason != reason:
            _log.warning("the workspace %s is not served: %s", one.folder.name, reason)
        one.state, one.reason, one.service = "broken", reason, None
        one.settled.set()

    async def _close(self, one: _Kept) -> None:
        one.leaving.set()
        assert one.task is not None, "it was begun"
        await one.task

    def _is_well(self, one: _Kept) -> bool:
        host = None if one.service is None else one.service.host
        return one.state == "open" and host is not None and host.health().accepting

    def _view(self, name: str, one: _Kept) -> WorkspaceView:
        reason, host = one.reason, None if one.service is None else one.service.host
        if host is not None and not (health := host.health()).accepting:
            reason = health.trouble or "It takes no new work."
        return WorkspaceView(
            name=name, state=one.state, address=address_of(name) if is_name(name) else "", reason=reason
        )


def list_workspaces(folder: Path) -> list[WorkspaceView]:
    """The workspaces of a folder that no server serves.

    Raises:
        ServiceError: `folder-unusable`.
    """
    return [
        WorkspaceView(name=name, state="found", address=address_of(name) if is_name(name) else "")
        for name in find_workspaces(folder)
    ]


async def remove_workspace(folder: Path, name: str, wanted: WorkspaceRemoval) -> RemovedWorkspace:
    """Put a workspace aside that no server serves; see `Workspaces.remove`.

    Raises:
        ServiceError: `workspace-unknown`, `folder-busy` or `folder-unusable`.
    """
    place = require_workspace(folder, name)
    try:
        async with open_service(place, load_settings(place), drive=False) as service:
            await _note_removal(service, name, wanted.reason)
    except ServiceError as refusal:
        if refusal.kind == "folder-busy":
            raise
    return RemovedWorkspace(name=name, folder=str(put_aside(folder, name)))


async def _note_removal(service: Service | None, name: str, reason: str) -> None:
    """Let the chain of a workspace tell that it is put aside; that of one that cannot be opened tells nothing."""
    if service is None:
        return
    with acting_as(owner_of(name)):
        service.store.note("workspace.remove", f"workspace:{name}", reason=reason)
    await service.store.write([])
