"""The order of semantic versions."""

from __future__ import annotations

from typing import Any

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


def newest(items: list[Any]) -> list[Any]:
    """Things with a `version`, highest first. A release counts as higher than any pre-release of it."""
    return sorted(items, key=lambda item: version_key(item.version), reverse=True)
