"""Histories of every release, replayed with today's code: the same commands, byte for byte, and the same end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from tests.replay.golden import Golden, compiled, paths, read, replayed

from segue.core.machines import act
from segue.types import Event

ROOT = Path(__file__).parents[2]
PATHS = paths()
SHIPPED = ("src/segue/catalog/templates/**/*.yaml", "examples/**/*.yaml")


def complaints_about(golden: Golden) -> list[str]:
    """What today's code does otherwise."""
    found = []
    plans = {}
    for digest, text in golden.documents.items():
        plan = plans[digest] = compiled(text, golden.functions, golden.catalogue)
        if plan.digest != digest:
            found.append(f"{plan.name}: its digest was {digest}, and is {plan.digest}")
    for plan in plans.values():
        plan.others = plans.__getitem__
    for run in golden.runs:
        digests, whole, ending = replayed(plans[run.definition], run.history)
        name = f"{golden.release} {golden.name} ({run.history[0].run_id})"  # type: ignore[union-attr]
        for place, (was, now) in enumerate(zip(run.commands, digests, strict=True)):
            if was != now:
                found.append(f"{name}: event {place}, {run.history[place]!r}, leads to other commands")
                break
        if whole != run.all and not found:
            found.append(f"{name}: the commands differ")
        if ending != run.ending:
            found.append(f"{name}: it came to {run.ending!r}, and comes to {ending!r}")
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_history_replays_as_it_was(path: Path) -> None:
    """An upgrade changes nothing about a run that is under way; a new rule needs a flag in new histories."""
    assert complaints_about(read(path)) == []


def test_the_histories_hold_everything_that_can_happen() -> None:
    """Each kind of event, each way to end, and runs that have not ended."""
    runs = [run for path in PATHS for run in read(path).runs]
    assert {type(event) for run in runs for event in run.history} == set(get_args(Event))
    statuses = {run.ending.status for run in runs}
    assert statuses >= {"completed", "faulted", "cancelled", "waiting"}
    assert any("hold" in run.history[0].flags for run in runs)  # type: ignore[union-attr]
    assert len(runs) > 130


@pytest.mark.parametrize("release", sorted({path.parent.name for path in PATHS}))
def test_every_document_that_ships_is_among_them(release: str) -> None:
    """What people start from must survive their first upgrade."""
    texts = [text for path in PATHS if path.parent.name == release for text in read(path).documents.values()]
    known = {_name_of(text) for text in texts}
    shipped = {_name_of(path.read_text(encoding="utf-8")) for glob in SHIPPED for path in ROOT.glob(glob)}
    assert shipped - {None} <= known


def test_a_core_that_decides_otherwise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else these files would prove nothing. Here an act gets another name, and so another key outside."""
    monkeypatch.setattr(act, "effect_of", lambda state, frame: "x")
    assert sum(bool(complaints_about(read(path))) for path in PATHS) > 20


def _name_of(text: str) -> tuple[str, str] | None:
    loaded: Any = yaml.safe_load(text)
    head = loaded.get("document") if isinstance(loaded, dict) else None
    return None if head is None else (head["namespace"], head["name"])
