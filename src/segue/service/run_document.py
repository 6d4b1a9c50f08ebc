"""Use case: run one document to its end, in a data folder of its own that is thrown away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from segue.ai import ModelRegistry
from segue.handlers import FunctionRegistry
from segue.service.functions import register
from segue.service.opening import open_service
from segue.service.portions import Portion
from segue.service.service import Service
from segue.service.settings import OutboundSettings, Settings
from segue.service.shapes import RunReport, RunSummary
from segue.service.workflows import read_source
from segue.types import SecretSource

ONE_RUN = Settings(outbound=OutboundSettings(allow_loopback=True))
"""Settings where nothing else is said. A person who runs a document at a terminal can reach the machine anyway."""


async def run_document(
    source: bytes | str | Path,
    *,
    input: Any = None,
    functions: Mapping[str, Callable[..., Any]] | FunctionRegistry | None = None,
    models: ModelRegistry | None = None,
    secrets: SecretSource | None = None,
    settings: Settings | None = None,
    others: Sequence[bytes | str] = (),
    events: Sequence[dict[str, Any]] = (),
    data: Path | None = None,
    on_started: Callable[[Service, str], asyncio.Task[None] | None] | None = None,
    in_portions: bool = False,
) -> RunReport:
    """Run a document to its end.

    A cancelled caller cancels the run and gets the report of the cancelled run.

    Args:
        source: The document, or the path of its file; schemas that it names by path are read beside the file.
        functions: Python functions by the name under which documents call them.
        others: Documents that it starts with `run.workflow`.
        events: CloudEvents to send once the run has started, in order.
        data: Data folder to work in; a temporary one where it is left out.
        on_started: Called with the service and the run's id once the run is on disk; a task that it returns is
            cancelled when the run has ended.
        in_portions: Leave large values out of what the run saw and emitted, as answers over HTTP do.

    Returns:
        What became of the run: `completed`, `faulted` or `cancelled`.

    Raises:
        ServiceError: The document, its input, a function or a setting is refused. Nothing ran.
    """
    file, base = "<document>", Path.cwd()
    if isinstance(source, Path):
        file, base, source = str(source), source.parent, read_source(source)
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segue-")))
        opened = open_service(
            folder,
            _fitting(settings or ONE_RUN, data),
            functions=_registry(functions),
            models=models,
            secrets=secrets,
            base=base,
            attended=False,
            signed=data is not None,
        )
        async with opened as service:
            for other in others:
                await service.workflows.publish(other)
            published = (await service.workflows.publish(source, file=file)).workflow
            name = f"{published.namespace}/{published.name}"
            starting = service.runs.start(name, published.version, input, cause={"kind": "person"})
            ended = await _to_its_end(service, asyncio.ensure_future(starting), events, on_started)
            return await service.runs.report(ended, Portion(kept=data is not None) if in_portions else None)


async def _to_its_end(
    service: Service,
    starting: asyncio.Future[tuple[RunSummary, bool]],
    events: Sequence[dict[str, Any]],
    on_started: Callable[[Service, str], asyncio.Task[None] | None] | None,
) -> RunSummary:
    beside: asyncio.Task[None] | None = None
    try:
        # Shielded: a run that is about to be on disk must be known here, or nobody could cancel it.
        run, _ = await asyncio.shield(starting)
        if on_started is not None:
            beside = on_started(service, run.id)
        if events:
            await service.events.send(list(events))
        ended = await service.runs.wait(run.id)
    except asyncio.CancelledError:
        # One cancellation asks for the run's end, and the report of it is the answer. A second one is obeyed.
        run, _ = await starting
        await service.runs.cancel_if_open(run.id)
        ended = await service.runs.wait(run.id)
    finally:
        if beside is not None:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
    return ended


def _fitting(settings: Settings, data: Path | None) -> Settings:
    # What is thrown away at the end may lie on a small disk in memory; a watermark would only keep people from it.
    return settings if data is not None else msgspec.structs.replace(settings, disk_free_min_mb=0)


def _registry(functions: Mapping[str, Callable[..., Any]] | FunctionRegistry | None) -> FunctionRegistry:
    if isinstance(functions, FunctionRegistry):
        return functions
    registry = FunctionRegistry()
    for name, function in (functions or {}).items():
        register(registry, function, name)
    return registry
