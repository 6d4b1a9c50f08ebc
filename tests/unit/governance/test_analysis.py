"""Rules that contradict, are shadowed, or repeat each other."""

from __future__ import annotations

from segue.governance import Policies, findings, shipped


def found(text: str) -> list[tuple[str, str, str]]:
    return [(f.kind, f.rule, f.by) for f in findings(Policies({**shipped(), "extra": text}))]


def test_the_shipped_rules_have_nothing_to_report() -> None:
    """A list that always says something is read by nobody."""
    assert findings(Policies(shipped())) == []


def test_a_permit_under_an_unconditional_forbid_never_counts() -> None:
    """Its author believes that somebody may something."""
    told = found(
        '@id("ann") permit (principal == Person::"ann", action == Action::"run.start", resource);'
        '@id("freeze") forbid (principal, action == Action::"run.start", resource);'
    )
    assert ("shadowed", "ann", "freeze") in told


def test_a_forbid_that_meets_a_permit_is_told_with_who_wins() -> None:
    """Two rules that contradict are reported with the order of precedence."""
    told = findings(
        Policies({**shipped(), "x": '@id("no-sales") forbid (principal, action == Action::"run.start", resource)'
                  ' when { resource.namespace == "sales" };'})
    )  # fmt: skip
    assert ("conflict", "operator", "no-sales") in [(f.kind, f.rule, f.by) for f in told]
    assert "beats" in told[0].message


def test_a_permit_inside_a_wider_one_is_told() -> None:
    """A rule that changes nothing hides what does."""
    told = found('@id("again") permit (principal in Role::"viewer", action == Action::"run.read", resource);')
    assert told == [("redundant", "again", "viewer")]


def test_rules_about_different_things_are_left_alone() -> None:
    """A false alarm costs more than none."""
    told = found(
        '@id("a") forbid (principal == Person::"ann", action == Action::"run.start", resource);'
        '@id("b") permit (principal == Person::"ben", action == Action::"connection.add", resource);'
    )
    assert ("conflict", "b", "a") not in told
