"""What a control report says in words, whatever it is rendered as."""

from __future__ import annotations

from typing import Final

from segue.service.audit import AuditVerification
from segue.service.controls import OUTCOMES, ControlReport, ControlResult, ControlReview

DISCLAIMER: Final = (
    "What Segue recorded in this period, held against controls. It says what was found and what has to be explained;"
    " it does not say that anything complies. The mapping to frameworks is a reading of theirs, to be checked against"
    " the texts that bind you."
)
EMPTY: Final = "Nobody has reviewed this control for this period."


def heading_facts(report: ControlReport) -> list[tuple[str, str]]:
    """What stands at the top of a report."""
    return [
        ("Workspace", report.workspace),
        ("Period", f"{report.since} to before {report.until} (UTC)"),
        ("Made", f"{report.made_at} by {report.made_by}, with Segue {report.segue}"),
        ("Asked", "every query is printed with its control and was run when the report was made"),
    ]


def chain_words(chain: AuditVerification) -> str:
    """Whether the chain is sound, in one line."""
    return "Audit chain " + (
        "sound: nothing was found altered, missing or cut off" if chain.sound else "NOT SOUND: see what was found"
    )


def chain_facts(chain: AuditVerification) -> list[tuple[str, str]]:
    """What verifying found."""
    facts = [
        ("Records", f"{chain.records} ({chain.first or 0} to {chain.last}), read in {chain.seconds} s"),
        (
            "Checkpoints",
            f"{chain.checkpoints} signed with key {chain.key}; {chain.uncovered} records behind the newest",
        ),
        ("Histories", f"{chain.history} rows unchanged, {chain.removed} removed by retention"),
    ]
    if chain.given_up:
        facts.append(("Given up", f"{chain.given_up} checkpoints, by restoring a backup"))
    if chain.more:
        facts.append(("Further problems", str(chain.more)))
    return facts


def summary_of(report: ControlReport) -> str:
    """One sentence of figures."""
    told = ", ".join(f"{report.counts[outcome]} {outcome}" for outcome in OUTCOMES)
    done = sum(any(_is_of(review, report) for review in c.reviews) for c in report.controls)
    return f"{len(report.controls)} controls: {told}. {done} reviewed for exactly this period."


def reviewed(control: ControlResult, report: ControlReport) -> str:
    """Whether it was reviewed for this period, in a few words."""
    found = next((review for review in control.reviews if _is_of(review, report)), None)
    return "" if found is None else f"{found.outcome} by {found.by}"


def review_line(review: ControlReview, report: ControlReport) -> str:
    """A review on one line."""
    period = "" if _is_of(review, report) else f" for {review.since} to {review.until}"
    had = f"{review.result}, {review.evidence} evidence, {review.exceptions} exceptions"
    said = f"{review.outcome}{period} by {review.by} at {review.at} (record {review.record}), having seen: {had}"
    return f"{said}. “{review.comment}”"


def coverage(report: ControlReport) -> list[tuple[str, list[tuple[str, str, list[ControlResult]]]]]:
    """By framework: its title, and each number with what it is about and the controls that speak to it."""
    numbers: dict[str, dict[tuple[str, str], list[ControlResult]]] = {}
    for control in report.controls:
        for mapped in control.mapped_to:
            found = numbers.setdefault(mapped.framework, {})
            found.setdefault((mapped.number, mapped.about), []).append(control)
    return [
        (title, [(*place, controls) for place, controls in sorted(numbers[key].items(), key=_order)])
        for key, title in report.frameworks.items()
        if key in numbers
    ]


def _order(entry: tuple[tuple[str, str], object]) -> list[tuple[int, str]]:
    # 5 comes before 15, and `2.4` before `2.10`.
    number = entry[0][0]
    parts = "".join(c if c.isalnum() else " " for c in number).split()
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _is_of(review: ControlReview, report: ControlReport) -> bool:
    return (review.since, review.until) == (report.since, report.until)
