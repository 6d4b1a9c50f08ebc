"""From what classifiers and regressors put out to a value with its confidence; shared by the file runners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segue.ai.cards import ModelCard, Prediction
from segue.types import fail


def named(card: ModelCard, label: Any) -> Any:
    """A class by the name the card gives it."""
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(card.labels):
        return card.labels[label]
    return label


def classified(card: ModelCard, probabilities: Mapping[Any, float]) -> Prediction:
    """The likeliest class, or the probability of the card's positive one."""
    by_name = {named(card, label): float(share) for label, share in probabilities.items()}
    likeliest = max(by_name, key=by_name.__getitem__)
    if card.positive is None:
        return Prediction(likeliest, by_name[likeliest])
    if card.positive not in by_name:
        known = ", ".join(map(repr, by_name))
        raise fail("configuration", f"The model {card.name!r} has no class {card.positive!r}; it has {known}.")
    return Prediction(by_name[card.positive], by_name[likeliest])


def scored(card: ModelCard, numbers: Sequence[float], index: int = 0) -> Prediction:
    """One number, or one for each class, of an output that carries no labels."""
    if len(numbers) > 1:
        if len(card.labels) == len(numbers):
            return classified(card, dict(enumerate(numbers)))
        return Prediction(list(numbers))
    value = numbers[0]
    span = card.outputs[index].range if index < len(card.outputs) else None
    # A probability of one of two classes: as sure as the likelier one is likely.
    return Prediction(value, max(value, 1 - value) if span == (0, 1) else None)
