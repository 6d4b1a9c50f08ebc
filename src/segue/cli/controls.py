"""`segue controls …`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import fields, note, paint, print_json, say, table
from segue.service import ControlReport, NewControlReview, ServiceError, report_as_html, report_as_pdf

_COLOUR = {"holds": "green", "exceptions": "red", "no evidence": "yellow", "not covered": "dim"}
Framework = Annotated[
    str | None, Parameter(help="Only controls mapped to it: gdpr, hipaa, soc2 or nist.", show_choices=False)
]
Since = Annotated[
    datetime | None,
    Parameter(name="--from", help="Begin of the period, UTC unless it says otherwise; 30 days before its end."),
]
Until = Annotated[datetime | None, Parameter(name="--to", help="Its end, which is not part of it; now.")]


def list_(*, framework: Framework = None, data: Data = None, json: AsJson = False) -> None:
    """List controls and what they are mapped to."""
    page = ask(
        data,
        Request("GET", "/controls", {"framework": framework}),
        lambda service: service.controls.page(framework=framework),
    )
    if json:
        print_json(page)
        return
    rows = [
        (c["id"], c["title"], c["area"], "yes" if c["covered"] else "no", _numbers(c["mappedTo"]))
        for c in page["items"]
    ]
    table(("id", "title", "area", "covered", "mapped to"), rows, empty="No controls.")


def report(
    control: Annotated[str | None, Parameter(help="Only this control, in full.")] = None,
    /,
    *,
    from_: Since = None,
    to: Until = None,
    framework: Framework = None,
    html: Annotated[Path | None, Parameter(help="Write it as a page.")] = None,
    pdf: Annotated[Path | None, Parameter(help="Write it as PDF; needs the extra `pdf`.")] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Report what every control came to in a period, with evidence and exceptions."""
    since, until = from_ and _utc(from_), to and _utc(to)
    query = {
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
        "framework": framework,
        "control": control,
    }
    found = ask(
        data,
        Request("GET", "/controls/report", query),
        lambda service: service.controls.report(since=since, until=until, framework=framework, control=control),
    )
    if html is not None:
        _write(html, report_as_html(msgspec.convert(found, ControlReport)).encode())
    if pdf is not None:
        _write(pdf, report_as_pdf(msgspec.convert(found, ControlReport)))
    if json:
        print_json(found)
    elif control is not None:
        _show(found["controls"][0])
    else:
        _tell(found)


def review(
    control: Annotated[str, Parameter(help="Id of the control.")],
    outcome: Annotated[Literal["accepted", "objected"], Parameter(help="What you say to it.")],
    /,
    *,
    from_: Annotated[datetime, Parameter(name="--from", help="Begin of the period, as in the report.")],
    to: Annotated[datetime, Parameter(help="Its end, as in the report.")],
    comment: Annotated[str, Parameter(help="What you have looked at, and what of each exception.")],
    seen: Annotated[str | None, Parameter(help="Digest in the report that you have read.")] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Sign a control off for a period, or object. Recorded in the audit chain, with what was found."""
    since, until = _utc(from_), _utc(to)
    wanted = NewControlReview(since=since, until=until, outcome=outcome, comment=comment, seen=seen)
    body = {**msgspec.to_builtins(wanted), "since": since.isoformat(), "until": until.isoformat()}
    made = ask(
        data,
        Request("POST", f"/controls/{control}/reviews", body=body),
        lambda service: service.controls.review(control, wanted),
    )
    if json:
        print_json(made)
    else:
        found = f"{made['result']}, {made['evidence']} evidence, {made['exceptions']} exceptions"
        say(f"{control} {made['outcome']} by {made['by']} (record {made['record']}); it had {found}")


def _tell(found: dict[str, Any]) -> None:
    sound = found["chain"]["sound"]
    fields([("period", f"{found['since']} to {found['until']}"), ("workspace", found["workspace"])])
    say(paint(f"audit chain {'sound' if sound else 'NOT sound'}", "green" if sound else "red") + "\n")
    rows = [
        (c["id"], c["title"], c["area"], c["result"], *_counts(c), len(c["reviews"]) or None)
        for c in found["controls"]
    ]
    table(("id", "title", "area", "result", "evidence", "exceptions", "reviews"), rows, empty="No controls.")
    note("Nothing here says that anything complies. `segue controls report ID` shows one in full.")


def _show(found: dict[str, Any]) -> None:
    say(f"{found['title']}: {paint(found['result'], _COLOUR[found['result']])}")
    fields([("statement", found["statement"]), ("mapped to", _numbers(found["mappedTo"])), ("seen", found["digest"])])
    for finding in (*found["found"], *found["toExplain"]):
        say(f"\n{finding['says']}: {finding['count']}")
        fields([("asked", finding["query"])])
        rows = [(row["at"], row["ref"], row["what"], row["by"]) for row in finding["shown"]]
        if rows:
            table(("at", "reference", "what", "by"), rows, empty="")
    for gap in found["gaps"]:
        say(f"\nnot shown: {gap}")
    for one in found["reviews"]:
        say(f"\n{one['outcome']} by {one['by']} for {one['since']} to {one['until']}: {one['comment']}")


def _counts(control: dict[str, Any]) -> tuple[int | None, int | None]:
    return (control["evidence"], control["exceptions"]) if control["covered"] else (None, None)


def _numbers(mapped: list[dict[str, Any]]) -> str:
    by_title: dict[str, list[str]] = {}
    for one in mapped:
        by_title.setdefault(one["title"], []).append(one["number"])
    return "; ".join(f"{title} {', '.join(numbers)}" for title, numbers in by_title.items())


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ServiceError("file-unreadable", f"{str(path)!r} cannot be written: {error.strerror}.") from None
    note(f"wrote {path}")


def _utc(moment: datetime) -> datetime:
    # A report is of days in UTC wherever it is made, so that two people mean the same period.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
