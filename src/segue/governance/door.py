"""The second door: the guard before an act on the world.

The principal is the workflow: a `Process` by the name `namespace/name`. What it does is allowed by its publication,
so as long as nobody wrote a rule about acts and nothing is stopped, asking costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from segue.governance.approvals import act_digest, lifted
from segue.governance.clocks import NO_CLOCK, ApprovalClock, clocks_of
from segue.governance.consents import CONSENT_RULE, OWNED_HANDLERS, Consents
from segue.governance.guard import Guard
from segue.governance.limits import ActLimits, Exceeded
from segue.governance.policy import Policies, Resource, Verdict, applies
from segue.governance.switches import Switches, named_by
from segue.types import ApprovalWanted, Failure, Identity, Perform, failure
from segue.types.causes import UNTOLD, Way, way_of

ACTION: Final = "act.perform"
LABELS: Final = frozenset({"context", "context.classes", "context.untrusted", "context.sources"})
"""What rules read of the labels of an act."""
_TARGETS: Final = frozenset({"resource.connection", "resource.operation"})
"""What rules read of an act that its arguments say."""

Facts = Callable[[str, str, Way | None], dict[str, Any]]
"""`(namespace/name:version, pointer of the task, way of the run) -> context of the request`, as `actions.context_of`
has it. Where the way is not known, everything that may have come to a run of this definition counts."""


class _Wanting(NamedTuple):
    """A rule or a limit that leaves an act to people with a role: its name, its text, and why it applies."""

    rule: str
    text: str
    role: str
    why: str
    amount: float | None = None
    clock: ApprovalClock = NO_CLOCK


class _Kept(NamedTuple):
    """A verdict, what is recorded of it, and whether it lets the act through without another word."""

    verdict: Verdict | None
    said: str
    passes: bool


_UNRULED: Final = _Kept(None, "", True)
"""No rule is about acts."""


class ActDoor:
    """Lets acts through, or says why not.

    Args:
        facts: What is known of an act besides its arguments: the risk class and the data classes that its document
            declares, and the labels of what it can send out. Asked only where a rule about acts reads it.
        limits: How much may be done without a person.
        consents: What owners of connections consented to.
        clock: What the clock does while an act waits, where neither rule nor limit says it.
        changes: How often what `facts` says may have changed, for the verdicts that are kept.
        apart: Whether `facts` says of runs of this definition (`namespace/name:version`) what depends on their way.
    """

    def __init__(
        self,
        guard: Guard,
        switches: Switches,
        facts: Facts = lambda workflow, pointer, way: {},
        limits: ActLimits | None = None,
        consents: Consents | None = None,
        *,
        clock: ApprovalClock = NO_CLOCK,
        changes: Callable[[], int] = lambda: 0,
        apart: Callable[[str], bool] = lambda workflow: False,
    ) -> None:
        self._limits = limits or ActLimits()
        self._consents = consents or Consents(lambda connection: None, lambda connection, operation: "write")
        self._clock = clock
        self._guard = guard
        self._switches = switches
        self._facts = facts
        self._seen: Policies | None = None
        self._ruled = self._labelled = self._targeted = False
        self._changes = changes
        self._apart = apart
        self._told_apart: dict[str, bool] = {}
        self._kept: dict[tuple[Any, ...], _Kept] = {}
        self._kept_at = -1
        # Tasks whose acts all pass, whatever their arguments and whoever started the run: what is recorded of it.
        self._passing: dict[tuple[str, str, str], str] = {}

    def may_start(self, workflow: str) -> bool:
        """No switch stops this workflow (`namespace/name`)."""
        return self._switches.find("workflow", workflow) is None

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        """The failure of the task, who must approve it, or what is recorded of the permission.

        Returns:
            Empty text where nothing but its publication allows it, otherwise the rules, the policy version, and
            who approved what the rules withhold.
        """
        policies = self._guard.policies
        if policies is not self._seen:
            self._learn(policies)
        if not (command.affects or self._switches.any or self._limits.any):
            # Nothing but a rule can stop it, and mostly none does.
            if self._ruled:
                passing = self._passing.get((workflow, command.pointer, command.handler))
                if passing is not None and self._changes() == self._kept_at:
                    return passing
            elif command.handler not in OWNED_HANDLERS:
                return ""
        # What has consequences for somebody is asked about whoever wrote the rules: some of those ship.
        ruled = self._ruled or bool(command.affects)
        name = workflow.rpartition(":")[0]
        if not (self._switches.any or self._limits.any or command.handler in OWNED_HANDLERS):
            kept = self._verdict(workflow, name, command, cause)
            if kept.passes:
                if not (command.affects or self._targeted or self._told_apart.get(workflow)):
                    self._passing[workflow, command.pointer, command.handler] = kept.said
                return kept.said
        thrown = self._switches.stops(name, command)
        if thrown is not None:
            return _stopped(command, f"{thrown.kind} {thrown.name!r} is stopped by {thrown.by}: {thrown.reason}")
        # What is under way was consented to when it began; who wants it stopped has a switch.
        if not begun and (reason := self._consents.refusal(name, command)):
            return self._refused(name, command, Verdict("deny", (CONSENT_RULE,), policies.version, reason))
        key = f"{run}:{command.effect}"
        exceeded = [] if begun or not self._limits.any else self._limits.exceeded(name, command, key)
        for found in exceeded:
            if not found.limit.approver:
                return self._refused(name, command, self._over(found))
        verdict, said, passes = self._verdict(workflow, name, command, cause) if ruled else _UNRULED
        if not self._limits.any and passes:
            return said
        if verdict is not None and verdict.verdict == "deny":
            return self._refused(name, command, verdict)
        if verdict is not None and verdict.warnings and not begun:
            self._guard.note(self._process(name), ACTION, _resource(name, command), verdict)
        leaves = exceeded or (verdict is not None and verdict.verdict == "needs-approval")
        withheld = self._withheld(verdict, exceeded) if leaves else []
        approvers: tuple[str, ...] = ()
        if withheld:
            digest = act_digest(run, command)
            given = lifted(command, digest, {wanting.rule: wanting.text for wanting in withheld})
            missing = [wanting for wanting in withheld if wanting.rule not in given]
            if missing:
                return self._wanted(workflow, command, cause, digest, missing, begun=begun)
            approvers = tuple(dict.fromkeys(given.values()))
        if self._limits.any and not begun:
            self._limits.take(name, command, key, besides={found.limit.rule for found in exceeded})
        return _said_of(verdict, policies.version, withheld, approvers) if withheld else said

    def _learn(self, policies: Policies) -> None:
        """Other rules are in force, so nothing that is kept counts any longer."""
        reads = policies.reads(ACTION)
        self._seen, self._ruled = policies, _are_ruled(policies)
        self._labelled = not reads.isdisjoint(LABELS)
        self._targeted = not reads.isdisjoint(_TARGETS)
        self._forget()

    def _forget(self) -> None:
        self._kept.clear()
        self._passing.clear()
        self._told_apart.clear()

    def _withheld(self, verdict: Verdict | None, exceeded: Sequence[Exceeded]) -> list[_Wanting]:
        """Rules and limits that leave this act to people."""
        policies = self._guard.policies
        rules = verdict.rules if verdict is not None and verdict.verdict == "needs-approval" else ()
        found = [
            _Wanting(rule, policies.text_of(rule), said.approval, f"rule {rule!r}", clock=said.clock)
            for rule in rules
            for said in (policies.rules[rule],)
        ]
        for limit, reason, amount in exceeded:
            why = f"limit {limit.name!r}: {reason}"
            found.append(_Wanting(limit.rule, limit.text(), limit.approver, why, amount, limit.clock))
        return found

    def _wanted(
        self,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any],
        digest: str,
        missing: Sequence[_Wanting],
        *,
        begun: bool,
    ) -> Failure | ApprovalWanted:
        """Who must approve; or that nobody can any more."""
        name, version = workflow.rpartition(":")[0], self._guard.policies.version
        # Where several roles are wanted, they are asked one after the other.
        role = missing[0].role
        asked = [wanting for wanting in missing if wanting.role == role]
        rules = {wanting.rule: wanting.text for wanting in asked}
        why = "; ".join(wanting.why for wanting in asked)
        reason = f"{why}: this wants the approval of somebody with the role {role!r}"
        if begun or command.detached:
            late = "" if begun else ", and what nobody waits for (await: false) cannot wait for it"
            return self._refused(name, command, Verdict("deny", tuple(rules), version, reason + late))
        verdict = Verdict("needs-approval", tuple(rules), version, reason, role)
        self._guard.note(self._process(name), ACTION, _resource(name, command), verdict)
        amounts = [wanting.amount for wanting in asked if wanting.amount is not None]
        labels = dict(self._facts(workflow, command.pointer, way_of(cause)))
        amount = max(amounts, default=None)
        clocks = clocks_of((wanting.clock for wanting in asked), self._clock)
        return ApprovalWanted(0, command.id, role, rules, version, reason, digest, labels, amount, clocks)

    def _over(self, exceeded: Exceeded) -> Verdict:
        reason = f"limit {exceeded.limit.name!r}: {exceeded.reason}; this one is for a person"
        return Verdict("deny", (exceeded.limit.rule,), self._guard.policies.version, reason)

    def _refused(self, name: str, command: Perform, verdict: Verdict) -> Failure:
        self._guard.note(self._process(name), ACTION, _resource(name, command), verdict)
        return _stopped(command, f"{verdict.reason} (policy {verdict.policy})")

    def _verdict(self, workflow: str, name: str, command: Perform, cause: Mapping[str, Any]) -> _Kept:
        """The verdict, kept by everything that it can depend on."""
        changes = self._changes()
        if changes != self._kept_at or len(self._kept) >= _KEPT_MAX:
            self._forget()
            self._kept_at = changes
        way = None
        if self._labelled:
            apart = self._told_apart.get(workflow)
            if apart is None:
                # What reaches runs of a definition is mostly the same for all of them.
                apart = self._told_apart[workflow] = self._apart(workflow)
            way = way_of(cause) if apart else None
        decided = (command.affects, command.adverse, command.decided_by, command.decided) if command.affects else None
        key = (workflow, command.pointer, command.handler, _target(command), decided, way)
        found = self._kept.get(key)
        if found is None:
            verdict = self._asked(workflow, name, command, way)
            said = _said_of(verdict, self._guard.policies.version, (), ())
            found = self._kept[key] = _Kept(verdict, said, verdict.allowed and not verdict.warnings)
        return found

    def _asked(self, workflow: str, name: str, command: Perform, way: Way | None) -> Verdict:
        reads = self._guard.policies.reads(ACTION) - _CARRIED
        facts = (
            self._facts(workflow, command.pointer, way) if any(place.startswith("context") for place in reads) else {}
        )
        context = {**facts, **decided_by(command)}
        return self._guard.verdict(self._process(name), ACTION, _resource(name, command), context)

    def _process(self, name: str) -> Identity:
        return Identity(kind="workflow", id=name, workspace=self._guard.workspace)


_KEPT_MAX: Final = 10_000
_CARRIED: Final = frozenset(
    f"context.{name}" for name in ("affects", "adverse", "decided_by_person", "decider", "decision")
)
"""What rules read of an act and the act carries itself."""


def decided_by(command: Perform) -> dict[str, Any]:
    """What an act carries of whom it affects, and which person's decision it follows from."""
    if not command.affects:
        return {}
    return {
        "affects": command.affects,
        "adverse": command.adverse,
        "decided_by_person": bool(command.decided_by),
        "decider": command.decided_by,
        "decision": command.decided,
    }


def _said_of(verdict: Verdict | None, version: str, withheld: Sequence[_Wanting], approvers: Sequence[str]) -> str:
    """What is recorded of a permission."""
    rules = list(verdict.rules) if verdict is not None else []
    rules += [wanting.rule for wanting in withheld if wanting.rule not in rules]
    if not rules:
        return ""
    return f"{','.join(rules)}@{version}" + (f" approved by {', '.join(approvers)}" if approvers else "")


def _resource(name: str, command: Perform) -> Resource:
    namespace, _, short = name.partition("/")
    connection, operation = _target(command)
    attributes = {
        "namespace": namespace,
        "name": short,
        "handler": command.handler,
        "connection": connection,
        "operation": operation,
        "task": command.pointer,
    }
    return Resource("Act", f"{name}{command.pointer}", attributes)


def _target(command: Perform) -> tuple[str, str]:
    """The connection and the operation that an act names, as far as it does."""
    arguments: Any = command.arguments
    if command.handler == "workflow":
        return "", f"{arguments['namespace']}/{arguments['name']}"
    if not isinstance(arguments, dict):
        return "", ""
    operation = arguments.get("operation")
    connection = named_by(command)[1] if command.handler == "connector" else ""
    return connection, operation if isinstance(operation, str) else ""


def _are_ruled(policies: Policies) -> bool:
    """Somebody wrote a rule that can apply to acts, or changed one that ships."""
    rules = [rule for rule in policies.rules.values() if applies(rule.tree["action"], ACTION)]
    return not all(rule.shipped for rule in rules) or not any(rule.id == "published" for rule in rules)


def _stopped(command: Perform, why: str) -> Failure:
    return failure("authorization", f"{command.name!r} may not be done: {why}")
