"""Use cases of adjustable values: see what they are, change them within what the document allows, approve changes.

Who publishes decides what may be adjusted and in which range; who may adjust decides about the values. Both are
actions of their own, so rules can keep them apart (decision 0119).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from segue.core import Plan
from segue.core.plan import Adjustable
from segue.governance import Resource, Verdict
from segue.service.access import UseCases, admit_or_wait, admit_to, governed, open_to_all, workflow_of
from segue.service.adjusted import ACTION, Adjusted, make_adjustment
from segue.service.deciders import Deciders
from segue.service.errors import ServiceError
from segue.service.masks import refuse_masks
from segue.service.observe import iso
from segue.service.paging import place_of
from segue.service.shapes import Page, Shape, Why, WishClockView
from segue.service.workflows import Workflows, parse_workflow
from segue.store import Store, codec
from segue.store.adjustments import (
    AdjustmentRecord,
    AdjustmentState,
    ValueChange,
    add_adjustment,
    decide_adjustment,
    find_adjustment,
    list_adjustments,
    put_values,
)
from segue.store.wishes import Wish, find_wish, give_clock

if TYPE_CHECKING:
    from segue.service.definitions import Definitions

_DECIMAL_MAX = 922_337_203_685_477.0


class NewAdjustment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What values become, and why.

    Attributes:
        values: New values by name.
        reset: Names of values that go back to their defaults.
    """

    values: Annotated[dict[str, Any], msgspec.Meta(max_length=100)] = {}
    reset: Annotated[list[str], msgspec.Meta(max_length=100)] = []
    reason: Why


class AdjustmentDecision(msgspec.Struct, forbid_unknown_fields=True):
    """Let a change count or not, and why."""

    approve: bool
    reason: Why


class AdjustableView(Shape, frozen=True, kw_only=True):
    """A value that may be adjusted.

    Attributes:
        value: What runs that start now get. adjusted: It was set, and is not the default of the document.
        role: Who changes it must have this role besides.
        schema: What it may be. read_by: Pointers of the expressions that read it.
        at, by, reason: When, by whom and why it was set. number: Of that adjustment.
    """

    name: str
    value: Any
    default: Any
    adjusted: bool
    title: str = ""
    role: str = ""
    schema: dict[str, Any]
    read_by: list[str] = msgspec.field(default_factory=list)
    number: int | None = None
    at: str | None = None
    by: str | None = None
    reason: str | None = None


class Adjustables(Shape, frozen=True, kw_only=True):
    """The adjustable values of the latest version of a workflow."""

    workflow: str
    version: str
    values: list[AdjustableView]


class ValueChangeView(Shape, frozen=True, kw_only=True):
    """One value of an adjustment. `reset`: It goes back to the default, which `new` was then."""

    name: str
    old: Any
    new: Any
    reset: bool = False


class AdjustmentView(Shape, frozen=True, kw_only=True):
    """A change of values, or the wish for one.

    Attributes:
        state: `made`; or `waiting`, `approved`, `refused`, `lapsed` where a rule asked for somebody's approval.
        approver: The role that the rule asks for. clock: While it waits.
    """

    number: int
    workflow: str
    changes: list[ValueChangeView]
    at: str
    by: str
    reason: str
    state: str
    approver: str = ""
    decided_at: str | None = None
    decided_by: str | None = None
    decided_reason: str | None = None
    clock: WishClockView | None = None


class Adjusting(UseCases):
    """Adjustable values of one data folder."""

    def __init__(
        self, store: Store, definitions: Definitions, workflows: Workflows, adjusted: Adjusted, deciders: Deciders
    ) -> None:
        self._store = store
        self._deciders = deciders
        self._definitions = definitions
        self._workflows = workflows
        self._adjusted = adjusted

    @governed("workflow.read", on=workflow_of)
    async def show(self, namespace: str, name: str) -> Adjustables:
        """What may be adjusted, and what it is now.

        Raises:
            ServiceError: `workflow-unknown`.
        """
        plan = self._plan(namespace, name)
        held = self._adjusted.of(namespace, name)
        values = self._adjusted.values(plan)
        refused = {name for name, _, _ in self._adjusted.refused_by(plan)}
        found = []
        for one in plan.adjustable.values():
            adjusted = None if one.name in refused else held.get(one.name)
            record = None
            if adjusted is not None:
                number = adjusted.number
                record = await self._store.read(lambda c, number=number: find_adjustment(c, number))  # type: ignore[misc]
            found.append(_adjustable(one, values[one.name], record, adjusted is not None))
        return Adjustables(workflow=f"{namespace}/{name}", version=plan.version, values=found)

    @governed("workflow.read")
    async def page(
        self,
        *,
        workflow: str | None = None,
        state: AdjustmentState | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[AdjustmentView]:
        """Every change of values, also what waits and what was refused; newest first.

        Raises:
            ServiceError: `request-malformed` where `after` or the workflow is none.
        """
        before = place_of(after)
        place = None if workflow is None else parse_workflow(workflow)
        found = await self._store.read(
            lambda c: list_adjustments(c, place=place, state=state, before=before, limit=limit + 1)
        )
        items = [await self._view(record) for record in found[:limit]]
        return Page(items=items, next=str(items[-1].number) if len(found) > limit else None)

    @open_to_all("asks in its middle, value by value, what somebody may change to what")
    async def adjust(self, namespace: str, name: str, wanted: NewAdjustment) -> AdjustmentView:
        """Change values within what the latest version allows; all of them or none. Runs that start later get them.

        Raises:
            ServiceError: `permission-denied`; `approval-needed` where a rule lets it count only when somebody else
                has approved it, and it waits then; `workflow-unknown`; `adjustment-refused` for a value that is not
                declared, does not fit, or is what it was; `mask-refused`.
        """
        refuse_masks(values=wanted.values)
        try:
            wanted = msgspec.structs.replace(wanted, values=codec.settled(wanted.values))
        except ValueError as error:
            raise ServiceError("adjustment-refused", f"{error}.") from None
        async with self._adjusted.changing:
            waits = self._ask(namespace, name, wanted)
            plan = self._plan(namespace, name)
            changes = self._changes(plan, wanted)
            identity = self.guard.who()
            assert identity is not None, "the guard has let somebody in"
            for change in changes:
                role = plan.adjustable[change.name].role
                if role and not {role, "owner"} & identity.roles:
                    raise ServiceError(
                        "permission-denied",
                        f"{identity.name} lacks the role {role!r}, which the document asks for to change"
                        f" {change.name!r}.",
                        remedy=f"Let somebody with the role {role!r} change it.",
                    )
            place = (namespace, name)
            if waits is None:
                made = await make_adjustment(
                    self._store, self._adjusted, place, changes, identity.name, wanted.reason
                )
                return await self._view(made)
            number = await self._wait(place, changes, identity.name, wanted.reason, waits)
        raise ServiceError(
            "approval-needed",
            f"The change waits as adjustment {number}: {waits.reason}.",
            remedy=f"Let somebody else with that role run `segue adjustments approve {number} --reason …`.",
        )

    @open_to_all("asks in its middle, where it is known whose change it is")
    async def decide(self, number: int, wanted: AdjustmentDecision) -> AdjustmentView:
        """Let a change that waits count, or refuse it. The first decision counts.

        Raises:
            ServiceError: `adjustment-unknown`, `adjustment-decided`; `permission-denied` also where whoever wanted
                it decides; `adjustment-refused` where a value is not what it was when the change was asked for.
        """
        admit_to(self.guard, "adjustment.approve", Resource("Workflow"), {"own": False})
        async with self._adjusted.changing:
            record = await self._record(number)
            identity = self.guard.who()
            assert identity is not None, "the guard has let somebody in"
            resource = workflow_of(None, record.namespace, record.name)
            admit_to(self.guard, "adjustment.approve", resource, {"own": identity.name == record.by})
            wish = await self._wish(number)
            await self._deciders.require(wish, identity)
            if record.state == "lapsed":
                raise ServiceError("adjustment-decided", "It has lapsed.", remedy="It can be asked for again.")
            if record.state != "waiting":
                raise ServiceError("adjustment-decided", f"{record.decided_by or record.by} has {record.state} it.")
            self._deciders.require_in_time(wish)
            if wanted.approve:
                self._require_unchanged(record)
            now = time.time_ns() // 1_000_000
            state: AdjustmentState = "approved" if wanted.approve else "refused"
            place = (record.namespace, record.name)
            told = {"adjustment": number, "changes": msgspec.to_builtins(record.changes), "wanted_by": record.by}
            statements = [decide_adjustment(number, state, now, identity.name, wanted.reason)]
            if wanted.approve:
                statements += put_values(place, record.changes, number)
                self._store.note(ACTION, resource.name, reason=wanted.reason, data=told)
            await self._store.write(statements)
            if wanted.approve:
                self._adjusted.put(place, record.changes, number)
            return await self._view(await self._record(number))

    # -- helpers -----------------------------------------------------------------------------------

    def _ask(self, namespace: str, name: str, wanted: NewAdjustment) -> Verdict | None:
        """Ask the guard about each value; the answer that wants an approval, if one does."""
        resource = workflow_of(None, namespace, name)
        waits: Verdict | None = None
        for context in self._contexts(namespace, name, wanted):
            verdict = admit_or_wait(self.guard, "workflow.adjust", resource, context)
            if verdict.allowed:
                continue
            if waits is not None and waits.approver != verdict.approver:
                raise ServiceError(
                    "adjustment-refused",
                    f"These values need the approval of {waits.approver!r} and of {verdict.approver!r}.",
                    remedy="Change them one by one.",
                )
            waits = verdict
        return waits

    def _contexts(self, namespace: str, name: str, wanted: NewAdjustment) -> Iterator[dict[str, Any]]:
        """What rules see of each value. Asked before anything is looked up for whoever asks, so much may be empty."""
        found = self._definitions.find(namespace, name, "latest")
        plan = None if found is None else self._definitions.plan(found.digest)
        declared: Mapping[str, Adjustable] = {} if plan is None else plan.adjustable
        current: Mapping[str, Any] = {} if plan is None else self._adjusted.values(plan)
        defaults = {key: declared[key].default for key in wanted.reset if key in declared}
        for key, new in ({**dict.fromkeys(wanted.reset), **wanted.values, **defaults} or {"": None}).items():
            old = current.get(key)
            yield {
                "name": key,
                "old": _text(old),
                "new": _text(new),
                "numbers": _is_number(old) and _is_number(new),
                "old_number": _number(old),
                "new_number": _number(new),
                "role": declared[key].role if key in declared else "",
            }

    def _changes(self, plan: Plan, wanted: NewAdjustment) -> list[ValueChange]:
        current = self._adjusted.values(plan)
        held = self._adjusted.of(plan.namespace, plan.name)
        for name in (*wanted.values, *wanted.reset):
            if name not in plan.adjustable:
                known = ", ".join(plan.adjustable) or "none"
                raise ServiceError(
                    "adjustment-refused",
                    f"{plan.namespace}/{plan.name}:{plan.version} has no adjustable value {name!r}.",
                    remedy=f"It has: {known}. What may be adjusted is changed by publishing a version.",
                )
        if both := wanted.values.keys() & set(wanted.reset):
            raise ServiceError("adjustment-refused", f"{sorted(both)[0]!r} is both set and reset.")
        for name, value in wanted.values.items():
            complaint = plan.adjustable[name].check(value)
            if complaint is not None:
                raise ServiceError(
                    "adjustment-refused",
                    f"{plan.namespace}/{plan.name}:{plan.version} does not allow this for {name!r}: {complaint}.",
                    remedy="`segue workflows adjustable` shows what is allowed; another range is another version.",
                )
        changes = [ValueChange(name, current[name], new) for name, new in wanted.values.items()]
        changes = [change for change in changes if change.name not in held or not _same(change.old, change.new)]
        changes += [ValueChange(name, current[name]) for name in dict.fromkeys(wanted.reset) if name in held]
        if not changes:
            raise ServiceError(
                "adjustment-refused", "Nothing would change.", remedy="`segue workflows adjustable` shows the values."
            )
        return changes

    def _require_unchanged(self, record: AdjustmentRecord) -> None:
        plan = self._plan(record.namespace, record.name)
        current = self._adjusted.values(plan)
        for change in record.changes:
            one = plan.adjustable.get(change.name)
            if one is None or (change.new is not msgspec.UNSET and one.check(change.new) is not None):
                why = f"{plan.version}, published meanwhile, does not allow it"
            elif not _same(current[change.name], change.old):
                why = "it has been changed meanwhile"
            else:
                continue
            raise ServiceError(
                "adjustment-refused",
                f"{change.name!r}: {why}.",
                remedy="Refuse this adjustment, and change the value anew.",
            )

    async def _wait(
        self, place: tuple[str, str], changes: list[ValueChange], by: str, reason: str, verdict: Verdict
    ) -> int:
        now = time.time_ns() // 1_000_000
        wanted = add_adjustment(place, changes, now, by, reason, "waiting", verdict.approver)
        await self._store.write([wanted, give_clock("adjustment", self._deciders.clock_for("adjustment", verdict))])
        (record,) = await self._store.read(lambda c: list_adjustments(c, place=place, state="waiting", limit=1))
        return record.number

    async def _record(self, number: int) -> AdjustmentRecord:
        record = await self._store.read(lambda c: find_adjustment(c, number))
        if record is None:
            raise ServiceError("adjustment-unknown", f"There is no adjustment {number}.")
        return record

    def _plan(self, namespace: str, name: str) -> Plan:
        return self._definitions.plan(self._workflows.find(namespace, name).digest)

    async def _wish(self, number: int) -> Wish:
        wish = await self._store.read(lambda c: find_wish(c, "adjustment", number))
        assert wish is not None, "adjustments are never removed"
        return wish

    async def _view(self, record: AdjustmentRecord) -> AdjustmentView:
        return AdjustmentView(
            number=record.number,
            workflow=f"{record.namespace}/{record.name}",
            changes=[
                ValueChangeView(
                    name=c.name,
                    old=c.old,
                    new=None if c.new is msgspec.UNSET else c.new,
                    reset=c.new is msgspec.UNSET,
                )
                for c in record.changes
            ],
            at=iso(record.at),
            by=record.by,
            reason=record.reason,
            state=record.state,
            approver=record.approver,
            decided_at=None if record.decided_at is None else iso(record.decided_at),
            decided_by=record.decided_by,
            decided_reason=record.decided_reason,
            clock=self._deciders.view(await self._wish(record.number)) if record.state == "waiting" else None,
        )


def _adjustable(one: Adjustable, value: Any, record: AdjustmentRecord | None, adjusted: bool) -> AdjustableView:
    return AdjustableView(
        name=one.name,
        value=value,
        default=one.default,
        adjusted=adjusted,
        title=one.title,
        role=one.role,
        schema={key: said for key, said in one.schema.items() if key not in ("title", "default")},
        read_by=list(one.read_by),
        number=None if record is None else record.number,
        at=None if record is None else iso(record.decided_at or record.at),
        by=None if record is None else record.by,
        reason=None if record is None else record.reason,
    )


def _same(one: Any, other: Any) -> bool:
    """The same JSON: true is not 1."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _text(value: Any) -> str:
    """A value as rules see it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    """A number as rules see it: they know four digits after the point, and none beyond these bounds."""
    return float(max(-_DECIMAL_MAX, min(_DECIMAL_MAX, value))) if _is_number(value) else 0.0
