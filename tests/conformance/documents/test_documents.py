"""Hundreds of documents, each showing one rule of the workflow language; see `docs/conformance.md`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.documents.driver import play
from tests.conformance.documents.judging import judge
from tests.conformance.documents.loading import Case, load_all, placed
from tests.conformance.documents.peer import Peer

CASES = load_all()


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
    places = {"BASE": f"http://{peer.host}", "HOSTPORT": peer.host, "NOWHERE": "http://127.0.0.1:1"}
    given, text = placed(case.given, places), placed(case.text(), places)
    for name, value in given.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    peer.expect(given.get("http", []))

    outcome = play(text, given)

    complaints = judge(placed(case.expect, places), outcome, text)
    if outcome.status != "refused" and "http" in given:
        complaints += peer.complaints()
    assert not complaints, _explain(case, text, complaints)


def _explain(case: Case, text: str, complaints: list[str]) -> str:
    lines = "\n".join(f"{number:3} {row}" for number, row in enumerate(text.rstrip().split("\n"), 1))
    return f"{case.name} ({case.source})\n" + "\n".join(f"- {line}" for line in complaints) + f"\n{lines}"
