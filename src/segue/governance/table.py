"""The published table: which role may do what, computed from the policies and never written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segue.governance.actions import ACTIONS, GROUPS, ROLES
from segue.governance.policy import Policies, Resource
from segue.types import DEFAULT_WORKSPACE, Identity

CLASSES: Final = ("public", "internal", "personal", "secret")
"""Classes of data that documents are expected to name; others may be named too."""


def may(policies: Policies, role: str, action: str, context: Mapping[str, Any] | None = None) -> str:
    """The verdict for a person with this role alone, about something of no special kind in the same workspace."""
    person = Identity(kind="person", id="", roles=frozenset({role}))
    resource = Resource(ACTIONS[action].resource)
    return policies.decide(person, action, resource, workspace=DEFAULT_WORKSPACE, context=context).verdict


def roles_for(policies: Policies, action: str) -> list[str]:
    """Shipped roles that may do this."""
    if action not in ACTIONS:
        return []
    return [role for role in ROLES if may(policies, role, action) == "allow"]


def table(policies: Policies) -> dict[str, list[str]]:
    """Roles that may do it, by action."""
    return {action: roles_for(policies, action) for action in ACTIONS}


def classes_as_markdown(policies: Policies) -> str:
    """Which role sees which class of data, as it stands in docs/permissions.md."""
    lines = ["| class | " + " | ".join(ROLES) + " |", "| --- |" + " --- |" * len(ROLES)]
    for name in (*CLASSES, ""):
        marks = " | ".join(
            "yes" if may(policies, role, "data.see", {"class": name}) == "allow" else "" for role in ROLES
        )
        lines.append(f"| {f'`{name}`' if name else 'any other'} | {marks} |")
    return "\n".join(lines) + "\n"


def as_markdown(policies: Policies) -> str:
    """The table as it stands in docs/permissions.md."""
    lines = ["| action | what | " + " | ".join(ROLES) + " |", "| --- | --- |" + " --- |" * len(ROLES)]
    for action, allowed in table(policies).items():
        marks = " | ".join("yes" if role in allowed else "" for role in ROLES)
        lines.append(f"| `{action}` | {ACTIONS[action].about} | {marks} |")
    return "\n".join(lines) + "\n"


def groups_as_markdown() -> str:
    """The groups of actions, as they stand in docs/permissions.md."""
    lines = ["| group | lets somebody | actions |", "| --- | --- | --- |"]
    for group, about in GROUPS.items():
        names = ", ".join(f"`{name}`" for name, action in ACTIONS.items() if group in action.groups)
        lines.append(f"| `{group}` | {about} | {names} |")
    return "\n".join(lines) + "\n"
