"""`segue tasks …`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.inputs import read_json
from segue.cli.output import fields, print_json, print_value, say, table, tell_more, who_is_asked
from segue.cli.runs import show_tasks
from segue.service import HumanTaskKindName, Priority, ServiceError

Number = Annotated[int, Parameter(help="Number of the task.")]
Reason = Annotated[str, Parameter(help="Why; kept in the history of the run.")]
Names = Annotated[list[str] | None, Parameter(help="May be repeated.")]
Form = Annotated[str | None, Parameter(name="--form", help="What the form holds: JSON, @FILE or @-.")]
Comment = Annotated[str, Parameter(help="Why; kept in the history of the run.")]
Seen = Annotated[
    str | None, Parameter(help="`seen` of the page that was read; left out, the task is read now and shown first.")
]


def list_(
    *,
    mine: Annotated[bool, Parameter(negative="", help="Only what waits for whoever asks.")] = False,
    queue: Annotated[str | None, Parameter(help="Only of role:NAME, group:NAME, person:NAME or agent:NAME.")] = None,
    owner: Annotated[str | None, Parameter(help="Only claimed by this person.")] = None,
    workflow: Annotated[str | None, Parameter(help="Only of namespace/name.")] = None,
    run: Annotated[str | None, Parameter(help="Only of this run.")] = None,
    priority: Annotated[Priority | None, Parameter(help="Only of this priority.")] = None,
    overdue: Annotated[bool, Parameter(negative="", help="Only what is late.")] = False,
    kind: Annotated[HumanTaskKindName | None, Parameter(help="Only tasks, or only approvals of acts.")] = None,
    state: Annotated[Literal["open", "closed", "all"], Parameter(help="Open ones, closed ones, or all.")] = "open",
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List tasks for people, newest first."""
    query: dict[str, Any] = {"queue": queue, "owner": owner, "workflow": workflow, "run": run, "priority": priority}
    query["kind"] = kind
    asked = {**query, "mine": _flag(mine), "overdue": _flag(overdue), "state": state, "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/tasks", asked),
        lambda service: service.tasks.page(
            **query, mine=mine, overdue=overdue, state=None if state == "all" else state, limit=limit, after=after
        ),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            t["id"],
            t["priority"],
            t["title"],
            t["state"],
            who_is_asked(t),
            t["dueAt"] or "",
            t["run"],
            t["outcome"] or "",
        )
        for t in page["items"]
    ]
    table(("id", "priority", "task", "state", "for", "due", "run", "outcome"), rows, empty="No tasks.")
    tell_more(page)


def show(task: Number, /, *, data: Data = None, json: AsJson = False) -> None:
    """Show one task with everything that a decision needs."""
    found = ask(data, Request("GET", f"/tasks/{task}"), lambda service: service.tasks.get(task))
    if json:
        print_json(found)
    else:
        show_task(found)


def claim(task: Number, /, *, data: Data = None, json: AsJson = False) -> None:
    """Take a task, so that nobody else works on it."""
    _do(task, "claim", None, data, json)


def release(task: Number, /, *, reason: Reason = "", data: Data = None, json: AsJson = False) -> None:
    """Put a claimed task back."""
    _do(task, "release", {"reason": reason}, data, json)


def delegate(
    task: Number,
    /,
    *,
    to: Annotated[str, Parameter(help="Id of the person.")],
    reason: Reason = "",
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Hand a task to another person, who still needs the role and the limit to decide it."""
    _do(task, "delegate", {"to": to, "reason": reason}, data, json)


def reassign(
    task: Number,
    /,
    *,
    person: Names = None,
    role: Names = None,
    group: Names = None,
    agent: Names = None,
    reason: Reason,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Offer a task to other people instead."""
    given = {"person": person, "role": role, "group": group, "agent": agent}
    _do(task, "reassign", {"reason": reason, **{k: v for k, v in given.items() if v}}, data, json)


def decide(
    task: Number,
    outcome: Annotated[str, Parameter(help="One of the task's choices, such as approve or reject.")],
    /,
    *,
    form: Form = None,
    comment: Comment = "",
    seen: Seen = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Decide a task."""
    _decide(task, "decide", {"outcome": outcome}, form, comment, seen, data, json)


def send_back(
    task: Number, /, *, comment: Comment, seen: Seen = None, data: Data = None, json: AsJson = False
) -> None:
    """Send a task back, saying what is missing."""
    _decide(task, "decide", {"outcome": "send-back"}, None, comment, seen, data, json)


def resubmit(
    task: Number,
    /,
    *,
    form: Form = None,
    comment: Comment = "",
    seen: Seen = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give a task that was sent back to the same people again, with corrected data."""
    _decide(task, "resubmit", {}, form, comment, seen, data, json)


def queues(*, data: Data = None, json: AsJson = False) -> None:
    """Count open tasks by audience, and claimed ones by person."""
    found = ask(data, Request("GET", "/tasks/queues"), lambda service: service.tasks.queues())
    load = ask(data, Request("GET", "/tasks/workload"), lambda service: service.tasks.workload())
    if json:
        print_json({"queues": found, "workload": load})
        return
    rows = [(q["kind"], q["name"], q["open"], q["overdue"], q["oldestAt"]) for q in found]
    table(("kind", "name", "open", "overdue", "oldest"), rows, empty="No open tasks.")
    if load:
        say()
        people = [(w["person"], w["open"], w["overdue"], _away(w)) for w in load]
        table(("claimed by", "open", "overdue", "away"), people, empty="")


def stats(
    *,
    days: Annotated[int, Parameter(help="Over so many days.")] = 90,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show how often people overrule what is proposed, and how long they take, by place and model."""
    found = ask(data, Request("GET", "/tasks/figures", {"days": days}), lambda s: s.tasks.figures(days=days))
    if json:
        print_json(found)
        return
    rows = [
        (
            *(f["workflow"], f["pointer"], " ".join(filter(None, (f["model"], f["version"])))),
            *(f["decided"], f["expired"], _share(f["overruleRate"]), f["edited"], _span(f["medianSeconds"])),
        )
        for f in found
    ]
    names = ("workflow", "task", "model", "decided", "expired", "overruled", "edited", "median")
    table(names, rows, empty="Nothing was decided.")


def labels(
    *,
    model: Annotated[str | None, Parameter(help="Only of this model.")] = None,
    version: Annotated[str | None, Parameter(help="Only of this version of it.")] = None,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List what people's decisions say about models' answers."""
    query: dict[str, Any] = {"model": model, "version": version, "limit": limit, "after": after}
    found = ask(data, Request("GET", "/labels", query), lambda service: service.tasks.labels(**query))
    if json:
        print_json(found)
        return
    rows = [
        (
            x["task"],
            f"{x['model']} {x['version']}",
            x["proposed"],
            x["decided"],
            "yes" if x["agreed"] else "no",
            x["by"],
        )
        for x in found["items"]
    ]
    table(("task", "model", "proposed", "decided", "agreed", "by"), rows, empty="No labels.")
    tell_more(found)


# -- helpers ---------------------------------------------------------------------------------------


def _do(task: int, act: str, body: dict[str, Any] | None, data: Data, json: bool) -> None:
    found = ask(data, Request("POST", f"/tasks/{task}/{act}", body=body), None)
    if json:
        print_json(found)
    else:
        said = found["outcome"] or f"for {who_is_asked(found)}"
        say(f"{found['id']} {found['state']}: {said}" + (f", {found['votes']} so far" if found["votes"] else ""))


def _decide(
    task: int,
    act: str,
    body: dict[str, Any],
    form: str | None,
    comment: str,
    seen: str | None,
    data: Data,
    json: bool,
) -> None:
    if seen is None:
        # What is decided must have been shown: here it is.
        page = ask(data, Request("GET", f"/tasks/{task}"), None)
        if not page["seen"]:
            raise ServiceError("human-task-closed", f"Task {task} is closed: {page['outcome'] or page['state']}.")
        seen = page["seen"]
        if not json:
            show_task(page)
            say()
    body |= {"seen": seen, "comment": comment}
    if form is not None:
        body["data"] = read_json(form, "--form")
    _do(task, act, body, data, json)


def show_task(found: dict[str, Any]) -> None:
    """The page of a task."""
    fields(
        [
            *(("task", found["id"]), ("title", found["title"]), ("state", found["state"])),
            *(("priority", found["priority"]), ("for", who_is_asked(found)), ("requester", found["requester"])),
            *(("workflow", f"{found['workflow']['namespace']}/{found['workflow']['name']}"), ("run", found["run"])),
            *(("offered", found["offeredAt"]), ("due", found["dueAt"])),
            ("deadline", f"{found['deadlineAt']}: {found['deadlineOutcome']}" if found["deadlineAt"] else None),
            ("choices", ", ".join(choice["outcome"] for choice in found["choices"]) or None),
            ("you may", "decide" if found["mayDecide"] else found["whyNot"]),
            ("outcome", f"{found['outcome']} by {found['by'] or 'nobody'}" if found["outcome"] else None),
        ]
    )
    if found["kind"] == "approval" and isinstance(found["context"], dict):
        _show_act(found)
    else:
        for name in ("description", "suggestion", "about", "context", "data", "form"):
            if found[name] is not None:
                say(f"\n{name}")
                print_value(found[name])
    if found["decisions"]:
        say()
        rows = [(d["outcome"], d["by"], d["at"], d["via"], d["comment"]) for d in found["decisions"]]
        table(("decision", "by", "at", "via", "comment"), rows, empty="")
    if found["changes"]:
        say()
        rows = [(c["change"], c["at"], c["by"], c["owner"], c["reason"]) for c in found["changes"]]
        table(("change", "at", "by", "owner", "reason"), rows, empty="")
    show_tasks(found["steps"], [])


def _show_act(found: dict[str, Any]) -> None:
    """What would go out, why it waits, and what it can carry."""
    say(f"\n{found['description']}")
    for rule, text in found["context"]["rules"].items():
        say(f"\nrule {rule}")
        say(str(text).rstrip())
    for name in ("act", "labels"):
        say(f"\n{name}")
        print_value(found["context"][name])


def _away(load: dict[str, Any]) -> str:
    return f"away, {load['deputy'] or 'no deputy'}" if load["absent"] else ""


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0%}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _flag(value: bool) -> str | None:
    return "true" if value else None
