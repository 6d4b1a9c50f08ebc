"""What belongs to the process must not carry anything from one data folder to another."""

from __future__ import annotations

import gc
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import segue
from segue.governance import Guard, Policies, Resource, shipped
from segue.governance.policy import Verdict
from segue.handlers import FunctionRegistry
from segue.hosts.embedded.collector import Collector
from segue.service import ServiceError, load_functions
from segue.service.access import UseCases, governed
from segue.types import Identity, acting_as

ANN = Identity(kind="person", id="ann", roles=frozenset({"viewer"}), workspace="north")


class Inner(UseCases):
    @governed("run.list")
    async def ask(self) -> str:
        return "told"


class Outer(UseCases):
    def __init__(self, inner: Inner) -> None:
        self.inner = inner

    @governed("run.list")
    async def ask(self) -> str:
        return await self.inner.ask()


async def test_what_a_use_case_calls_of_another_folder_is_asked_there_too() -> None:
    """Leave in one workspace is none in the next, also for code that holds both."""
    inner = Inner()
    outer = Outer(inner)
    outer.guard = inner.guard = Guard(workspace="north")
    with acting_as(ANN):
        assert await outer.ask() == "told"
        inner.guard = Guard(workspace="south")
        with pytest.raises(ServiceError, match="workspace-border"):
            await outer.ask()


def test_rules_of_one_guard_are_not_those_of_another() -> None:
    """The files that ship are read once for the process; nobody may write into what was read."""
    before = dict(shipped())
    one, other = Guard(workspace="north"), Guard(workspace="south")
    rule = '@id("no-more")\nforbid(principal, action == Action::"run.list", resource);'

    def may(guard: Guard) -> Verdict:
        who = Identity(kind="person", id="ann", roles=frozenset({"viewer"}), workspace=guard.workspace)
        return guard.verdict(who, "run.list", Resource("Run"))

    assert may(one).allowed
    one.policies = Policies({**shipped(), "mine": rule}, 1)

    assert not may(one).allowed
    assert may(other).allowed
    assert may(Guard(workspace="west")).allowed
    assert shipped() == before
    assert "mine" not in other.policies.files


def test_decorated_functions_are_those_of_the_modules_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decorator remembers for the process; a workspace that did not ask for a function must not have it."""
    monkeypatch.setattr(segue, "_recorded", {})
    monkeypatch.chdir(tmp_path)
    for module in ("north_only", "south_only"):
        name = module.replace("_", "-")
        text = f"import segue\n\n@segue.function(name={name!r})\ndef it(x: int) -> int:\n    return x\n"
        (tmp_path / f"{module}.py").write_text(text)

    def known(*specs: str, only_named: bool = True) -> set[str]:
        registry = FunctionRegistry()
        load_functions(registry, specs, only_named=only_named)
        return set(registry.all())

    assert known("north_only") == {"north-only"}
    assert known("south_only:it") == {"south-only"}
    assert known("north_only") == {"north-only"}  # also once it is imported
    assert known() == set()
    assert known(only_named=False) == {"north-only", "south-only"}


def test_the_collector_is_set_once_and_put_back_by_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace that is put aside must not take the others' collector with it."""
    told: list[Any] = []
    fake = ModuleType("gc")
    monkeypatch.setattr("segue.hosts.embedded.collector.gc", fake)
    fake.get_threshold = lambda: (1, 2, 3)  # type: ignore[attr-defined]
    fake.set_threshold = lambda *given: told.append(given)  # type: ignore[attr-defined]
    fake.unfreeze = lambda: told.append("unfrozen")  # type: ignore[attr-defined]
    collector = Collector()

    collector.take()
    collector.take()
    collector.give_back()
    assert told == [(50_000, 50, 50)]
    collector.give_back()
    assert told[1:] == [(1, 2, 3), "unfrozen"]
    assert gc.isenabled()
