"""Models by name and version, checked on the way in and on the way out."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.handlers_support import command, failure_of, perform, word

from segue.ai import ModelRegistry, Prediction
from segue.handlers.model import ModelHandler
from segue.types import SecretText, TaskFailure

NUMBER = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}


def _handler(fn: Any, **options: Any) -> ModelHandler:
    registry = ModelRegistry()
    registry.register(fn, "twice", **options)
    return ModelHandler(registry)


def _ask(given: Any, **more: Any) -> dict[str, Any]:
    return {"name": "twice", "input": given, **more}


async def test_a_result_says_value_confidence_reasons_usage_model_and_version() -> None:
    """Every model answers in the same form, so a workflow can change it without other edits."""
    handler = _handler(lambda given: Prediction(given["n"] * 2, 0.9, ("doubled",)), version="1.2.0")

    result = await perform(handler, _ask({"n": 2}))

    assert result.pop("usage").keys() == {"elapsed_us"}
    assert result == {"value": 4, "confidence": 0.9, "reasons": ["doubled"], "model": "twice", "version": "1.2.0"}


async def test_a_bare_value_is_a_result_too() -> None:
    """The simplest function is a model."""

    async def later(given: Any) -> Any:
        await asyncio.sleep(0)
        return given["n"]

    for fn in (lambda given: given["n"], later):
        result = await perform(_handler(fn), _ask({"n": 2}))
        assert (result["value"], result["confidence"], result["reasons"]) == (2, None, [])


async def test_input_and_output_are_checked_by_their_schemas() -> None:
    """A reply that does not fit is refused, never passed on."""
    handler = _handler(lambda given: "high", input_schema=NUMBER, output_schema={"type": "number"})

    wrong_input = await failure_of(handler, _ask({"n": "2"}))
    wrong_output = await failure_of(handler, _ask({"n": 2}))

    assert (
        wrong_input.detail
        == 'The input of the model \'twice\' does not fit its schema at /n: "2" is not of type "number".'
    )
    assert (
        wrong_output.detail
        == 'The answer of the model \'twice\' does not fit its schema: "high" is not of type "number".'
    )
    assert word(wrong_input) == word(wrong_output) == "validation"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "gone", "input": 1}, "There is no model 'gone'; registered: twice."),
        (_ask(1, version="9.0.0"), "The model 'twice' has no version '9.0.0'; it has: 1.0.0."),
    ],
)
async def test_an_unknown_model_is_answered_with_those_there_are(arguments: Any, message: str) -> None:
    """The author sees the misspelling at once."""
    failure = await failure_of(_handler(lambda given: given), arguments)

    assert (word(failure), failure.detail) == ("configuration", message)


@pytest.mark.parametrize("arguments", [{"input": 1}, _ask(1, version=1)])
async def test_name_and_version_are_text(arguments: Any) -> None:
    """A version written as a number would lose its zeros."""
    assert word(await failure_of(_handler(lambda given: given), arguments)) == "validation"


async def test_without_a_version_the_latest_answers() -> None:
    """By number, not by letter; a pre-release comes before its release."""
    registry = ModelRegistry()
    for version in ("1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0"):
        registry.register(lambda given, v=version: v, "m", version=version)
    handler = ModelHandler(registry)

    assert (await perform(handler, {"name": "m"}))["value"] == "2.0.0-rc.1"
    registry.register(lambda given: "2.0.0", "m", version="2.0.0")
    assert (await perform(handler, {"name": "m"}))["value"] == "2.0.0"
    assert (await perform(handler, {"name": "m", "version": "1.9.0"}))["value"] == "1.9.0"
    assert [card.version for card in registry.all()] == ["1.2.0", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0"]


def test_a_version_is_registered_once() -> None:
    """A version names one thing for ever."""
    registry = ModelRegistry()
    registry.register(lambda given: 1, "m")

    with pytest.raises(ValueError, match="registered already"):
        registry.register(lambda given: 2, "m")


async def test_an_exception_is_a_runtime_failure() -> None:
    """Its traceback is for the log."""

    async def later(given: Any) -> Any:
        raise KeyError("n")

    for fn in (lambda given: given["n"], later):
        failure = await failure_of(_handler(fn), _ask({}))
        assert (word(failure), failure.detail) == ("runtime", "The model 'twice' raised KeyError: 'n'")


async def test_a_slow_model_never_runs_on_the_event_loops_thread() -> None:
    """While one is scored everything else would stand still."""
    here, seen = threading.get_ident(), []

    def slow(given: Any) -> None:
        seen.append(threading.get_ident())
        for _ in range(100_000):
            pass

    handler = _handler(slow)
    for _ in range(6):
        await perform(handler, _ask(1))

    assert here not in seen


async def test_a_quick_model_moves_to_the_event_loops_thread_once_measured() -> None:
    """Handing microseconds of work to another thread costs more than the work."""
    seen: list[int] = []
    handler = _handler(lambda given: seen.append(threading.get_ident()))
    for _ in range(50):
        await perform(handler, _ask(1))

    assert seen[0] != threading.get_ident()
    assert seen[-1] == threading.get_ident()


async def test_secrets_are_masked_in_what_a_model_says() -> None:
    """Models repeat their input."""
    result = await perform(_handler(lambda given: given), _ask({"k": SecretText.of("s")}), s="s3cret-text")

    assert result["value"] == {"k": "[secret]"}


def test_recovery_is_repeat() -> None:
    """A prediction changes nothing outside."""
    assert _handler(lambda given: 1).recovery(command("model", {})) == "repeat"


def _card(folder: Path, **fields: Any) -> None:
    card = {"name": "m", "version": "1.0.0", "file": "m.onnx"} | fields
    (folder / "m.json").write_bytes(msgspec.json.encode(card))


async def test_a_folder_is_read_for_cards_only(tmp_path: Path) -> None:
    """Reports and notes lie beside the models."""
    _card(tmp_path)
    (tmp_path / "report.json").write_text('{"auc": 0.9}')

    assert [card.name for card in ModelRegistry().add_folder(tmp_path)] == ["m"]


@pytest.mark.parametrize(
    ("fields", "content", "message"),
    [
        ({}, None, "cannot be read"),
        ({"file": "../m.onnx"}, b"x", "outside the model folder"),
        ({"sha256": "0" * 64}, b"x", "sha256 differs"),
        ({"file": "m.pkl"}, b"x", r"must be an \.onnx or \.joblib file"),
        ({"input_schema": {"type": "strange"}}, b"x", "cannot be"),
    ],
)
async def test_a_model_that_cannot_be_loaded_says_why(
    tmp_path: Path, fields: Any, content: bytes | None, message: str
) -> None:
    """Each is a mistake of the folder, not of the document."""
    _card(tmp_path, **fields)
    for name in ("m.onnx", "m.pkl"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    registry = ModelRegistry()
    registry.add_folder(tmp_path)

    with pytest.raises(TaskFailure, match=message) as caught:
        registry.get("m").load()

    assert caught.value.failure.type.endswith("/configuration")


@pytest.mark.parametrize("text", ["{", '{"name": 5, "version": "1", "file": "x"}'])
def test_a_broken_card_is_refused_when_the_folder_is_added(tmp_path: Path, text: str) -> None:
    """A model that silently is not there is found too late."""
    (tmp_path / "m.json").write_text(text)

    with pytest.raises(TaskFailure, match=r"m\.json"):
        ModelRegistry().add_folder(tmp_path)


def test_the_digest_of_the_file_may_be_written_in_either_case(tmp_path: Path) -> None:
    """Tools differ."""
    (tmp_path / "m.bin").write_bytes(b"x")
    _card(tmp_path, file="m.bin", sha256=hashlib.sha256(b"x").hexdigest().upper())
    registry = ModelRegistry()
    registry.add_folder(tmp_path)

    with pytest.raises(TaskFailure, match="must be an"):
        registry.get("m").load()
