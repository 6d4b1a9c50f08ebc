"""What a document says of itself in `document.metadata.segue`, and whether there is what it names.

Some of it is for people (owner, purpose), some for rules (risk, classes, use case). The error route, the fallback and
the tests are claims about this document and this installation, and are checked as such: a route names people there
are, a task that catches, or a workflow that something starts (decision 0153).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from segue.core import Plan
from segue.core.plan import ActNode, Node, TryNode
from segue.dsl import Document
from segue.dsl.flows import started_by
from segue.service.definitions import finding_of
from segue.service.errors import Finding
from segue.service.holders import KINDS, Holders

Strictness = Literal["off", "warn", "block"]
REQUIRED: Final = {
    "owner": "who answers for it: a person or a team",
    "purpose": "what it is for, in a sentence",
    "risk": "its class of risk, such as minimal, limited or high",
    "classes": "a list of the data classes that it handles, such as personal; [] for none",
    "error_route": "who or what gets its failures: `group:NAME`, `role:NAME`, `person:NAME`, `task:NAME` or "
    "`workflow:NAMESPACE/NAME`",
    "fallback": "what is done while it does not work: `task:NAME`, `workflow:NAMESPACE/NAME`, or by whom by hand: "
    "`group:NAME`, `role:NAME`, `person:NAME`",
    "tests": "a list of cases; `segue test FILE` plays them",
}
"""What `document.metadata.segue` must say before a document counts, where the setting asks for it."""
PLACE: Final = "/document/metadata/segue"
_ROUTES: Final = {"error_route": "unknown-error-route", "fallback": "unknown-fallback"}
_FORMS: Final = "`group:NAME`, `role:NAME`, `person:NAME`, `task:NAME` or `workflow:NAMESPACE/NAME`"

Reactive = Callable[[str, str], "bool | None"]
"""Does a published workflow of this namespace and name start on events by itself? None: there is none."""


class _Wrong(NamedTuple):
    message: str
    remedy: str


def said_of(definition: Any) -> Mapping[str, Any]:
    """What a document says in `document.metadata.segue`."""
    found = definition
    for key in ("document", "metadata", "segue"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def facts_of(definition: Any) -> dict[str, Any]:
    """What policies see of a document: what it is for, its class of risk, and its data classes."""
    said = said_of(definition)
    risk, classes, use_case = said.get("risk"), said.get("classes"), said.get("use_case")
    return {
        "use_case": use_case if isinstance(use_case, str) else "",
        "risk": risk if isinstance(risk, str) else "",
        "classes": [one for one in classes if isinstance(one, str)] if isinstance(classes, list) else [],
    }


def missing(document: Document, strictness: Strictness) -> Iterator[Finding]:
    """What the document does not say of itself and must."""
    if strictness == "off":
        return
    said = said_of(document.data)
    severity: Literal["error", "warning"] = "error" if strictness == "block" else "warning"
    for key, meaning in REQUIRED.items():
        value = said.get(key)
        kinds = list if key == "classes" else (str, list, dict)
        if not isinstance(value, kinds) or (key != "classes" and not value):
            place = PLACE if said else "/document"
            found = document.finding("governed", severity, f"`{key}` is missing", f"Say {meaning}.", pointer=place)
            yield finding_of(found)


async def unproven(document: Document, plan: Plan, holders: Holders, reactive: Reactive) -> list[Finding]:
    """Error routes and fallbacks that name what is not there, as errors. What is missing altogether is not told."""
    found = []
    for key, rule in _ROUTES.items():
        for value, pointer in _listed(said_of(document.data).get(key), f"{PLACE}/{key}"):
            wrong = await _checked(key, value, plan, holders, reactive)
            if wrong is not None:
                told = document.finding(rule, "error", f"`{key}`: {wrong.message}", wrong.remedy, pointer=pointer)
                found.append(finding_of(told))
    return found


def _listed(said: Any, pointer: str) -> Iterator[tuple[Any, str]]:
    """Each thing that is named, and where: one, a list, or objects with `to` and words of one's own in `how`."""
    if isinstance(said, list):
        for place, one in enumerate(said):
            yield from _listed(one, f"{pointer}/{place}")
    elif isinstance(said, dict) and "to" in said:
        yield from _listed(said["to"], f"{pointer}/to")
    elif said:
        yield said, pointer


async def _checked(key: str, value: Any, plan: Plan, holders: Holders, reactive: Reactive) -> _Wrong | None:
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind in KINDS and name:
        if await holders.of(kind, name):
            return None
        return _Wrong(f"nobody is {_of_kind(kind, name)}", "Name somebody there is; `segue users list` shows who.")
    if kind == "task" and name:
        return _task(name, plan)
    if kind == "workflow" and name.count("/") == 1:
        return _workflow(key, name, plan, reactive)
    return _Wrong(
        f"{value!r:.80} names nothing that can be looked up", f"Write {_FORMS}; words of your own go into `how`."
    )


def _of_kind(kind: str, name: str) -> str:
    return {"person": f"called {name!r}", "group": f"in the group {name!r}"}.get(kind, f"given the role {name!r}")


def _task(name: str, plan: Plan) -> _Wrong | None:
    meant = [node for node in plan.nodes if name in (node.name, node.pointer)]
    if not meant:
        return _Wrong(f"there is no task {name!r} in the document", "Name a task that a `catch` leads to.")
    caught = _caught(plan)
    if not any(node in caught for node in meant):
        remedy = "Put it below a `catch`, or let `catch.then` lead to it; or name another task."
        return _Wrong(f"no failure leads to the task {name!r}: it stands below no `catch`", remedy)
    return None


def _caught(plan: Plan) -> set[Node]:
    """Tasks that run because something failed: those of a `catch`, all below them, and where a `catch.then` leads."""
    found: set[Node] = set()
    for node in plan.nodes:
        if not isinstance(node, TryNode):
            continue
        begun = list(node.catch_tasks or ())
        if node.catch_then is not None and node.catch_then >= 0:
            around = plan.around(node)
            # The list that a wrapped task jumps in is that of its wrapper.
            beside = around[-1] if around and around[-1].kind == "extended" else node
            begun.append(beside.siblings[node.catch_then])
        while begun:
            one = begun.pop()
            found.add(one)
            begun += [child for listed in one.children() for child in listed]
    return found


def _workflow(key: str, name: str, plan: Plan, reactive: Reactive) -> _Wrong | None:
    namespace, _, short = name.partition("/")
    by_itself = reactive(namespace, short)
    if by_itself is None:
        return _Wrong(f"no workflow {name} is published", "Publish it first, or name another one.")
    if (namespace, short) == (plan.namespace, plan.name):
        return _Wrong("it names this workflow itself", "Name another one: this one is what fails.")
    caught = [started_by(node) for node in _caught(plan) if isinstance(node, ActNode) and node.handler == "workflow"]
    if key == "fallback" or by_itself or any((one.namespace, one.name) == (namespace, short) for one in caught):
        return None
    remedy = "Start it by `run: workflow` below a `catch`, or let it start on an event (`schedule.on`)."
    return _Wrong(f"nothing starts the workflow {name} when this one fails", remedy)
