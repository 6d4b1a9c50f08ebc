"""Which models there are, and how one is run: by name and version, checked on the way in and on the way out."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

import msgspec

from segue.ai.cards import ModelCard, Prediction, Runner, SchemaCheck, checked_file, read_card
from segue.types import TaskFailure, fail, whereabouts

_log = logging.getLogger("segue.ai.registry")
# Below this a model runs on the event loop's thread: handing it to another one would cost about as much.
_INLINE_BELOW_US: Final = 200.0
_MEASURED_BEFORE_INLINE: Final = 3


class Model:
    """One version of a model: its card, and what runs it, loaded when it is first needed."""

    def __init__(
        self, card: ModelCard, *, folder: Path | None = None, run: Callable[[Any], Any] | None = None
    ) -> None:
        self.card = card
        self._folder = folder
        self._function = run
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._check_input: SchemaCheck | None = None
        self._check_output: SchemaCheck | None = None
        self._measured = 0
        self._usual_us = 0.0

    async def predict(self, given: Any, threads: Executor | None = None) -> dict[str, Any]:
        """Run the model on one input: `{value, confidence, reasons, usage, model, version}`.

        Slow models run in a thread; one that has been measured to be quick runs here.

        Raises:
            TaskFailure: `configuration`, when it cannot be loaded; `validation`, when input or output do not fit the
                card's schemas; `runtime`, when it fails.
        """
        if self._function is not None and inspect.iscoroutinefunction(self._function):
            started = time.perf_counter()
            self._load()
            self._checked_input(given)
            return self._result(await self._awaited(given), started)
        if self._measured >= _MEASURED_BEFORE_INLINE and self._usual_us < _INLINE_BELOW_US:
            return self._predict_here(given)
        return await asyncio.get_running_loop().run_in_executor(threads, self._predict_here, given)

    def load(self) -> None:
        """Load the model now rather than at its first use.

        Raises:
            TaskFailure: `configuration`, saying what is wrong with its file or card.
        """
        self._load()

    def _predict_here(self, given: Any) -> dict[str, Any]:
        runner = self._load()
        started = time.perf_counter()
        self._checked_input(given)
        result = self._result(runner.run(given), started)
        self._measure((time.perf_counter() - started) * 1_000_000)
        return result

    async def _awaited(self, given: Any) -> Prediction:
        assert self._function is not None
        try:
            return _prediction(await self._function(given))
        except TaskFailure:
            raise
        except Exception as error:
            raise _broken(self.card, error) from None

    def _load(self) -> Runner:
        runner = self._runner
        if runner is not None:
            return runner
        with self._lock:
            if self._runner is None:
                runner = self._loaded()
                schema = self.card.input_schema or getattr(runner, "input_schema", dict)()
                name = self.card.name
                self._check_input = SchemaCheck(schema, f"The input of the model {name!r}") if schema else None
                if self.card.output_schema:
                    self._check_output = SchemaCheck(self.card.output_schema, f"The answer of the model {name!r}")
                self._runner = runner
            return self._runner

    def _loaded(self) -> Runner:
        if self._function is not None:
            return _FunctionRunner(self.card, self._function)
        assert self._folder is not None
        path = checked_file(self.card, self._folder)
        if path.suffix == ".onnx":
            from segue.ai.onnx import OnnxRunner

            return OnnxRunner(self.card, path)
        if path.suffix == ".joblib":
            from segue.ai.sklearn import SklearnRunner

            return SklearnRunner(self.card, path)
        raise fail(
            "configuration", f"The model {self.card.name!r} must be an .onnx or .joblib file, not {path.suffix!r}."
        )

    def _checked_input(self, given: Any) -> None:
        if self._check_input is not None:
            self._check_input(given)

    def _result(self, prediction: Prediction, started: float) -> dict[str, Any]:
        if self._check_output is not None:
            self._check_output(prediction.value)
        return {
            "value": prediction.value,
            "confidence": prediction.confidence,
            "reasons": list(prediction.reasons),
            "usage": {"elapsed_us": round((time.perf_counter() - started) * 1_000_000)},
            "model": self.card.name,
            "version": self.card.version,
        }

    def _measure(self, elapsed_us: float) -> None:
        # A moving mean: one hiccup does not send a quick model to the threads, a slow one gets there soon.
        self._usual_us += (elapsed_us - self._usual_us) / min(self._measured + 1, 8)
        self._measured += 1


class ModelRegistry:
    """Models by name and version."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Model]] = {}

    def add_folder(self, folder: str | Path) -> list[ModelCard]:
        """Register every model whose card lies in this folder.

        The folder is the administrator's: a .joblib file in it runs code when it is loaded. Files are loaded when
        they are first used.

        Returns:
            The cards that were found, by file name.

        Raises:
            TaskFailure: `configuration`, for a card that does not fit.
            ValueError: A model of this name and version is registered already.
        """
        folder = Path(folder)
        found: list[ModelCard] = []
        for path in sorted(folder.glob("*.json")):
            card = read_card(path)
            if card is not None:
                self._add(Model(card, folder=folder))
                found.append(card)
        return found

    def register(
        self,
        fn: Callable[[Any], Any] | None = None,
        name: str | None = None,
        *,
        version: str = "1.0.0",
        input_schema: dict[str, Any] | None = None,
        output_schema: dict[str, Any] | None = None,
        purpose: str = "",
        risk: str = "",
        use_cases: tuple[str, ...] = (),
    ) -> Any:
        """Make a Python function a model. Works as a call and as a decorator.

        The function takes the input and answers a value, or a `Prediction` with confidence and reasons.

        Raises:
            ValueError: A model of this name and version is registered already.
        """
        if fn is None:
            return lambda function: self.register(
                function,
                name,
                version=version,
                input_schema=input_schema,
                output_schema=output_schema,
                purpose=purpose,
                risk=risk,
                use_cases=use_cases,
            )
        card = ModelCard(
            name=name or fn.__name__.replace("_", "-"),
            version=version,
            input_schema=input_schema,
            output_schema=output_schema,
            purpose=purpose,
            risk=risk,
            use_cases=use_cases,
        )
        self._add(Model(card, run=fn))
        return fn

    def get(self, name: str, version: str | None = None) -> Model:
        """A model; without a version, its latest.

        Raises:
            TaskFailure: `configuration`, naming what there is.
        """
        versions = self._models.get(name)
        if versions is None:
            known = ", ".join(sorted(self._models)) or "none"
            raise fail("configuration", f"There is no model {name!r}; registered: {known}.")
        if version is None:
            return versions[max(versions, key=_order)]
        if version not in versions:
            known = ", ".join(sorted(versions, key=_order))
            raise fail("configuration", f"The model {name!r} has no version {version!r}; it has: {known}.")
        return versions[version]

    def has(self, name: str) -> bool:
        """There is a model of this name."""
        return name in self._models

    def card(self, name: str) -> ModelCard | None:
        """The card of its latest version."""
        return self.get(name).card if name in self._models else None

    def all(self) -> list[ModelCard]:
        """Every card, by name and version."""
        return [
            self._models[name][version].card
            for name in sorted(self._models)
            for version in sorted(self._models[name], key=_order)
        ]

    def _add(self, model: Model) -> None:
        versions = self._models.setdefault(model.card.name, {})
        if model.card.version in versions:
            raise ValueError(f"the model {model.card.name!r} {model.card.version} is registered already")
        versions[model.card.version] = model


class _FunctionRunner:
    def __init__(self, card: ModelCard, function: Callable[[Any], Any]) -> None:
        self._card = card
        self._function = function

    def run(self, given: Any) -> Prediction:
        try:
            return _prediction(self._function(given))
        except TaskFailure:
            raise
        except Exception as error:
            raise _broken(self._card, error) from None


def _prediction(answer: Any) -> Prediction:
    return answer if isinstance(answer, Prediction) else Prediction(msgspec.to_builtins(answer))


def _broken(card: ModelCard, error: Exception) -> TaskFailure:
    _log.warning("the model %r raised %s", card.name, whereabouts(error))
    return fail("runtime", f"The model {card.name!r} raised {type(error).__name__}: {error}")


def _order(version: str) -> tuple[Any, ...]:
    """Semantic versions in their order; a pre-release comes before its release."""
    core, _, extra = version.partition("+")[0].partition("-")
    numbers = tuple(int(part) if part.isdigit() else 0 for part in core.split("."))
    return (numbers, not extra, extra)
