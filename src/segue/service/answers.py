"""Answers through a lens: shapes of the service with masks where the lens hides something.

`masking.py` says what is hidden, `masks.py` what stands there instead; here is where values stand in each shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from segue.dsl.flows import Cover, TaskCovers, merged
from segue.service.asked import HumanTaskDetail, HumanTaskView, LabelView, NoticeView
from segue.service.inbox import EffectView, ExceptionView
from segue.service.masking import Lens
from segue.service.observe import Observation
from segue.service.portions import told_apart
from segue.service.shapes import Decision, Held, RunSummary, TaskDetail, TaskView
from segue.types import Emit

_EVENT_TEXT: Final = frozenset({"specversion", "id", "time", "datacontenttype", "source", "type"})


def summary(lens: Lens, run: RunSummary) -> RunSummary:
    """One line of a list."""
    output = told_apart(lens.value(run.output, lens.covers.output))
    if not lens.hidden:
        return run if output is run.output else msgspec.structs.replace(run, output=output)
    return msgspec.structs.replace(
        run,
        output=output,
        error=lens.failure(run.error),
        held=None if run.held is None else held(lens, run.held),
    )


def held(lens: Lens, found: Held) -> Held:
    """What waits for somebody: its title may be what went wrong."""
    return msgspec.structs.replace(found, title=lens.words(found.title)) if lens.hidden else found


def run_fields(lens: Lens, seen: Observation, fields: dict[str, Any]) -> dict[str, Any]:
    """What reports and details of a run share (`runs.told`)."""
    return fields | {
        "output": told_apart(lens.value(fields["output"], lens.covers.output)),
        "error": lens.failure(fields["error"]),
        "tasks": [task(lens, found) for found in fields["tasks"]],
        "decisions": [decision(lens, found) for found in fields["decisions"]],
        "events": [_emitted(lens, seen, emitted) for emitted in fields["events"]],
    }


def task(lens: Lens, found: TaskView) -> TaskView:
    """A task without its data."""
    return msgspec.structs.replace(found, error=lens.failure(found.error)) if lens.hidden else found


def task_detail(lens: Lens, found: TaskDetail) -> TaskDetail:
    """A task with its data."""
    if not lens.hidden:
        return found
    covers = lens.covers.task(found.pointer)
    return msgspec.structs.replace(
        found,
        error=lens.failure(found.error),
        input=lens.value(found.input, covers.input),
        # What somebody gave it by hand follows from no program.
        output=lens.any(found.output) if found.by_hand else lens.value(found.output, covers.output),
    )


def task_data(lens: Lens, found: TaskDetail) -> TaskDetail:
    """A task with its data, where large values were left out."""
    shown = task_detail(lens, found)
    return msgspec.structs.replace(shown, input=told_apart(shown.input), output=told_apart(shown.output))


def decision(lens: Lens, found: Decision) -> Decision:
    """What a switch chose, and what it saw."""
    saw = told_apart(lens.value(found.saw, lens.covers.task(found.pointer).input))
    return found if saw is found.saw else msgspec.structs.replace(found, saw=saw)


def _emitted(lens: Lens, seen: Observation, emitted: Emit) -> dict[str, Any]:
    # By the task's number and not by the event's id, which the document may choose.
    found = seen.tasks.get(emitted.id)
    covers = TaskCovers(sent=Cover(lens.covers.classes)) if found is None else lens.covers.task(found.pointer)
    event = lens.cloud_event(emitted.event, covers.sent)
    return {**event, "data": told_apart(event["data"])} if "data" in event else event


def lifecycle(lens: Lens, event: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle CloudEvent. Values go by reference; what failed, and correlation keys, are told."""
    if not lens.hidden:
        return event
    data = dict(event["data"])
    if "error" in data:
        data["error"] = lens.failure(data["error"])
    if "correlationKeys" in data:
        data["correlationKeys"] = lens.any(data["correlationKeys"])
    return {**event, "data": data}


def history(lens: Lens, event: dict[str, Any], pointers: Mapping[int, str]) -> dict[str, Any]:
    """An event as it is stored.

    Args:
        pointers: Places of tasks by number; what is not among them may hold everything.
    """
    if not lens.hidden:
        return event
    place = pointers.get(event.get("id", 0))
    covers = TaskCovers(*[Cover(lens.covers.classes)] * 5) if place is None else lens.covers.task(place)
    shown = dict(event)
    match event.get("e"):
        case "run-started" if "input" in event:
            shown["input"] = lens.value(event["input"], lens.covers.input)
        case "ok" if "output" in event:
            shown["output"] = lens.value(event["output"], covers.result)
        case "failed":
            shown["failure"] = lens.failure(event["failure"])
        case "approval-wanted":
            shown["reason"] = lens.text(event["reason"], covers.sent.whole())
            if "amount" in event and covers.sent.all() & lens.hidden:
                del shown["amount"]
        case "message":
            kept = {key: value for key, value in event["event"].items() if key in _EVENT_TEXT}
            shown["event"] = {k: kept[k] if k in kept else lens.any(v) for k, v in event["event"].items()}
        case "restarted" | "skipped":
            shown |= {key: lens.any(event[key]) for key in ("input", "output") if key in event}
        case "decision":
            if "data" in event:
                shown["data"] = lens.value(event["data"], covers.result.whole())
            if "comment" in event:
                shown["comment"] = lens.text(event["comment"], covers.result.whole())
    return shown


def effect(lens: Lens, found: EffectView) -> EffectView:
    """An act of the ledger with its answer."""
    if not lens.hidden:
        return found
    return msgspec.structs.replace(found, receipt=lens.value(found.receipt, lens.covers.task(found.pointer).result))


def incident(lens: Lens, found: ExceptionView) -> ExceptionView:
    """A failure in the inbox."""
    return msgspec.structs.replace(found, error=lens.failure(found.error)) if lens.hidden else found


def human_task(lens: Lens, found: HumanTaskView) -> HumanTaskView:
    """A task for people as lists show it."""
    if not lens.hidden:
        return found
    if found.kind == "approval":
        return found  # Its title is that of the act's task, in the words of the document.
    shown = lens.covers.task(found.pointer).sent
    return msgspec.structs.replace(
        found,
        title=lens.text(found.title, shown.at("title")),
        requester=lens.text(found.requester, shown.at("requester")),
    )


def human_page(lens: Lens, page: HumanTaskDetail) -> HumanTaskDetail:
    """The page of a task for people."""
    if not lens.hidden:
        return page
    covers = lens.covers.task(page.pointer)
    shown, entered = covers.sent, _entered(covers)
    if page.kind == "approval":
        return _approval(lens, page, covers)
    seen = human_task(lens, page)
    return msgspec.structs.replace(
        page,
        title=seen.title,
        requester=seen.requester,
        description=lens.text(page.description, shown.at("description")),
        form=lens.value(page.form, shown.at("form")),
        # Once somebody has changed it, it may hold a copy of anything that they were shown.
        data=lens.value(page.data, entered if page.edited or page.decisions else shown.at("data")),
        context=lens.value(page.context, shown.at("context")),
        suggestion=lens.value(page.suggestion, shown.at("suggestion")),
        about=lens.value(page.about, shown.at("about")),
        choices=[{**choice, "title": lens.text(choice["title"], shown.at("outcomes"))} for choice in page.choices],
        decisions=[
            msgspec.structs.replace(
                voice, comment=lens.text(voice.comment, entered), data=lens.value(voice.data, entered)
            )
            for voice in page.decisions
        ],
        notices=[notice(lens, found, page.pointer) for found in page.notices],
        run_input=lens.value(page.run_input, lens.covers.input),
        steps=[task_detail(lens, step) for step in page.steps],
    )


def _approval(lens: Lens, page: HumanTaskDetail, covers: TaskCovers) -> HumanTaskDetail:
    """The page of an act that waits: its arguments are what is sent, and why it waits may tell an amount of them."""
    context = Cover(parts={"act": Cover(parts={"arguments": covers.sent})})
    amount = {} if covers.sent.all() & lens.hidden else {"amount": page.authority.get("amount")}
    authority = {key: value for key, value in page.authority.items() if key != "amount"} | amount
    return msgspec.structs.replace(
        page,
        description=lens.text(page.description, covers.sent.whole()),
        context=lens.value(page.context, context),
        authority={key: value for key, value in authority.items() if value is not None},
        decisions=[
            msgspec.structs.replace(voice, comment=lens.text(voice.comment, covers.sent.whole()))
            for voice in page.decisions
        ],
        run_input=lens.value(page.run_input, lens.covers.input),
        steps=[task_detail(lens, step) for step in page.steps],
    )


def notice(lens: Lens, found: NoticeView, pointer: str) -> NoticeView:
    """What somebody was told of a task at this place."""
    return msgspec.structs.replace(found, title=title(lens, found.title, pointer)) if lens.hidden else found


def title(lens: Lens, text: str, pointer: str) -> str:
    """The title of a task for people."""
    shown: str = lens.text(text, lens.covers.task(pointer).sent.at("title"))
    return shown


def label(lens: Lens, found: LabelView, pointer: str) -> LabelView:
    """What a decision says about a model's answer."""
    if not lens.hidden:
        return found
    covers = lens.covers.task(pointer)
    about = covers.sent.at("about")
    return msgspec.structs.replace(
        found,
        input=lens.value(found.input, about.at("input")),
        proposed=lens.value(found.proposed, merged(about.at("value"), covers.sent.at("data"))),
        decided=lens.value(found.decided, _entered(covers)),
    )


def _entered(covers: TaskCovers) -> Cover:
    """What people enter: they may copy whatever they are shown."""
    return merged(covers.result.whole(), covers.sent.whole())


def record(lens: Lens, told: dict[str, Any]) -> dict[str, Any]:
    """The record of a run as the store has it, in exports."""
    if not lens.hidden:
        return told
    shown = dict(told)
    shown["output"] = lens.value(told.get("output"), lens.covers.output)
    shown["failure"] = lens.failure(told.get("failure"))
    return shown
