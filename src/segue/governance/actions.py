"""Everything that somebody can be allowed to do, as data: the words that policies, verdicts and audit records use.

A use case of the service declares one of these names; a name stands in one or more groups, and roles are granted
groups. Whoever adds a use case adds its action here, in the group whose people should have it; an action in no group
is the owner's alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

GROUPS: Final = {
    "read": "look at workflows, runs and what they did",
    "operate": "start, steer and repair runs, send events",
    "approve": "decide what waits for a person",
    "build": "check workflows and connections, practise with them",
    "publish": "put workflows into force",
    "connect": "add and remove connections and secrets",
    "audit": "read policies, identities, records and proofs",
    "own": "decide about what one owns",
    "stop": "stop what is running",
    "administer": "decide who may do what, and how long what is kept",
    "provision": "say who works in the company: for the account of a directory",
}


class Action(NamedTuple):
    """One thing that can be done.

    Attributes:
        resource: Type of what it is done to.
        groups: Where it stands.
        about: What it lets somebody do, for the published table.
        quiet: Being allowed it is not recorded: it changes nothing, and happens all the time. What stands in the
            group `read` is quiet too.
    """

    resource: str
    groups: tuple[str, ...]
    about: str
    quiet: bool = False


ACTIONS: Final[dict[str, Action]] = {
    "workflow.list": Action("Workflow", ("read",), "List workflows"),
    "workflow.read": Action("Workflow", ("read",), "Read a workflow"),
    "workflow.validate": Action("Workflow", ("read", "build"), "Check a document"),
    "workflow.publish": Action("Workflow", ("publish",), "Publish a workflow"),
    "workflow.adjust": Action("Workflow", ("operate",), "Change an adjustable value of a workflow"),
    "adjustment.approve": Action(
        "Workflow", ("operate", "approve", "publish"), "Approve or refuse somebody else's change of a value"
    ),
    "publication.list": Action("Workflow", ("read", "publish"), "List publications that wait for approval"),
    "publication.approve": Action("Workflow", ("publish",), "Approve or refuse somebody else's publication"),
    "run.list": Action("Run", ("read",), "List and count runs"),
    "run.read": Action("Run", ("read",), "Read a run with its data"),
    "run.follow": Action("Run", ("read",), "Follow runs as they happen"),
    "run.start": Action("Workflow", ("operate",), "Start a run"),
    "run.control": Action("Run", ("operate",), "Pause, resume or end a run"),
    "run.steer": Action("Run", ("operate",), "Retry, skip or fork a run"),
    "event.send": Action("Event", ("operate",), "Send events to runs"),
    "exception.list": Action("Exception", ("read",), "List failures"),
    "exception.read": Action("Exception", ("read",), "Read a failure with its data"),
    "exception.decide": Action("Exception", ("operate",), "Decide what becomes of a failure"),
    "task.list": Action("HumanTask", ("read",), "List what waits for people"),
    "task.read": Action("HumanTask", ("read",), "Read a task for people with its context"),
    "task.decide": Action("HumanTask", ("approve",), "Decide a task for people"),
    "task.claim": Action("HumanTask", ("approve",), "Claim, release or hand on a task for people"),
    "task.assign": Action("HumanTask", ("operate",), "Offer a task to other people"),
    "task.resubmit": Action("HumanTask", ("operate", "approve"), "Resubmit a task that was sent back"),
    "label.list": Action("Label", ("read",), "Read what people's decisions say about models"),
    "notice.read": Action("Notice", ("read",), "Read what one was told oneself"),
    "profile.list": Action("Profile", ("audit", "administer"), "See how people are reached and what they may decide"),
    "profile.own": Action("Profile", ("read",), "Say how one is reached oneself, and when one is away"),
    "profile.put": Action("Profile", ("administer",), "Change how people are reached and what tasks reach them"),
    "effect.list": Action("Effect", ("read",), "List acts on other systems"),
    "effect.read": Action("Effect", ("read",), "Read an act with its answer"),
    "connection.list": Action("Connection", ("read",), "List connections"),
    "connection.read": Action("Connection", ("read",), "Read a connection"),
    "connection.test": Action("Connection", ("operate", "build", "connect"), "Try a connection"),
    "connection.add": Action("Connection", ("connect",), "Add a connection"),
    "connection.own": Action("Connection", ("connect",), "Say whom a connection belongs to"),
    "consent.decide": Action("Connection", ("own",), "Consent to uses of a connection that one owns"),
    "connection.remove": Action("Connection", ("connect",), "Remove a connection"),
    "model.list": Action("Model", ("read",), "List models"),
    "model.own": Action("Model", ("connect",), "Say whom a model belongs to"),
    "retention.read": Action("Installation", ("audit", "administer"), "See what is kept how long"),
    "retention.run": Action("Installation", ("administer",), "Remove what is due"),
    "backup.make": Action("Installation", ("administer",), "Back the data folder up"),
    "audit.read": Action("Installation", ("audit",), "Read, verify and export the audit chain"),
    "audit.sign": Action("Installation", ("audit", "administer"), "Sign where the audit chain ends"),
    "audit.prune": Action("Installation", ("administer",), "Remove old records of the audit chain"),
    "control.read": Action("Control", ("audit",), "Report on controls, with evidence and exceptions"),
    "control.review": Action("Control", ("audit", "administer"), "Review a control for a period"),
    "policy.read": Action("Policy", ("audit", "administer"), "Read, test and explain policies"),
    "policy.change": Action("Policy", ("administer",), "Change policies"),
    "limit.list": Action("Limit", ("read",), "See how much of each limit on acts is used"),
    "switch.read": Action("Switch", ("read",), "See what is stopped"),
    "switch.stop": Action("Switch", ("stop",), "Stop an agent, model, tool, connection, workflow or workspace"),
    "switch.release": Action("Switch", ("administer",), "Let it go on"),
    "identity.read": Action("Identity", ("audit", "administer"), "List people and accounts"),
    "identity.change": Action("Identity", ("administer",), "Add, change and lock people and accounts"),
    "identity.approve": Action(
        "Identity", ("administer",), "Approve or refuse somebody else's change of a person, as second administrator"
    ),
    "identity.lookup": Action("Identity", ("provision",), "Look up whom the directory provisioned", quiet=True),
    "identity.provision": Action("Identity", ("provision",), "Add, change and remove people as a directory says"),
    "key.read": Action("Installation", ("audit", "administer"), "List data keys, never what they are"),
    "key.rotate": Action("Installation", ("administer",), "Rotate keys"),
    "secret.list": Action("Installation", ("connect",), "List secrets, never their values"),
    "secret.set": Action("Installation", ("connect",), "Keep a secret"),
    "secret.remove": Action("Installation", ("connect",), "Forget a secret"),
    "secret.allow": Action("Installation", ("connect",), "Say who may use a secret"),
    "subject.export": Action("Installation", ("administer",), "Export everything about a data subject"),
    "subject.erase": Action("Installation", ("administer",), "Erase a data subject"),
    "subject.hold": Action("Installation", ("administer",), "Put a legal hold on a data subject, or lift it"),
    "subject.read": Action("Installation", ("audit",), "See everything about one subject on one timeline"),
    "data.see": Action("Workflow", (), "See data of a class in the runs of a workflow; asked for each class"),
    "act.perform": Action("Act", (), "Act on the world; asked for each act of a run"),
}
"""By name. `act.perform` is asked by the host and not by a use case; its principal is the workflow. `data.see` is
asked while an answer is made, and a deny masks values instead of refusing the request.
"""

PRINCIPALS: Final = {
    "person": "Person",
    "service": "Account",
    "agent": "Agent",
    "workflow": "Process",
    "connection": "Link",
    "system": "System",
}
"""What the kinds of identities are called in policies."""

ROLES: Final = {
    "viewer": "Looks, and changes nothing.",
    "operator": "Keeps runs going: starts, steers and repairs them.",
    "approver": "Decides what waits for a person.",
    "builder": "Makes workflows and connections, and tries them; puts nothing into force.",
    "publisher": "Puts workflows into force.",
    "auditor": "Sees everything, also who may do what; changes nothing.",
    "admin": "Decides who may do what; approves and publishes nothing by that alone.",
    "provisioner": "For the account of a directory: says by SCIM who there is, and nothing else.",
    "owner": "Holds the data folder; may do everything that no rule forbids.",
}
"""Roles shipped, and what they are for."""


_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "Workflow": ("namespace", "name"),
    "Connection": ("name",),
    "Event": ("source", "type"),
    "Act": ("namespace", "name", "handler", "connection", "operation", "task"),
}
_CONTEXT: Final[dict[str, dict[str, str]]] = {
    "workflow.publish": {
        "risk": "String",
        "classes": "Set<String>",
        "use_case": "String",
        "affects_person": "Bool",
        "models": "Set<String>",
    },
    "publication.approve": {"own": "Bool"},
    "workflow.adjust": {
        "name": "String",
        "old": "String",
        "new": "String",
        "numbers": "Bool",
        "old_number": "decimal",
        "new_number": "decimal",
        "role": "String",
    },
    "adjustment.approve": {"own": "Bool"},
    "identity.change": {"own": "Bool", "takes_over": "Bool", "grants": "Set<String>"},
    "identity.approve": {"own": "Bool"},
    "profile.put": {"own": "Bool", "takes_over": "Bool"},
    "control.review": {"own": "Bool"},
    "data.see": {"class": "String"},
    "act.perform": {
        "risk": "String",
        "declares": "Set<String>",
        "classes": "Set<String>",
        "untrusted": "Bool",
        "sources": "Set<String>",
        "use_case": "String",
        "affects": "String",
        "adverse": "Bool",
        "decided_by_person": "Bool",
        "decider": "String",
        "decision": "String",
    },
}


def attributes_of(resource: str) -> dict[str, str]:
    """Attributes of a type of resource with their Cedar types. Text that does not apply is empty."""
    return {"workspace": "String", **dict.fromkeys(_ATTRIBUTES.get(resource, ()), "String")}


def context_of(action: str) -> dict[str, str]:
    """What a request for this action tells besides, with Cedar types."""
    return _CONTEXT.get(action, {})


def resource_types() -> list[str]:
    """Types of everything that can be acted on."""
    return sorted({action.resource for action in ACTIONS.values()})


def schema_text() -> str:
    """The Cedar schema that every policy is validated against."""
    people = ", ".join(PRINCIPALS.values())
    lines = ["entity Role;", "entity Group;"]
    lines += [f"entity {name} in [Role, Group] {{ workspace: String }};" for name in PRINCIPALS.values()]
    lines += [f"entity {name} {_record(attributes_of(name))};" for name in resource_types()]
    lines += [f'action "{name}";' for name in GROUPS]
    for name, action in ACTIONS.items():
        groups = ", ".join(f'"{group}"' for group in action.groups)
        within = f" in [{groups}]" if groups else ""
        lines.append(
            f'action "{name}"{within} appliesTo {{ principal: [{people}], resource: [{action.resource}],'
            f" context: {_record(context_of(name))} }};"
        )
    return "\n".join(lines) + "\n"


def _record(fields: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{name}: {kind}" for name, kind in fields.items()) + " }"
