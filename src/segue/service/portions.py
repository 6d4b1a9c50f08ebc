"""How much of a run's values one answer holds, and what stands where one is left out.

An answer about a run mentions the same value many times: what one task gives is what the next switch sees and what an
event carries. Written out each time, forty steps over 13 MB are half a gigabyte. So an answer holds a value up to
`VALUE_BYTES_MAX`, all of them together up to `ANSWER_BYTES_MAX`, and instead of any other one
`{"$omitted": {"bytes": …, "whole": …}}`: how large it is, and where it is told alone.

Source: decision 0145.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from segue.service.shapes import Decision, TaskDetail
from segue.store import codec
from segue.types import Emit

VALUE_BYTES_MAX: Final = 64 * 1024
"""A larger value, as JSON, is left out of answers that tell of more than this value."""
ANSWER_BYTES_MAX: Final = 1024 * 1024
"""Values that one answer holds have at most so many bytes of JSON together."""
DETAIL_MAX: Final = 4000
"""Characters of an error's `detail` in lists of tasks and runs; an error passes through every task around it."""
OMITTED: Final = "$omitted"

Item = TypeVar("Item")
_SCALARS: Final = (int, float, bool, type(None))


class Omission(msgspec.Struct, frozen=True):
    """A value that was left out.

    Attributes:
        bytes: How large it is, as JSON.
        whole: Path below `/api/v1` that tells it; None where it was not kept.
    """

    bytes: int
    whole: str | None


class Omitted(msgspec.Struct, frozen=True, rename={"what": OMITTED}):
    """Stands for a value. It is no dict, so that nothing takes it for data on its way out."""

    what: Omission


class Sizes:
    """Sizes of values as JSON. What one task gives is what the next one gets, so each object is measured once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Any]] = {}

    def of(self, value: Any) -> int:
        """Bytes; 0 for what is small whatever it is, and for what is no JSON."""
        if isinstance(value, _SCALARS):
            return 0
        known = self._known.get(id(value))
        if known is None:
            try:
                size = len(codec.encode(value))
            except (TypeError, ValueError, RecursionError, OverflowError):
                size = 0
            # The object is kept beside its size: another one could get its id otherwise.
            known = self._known[id(value)] = (size, value)
        return known[0]


class Portion:
    """What one answer holds of values. Whoever asks first gets most: the important ones go first.

    Args:
        kept: The run can be asked about later.
    """

    def __init__(self, *, sizes: Sizes | None = None, kept: bool = True) -> None:
        self._sizes = sizes or Sizes()
        self._left = ANSWER_BYTES_MAX
        self._kept = kept

    def value(self, value: Any, whole: str | None, *, bytes_max: int = VALUE_BYTES_MAX) -> Any:
        """The value, or what stands for it. whole: Path that tells it; None where there is none."""
        size = self._sizes.of(value)
        if size <= bytes_max and size <= self._left:
            self._left -= size
            return value
        return Omitted(Omission(size, whole if self._kept else None))

    def decisions(self, run: str, found: list[Decision]) -> list[Decision]:
        """Decisions with what they saw, as far as there is room."""

        def one(decision: Decision) -> Decision:
            saw = self.value(decision.saw, f"/runs/{run}/tasks/{decision.task}")
            return decision if saw is decision.saw else msgspec.structs.replace(decision, saw=saw)

        return _newest_first(found, one)

    def emitted(self, run: str, found: list[Emit]) -> list[Emit]:
        """Events with their data, as far as there is room."""

        def one(emit: Emit) -> Emit:
            if "data" not in emit.event:
                return emit
            data = self.value(emit.event["data"], f"/runs/{run}/tasks/{emit.id}")
            return Emit(emit.id, {**emit.event, "data": data})

        return _newest_first(found, one)

    def details(self, run: str, found: list[TaskDetail]) -> list[TaskDetail]:
        """Tasks with their data, as far as there is room."""

        def one(task: TaskDetail) -> TaskDetail:
            whole = f"/runs/{run}/tasks/{task.id}"
            return msgspec.structs.replace(
                task, input=self.value(task.input, whole), output=self.value(task.output, whole)
            )

        return _newest_first(found, one)


def in_short(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """An error for lists: details of the run or the task say all of it."""
    if error is None or len(error.get("detail") or "") <= DETAIL_MAX:
        return error
    return {**error, "detail": cut(error["detail"])}


def cut(text: str) -> str:
    """The beginning of a long text, and how long it is."""
    return text if len(text) <= DETAIL_MAX else f"{text[:DETAIL_MAX]}… ({len(text):,} characters in all)"


def told_apart(value: Any) -> Any:
    """A value as it is, or wrapped where it could be taken for one that was left out."""
    return {OMITTED: None, "value": value} if isinstance(value, dict) and OMITTED in value else value


def _newest_first(found: Iterable[Item], one: Callable[[Item], Item]) -> list[Item]:
    return [one(item) for item in list(found)[::-1]][::-1]
