"""`segue subjects …`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import print_json, say
from segue.service import NewErasure, NewHold

Subject = Annotated[str, Parameter(help="Whom or what runs say they are about.")]
Reason = Annotated[str, Parameter(help="Why; it is recorded.")]


def export(
    subject: Annotated[str | None, Parameter(help="Whom or what runs say they are about.")] = None,
    /,
    *,
    person: Annotated[
        str | None, Parameter(help="Also what this person is, did and was told as a user; with or without a subject.")
    ] = None,
    data: Data = None,
) -> None:
    """Print everything that is held about one person, as JSON."""
    request = Request("GET", "/subjects/export", {"subject": subject, "person": person})
    print_json(ask(data, request, lambda service: service.subjects.export(subject, person=person)))


def erase(
    subject: Subject,
    /,
    *,
    reason: Reason,
    dry_run: Annotated[bool, Parameter(negative="", help="Only count what would be erased.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Erase a data subject by destroying its keys. It cannot be undone."""
    wanted = NewErasure(subject=subject, reason=reason, dry_run=dry_run)
    body = {"subject": subject, "reason": reason, "dryRun": dry_run}
    done = ask(data, Request("POST", "/subjects/erase", body=body), lambda service: service.subjects.erase(wanted))
    if json:
        print_json(done)
        return
    what = "would be erased" if dry_run else f"erased, {done['keys']} keys destroyed"
    say(f"{done['runs']} runs, {done['events']} events and {done['labels']} labels {what}")


def hold(
    subject: Subject,
    /,
    *,
    reason: Reason,
    lift: Annotated[bool, Parameter(negative="", help="Lift it.")] = False,
    data: Data = None,
) -> None:
    """Put a legal hold on a data subject, so that nothing about it is erased or removed by age."""
    wanted = NewHold(subject=subject, reason=reason, on=not lift)
    body = {"subject": subject, "reason": reason, "on": not lift}
    ask(data, Request("POST", "/subjects/hold", body=body), lambda service: service.subjects.hold(wanted))
    say("lifted" if lift else "held")
