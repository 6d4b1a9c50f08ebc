"""The order of semantic versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

Key = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


def version_key(text: str) -> Key:
    """A key that sorts versions by precedence: numbers first, a release after its pre-releases.

    Text that is no semantic version sorts before all that are.

    Source: Semantic Versioning 2.0.0, section 11.
    """
    core, _, rest = text.partition("+")[0].partition("-")
    parts = core.split(".")
    if not all(part.isdigit() for part in parts):
        return ((-1,), False, ((True, 0, text),))
    pre: tuple[tuple[bool, int, str], ...] = tuple(
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in rest.split(".") if part
    )
    return (tuple(map(int, parts)), not pre, pre)


class Versioned(Protocol):
    """Something with a version."""

    @property
    def version(self) -> str:
        """A semantic version."""
        ...


Thing = TypeVar("Thing", bound=Versioned)


def newest(items: Iterable[Thing]) -> list[Thing]:
    """The items, highest version first."""
    return sorted(items, key=lambda item: version_key(item.version), reverse=True)


def latest(items: Iterable[Thing]) -> Thing:
    """What `latest` means: the highest release; a pre-release counts only when there is nothing else.

    Raises:
        ValueError: There are no items.
    """
    found = newest(items)
    if not found:
        raise ValueError("nothing has no latest version")
    return next((item for item in found if "-" not in item.version.partition("+")[0]), found[0])
