"""Authority: who of those asked may decide, by membership, by role and by limit; and who stands in for whom.

That the requester never decides, that a person has one voice and that a claim counts is the core's law and holds
without this; here the requester is refused too, so that the refusal comes with its reason before anything is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from segue.people.profiles import Profile, is_absent
from segue.types import Identity

OWNER: Final = "owner"
"""Holds the data folder: counts as a member of every audience and as having every role. The trail says so."""


class Granted(NamedTuple):
    """They may decide. `because` names what counted, for the record."""

    because: tuple[str, ...]


class Refused(NamedTuple):
    """They may not. `why` is a sentence that goes to them."""

    why: str


def permission(
    identity: Identity,
    *,
    audience: Mapping[str, Any],
    owner: str,
    authority: Mapping[str, Any],
    requesters: Iterable[str],
    profiles: Mapping[str, Profile],
    now_ms: int,
    entered: Any = None,
) -> Granted | Refused:
    """May this person or agent decide?

    Args:
        audience: Who is asked, as `Offer.audience`.
        owner: Who has claimed it, or to whom it was delegated; empty for nobody.
        authority: `roles`, `amount`, `amount_of`, `class`, `limits` of the request.
        requesters: Who asked for it, and who started the run.
        profiles: Of everybody, by id.
        entered: What the form holds with this decision.
    """
    if identity.kind not in ("person", "agent"):
        return Refused(f"a decision needs a person, and {identity.name} is none")
    asked = {identity.id, identity.name}
    if asked & set(requesters):
        return Refused(f"{identity.id} requested it, and the requester never decides")
    because = member_of(identity, audience, profiles, now_ms)
    if because is None and owner and owner == identity.id:
        because = "delegate"
    if because is None:
        return Refused(f"it is not offered to {identity.id}")
    return _within(identity, authority, because, entered)


def authority_at(request: Mapping[str, Any], level: int) -> Mapping[str, Any]:
    """What deciding needs when the ladder has come to this rung.

    An act that waits for approval needs a role; each rung that was reached lets another role approve as well.
    """
    authority: Mapping[str, Any] = request["authority"]
    if request.get("kind") != "approval" or not level:
        return authority
    more = [role for rung in request["ladder"][:level] for role in rung["to"].get("roles", ())]
    return {**authority, "roles": list(dict.fromkeys([*authority["roles"], *more]))}


def member_of(
    identity: Identity, audience: Mapping[str, Any], profiles: Mapping[str, Profile], now_ms: int
) -> str | None:
    """Why the task is before them, such as `role:approver` or `deputy-of:ann`; None where it is not."""
    for because, wanted in audience_of(identity, profiles, now_ms):
        kind, name = wanted
        if kind == "manager" and not audience.get("manager"):
            continue
        if name in audience.get("people" if kind == "manager" else kind, ()):
            return because
    return OWNER if OWNER in identity.roles else None


def audience_of(
    identity: Identity, profiles: Mapping[str, Profile], now_ms: int
) -> list[tuple[str, tuple[str, str]]]:
    """Every audience that they belong to: why, and kind and name as tasks have them; the most personal first."""
    if identity.kind == "agent":
        return [("agent", ("agents", identity.id))]
    found = [("person", ("people", identity.id))]
    for other in profiles.values():
        if other.absent is not None and other.absent.deputy == identity.id and is_absent(other, now_ms):
            found.append((f"deputy-of:{other.id}", ("people", other.id)))
    found += [(f"group:{group}", ("groups", group)) for group in sorted(identity.groups)]
    found += [(f"role:{role}", ("roles", role)) for role in sorted(identity.roles)]
    led = [other.id for other in profiles.values() if other.manager == identity.id]
    return found + [(f"manager-of:{name}", ("manager", name)) for name in led]


def _within(identity: Identity, authority: Mapping[str, Any], because: str, entered: Any) -> Granted | Refused:
    """Do role and limit suffice?"""
    counted = [because]
    roles = authority.get("roles")
    holds = OWNER in identity.roles
    if roles and not holds:
        fitting = sorted(identity.roles & set(roles))
        if not fitting:
            return Refused(f"it needs one of the roles {', '.join(roles)}, and {identity.id} has none of them")
        counted.append(f"role:{fitting[0]}")
    amount = _amount(authority, entered)
    if amount is None or holds:
        return Granted(tuple(dict.fromkeys(counted)))
    limit = _limit(identity, authority)
    if limit is not None and amount > limit:
        return Refused(f"it is about {amount:,g}, and {identity.id} may decide up to {limit:,g}")
    counted.append("no limit" if limit is None else f"limit:{limit:g}")
    return Granted(tuple(dict.fromkeys(counted)))


def _amount(authority: Mapping[str, Any], entered: Any) -> float | None:
    """What it is about: the larger of what the document says and what stands in the form."""
    found = [authority["amount"]] if "amount" in authority else []
    field = authority.get("amount_of")
    value = entered.get(field) if field is not None and isinstance(entered, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        found.append(value)
    return max(found, default=None)


def _limit(identity: Identity, authority: Mapping[str, Any]) -> float | None:
    """The highest amount that they may decide. Limits of the task by role beat people's own."""
    by_role = authority.get("limits")
    if by_role is not None:
        return max((by_role[role] for role in identity.roles if role in by_role), default=0.0)
    name = authority.get("class", "amount")
    return identity.limits.get(name, identity.limits.get("amount"))
