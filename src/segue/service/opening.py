"""Opening a data folder: everything that a service stands on, opened and closed in the right order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segue.ai import ModelRegistry
from segue.connectors import MemoryConnections
from segue.governance import Guard
from segue.handlers import FunctionRegistry
from segue.service.cases import Tested
from segue.service.definitions import Definitions
from segue.service.errors import as_refusal
from segue.service.flows import Flows
from segue.service.functions import described, load_functions
from segue.service.ground import Ground, make_handlers
from segue.service.later import Handlers
from segue.service.policies import policies
from segue.service.resources import Resources
from segue.service.service import Service
from segue.service.settings import Settings
from segue.service.shapes import Validation
from segue.service.wiring import wire
from segue.service.workflows import Workflows
from segue.store import FolderInUse, FolderNotUsable, Store
from segue.types import LOCAL_OWNER, Identity, SecretSource, owner_of

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost


@asynccontextmanager
async def open_service(
    folder: Path,
    settings: Settings,
    *,
    drive: bool = True,
    functions: FunctionRegistry | None = None,
    models: ModelRegistry | None = None,
    secrets: SecretSource | None = None,
    base: Path | None = None,
    attended: bool = True,
    alone: bool = False,
    local: Identity | None = LOCAL_OWNER,
    signed: bool = True,
    among: bool = False,
) -> AsyncIterator[Service]:
    """Open a data folder.

    Args:
        drive: Start a host, which goes on with every unfinished run. False reads and publishes only.
        functions, models: What documents may call, besides what the settings name.
        secrets: Where secrets come from, instead of the settings.
        base: Folder that documents may read schemas from, by path; None for a server.
        signed: Sign the audit chain; not worth it for a folder that is thrown away.
        attended: Somebody can decide what becomes of a failure. Where nobody can, none is held.
        alone: The process is there for this folder only, so its garbage collector may be set for it.
        local: Who acts where no edge has said who: the program that opens the folder, as its owner. A server says
            None, so that a request which slipped past its edge is denied.
        among: The process opens others too: of Python functions only those count that these settings name.

    Raises:
        ServiceError: `folder-busy`, `folder-unusable`, `setting-refused` or `function-refused`.
    """
    mine = owner_of(settings.workspace) if local is LOCAL_OWNER else local
    ground = Ground.lay(
        folder, settings, functions=functions, models=models, secrets=secrets, base=base, local=mine, among=among
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ground.handlers.aclose)
        host: EmbeddedHost | None = None
        try:
            if drive:
                host = await stack.enter_async_context(_host(ground, attended=attended, alone=alone))
                store = host.store
            else:
                store = Store.open(folder, cipher=ground.ring)
                stack.push_async_callback(store.close)
                ground.load(store)
        except (FolderInUse, FolderNotUsable) as error:
            raise as_refusal(error) or error from None
        if host is not None:
            await _activate(host, ground.definitions)
        yield await wire(ground, store, host, stack, signed=signed)


def _host(ground: Ground, *, attended: bool, alone: bool) -> AbstractAsyncContextManager[EmbeddedHost]:
    from segue.hosts import EmbeddedHost, HostSettings

    settings = ground.settings
    return EmbeddedHost.open(
        ground.folder,
        handlers=ground.handlers,
        plans=ground.load,
        secrets=ground.source,
        door=ground.door(),
        policy=policies(
            attended=attended,
            concurrency=settings.concurrency,
            escalate_after=settings.escalate_after,
            escalate_to=settings.escalate_to,
        ),
        values=ground.adjusted.values,
        cipher=ground.ring,
        settings=HostSettings(
            acts_max=settings.acts_max,
            early_events_ms=settings.early_events_ms,
            hold_failures=settings.failures == "hold",
            disk_free_min_bytes=settings.disk_free_min_mb * 1_000_000,
            payload_bytes_max=settings.payload_max_kb * 1024,
            retention=ground.rules,
            tune_gc=alone,
            history_max_events=settings.history_max_events,
        ),
    )


async def _activate(host: EmbeddedHost, definitions: Definitions) -> None:
    """Let what was published while no host ran start by itself."""
    active = {record.digest for record in host.schedules()}
    for name in definitions.names():
        latest = definitions.find(*name, "latest")
        if latest is not None and latest.digest not in active and definitions.is_scheduled(latest):
            await host.activate(latest.digest)


@asynccontextmanager
async def open_checker(
    settings: Settings, *, functions: FunctionRegistry | None = None
) -> AsyncIterator[Callable[[bytes, Path], Awaitable[Validation]]]:
    """Validate documents without a data folder; schemas that they name by path are read beside each file.

    Raises:
        ServiceError: `function-refused`.
    """
    async with _without_folder(settings, functions) as beside:

        async def check(content: bytes, path: Path) -> Validation:
            return await beside(path).validate(content, file=str(path))

        yield check


@asynccontextmanager
async def open_tester(settings: Settings) -> AsyncIterator[Callable[[bytes, Path], Awaitable[Tested]]]:
    """Play the tests of documents without a data folder, as `open_checker` validates them.

    Raises:
        ServiceError: `function-refused`.
    """
    async with _without_folder(settings, None) as beside:

        async def test(content: bytes, path: Path) -> Tested:
            return await beside(path).test(content, file=str(path))

        yield test


@asynccontextmanager
async def _without_folder(
    settings: Settings, functions: FunctionRegistry | None
) -> AsyncIterator[Callable[[Path], Workflows]]:
    registry = functions if functions is not None else FunctionRegistry()
    load_functions(registry, settings.functions)
    models, connections = ModelRegistry(), MemoryConnections()
    alone = Guard(local=LOCAL_OWNER)
    handlers = Handlers(registry, models, lambda: make_handlers(settings, registry, models, connections))

    def beside(path: Path) -> Workflows:
        resources = Resources(lambda: handlers.outbound, path.parent)
        definitions = Definitions(
            functions=lambda: described(registry),
            allow_processes=settings.allow_processes,
            fetch_function=resources.function,
            fetch_resource=resources.resource,
            allow_remote_functions=settings.allow_remote_functions,
        )
        workflows = Workflows(definitions, None, Flows(definitions, connections))
        # Whoever checks a file on their own machine needs nobody's leave.
        workflows.guard = alone
        return workflows

    try:
        yield beside
    finally:
        await handlers.aclose()
