"""Authority: membership, role and limit all hold, and the refusal says which did not."""

from __future__ import annotations

from typing import Any

import pytest

from segue.people import Absence, Granted, Profile, Refused, permission
from segue.types import Identity

NOW = 1_700_000_000_000


def somebody(name: str = "ann", *roles: str, groups: tuple[str, ...] = (), **more: Any) -> Identity:
    return Identity(kind="person", id=name, roles=frozenset(roles), groups=frozenset(groups), **more)


def asked(identity: Identity, audience: dict[str, Any], *profiles: Profile, **more: Any) -> Granted | Refused:
    given: dict[str, Any] = {"owner": "", "authority": {}, "requesters": (), **more}
    return permission(identity, audience=audience, profiles={p.id: p for p in profiles}, now_ms=NOW, **given)


@pytest.mark.parametrize(
    ("identity", "audience", "because"),
    [
        (somebody(), {"people": ["ann"]}, "person"),
        (somebody("ann", "approver"), {"roles": ["approver"]}, "role:approver"),
        (somebody(groups=("sales",)), {"groups": ["sales"]}, "group:sales"),
        (somebody("eve", "owner"), {"roles": ["approver"]}, "owner"),
        (Identity(kind="agent", id="clerk"), {"agents": ["clerk"]}, "agent"),
    ],
)
def test_whoever_is_asked_may_decide(identity: Identity, audience: dict[str, Any], because: str) -> None:
    """And the record says what counted."""
    assert asked(identity, audience) == Granted((because,))


@pytest.mark.parametrize(
    ("identity", "audience"),
    [
        (somebody(), {"people": ["bob"]}),
        (somebody("ann", "viewer"), {"roles": ["approver"]}),
        (somebody(groups=("sales",)), {"roles": ["sales"]}),
        (somebody("clerk"), {"agents": ["clerk"]}),
        (Identity(kind="agent", id="ann"), {"people": ["ann"]}),
        (somebody(), {}),
    ],
)
def test_nobody_else_may(identity: Identity, audience: dict[str, Any]) -> None:
    """A name in one kind of audience is nothing in another."""
    assert isinstance(asked(identity, audience), Refused)


@pytest.mark.parametrize("kind", ["service", "workflow", "connection", "system"])
def test_what_is_no_person_and_no_agent_decides_nothing(kind: Any) -> None:
    """Otherwise a workflow could approve itself."""
    identity = Identity(kind=kind, id="ann", roles=frozenset({"owner"}))
    assert isinstance(asked(identity, {"people": ["ann"]}), Refused)


@pytest.mark.parametrize("name", ["ann", "person:ann"])
def test_the_requester_is_refused_under_each_of_their_names(name: str) -> None:
    """Runs note who started them with the kind in front."""
    said = asked(somebody("ann", "owner"), {"people": ["ann"]}, requesters=(name,))
    assert isinstance(said, Refused)
    assert "never decides" in said.why


@pytest.mark.parametrize(
    ("roles", "limits", "authority", "allowed"),
    [
        ((), {}, {"roles": ["director"]}, False),
        (("director",), {}, {"roles": ["director"]}, True),
        ((), {"amount": 100.0}, {"amount": 100}, True),
        ((), {"amount": 100.0}, {"amount": 101}, False),
        ((), {"amount": 100.0, "travel": 10.0}, {"amount": 50, "class": "travel"}, False),
        ((), {"amount": 100.0}, {"amount": 50, "class": "travel"}, True),
        ((), {}, {"amount": 10**9}, True),
        (("a",), {}, {"amount": 5, "limits": {"a": 10}}, True),
        (("a", "b"), {}, {"amount": 50, "limits": {"a": 10, "b": 100}}, True),
        (("c",), {"amount": 10**9}, {"amount": 50, "limits": {"a": 10}}, False),
    ],
)
def test_role_and_limit_both_count(roles: Any, limits: Any, authority: Any, allowed: bool) -> None:
    """Limits of the task by role beat people's own; the highest of one's roles counts."""
    said = asked(somebody("ann", *roles, limits=limits), {"people": ["ann"]}, authority=authority)
    assert isinstance(said, Granted) == allowed


def test_managers_come_in_only_where_the_ladder_came_to_them() -> None:
    """Leading somebody is no right to decide their tasks."""
    ann = Profile(id="ann", manager="max")
    assert isinstance(asked(somebody("max"), {"people": ["ann"]}, ann), Refused)
    assert asked(somebody("max"), {"people": ["ann"], "manager": True}, ann) == Granted(("manager-of:ann",))


@pytest.mark.parametrize(
    ("since", "until", "stands_in"), [("2020", None, True), ("2020", "2021", False), ("2090", None, False)]
)
def test_a_deputy_stands_in_only_while_somebody_is_away(since: str, until: str | None, stands_in: bool) -> None:
    """A deputy of last summer decides nothing in winter."""
    from datetime import UTC, datetime

    def day(year: str) -> datetime:
        return datetime(int(year), 1, 1, tzinfo=UTC)

    absent = Absence(since=day(since), until=None if until is None else day(until), deputy="sub")
    said = asked(somebody("sub"), {"people": ["ann"]}, Profile(id="ann", absent=absent))
    assert isinstance(said, Granted) == stands_in


def test_a_deputy_needs_the_role_themselves() -> None:
    """Standing in for a director makes nobody a director."""
    from datetime import UTC, datetime

    away = Profile(id="ann", absent=Absence(since=datetime(2020, 1, 1, tzinfo=UTC), deputy="sub"))
    said = asked(somebody("sub"), {"people": ["ann"]}, away, authority={"roles": ["director"]})
    assert isinstance(said, Refused)


def test_who_got_it_delegated_may_decide_within_role_and_limit() -> None:
    """A hand-over carries the task, not the authority."""
    assert asked(somebody("bob"), {"people": ["ann"]}, owner="bob") == Granted(("delegate",))
    limited = asked(somebody("bob"), {"people": ["ann"]}, owner="bob", authority={"roles": ["approver"]})
    assert isinstance(limited, Refused)
