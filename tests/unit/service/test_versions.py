"""The order of semantic versions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from segue.service.versions import latest, newest, version_key

# The example of Semantic Versioning 2.0.0, section 11, in ascending order.
ASCENDING = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.9.0",
    "1.10.0",
    "2.0.0",
]


@dataclass
class Thing:
    version: str


def test_the_order_is_that_of_the_standard() -> None:
    """`latest` must not be 1.9.0 when there is 1.10.0."""
    assert sorted(set(ASCENDING), key=version_key) == ASCENDING


def test_build_metadata_does_not_count() -> None:
    """The standard says so."""
    assert version_key("1.0.0+a") == version_key("1.0.0+b")


def test_the_newest_comes_first() -> None:
    """Lists of versions begin with the highest."""
    found = newest([Thing("1.0.0"), Thing("2.0.0-rc.1"), Thing("1.10.0")])

    assert [thing.version for thing in found] == ["2.0.0-rc.1", "1.10.0", "1.0.0"]


def test_latest_prefers_a_release() -> None:
    """Nobody wants a release candidate who has not asked for one."""
    assert latest([Thing("1.0.0"), Thing("2.0.0-rc.1"), Thing("1.10.0")]).version == "1.10.0"
    assert latest([Thing("2.0.0-rc.1"), Thing("2.0.0-rc.2")]).version == "2.0.0-rc.2"


def test_nothing_has_no_latest() -> None:
    """Callers must look first."""
    with pytest.raises(ValueError, match="no latest"):
        latest([])
