"""Handlers that are made when they are needed."""

from __future__ import annotations

from typing import Any

import pytest

from segue.ai import ModelRegistry
from segue.handlers import FunctionRegistry, HandlerSet, build_handlers
from segue.service.later import HEAVY, Handlers
from segue.types import Perform


@pytest.fixture
async def made() -> Any:
    """How often the whole set was made, and the handlers."""
    count: list[HandlerSet] = []

    def make() -> HandlerSet:
        count.append(build_handlers())
        return count[-1]

    handlers = Handlers(FunctionRegistry(), ModelRegistry(), make)
    yield count, handlers
    await handlers.aclose()


async def test_every_handler_there_is_has_its_name(made: Any) -> None:
    """A handler that is left out here would not exist for any document."""
    _, handlers = made

    assert set(handlers) == set(handlers.made)
    assert set(HEAVY) < set(handlers)


async def test_the_heavy_ones_are_made_once_and_not_before(made: Any) -> None:
    """A run that sends no request must not pay for certificates."""
    count, handlers = made
    for name in HEAVY:
        assert handlers[name] is not None
    assert count == []

    command = Perform(id=1, handler="http", arguments={"method": "get"}, name="x", pointer="/do/0/x", effect="1")
    assert handlers["http"].recovery(command) == "repeat"
    assert handlers["shell"].recovery(command) == "ask"
    assert len(count) == 1
