"""Runs scikit-learn files (.joblib). The one module that loads them.

A .joblib file is a pickle, and loading a pickle runs whatever code is in it. Such files are therefore loaded from the
administrator's model folder and from nowhere else: who may write there may run code as the service.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segue.ai.cards import ModelCard, Prediction
from segue.ai.classes import classified, named, scored
from segue.types import fail


class SklearnRunner:
    """One loaded estimator or pipeline. Its input is a row of values in the order of the card's features.

    Raises:
        TaskFailure: `configuration`, when scikit-learn is not installed or the file holds no estimator.
    """

    def __init__(self, card: ModelCard, path: Path) -> None:
        try:
            import joblib
            import numpy
            import sklearn  # noqa: F401 - said here rather than by a pickle that cannot find it
        except ImportError:
            raise fail(
                "configuration", f"The model {card.name!r} is a scikit-learn file: install segue[ml] to run it."
            ) from None
        self._numpy = numpy
        self._card = card
        try:
            self._estimator = joblib.load(path)
        except Exception as error:  # a pickle may raise anything
            raise fail(
                "configuration", f"The file of the model {card.name!r} cannot be loaded: {type(error).__name__}."
            ) from None
        if not hasattr(self._estimator, "predict"):
            raise fail("configuration", f"The file of the model {card.name!r} holds nothing that predicts.")

    def input_schema(self) -> dict[str, Any]:
        """What the card's features say of the input, for a card without a schema."""
        features = list(self._card.features)
        if not features:
            return {"type": "array"}
        return {"type": ["object", "array"], "required": features}

    def run(self, given: Any) -> Prediction:
        """Predict one row."""
        rows = self._rows(given)
        try:
            if hasattr(self._estimator, "predict_proba"):
                shares = self._estimator.predict_proba(rows)[0].tolist()
                classes = self._estimator.classes_.tolist()
                return classified(self._card, dict(zip(classes, shares, strict=True)))
            answer = self._numpy.asarray(self._estimator.predict(rows)).reshape(-1).tolist()
        except (ValueError, TypeError) as error:
            text = str(error).splitlines()[0]
            raise fail("validation", f"The model {self._card.name!r} cannot read its input: {text}.") from None
        if hasattr(self._estimator, "classes_"):
            return Prediction(named(self._card, answer[0]))
        return scored(self._card, answer)

    def _rows(self, given: Any) -> Any:
        if isinstance(given, dict):
            missing = [feature for feature in self._card.features if feature not in given]
            if missing or not self._card.features:
                what = repr(missing[0]) if missing else "the card's list of inputs, which gives the order"
                raise fail("validation", f"The input of the model {self._card.name!r} lacks {what}.")
            given = [given[feature] for feature in self._card.features]
        if not isinstance(given, list):
            raise fail("validation", f"The input of the model {self._card.name!r} must be an object or an array.")
        numeric = all(isinstance(value, (int, float)) for value in given)
        return self._numpy.array([given], dtype=None if numeric else object)
