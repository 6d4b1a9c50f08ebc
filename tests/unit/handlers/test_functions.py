"""Python functions called from documents."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

import pytest
from tests.integration.handlers_support import command, context, failure_of, perform, word

from segue.handlers import FunctionHandler, FunctionRegistry
from segue.types import EffectContext, SecretText, TaskFailure, fail


class Grade(Enum):
    GOLD = "gold"
    IRON = "iron"


@dataclass
class Customer:
    name: str
    since: date
    grade: Grade = Grade.IRON


def _handler(fn: Any, **options: Any) -> FunctionHandler:
    registry = FunctionRegistry()
    registry.register(fn, "act", **options)
    return FunctionHandler(registry)


def _call(**arguments: Any) -> dict[str, Any]:
    return {"name": "act", "arguments": arguments}


async def test_plain_inline_and_async_functions_answer_alike() -> None:
    """How a function runs is the programmer's choice and must not show in its result."""

    def add(a: int, b: int = 2) -> int:
        return a + b

    async def add_later(a: int, b: int = 2) -> int:
        return a + b

    for handler in (_handler(add), _handler(add, inline=True), _handler(add_later)):
        assert await perform(handler, _call(a=1)) == 3
        assert await perform(handler, _call(a=1, b=5)) == 6


async def test_only_plain_functions_leave_the_event_loops_thread() -> None:
    """A plain function may block; an inline one has promised not to."""
    here = threading.get_ident()

    assert await perform(_handler(lambda: threading.get_ident()), _call()) != here
    assert await perform(_handler(lambda: threading.get_ident(), inline=True), _call()) == here


async def test_arguments_arrive_as_the_declared_types() -> None:
    """The point of hints: the function works with its own types, the document with JSON."""

    def greet(customer: Customer, tags: set[str]) -> dict[str, Any]:
        assert isinstance(customer, Customer)
        return {"since": customer.since, "grade": customer.grade, "tags": sorted(tags)}

    customer = {"name": "A", "since": "2020-01-02", "grade": "gold"}

    result = await perform(_handler(greet), _call(customer=customer, tags=["b", "a"]))

    assert result == {"since": "2020-01-02", "grade": "gold", "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": "1"}, "Expected `int`, got `str` - at `arguments.a`"),
        ({}, "missing required field `a`"),
        ({"a": 1, "c": 2}, "has no parameter 'c'; it has: a, b"),
        ({"a": None}, "Expected `int`, got `null`"),
        ({"a": 1.5}, "Expected `int`, got `float`"),
    ],
)
async def test_arguments_that_do_not_fit_are_a_validation_failure(arguments: Any, message: str) -> None:
    """The author of the document must see which argument is wrong, and how."""

    def add(a: int, b: int = 2) -> int:
        return a + b

    failure = await failure_of(_handler(add, inline=True), {"name": "act", "arguments": arguments})

    assert word(failure) == "validation"
    assert message in (failure.detail or "")


async def test_arguments_must_be_an_object() -> None:
    """`with` is a map."""
    failure = await failure_of(_handler(lambda: 1), {"name": "act", "arguments": [1]})

    assert word(failure) == "validation"


async def test_an_exception_is_a_runtime_failure_without_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """People who read the run see type and message; the traceback with its code and values is for the log."""

    def divide(a: int) -> float:
        return a / 0

    failure = await failure_of(_handler(divide), _call(a=1))

    assert (word(failure), failure.status) == ("runtime", 500)
    assert failure.detail == "The function 'act' raised ZeroDivisionError: division by zero"
    assert "return a / 0" in caplog.text


async def test_a_task_failure_of_the_function_passes_as_it_is() -> None:
    """A function may choose its failure, so that `catch` can tell it."""

    async def refuse() -> None:
        raise fail("authorization", "no")

    failure = await failure_of(_handler(refuse), _call())

    assert (word(failure), failure.detail) == ("authorization", "no")


@dataclass
class Score:
    value: float
    reasons: list[str]


def _wrong_text() -> int:
    return "7"  # type: ignore[return-value]


def _wrong_none() -> int:
    return None  # type: ignore[return-value]


def _wrong_inside() -> Score:
    return Score(0.5, ["late", 3])  # type: ignore[list-item]


def _wrong_shape() -> list[int]:
    return {"a": 1}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (_wrong_text, "is not of type"),
        (_wrong_none, "is not of type"),
        (_wrong_inside, "at /reasons/1: "),
        (_wrong_shape, "is not of type"),
    ],
)
async def test_a_result_that_is_not_as_annotated_is_refused_by_name_and_place(fn: Any, said: str) -> None:
    """Later tasks were written for what the annotation promises; they would fail far from the cause."""
    for handler in (_handler(fn), _handler(fn, inline=True)):
        failure = await failure_of(handler, _call())
        assert word(failure) == "validation"
        assert (failure.detail or "").startswith("The result of the function 'act' does not fit its schema: ")
        assert said in (failure.detail or "")


async def test_a_result_that_fits_its_annotation_passes() -> None:
    """A whole number is a number, and what is not annotated promises nothing."""

    def whole() -> float:
        return 1

    def score() -> Score | None:
        return Score(1, [])

    def free():  # type: ignore[no-untyped-def]
        return {"anything": [None]}

    assert await perform(_handler(whole), _call()) == 1
    assert await perform(_handler(score), _call()) == {"value": 1, "reasons": []}
    assert await perform(_handler(free), _call()) == {"anything": [None]}


async def test_a_result_without_json_form_is_a_runtime_failure() -> None:
    """History holds JSON."""
    failure = await failure_of(_handler(lambda: object(), inline=True), _call())

    assert word(failure) == "runtime"


async def test_secrets_are_revealed_to_the_function_and_masked_in_what_it_leaves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ruling R13 lets function arguments mention secrets; history must not hold them."""

    async def echo(token: str) -> str:
        if token == "boom-secret":
            raise ValueError(token)
        return f"got {token}"

    handler = _handler(echo)

    assert await perform(handler, _call(token=SecretText.of("t")), t="plain-secret") == "got [secret]"
    failure = await failure_of(handler, _call(token=SecretText.of("t")), t="boom-secret")
    assert failure.detail == "The function 'act' raised ValueError: [secret]"
    assert "boom-secret" not in caplog.text


async def test_a_function_may_ask_for_the_effect_context() -> None:
    """Functions that act outside need the effect key."""

    async def keyed(context: EffectContext, a: int) -> str:
        return f"{context.key} {a}"

    handler = _handler(keyed)

    assert await perform(handler, _call(a=1), key="run-9/3") == "run-9/3 1"
    assert handler._functions["act"].parameters["properties"] == {"a": {"type": "integer"}}


async def test_extra_arguments_reach_a_function_that_takes_any() -> None:
    """`**rest` says so."""
    assert await perform(_handler(lambda a, **rest: [a, rest]), _call(a=1, b=2)) == [1, {"b": 2}]


def test_the_schemas_come_from_the_hints() -> None:
    """The designer builds its form from them."""
    registry = FunctionRegistry()

    @registry.register(name="score")
    def score(customer: Customer, weight: float = 1.0) -> list[int]:
        """Scores a customer.

        Slowly.
        """
        return [1]

    function = registry.get("score")

    assert function is not None
    assert function.description == "Scores a customer."
    assert function.parameters["required"] == ["customer"]
    assert function.parameters["additionalProperties"] is False
    assert function.parameters["properties"]["weight"] == {"type": "number"}
    assert function.parameters["properties"]["customer"] == {"$ref": "#/$defs/Customer"}
    assert function.parameters["$defs"]["Customer"]["required"] == ["name", "since"]
    assert function.result == {"type": "array", "items": {"type": "integer"}}
    assert registry.all() == {"score": function}


def test_a_decorated_function_stays_an_ordinary_function() -> None:
    """Its own tests call it directly."""
    registry = FunctionRegistry()

    @registry.register
    def add_one(a: int) -> int:
        return a + 1

    assert add_one(1) == 2
    assert registry.get("add-one") is not None


@pytest.mark.parametrize(
    ("fn", "message"),
    [(lambda a, /: a, "positional"), (lambda *a: a, "positional")],
)
def test_a_function_that_cannot_be_called_by_name_is_refused(fn: Any, message: str) -> None:
    """Documents name their arguments."""
    with pytest.raises(ValueError, match=message):
        FunctionRegistry().register(fn, "act")


def test_a_name_is_registered_once() -> None:
    """The later of two would silently win."""
    registry = FunctionRegistry()
    registry.register(lambda: 1, "act")

    with pytest.raises(ValueError, match="registered already"):
        registry.register(lambda: 1, "act")


async def test_an_unknown_function_is_a_configuration_failure() -> None:
    """The service was started without it."""
    failure = await failure_of(FunctionHandler(FunctionRegistry()), {"name": "gone"})

    assert (word(failure), failure.status) == ("configuration", 400)


def test_recovery_is_as_declared() -> None:
    """Only the programmer knows whether a function may run twice."""
    assert _handler(lambda: 1).recovery(command("function", _call())) == "repeat"
    assert _handler(lambda: 1, recovery="ask").recovery(command("function", _call())) == "ask"
    with pytest.raises(ValueError, match="recovery"):
        _handler(lambda: 1, recovery="verify")


async def test_cancelling_reaches_an_async_function() -> None:
    """A cancelled run must leave nothing running."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    task = asyncio.create_task(perform(_handler(wait), _call()))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert stopped.is_set()


def _at_once(handler: FunctionHandler, arguments: dict[str, Any]) -> Any:
    return handler.perform_now(command("function", arguments), context())


def test_an_inline_function_is_called_without_a_task() -> None:
    """A task costs more than the whole rest of such an act, so a host may ask for the answer at once."""
    handler = _handler(lambda a: {"twice": 2 * a}, inline=True)

    assert _at_once(handler, _call(a=4)) == {"twice": 8}


async def _later() -> int:
    return 1


@pytest.mark.parametrize(
    ("fn", "options", "arguments"),
    [
        (lambda: 1, {}, {}),
        (_later, {"inline": True}, {}),
        (lambda a: a, {"inline": True}, {"a": [{"key": SecretText((("token", ""),))}]}),
    ],
    ids=["plain", "async", "secret"],
)
def test_what_must_wait_asks_for_a_task(fn: Any, options: dict[str, Any], arguments: dict[str, Any]) -> None:
    """A thread, an await or a look at the secrets would stop every other run if it were done at once."""
    assert _at_once(_handler(fn, **options), _call(**arguments)) is NotImplemented


def test_a_failure_at_once_is_the_failure_of_the_act() -> None:
    """Documents catch failures by their type: how a function is called must not change it."""

    def broken() -> None:
        raise LookupError("no such thing")

    with pytest.raises(TaskFailure) as caught:
        _at_once(_handler(broken, inline=True), _call())
    assert caught.value.failure.detail == "The function 'act' raised LookupError: no such thing"
    with pytest.raises(TaskFailure) as caught:
        _at_once(_handler(lambda: NotImplemented, inline=True), _call())
    assert "NotImplemented" in (caught.value.failure.detail or "")
