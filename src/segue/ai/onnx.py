"""Runs ONNX files. The one module that knows onnxruntime and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from segue.ai.cards import ModelCard, Prediction
from segue.ai.classes import classified, named, scored
from segue.types import fail

_KINDS: Final = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
# Yes and no are 1 and 0 to a model.
_NUMBER: Final[dict[str, Any]] = {"type": ["number", "boolean"]}
_JSON_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "object": {"type": "string"},
    "int64": {"type": ["integer", "boolean"]},
}


class OnnxRunner:
    """One loaded ONNX file.

    An object becomes one tensor of shape [1, 1] for each named input, or, where the file has a single wide input, one
    vector in the order of the card's features. An array becomes that vector as it is.

    Raises:
        TaskFailure: `configuration`, when onnxruntime is not installed or the file is not a model it can run.
    """

    def __init__(self, card: ModelCard, path: Path) -> None:
        try:
            import numpy
            import onnxruntime
        except ImportError:
            raise fail(
                "configuration", f"The model {card.name!r} is an ONNX file: install segue[ml] to run it."
            ) from None
        self._numpy = numpy
        self._card = card
        options = onnxruntime.SessionOptions()
        # One row at a time: more threads would cost more to wake than the row costs to score.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions have no public base
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise fail("configuration", f"The file of the model {card.name!r} cannot be loaded: {text}.") from None
        self._inputs = [(entry.name, self._kind(entry), list(entry.shape)) for entry in self._session.get_inputs()]
        self._outputs = [entry.name for entry in self._session.get_outputs()]

    def input_schema(self) -> dict[str, Any]:
        """What the file itself says of its input, for a card that says nothing."""
        if self._is_wide:
            features = self._card.features
            vector = {"type": "array", "items": _NUMBER}
            if not features:
                return vector
            properties = dict.fromkeys(features, _NUMBER)
            return {"anyOf": [vector, {"type": "object", "properties": properties, "required": list(features)}]}
        properties = {name: _JSON_SCHEMAS.get(kind, _NUMBER) for name, kind, _ in self._inputs}
        return {"type": "object", "properties": properties, "required": list(properties)}

    def run(self, given: Any) -> Prediction:
        """Predict one row."""
        feed = self._vector_feed(given) if self._is_wide else self._named_feed(given)
        try:
            answers = self._session.run(None, feed)
        except Exception as error:  # onnxruntime's own exceptions have no public base
            text = str(error).splitlines()[0]
            raise fail("runtime", f"The model {self._card.name!r} failed: {text}.") from None
        return self._read(answers)

    @property
    def _is_wide(self) -> bool:
        return len(self._inputs) == 1 and (not _is_single(self._inputs[0][2]) or len(self._card.features) > 1)

    def _kind(self, entry: Any) -> str:
        kind = _KINDS.get(entry.type)
        if kind is None:
            raise fail(
                "configuration", f"The model {self._card.name!r} reads {entry.type}, which no JSON value becomes."
            )
        return kind

    def _named_feed(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise fail("validation", f"The input of the model {self._card.name!r} must be an object.")
        feed: dict[str, Any] = {}
        for name, kind, shape in self._inputs:
            if name not in given:
                raise fail("validation", f"The input of the model {self._card.name!r} lacks {name!r}.")
            feed[name] = self._tensor(name, kind, [given[name]], shape)
        return feed

    def _vector_feed(self, given: Any) -> dict[str, Any]:
        name, kind, _ = self._inputs[0]
        if isinstance(given, dict):
            missing = [feature for feature in self._card.features if feature not in given]
            if missing or not self._card.features:
                what = repr(missing[0]) if missing else "the card's list of inputs, which gives the order"
                raise fail("validation", f"The input of the model {self._card.name!r} lacks {what}.")
            given = [given[feature] for feature in self._card.features]
        if not isinstance(given, list):
            raise fail("validation", f"The input of the model {self._card.name!r} must be an object or an array.")
        return {name: self._tensor(name, kind, given, [1, len(given)])}

    def _tensor(self, name: str, kind: str, values: list[Any], shape: list[Any]) -> Any:
        if kind == "object":
            values = ["" if value is None else value for value in values]
            if not all(isinstance(value, str) for value in values):
                raise fail("validation", f"The model {self._card.name!r} reads {name!r} as text.")
        elif any(isinstance(value, (str, list, dict)) for value in values):
            raise fail("validation", f"The model {self._card.name!r} reads {name!r} as a number.")
        try:
            row = self._numpy.array(values, dtype=kind)
        except (TypeError, ValueError, OverflowError):
            raise fail("validation", f"The model {self._card.name!r} cannot read {name!r}.") from None
        return row.reshape((1, len(values))) if len(shape) > 1 else row

    def _read(self, answers: list[Any]) -> Prediction:
        """The prediction in a file's outputs: label and probabilities, or a plain score."""
        label: Any = None
        for index, answer in enumerate(answers):
            # Converted classifiers answer their probabilities as a list with one map for each row.
            if isinstance(answer, list) and answer and isinstance(answer[0], dict):
                return classified(self._card, answer[0])
            flat = self._numpy.asarray(answer).reshape(-1)
            if label is None and (flat.dtype.kind in "OSU" or (flat.dtype.kind in "iub" and len(answers) > 1)):
                label = flat[0].item() if hasattr(flat[0], "item") else flat[0]
                continue
            numbers = [float(value) for value in flat]
            if label is None:
                return scored(self._card, numbers, index)
            if isinstance(label, int) and len(numbers) > 1:
                return classified(self._card, dict(enumerate(numbers)))
            return Prediction(named(self._card, label), max(numbers, default=None))
        return Prediction(named(self._card, label))


def _is_single(shape: list[Any]) -> bool:
    return len(shape) < 2 or shape[-1] == 1
