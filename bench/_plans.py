"""Plans for the benchmarks, built by hand so that only host, core and store are measured."""

from __future__ import annotations

from typing import Any

from segue.core.plan import ActNode, DoNode, ForkNode, Node, Plan, Program, WaitNode
from segue.types import NOT_DONE, EffectContext, Perform, Recovery

DIGEST = "sha256:bench"


def constant(value: Any) -> Program:
    """A program that always gives this value."""
    return Program(run=lambda data, variables, now_ms: value, constant=True)


def act(number: int, pointer: str, *, section: str = "do") -> ActNode:
    """An act whose arguments are taken from the task's input."""
    arguments = Program(run=lambda data, variables, now_ms: {"step": number, "in": data})
    return ActNode(
        name=f"step{number}", pointer=f"{pointer}/step{number}", section=section, handler="bench", arguments=arguments
    )


def plan_of(*tasks: Node) -> Plan:
    """A workflow of these tasks."""
    return Plan("bench", "plan", "1.0.0", DIGEST, DoNode(name="bench", pointer="/do", section="root", tasks=tasks))


def chain(steps: int) -> Plan:
    """Steps one after another."""
    return plan_of(*(act(i, f"/do/{i}") for i in range(steps)))


def fan_out(branches: int) -> Plan:
    """All branches at once, then their join."""
    nodes = tuple(act(i, f"/do/0/fan/fork/branches/{i}", section="branch") for i in range(branches))
    return plan_of(ForkNode(name="fan", pointer="/do/0/fan", branches=nodes))


def sleeper(wait_ms: int) -> Plan:
    """A run that waits, and ends."""
    return plan_of(WaitNode(name="sleep", pointer="/do/0/sleep", duration=constant(wait_ms)))


class Plans:
    """A source of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def plan(self, digest: str) -> Plan:
        """The plan."""
        if digest != DIGEST:
            raise LookupError(digest)
        return self._plan

    def resolve(self, namespace: str, name: str, version: str) -> str:
        """Its digest."""
        return DIGEST


class NoSecrets:
    """No secrets are needed here."""

    async def read(self, name: str) -> Any:
        """Never called."""
        raise LookupError(name)


class Step:
    """An inline Python function: the cheapest act there is."""

    def __init__(self) -> None:
        self.calls = 0

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        """Count the call and answer with a small object."""
        self.calls += 1
        return {"step": command.arguments["step"], "score": 0.75}

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """The same, as a task."""
        return self.perform_now(command, context)

    def recovery(self, command: Perform) -> Recovery:
        """It may be repeated."""
        return "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never called."""
        return NOT_DONE
