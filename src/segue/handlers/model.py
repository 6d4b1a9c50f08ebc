"""`call: model`: one prediction of a registered model."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from segue.ai import ModelRegistry
from segue.governance import Redactor, mentions_secret
from segue.handlers.acting import act_with_secrets
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, fail


class ModelHandler:
    """Runs models: `name`, `version` (its latest when left out), `input`.

    Args:
        registry: The models.
        threads: Where slow models run; the event loop's default pool when left out.
    """

    def __init__(self, registry: ModelRegistry, threads: Executor | None = None) -> None:
        self._registry = registry
        self._threads = threads

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """The model's result: `{value, confidence, reasons, usage, model, version}`."""
        if mentions_secret(command.arguments):
            return await act_with_secrets(command.arguments, context, self._act_with_secrets)
        return await self._act(command.arguments)

    def target(self, command: Perform) -> str:
        """The model."""
        return str(command.arguments.get("name"))

    def recovery(self, command: Perform) -> Recovery:
        """A prediction changes nothing outside, so it is repeated."""
        return "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never needed: predictions are repeated."""
        return NOT_DONE

    async def _act_with_secrets(self, arguments: dict[str, Any], redactor: Redactor) -> Any:
        return await self._act(arguments)

    async def _act(self, arguments: dict[str, Any]) -> Any:
        name, version = arguments.get("name"), arguments.get("version")
        if not isinstance(name, str):
            raise fail("validation", "A model call needs the model's name as text.")
        if version is not None and not isinstance(version, str):
            raise fail("validation", "The version of a model is text, such as '1.0.0'.")
        return await self._registry.get(name, version).predict(arguments.get("input"), self._threads)
