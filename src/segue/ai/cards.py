"""Model cards: what a model is, what it reads and what it answers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import jsonschema_rs
import msgspec

from segue.types import fail

_SHOWN_CHARACTERS = 200


class Feature(msgspec.Struct, frozen=True):
    """One input of a model."""

    name: str


class Output(msgspec.Struct, frozen=True):
    """One output of a model; `range` says what its numbers lie between."""

    name: str
    range: tuple[float, float] | None = None


class ModelCard(msgspec.Struct, frozen=True):
    """A model's card. Further keys (training, limits, measured quality …) are the author's and are left alone.

    Attributes:
        file: The model file, beside the card; None for a Python function.
        sha256: Digest of the file; checked before it is loaded.
        inputs: Its features in the order in which a vector is built; objects with `name`, or names.
        outputs: Its outputs in the file's order.
        labels: What the classes are called, by their index, where the file knows them as numbers.
        positive: Answer the probability of this label instead of the likeliest label.
        input_schema, output_schema: JSON Schemas of the input and of the result's `value`.
        purpose: What it is for. risk: Its class of risk, such as minimal, limited or high.
        use_cases: What documents may say that they use it for (`use_case` in their metadata); empty for anything.
    """

    name: str
    version: str
    file: str | None = None
    sha256: str | None = None
    inputs: tuple[Feature | str, ...] = ()
    outputs: tuple[Output, ...] = ()
    labels: tuple[str, ...] = ()
    positive: str | int | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    purpose: str = ""
    risk: str = ""
    use_cases: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return tuple(entry if isinstance(entry, str) else entry.name for entry in self.inputs)


class Prediction(msgspec.Struct, frozen=True):
    """What a model says.

    Attributes:
        value: A number, a label, or anything its output schema allows.
        confidence: From 0 to 1, or None where the model does not say.
        reasons: Why, as far as the model can tell.
    """

    value: Any
    confidence: float | None = None
    reasons: tuple[Any, ...] = ()


class Runner(Protocol):
    """Runs one loaded model. Called from one thread at a time or many: runners hold no state of a call."""

    def run(self, given: Any) -> Prediction:
        """Predict from a checked input.

        Raises:
            TaskFailure: `validation`, when the input cannot be turned into what the model reads.
        """
        ...


def read_card(path: Path) -> ModelCard | None:
    """The card in this file, or None where the file is about something else.

    Raises:
        TaskFailure: `configuration`, when it looks like a card and is none.
    """
    try:
        data = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise fail("configuration", f"{path.name} in the model folder cannot be read: {error}.") from None
    if not isinstance(data, dict) or not {"name", "version", "file"} <= set(data):
        return None
    try:
        return msgspec.convert(data, ModelCard)
    except msgspec.ValidationError as error:
        raise fail("configuration", f"The model card {path.name} does not fit: {error}.") from None


def checked_file(card: ModelCard, folder: Path) -> Path:
    """The card's model file.

    Raises:
        TaskFailure: `configuration`, when it is missing, outside the folder, or another one than the card's.
    """
    assert card.file is not None
    path = (folder / card.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise fail("configuration", f"The model {card.name!r} names a file outside the model folder: {card.file!r}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise fail("configuration", f"The file of the model {card.name!r} cannot be read: {reason}.") from None
    if card.sha256 is not None and hashlib.sha256(content).hexdigest() != card.sha256.lower():
        raise fail(
            "configuration", f"The file of the model {card.name!r} is not the one its card describes: sha256 differs."
        )
    return path


class SchemaCheck:
    """A compiled JSON Schema of a card."""

    def __init__(self, schema: dict[str, Any], what: str) -> None:
        self._what = what
        try:
            self._validator = jsonschema_rs.validator_for(schema)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            text = " ".join(str(error).split())[:_SHOWN_CHARACTERS]
            raise fail("configuration", f"The schema of {what} cannot be used: {text}.") from None

    def __call__(self, value: Any) -> None:
        """Pass a valid value.

        Raises:
            TaskFailure: `validation`, naming the first place that does not fit.
        """
        if self._validator.is_valid(value):
            return
        error = next(iter(self._validator.iter_errors(value)))
        place = "".join(f"/{step}" for step in error.instance_path)
        message = " ".join(error.message.split())[:_SHOWN_CHARACTERS].rstrip(".")
        raise fail("validation", f"{self._what} does not fit its schema{f' at {place}' if place else ''}: {message}.")
