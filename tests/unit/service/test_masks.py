"""Masks: place by place, never half, and never mistaken for data."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.dsl.flows import ITEM, Cover, Covers
from segue.service import ServiceError
from segue.service.masking import Lens
from segue.service.masks import mask, mask_text, masked, refuse_masks

PERSONAL = Cover(frozenset({"personal"}))
HIDDEN = frozenset({"personal"})
MASK = {"$masked": ["personal"]}


def under(*path: str, cover: Cover = PERSONAL) -> Cover:
    for key in reversed(path):
        cover = Cover(parts={key: cover})
    return cover


@pytest.mark.parametrize(
    ("cover", "value", "shown"),
    [
        (PERSONAL, {"a": [1]}, MASK),
        (under("a", "b"), {"a": {"b": "x", "c": 1}, "d": [2]}, {"a": {"b": MASK, "c": 1}, "d": [2]}),
        (under("a", ITEM, "b"), {"a": [{"b": 1, "c": 2}, {"c": 3}]}, {"a": [{"b": MASK, "c": 2}, {"c": 3}]}),
        (under(ITEM, "b"), {"x": {"b": 1, "c": 2}}, {"x": {"b": MASK, "c": 2}}),
        (Cover(frozenset({"public"})), {"a": 1}, {"a": 1}),
        (under("a"), {"b": 1}, {"b": 1}),
        (under("a"), None, None),
        (under("a"), {"a": None}, {"a": MASK}),
    ],
)
def test_only_the_labelled_part_is_masked(cover: Cover, value: Any, shown: Any) -> None:
    """What stands beside a name is needed for work; a mask over all of it would be switched off."""
    assert masked(value, cover, HIDDEN) == shown


@pytest.mark.parametrize("value", ["ada@example.org", 42, ["ada@example.org"]])
def test_a_value_that_is_not_built_as_its_schema_says_is_masked_whole(value: Any) -> None:
    """The places of its classes are not in it, so nobody knows where they are."""
    assert masked(value, under("customer", "mail"), HIDDEN) == MASK


def test_keys_that_no_schema_names_go_with_what_stands_under_them() -> None:
    """An object by mail address tells the addresses."""
    assert masked({"ada@example.org": 1}, under(ITEM), HIDDEN) == MASK


def test_data_that_looks_like_a_mask_is_told_apart() -> None:
    """Where something is masked, a mask must be one."""
    value = {"a": 1, "b": {"$masked": ["personal"]}}

    assert masked(value, under("a"), HIDDEN) == {"a": MASK, "b": {"$masked": [], "value": {"$masked": ["personal"]}}}


def test_what_is_too_deep_to_look_at_is_masked() -> None:
    """No value may be shown because it could not be looked at."""
    value: Any = "ada@example.org"
    for _ in range(100_000):
        value = [value]

    assert masked(value, under("a"), HIDDEN) == MASK


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (MASK, "input"),
        ({"a/b": [1, mask(["x", "y"])]}, "input/a~1b/1"),
        ([mask_text(["personal"])], "input/0"),
        ({"$masked": [], "value": 1}, "input"),
        ({"body": '{"customer": {"$masked": ["personal"]}}'}, "input/body/customer"),
        ({"body": '["{\\"$masked\\": []}"]'}, "input/body/0"),
    ],
)
def test_masks_are_refused_where_values_come_in_with_their_place(value: Any, place: str) -> None:
    """A mask that is written would destroy what it stands for; whoever sent much must learn where it is."""
    with pytest.raises(ServiceError) as refused:
        refuse_masks(output=msgspec.UNSET, input=value)
    assert refused.value.kind == "mask-refused"
    assert f"'{place}'" in refused.value.detail


def test_a_mask_is_found_however_deep_it_is() -> None:
    """Neither the stack nor the place that is told grows with what somebody sends."""
    value: Any = MASK
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ServiceError) as refused:
        refuse_masks(input=value)
    assert len(refused.value.detail) < 200


def test_everything_else_is_taken_in() -> None:
    """Also text about masks."""
    text = '"$masked" is the key of a mask'
    refuse_masks(a={"masked": ["personal"], "a": "$masked", "b": text}, b=["•••• (personal) is a mask", None, 1.5])


def test_of_a_failure_its_kind_and_place_are_told() -> None:
    """Enough to see what kind of trouble it is, and nothing of the data that it quotes."""
    lens = Lens(Covers(HIDDEN), HIDDEN)
    kind = "https://serverlessworkflow.io/spec/1.0.0/errors/validation"
    error = {
        "type": kind,
        "status": 400,
        "title": "Validation error",
        "detail": "'ada@…' is no date",
        "instance": "/do/0",
    }

    assert lens.failure(error) == {**error, "detail": "•••• (personal)"}
    own = lens.failure({**error, "type": "https://ada.example.org/x", "title": "Ada failed"})
    assert own is not None
    assert (own["type"], own["title"], own["status"]) == ("•••• (personal)", "•••• (personal)", 400)
