"""The Python API: Segue inside somebody else's program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from segue.ai import ModelRegistry
from segue.handlers import FunctionRegistry
from segue.service.adjusting import Adjustables, AdjustmentView, NewAdjustment
from segue.service.errors import RunFaulted, RunWasCancelled
from segue.service.functions import register
from segue.service.opening import open_service
from segue.service.service import Service
from segue.service.settings import Settings, load_settings
from segue.service.shapes import Published, RunDetail, RunSummary, SentEvents
from segue.service.workflows import parse_workflow
from segue.types import SecretSource

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class Run:
    """One run. It goes on whether or not anybody holds this object."""

    def __init__(self, service: Service, run_id: str) -> None:
        self._service = service
        self.id = run_id

    async def result(self) -> Any:
        """Wait for the end, and return the run's output.

        Raises:
            RunFaulted: It ended with a failure, which the exception carries.
            RunWasCancelled: It was cancelled.
        """
        status, output, failure = await self._service.runs.outcome(self.id)
        if status == "completed":
            return output
        if failure is None:
            raise RunWasCancelled(self.id)
        raise RunFaulted(self.id, failure)

    async def detail(self) -> RunDetail:
        """Everything to be said of the run: status, tasks in order, decisions, output or failure."""
        return await self._service.runs.get(self.id)

    async def pause(self, reason: str = "") -> RunSummary:
        """Let it start nothing new."""
        return await self._service.runs.control(self.id, "pause", by="python", reason=reason)

    async def resume(self, reason: str = "") -> RunSummary:
        """Let it go on."""
        return await self._service.runs.control(self.id, "resume", by="python", reason=reason)

    async def cancel(self, reason: str = "") -> RunSummary:
        """End it and everything below it."""
        return await self._service.runs.control(self.id, "cancel", by="python", reason=reason)

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Its lifecycle CloudEvents: those so far, then each as it comes, until it ends."""
        async for event in await self._service.runs.follow(self.id):
            yield event

    def __repr__(self) -> str:
        return f"Run({self.id!r})"


class Segue:
    """A data folder, opened in this process, with a host that drives its runs.

        async with Segue.open("data-dir") as segue:
            await segue.publish("flow.yaml")
            run = await segue.start("sales/renewal-risk", input={"customer": 7})
            print(await run.result())

    Attributes:
        service: Every other use case: connections, lists, models, history.
    """

    def __init__(self, service: Service, functions: FunctionRegistry) -> None:
        self.service = service
        self._functions = functions

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: str | Path,
        *,
        settings: Settings | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        models: ModelRegistry | None = None,
        secrets: SecretSource | None = None,
        alone: bool = False,
    ) -> AsyncIterator[Segue]:
        """Open a data folder and go on with its unfinished runs; they pause when the block is left.

        Functions that unfinished runs may call must be known now: decorate them, or pass them here.

        Args:
            settings: Instead of `segue.toml` in the folder and `SEGUE_…` variables.
            functions: Functions by the name under which documents call them, besides the decorated ones.
            models: Models that documents can name.
            secrets: Where secrets come from, instead of the settings.
            alone: The program is there for this folder only, as `segue serve` is: its garbage collector may be set
                for it, for the whole process, until the folder is closed.

        Raises:
            ServiceError: `folder-busy`, `folder-unusable`, `setting-refused` or `function-refused`.
        """
        folder = Path(folder)
        registry = FunctionRegistry()
        for name, function in (functions or {}).items():
            register(registry, function, name)
        opened = open_service(
            folder,
            settings if settings is not None else load_settings(folder),
            functions=registry,
            models=models,
            secrets=secrets,
            base=Path.cwd(),
            alone=alone,
        )
        async with opened as service:
            yield cls(service, registry)

    def function(
        self, *, name: str | None = None, inline: bool = False, recovery: Literal["repeat", "ask"] = "repeat"
    ) -> Callable[[AnyFunction], AnyFunction]:
        """Let documents of this folder call a function; see `segue.function`.

        Raises:
            ServiceError: `function-refused`, where the name is taken.
        """

        def decorate(fn: AnyFunction) -> AnyFunction:
            called = name or fn.__name__.replace("_", "-")
            register(self._functions, fn, called, inline=inline, recovery=recovery)
            return fn

        return decorate

    async def publish(self, document: str | Path | bytes) -> Published:
        """Publish a document: the path of its file, or its content as bytes or as text of several lines.

        Raises:
            ServiceError: `definition-refused` with all findings, `version-taken` or `file-unreadable`.
        """
        source = _source(document)
        if isinstance(source, bytes):
            return await self.service.workflows.publish(source)
        return await self.service.workflows.publish_file(source)

    async def start(
        self,
        workflow: str,
        *,
        input: Any = None,
        version: str = "latest",
        key: str | None = None,
    ) -> Run:
        """Start a run; it is on disk when this returns.

        Args:
            workflow: `namespace/name`.
            key: Starts with the same key start one run.

        Raises:
            ServiceError: `workflow-unknown`, `input-refused` or `key-reused`.
        """
        run, _ = await self.service.runs.start(workflow, version, input, key=key, cause={"kind": "api"})
        return Run(self.service, run.id)

    async def run(self, run_id: str) -> Run:
        """A run that was started earlier.

        Raises:
            ServiceError: `run-unknown`.
        """
        await self.service.runs.get(run_id)
        return Run(self.service, run_id)

    async def adjustable(self, workflow: str) -> Adjustables:
        """The values of a workflow that may be adjusted without a new version, and what they are.

        Args:
            workflow: `namespace/name`.

        Raises:
            ServiceError: `workflow-unknown`.
        """
        return await self.service.adjusting.show(*parse_workflow(workflow))

    async def adjust(self, workflow: str, *, reason: str, reset: Sequence[str] = (), **values: Any) -> AdjustmentView:
        """Change values of a workflow; runs that start from now on get them.

            await segue.adjust("sales/renewal-risk", threshold=0.7, reason="too many calls")

        Args:
            reset: Names of values that go back to their defaults.
            values: New values by name. `service.adjusting.adjust` takes names that Python cannot write.

        Raises:
            ServiceError: `workflow-unknown`, `adjustment-refused`, or `approval-needed` where a rule asks for one.
        """
        wanted = NewAdjustment(values=values, reset=list(reset), reason=reason)
        return await self.service.adjusting.adjust(*parse_workflow(workflow), wanted)

    async def send(self, *events: dict[str, Any]) -> SentEvents:
        """Send CloudEvents. Each source and id counts once.

        Raises:
            ServiceError: `event-refused`.
        """
        return await self.service.events.send(list(events))


def _source(document: str | Path | bytes) -> bytes | Path:
    """The content of a document, or the path of its file. No path has a line break in it."""
    if isinstance(document, str) and "\n" in document:
        return document.encode()
    return document if isinstance(document, bytes) else Path(document)
