"""Hundreds of documents, each showing one rule of the workflow language; see `docs/conformance.md`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.documents.driver import play
from tests.conformance.documents.hosted import host, needs_no_clock
from tests.conformance.documents.judging import judge, judge_report
from tests.conformance.documents.loading import Case, load_all, placed
from tests.conformance.documents.peer import Peer

ALL = load_all()
CASES = [case for case in ALL if case.given.get("way") != "hosted"]
HOSTED = [case for case in ALL if needs_no_clock(case)]


def _id(case: Case) -> str:
    return f"{case.file.partition('_')[0]}-{case.name}"


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_the_compiler_and_the_core_keep_the_rule(case: Case, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each document behaves as the document reference says, on a virtual clock."""
    given, expect, text = _prepared(case, peer, monkeypatch)

    outcome = play(text, given)

    complaints = judge(expect, outcome, text)
    if outcome.status != "refused":
        complaints += peer.complaints()
    assert not complaints, _explain(case, text, complaints)


@pytest.mark.full
@pytest.mark.parametrize("case", HOSTED, ids=_id)
async def test_the_embedded_host_keeps_the_rule(case: Case, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same documents, over everything that a person's run goes through."""
    given, expect, text = _prepared(case, peer, monkeypatch)

    outcome = await asyncio.wait_for(host(text, given), 10)

    complaints = judge_report(expect, outcome, text)
    if outcome.status != "refused":
        complaints += peer.complaints()
    assert not complaints, _explain(case, text, complaints)


def test_most_cases_run_in_the_embedded_host_as_well() -> None:
    """A slip in the choice must not leave the host untested without anybody noticing."""
    assert len(HOSTED) > len(CASES) / 2


def _prepared(case: Case, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any], str]:
    places = {"BASE": f"http://{peer.host}", "HOSTPORT": peer.host, "NOWHERE": "http://127.0.0.1:1"}
    given = placed(case.given, places)
    for name, value in given.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    peer.expect(given.get("http", []))
    return given, placed(case.expect, places), placed(case.text(), places)


def _explain(case: Case, text: str, complaints: list[str]) -> str:
    lines = "\n".join(f"{number:3} {row}" for number, row in enumerate(text.rstrip().split("\n"), 1))
    return f"{case.name} ({case.source})\n" + "\n".join(f"- {line}" for line in complaints) + f"\n{lines}"
