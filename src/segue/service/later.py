"""The handlers of a service, of which the heavy ones are made when the first act needs one.

The HTTP client and its certificates take longer to load than everything else together, and many runs never send a
request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from segue.ai import ModelRegistry
from segue.handlers import FunctionHandler, FunctionRegistry
from segue.handlers.model import ModelHandler
from segue.handlers.personal_data import PersonalDataHandler
from segue.types import EffectContext, Handler, Perform, Recovery

if TYPE_CHECKING:
    from segue.connectors import Calls, Outbound
    from segue.handlers import HandlerSet

HEAVY: Final = ("connector", "http", "notify", "openapi", "script", "shell")


class Handlers(dict[str, Handler]):
    """Handlers by name.

    Args:
        make: Makes the whole set; called once, when the first heavy handler is needed.
    """

    def __init__(self, functions: FunctionRegistry, models: ModelRegistry, make: Callable[[], HandlerSet]) -> None:
        super().__init__(function=FunctionHandler(functions), model=ModelHandler(models))
        self["find-personal-data"] = PersonalDataHandler()
        for name in HEAVY:
            self[name] = _Later(self, name)
        self._make = make
        self._made: HandlerSet | None = None

    @property
    def made(self) -> HandlerSet:
        """The whole set."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def outbound(self) -> Outbound:
        """The guarded HTTP client."""
        return self.made.outbound

    @property
    def calls(self) -> Calls:
        """How connections are called."""
        return self.made.calls

    async def aclose(self) -> None:
        """Close what was opened."""
        if self._made is not None:
            await self._made.aclose()


class _Later:
    """Stands for a handler until it is needed."""

    def __init__(self, handlers: Handlers, name: str) -> None:
        self._handlers = handlers
        self._name = name

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        return await self._real.perform(command, context)

    def recovery(self, command: Perform) -> Recovery:
        return self._real.recovery(command)

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        return await self._real.verify(command, context)

    @property
    def _real(self) -> Handler:
        return self._handlers.made[self._name]
