"""What a document says in `document.metadata.segue`: hold or fault, owner, deadline, pace, what of its runs stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

from segue.core import Plan
from segue.dsl import Document, Finding, parse_duration_ms
from segue.dsl.expressions import ExpressionError, compile_expression
from segue.service.settings import HISTORY_MIN

if TYPE_CHECKING:
    from segue.hosts import FailurePolicy

CHOICES: Final = ("hold", "fault")
_PLACE: Final = "/document/metadata/segue"
LADDER_MAX: Final = 20
DAYS_MAX: Final = 36_500
CONCURRENCY_MAX: Final = 1_000_000
_KEPT_MAX: Final = 1024


class Ladder(NamedTuple):
    """When an exception is passed on, in milliseconds each, and to whom."""

    after_ms: int | None
    to: tuple[str, ...]


def policies(
    *,
    attended: bool,
    concurrency: Mapping[str, int] | None = None,
    escalate_after: str | None = None,
    escalate_to: tuple[str, ...] = (),
) -> Callable[[Plan], FailurePolicy]:
    """What the host asks for each new run and each failure.

    Args:
        attended: Somebody can come and decide. Where nobody can, nothing is held, whatever a document says.
        concurrency: How many runs of `namespace/name` may be under way, whatever its documents say.
        escalate_after, escalate_to: Deadline and ladder where a document names no deadline.
    """
    decided = concurrency or {}
    usual = Ladder(None if escalate_after is None else parse_duration_ms(escalate_after), escalate_to)
    known: dict[str, FailurePolicy] = {}

    def policy(plan: Plan) -> FailurePolicy:
        found = known.get(plan.digest)
        if found is None:
            if len(known) >= _KEPT_MAX:
                known.clear()
            found = known[plan.digest] = _read(
                plan.definition, attended, decided.get(f"{plan.namespace}/{plan.name}"), usual
            )
        return found

    return policy


def complaints(document: Document) -> Iterator[Finding]:
    """What is wrong with what a document says about its failures, its pace and its retention."""
    said = _said(document.data)
    choice, owner, after = said.get("failures"), said.get("owner"), said.get("escalate_after")
    days = said.get("retention_days")
    if days is not None and said_days(document.data) is None:
        message = f"`retention_days` is {days!r}; it must be a number of days, above 0 and up to {DAYS_MAX}"
        yield _finding(document, "retention_days", message, "Write a number, or leave it to the setting.")
    yield from _class_complaints(document, said)
    if said.get("history_max_events") is not None and said_history(document.data) is None:
        message = (
            f"`history_max_events` is {said['history_max_events']!r}; it must be 0, or a number from {HISTORY_MIN} on"
        )
        yield _finding(
            document, "history_max_events", message, "Write 0 to keep every event of a run, or leave it out."
        )
    concurrency = said.get("concurrency")
    if concurrency is not None and _count(concurrency) is None:
        message = f"`concurrency` is {concurrency!r}; it says how many runs may be under way at once"
        yield _finding(
            document, "concurrency", message, "Write a whole number from 1, or leave it out for any number."
        )
    subject = said.get("subject")
    if subject is not None and _subject(subject) is None:
        message = f"`subject` is {subject!r}; it tells from the input whom or what a run is about"
        yield _finding(document, "subject", message, "Write an expression over the input, such as ${ .customer.id }.")
    if choice is not None and choice not in CHOICES:
        message = f"`failures` is {choice!r}; it says what becomes of a failure that nobody catches"
        yield _finding(document, "failures", message, "Write `hold` or `fault`, or leave it out.")
    if owner is not None and not isinstance(owner, str):
        yield _finding(document, "owner", "`owner` must be text", "Write a name, a team or an address.")
    ladder = said.get("escalate_to")
    if ladder is not None and (_ladder(ladder) is None or after is None):
        why = "says who answers next, and needs `escalate_after`" if after is None else "must be a list of names"
        remedy = "Write a list such as [team-lead, head-of-operations], and `escalate_after` beside it."
        yield _finding(document, "escalate_to", f"`escalate_to` {why}", remedy)
    if after is not None and (reason := _refused(after)) is not None:
        message = f"`escalate_after`: {reason}"
        yield _finding(document, "escalate_after", message, "Write a duration such as PT4H or P2D.")


def said_days(definition: Any) -> float | None:
    """How many days its closed runs are kept; None where it says nothing that can be understood."""
    days = _said(definition).get("retention_days")
    return float(days) if _are_days(days) else None


def said_classes(definition: Any) -> list[str]:
    """The data classes that its runs hold, as it says."""
    found = _said(definition).get("data_classes")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def said_class_days(definition: Any) -> dict[str, float]:
    """How many days its closed runs are kept for each data class, as far as that can be understood."""
    found = _said(definition).get("retention")
    items = found.items() if isinstance(found, Mapping) else ()
    return {name: float(days) for name, days in items if isinstance(name, str) and _are_days(days)}


def _are_days(days: Any) -> TypeGuard[float]:
    return not isinstance(days, bool) and isinstance(days, int | float) and 0 < days <= DAYS_MAX


def _class_complaints(document: Document, said: Mapping[str, Any]) -> Iterator[Finding]:
    classes, rules = said.get("data_classes"), said.get("retention")
    if classes is not None and (not isinstance(classes, list) or len(said_classes(document.data)) != len(classes)):
        remedy = "Write a list such as [personal, internal]."
        yield _finding(document, "data_classes", f"`data_classes` is {classes!r}; it must be a list of names", remedy)
    if rules is None:
        return
    days = said_class_days(document.data)
    if not isinstance(rules, Mapping) or len(days) != len(rules):
        message = (
            f"`retention` is {rules!r}; it must say a number of days, above 0 and up to {DAYS_MAX}, for each class"
        )
        yield _finding(document, "retention", message, "Write {personal: 30}, or `retention_days` for all classes.")
    unknown = sorted(set(days) - set(said_classes(document.data)))
    if unknown:
        message = f"`retention` speaks of {', '.join(unknown)}, which `data_classes` does not name"
        yield _finding(document, "retention", message, "Name the class in `data_classes`, or leave it out here.")


def said_history(definition: Any) -> int | None:
    """How many events its runs keep, 0 for all; None where it says nothing that can be understood."""
    number = _said(definition).get("history_max_events")
    if isinstance(number, bool) or not isinstance(number, int) or 0 < number < HISTORY_MIN or number < 0:
        return None
    return number


def refused_ladder(after: str | None, to: tuple[str, ...]) -> str | None:
    """What is wrong with the settings of that name; None where nothing is."""
    if after is None:
        return "`escalate_to` needs `escalate_after`" if to else None
    if (reason := _refused(after)) is not None:
        return f"`escalate_after`: {reason}"
    if len(to) > LADDER_MAX or not all(to):
        return f"`escalate_to` names at most {LADDER_MAX}, and nobody without a name"
    return None


def _read(definition: Any, attended: bool, concurrency: int | None, usual: Ladder) -> FailurePolicy:
    from segue.hosts import FailurePolicy

    said = _said(definition)
    choice, owner, after = said.get("failures"), said.get("owner"), said.get("escalate_after")
    hold = choice == "hold" if choice in CHOICES else None
    return FailurePolicy(
        hold=hold if attended else False,
        owner=owner if isinstance(owner, str) else None,
        concurrency=_count(said.get("concurrency")) if concurrency is None else concurrency,
        # A definition of an earlier release may hold what is refused today.
        deadline_ms=usual.after_ms if after is None else None if _refused(after) else parse_duration_ms(after),
        ladder=usual.to if after is None else _ladder(said.get("escalate_to")) or (),
        attended=attended,
        history_max=said_history(definition),
        subject=_subject(said.get("subject")),
    )


def _count(said: Any) -> int | None:
    is_number = isinstance(said, int) and not isinstance(said, bool)
    return said if is_number and 0 < said <= CONCURRENCY_MAX else None


def _subject(text: Any) -> Callable[[Any], str | None] | None:
    """What tells from an input whom a run is about; None where the document does not say."""
    if not isinstance(text, str) or _unwrapped(text) is None:
        return None
    try:
        expression = compile_expression(_unwrapped(text) or "", variables=())
    except ExpressionError:
        return None  # Of an earlier release; refused when it is published today.

    def tell(given: Any) -> str | None:
        try:
            found = expression.evaluate(given)
        except ExpressionError:
            return None
        if type(found) is str:  # As it mostly is, and every start asks.
            return found or None
        return str(found) if isinstance(found, int) and not isinstance(found, bool) else None

    return tell


def _unwrapped(text: str) -> str | None:
    inner = text.strip()
    return inner[2:-1] if inner.startswith("${") and inner.endswith("}") else None


def _ladder(said: Any) -> tuple[str, ...] | None:
    fits = isinstance(said, list) and 0 < len(said) <= LADDER_MAX and all(isinstance(n, str) and n for n in said)
    return tuple(said) if fits else None


def _refused(after: Any) -> str | None:
    if not isinstance(after, str):
        return f"{after!r} is no ISO 8601 duration"
    try:
        parse_duration_ms(after)
    except ValueError as error:
        return str(error)
    return None


def _said(definition: Any) -> Mapping[str, Any]:
    found = definition
    for key in ("document", "metadata", "segue"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _finding(document: Document, key: str, message: str, remedy: str) -> Finding:
    return document.finding("failure-policy", "error", message, remedy, pointer=f"{_PLACE}/{key}")
