"""Use cases of controls: what is claimed, what shows it in a period, what has to be explained, who has looked at it.

A report says what was found and never that anything complies: that is for whoever reads it. Reviews are records of
the audit chain and stand nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec

import segue
from segue.ai import ModelRegistry
from segue.governance import KeyRing, Resource
from segue.service.access import UseCases, admit_to, governed, open_to_all
from segue.service.audit import Audit, AuditVerification, audit_view
from segue.service.control_catalog import LIVE, Catalogue, Control, ControlQuery, shipped_catalogue
from segue.service.control_sources import Found, Sources
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.paging import ms_of
from segue.service.shapes import Page, Shape
from segue.store import Store
from segue.store.chain import AuditFilter, list_audit
from segue.store.evidence import Period

ControlOutcome = Literal["holds", "exceptions", "no evidence", "not covered"]
ReviewOutcome = Literal["accepted", "objected"]
OUTCOMES: Final[tuple[ControlOutcome, ...]] = ("exceptions", "no evidence", "not covered", "holds")
"""What a control can come to; what needs attention first."""
_EVIDENCE_SHOWN: Final = 5
_EXCEPTIONS_SHOWN: Final = 50
_REVIEWS_READ: Final = 2000
_DEFAULT_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


class MappedTo(Shape, frozen=True, kw_only=True):
    """A number of a framework, and a few words on what it is about."""

    framework: str
    title: str
    number: str
    about: str


class ControlView(Shape, frozen=True, kw_only=True):
    """A control. covered: False where Segue records nothing of it. reviewers: Roles that may sign it off."""

    id: str
    title: str
    area: str
    statement: str
    covered: bool
    mapped_to: list[MappedTo]
    reviewers: list[str]
    gaps: list[str]


class ControlRow(Shape, frozen=True, kw_only=True):
    """Something that was found. `ref` is how to look it up, such as `record 17`, `task 3` or a run's effect."""

    at: str
    ref: str
    what: str
    by: str


class ControlFinding(Shape, frozen=True, kw_only=True):
    """What one query found. says: What its rows are. shown: Some of them; evidence newest, exceptions oldest."""

    says: str
    query: str
    count: int
    shown: list[ControlRow]


class ControlReview(Shape, frozen=True, kw_only=True):
    """Somebody signed a control off for a period, or objected. record: Its place in the audit chain.

    `result`, `evidence` and `exceptions` are what they had before them, and `seen` is its digest.
    """

    record: int
    at: str
    by: str
    outcome: str
    comment: str
    since: str
    until: str
    result: str
    evidence: int
    exceptions: int
    seen: str


class ControlResult(ControlView, frozen=True, kw_only=True):
    """What a control came to in a period. digest: Of everything found; a review names it."""

    result: ControlOutcome
    evidence: int
    exceptions: int
    found: list[ControlFinding]
    to_explain: list[ControlFinding]
    reviews: list[ControlReview]
    digest: str


class ControlReport(Shape, frozen=True, kw_only=True):
    """Controls over a period.

    Attributes:
        counts: How many came to what.
        chain: What verifying the audit chain found when the report was made.
        frameworks: What the numbers stand for that controls are mapped to, by key.
    """

    workspace: str
    segue: str
    since: str
    until: str
    made_at: str
    made_by: str
    chain: AuditVerification
    counts: dict[str, int]
    frameworks: dict[str, str]
    controls: list[ControlResult]


class NewControlReview(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A review: of which period, and with what outcome.

    Attributes:
        since, until: The period; its end must have passed.
        comment: What the reviewer says, of each exception above all.
        seen: Digest of what they had before them; where it is given, anything else found since is refused.
    """

    since: datetime
    until: datetime
    outcome: ReviewOutcome
    comment: Annotated[str, msgspec.Meta(min_length=1, max_length=4000, pattern=r"\S")]
    seen: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Controls(UseCases):
    """Controls over what one data folder records."""

    def __init__(
        self,
        store: Store,
        audit: Audit,
        models: ModelRegistry,
        ring: KeyRing | None,
        *,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._models = models
        self._ring = ring
        self._given = catalogue
        self._reviewing = asyncio.Lock()

    @governed("control.read")
    async def page(self, *, framework: str | None = None) -> Page[ControlView]:
        """The controls there are; with `framework`, those that are mapped to it.

        Raises:
            ServiceError: `control-unknown`, where there is no such framework.
        """
        return Page(items=[self._view(control) for control in self._chosen(framework, None)], next=None)

    @governed("control.read")
    async def report(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        framework: str | None = None,
        control: str | None = None,
    ) -> ControlReport:
        """What every control came to in a period.

        Args:
            since: Begin of the period; thirty days before its end where it is left out.
            until: Its end, which is not part of it; now where it is left out.

        Raises:
            ServiceError: `control-unknown`, `control-period-refused`, `audit-key-refused`.
        """
        chosen = self._chosen(framework, control)
        # Refusals are counted for a while and on disk with the next commit; a report tells of all there were.
        self.guard.tell_refusals(_now_ms(), at_once=True)
        await self._store.commit.wait_durable()
        now = _now_ms()
        period = _period(since, until, now)
        verified = await self._audit.verify()
        sources = self._sources(period, now, verified)
        reviews = await self._reviews(period)
        results = [await self._result(one, sources, period, reviews.get(one.id, [])) for one in chosen]
        who = self.guard.who()
        assert who is not None, "the guard has let somebody in"
        return ControlReport(
            workspace=self.guard.workspace,
            segue=segue.__version__,
            since=iso(period.since),
            until=iso(period.until),
            made_at=iso(now),
            made_by=who.name,
            chain=verified,
            counts={outcome: sum(r.result == outcome for r in results) for outcome in OUTCOMES},
            frameworks={key: f"{one.title}: {one.about}" for key, one in self._catalogue.frameworks.items()},
            controls=results,
        )

    @open_to_all("asks in its middle, where it is known who stands in the exceptions")
    async def review(self, control: str, wanted: NewControlReview) -> ControlReview:
        """Sign a control off for a period, or object. It is judged anew, and what was found then is recorded.

        Raises:
            ServiceError: `control-unknown`, `control-period-refused`, `control-changed` where something else is found
                than what was seen, `permission-denied` also where the reviewer stands in the exceptions.
        """
        resource = Resource("Control", control)
        admit_to(self.guard, "control.review", resource, {"own": False})
        (chosen,) = self._chosen(None, control)
        identity = self.guard.who()
        assert identity is not None, "the guard has let somebody in"
        if identity.kind != "person":
            raise ServiceError(
                "permission-denied", f"A review needs a person, and {identity.name} is none.", remedy="Sign in."
            )
        if identity.roles.isdisjoint({*chosen.reviewers, "owner"}):
            raise ServiceError(
                "permission-denied",
                f"{identity.name} has none of the roles that review {control!r}: {', '.join(chosen.reviewers)}.",
                remedy="Let somebody with one of these roles review it.",
            )
        await self._store.commit.wait_durable()
        now = _now_ms()
        period = _period(wanted.since, wanted.until, now)
        async with self._reviewing:
            sources = self._sources(period, now, await self._audit.verify())
            found = await self._result(chosen, sources, period, [])
            named = await self._named(chosen, sources)
            admit_to(self.guard, "control.review", resource, {"own": bool({identity.name, identity.id} & named)})
            if wanted.seen is not None and wanted.seen != found.digest:
                raise ServiceError(
                    "control-changed", f"What {control!r} finds for this period is not what was seen any more."
                )
            told = {
                "since": iso(period.since),
                "until": iso(period.until),
                "result": found.result,
                "evidence": found.evidence,
                "exceptions": found.exceptions,
                "seen": found.digest,
            }
            self._store.note(
                "control.review", f"control:{control}", verdict=wanted.outcome, reason=wanted.comment, data=told
            )
            await self._store.commit.wait_durable()
        return (await self._reviews(period))[control][0]

    # -- helpers -----------------------------------------------------------------------------------

    @property
    def _catalogue(self) -> Catalogue:
        return self._given or shipped_catalogue()

    def _chosen(self, framework: str | None, control: str | None) -> list[Control]:
        known = self._catalogue
        if framework is not None and framework not in known.frameworks:
            raise ServiceError(
                "control-unknown", f"There is no framework {framework!r}; there are {', '.join(known.frameworks)}."
            )
        if control is not None and control not in known.controls:
            raise ServiceError("control-unknown", f"There is no control {control!r}.")
        return [
            one
            for one in known.controls.values()
            if control in (None, one.id) and (framework is None or framework in one.maps)
        ]

    def _view(self, control: Control) -> ControlView:
        return ControlView(**self._told(control))

    def _told(self, control: Control) -> dict[str, Any]:
        frameworks = self._catalogue.frameworks
        mapped = [
            MappedTo(framework=key, title=frameworks[key].title, number=number, about=frameworks[key].names[number])
            for key, numbers in control.maps.items()
            for number in numbers
        ]
        return {
            **{name: getattr(control, name) for name in ("id", "title", "area", "statement", "covered")},
            "mapped_to": mapped,
            "reviewers": control.reviewers,
            "gaps": control.gaps,
        }

    def _sources(self, period: Period, now: int, verified: AuditVerification) -> Sources:
        return Sources(
            self._store,
            self._models,
            self._ring,
            period=period,
            now=now,
            verified=verified,
            public_key=self._audit.public_key(),
        )

    async def _result(
        self, control: Control, sources: Sources, period: Period, reviews: list[ControlReview]
    ) -> ControlResult:
        evidence = [
            _finding(query, await sources.find(query, limit=_EVIDENCE_SHOWN, newest=True))
            for query in control.evidence
        ]
        exceptions = [
            _finding(query, await sources.find(query, limit=_EXCEPTIONS_SHOWN, newest=False))
            for query in control.exceptions
        ]
        shown, wrong = sum(f.count for f in evidence), sum(f.count for f in exceptions)
        outcome: ControlOutcome = (
            "not covered" if not control.covered else "exceptions" if wrong else "holds" if shown else "no evidence"
        )
        return ControlResult(
            **self._told(control),
            result=outcome,
            evidence=shown,
            exceptions=wrong,
            found=evidence,
            to_explain=exceptions,
            reviews=reviews,
            digest=_digest(control, period, [*evidence, *exceptions]),
        )

    async def _named(self, control: Control, sources: Sources) -> set[str]:
        """Everybody who stands in the exceptions."""
        named: set[str] = set()
        for query in control.exceptions:
            named |= (await sources.find(query, limit=0, newest=False)).by
        return named

    async def _reviews(self, period: Period) -> dict[str, list[ControlReview]]:
        """Reviews of periods that meet this one, by control, newest first."""
        wanted = AuditFilter(action="control.review", without_verdicts=("allow",))
        rows = await self._store.read(lambda c: list_audit(c, wanted, limit=_REVIEWS_READ))
        since, until = iso(period.since), iso(period.until)
        found: dict[str, list[ControlReview]] = {}
        for row in rows:
            told = audit_view(row, self._store.commit.cipher)
            # A refusal of a review is no review.
            if told.data is None or told.data["since"] >= until or told.data["until"] <= since:
                continue
            review = ControlReview(
                record=told.seq,
                at=told.at,
                by=told.principal,
                outcome=told.verdict,
                comment=told.reason,
                **{name: told.data[name] for name in ("since", "until", "result", "evidence", "exceptions", "seen")},
            )
            found.setdefault(told.resource.removeprefix("control:"), []).append(review)
        return found


def _finding(query: ControlQuery, found: Found) -> ControlFinding:
    rows = [
        ControlRow(at=iso(row["at"]), ref=row["ref"], what=row["what"] or "", by=row["by"] or "")
        for row in found.rows
    ]
    return ControlFinding(says=query.says, query=query.text, count=found.count, shown=rows)


def _digest(control: Control, period: Period, findings: list[ControlFinding]) -> str:
    # Of what is told as of now only how much it is: the chain has grown when somebody has read the report.
    queries = (*control.evidence, *control.exceptions)
    rows = [
        [f.query, f.count, [] if query.source in LIVE else [row.ref for row in f.shown]]
        for query, f in zip(queries, findings, strict=True)
    ]
    return sha256(msgspec.json.encode([control.id, period.since, period.until, rows])).hexdigest()


def _period(since: datetime | None, until: datetime | None, now: int) -> Period:
    """The period that is meant; both ends are of whole milliseconds, UTC."""
    # Up to now and with it: what has just happened belongs to the report.
    end = now + 1 if until is None else ms_of(until) or 0
    begin = max(0, end - _DEFAULT_DAYS * _DAY_MS) if since is None else ms_of(since) or 0
    if min(begin, end) < 0:
        raise ServiceError("control-period-refused", "The period begins or ends before 1970.")
    if max(begin, end) > now + 1:
        raise ServiceError("control-period-refused", "The period begins or ends at a time that has not come yet.")
    if begin >= end:
        raise ServiceError("control-period-refused", f"The period ends at {iso(end)}, before it begins.")
    return Period(begin, end)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
