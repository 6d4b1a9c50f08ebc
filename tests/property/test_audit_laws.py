"""Laws of the audit chain: no single change of the table goes unnoticed."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.governance import AuditKey, ChainCheck, Checkpoint
from segue.store.chain import Head, link, record_of
from segue.types import AuditRecord, AuditRow

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""Two busy cores make a slow draw say nothing about the test."""
KEY = AuditKey(Ed25519PrivateKey.generate())
Row = tuple[Any, ...]

texts = st.text('aé"\n0', max_size=4)
records = st.builds(
    AuditRecord,
    at=st.integers(0, 2**45),
    principal=texts,
    action=texts,
    resource=texts,
    verdict=texts,
    reason=texts,
    workspace=texts,
    data=st.none() | st.dictionaries(texts, texts, max_size=2),
)
chains = st.lists(records, min_size=2, max_size=12).map(lambda rs: link(Head(), rs))


def found(rows: list[Row], *checkpoints: Checkpoint) -> ChainCheck:
    check = ChainCheck(checkpoints, KEY.public)
    check.feed(rows)
    check.finish()
    return check


def kinds(check: ChainCheck) -> set[str]:
    return {problem.kind for problem in check.problems}


def signed(head: Head) -> Checkpoint:
    return KEY.sign(head.seq, head.hash, 1)


@UNHURRIED
@given(chains)
def test_what_nobody_touched_is_sound(chain: tuple[list[Row], Head]) -> None:
    """A false alarm would teach people not to look."""
    rows, head = chain
    assert found(rows, signed(head)).problems == []


@UNHURRIED
@given(chains, st.data())
def test_any_change_of_any_column_is_found_and_named(chain: tuple[list[Row], Head], data: st.DataObject) -> None:
    """Also of the hash, and of a text by one letter."""
    rows, head = chain
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(1, 8))
    old = rows[place][column]
    new = old + 1 if isinstance(old, int) else data.draw(texts.filter(lambda text: text != old))
    rows[place] = (*rows[place][:column], new, *rows[place][column + 1 :])

    check = found(rows, signed(head))

    assert ("changed", place + 1) in {(p.kind, p.first) for p in check.problems}
    assert {p.first for p in check.problems} <= {place + 1}


@UNHURRIED
@given(chains, st.data())
def test_any_missing_record_is_found_and_named(chain: tuple[list[Row], Head], data: st.DataObject) -> None:
    """The last one too, because the checkpoint outside the table knows of it."""
    rows, head = chain
    place = data.draw(st.integers(0, len(rows) - 1))
    del rows[place]

    (problem,) = found(rows, signed(head)).problems

    assert (problem.kind, problem.first, problem.last) in {
        ("missing", place + 1, place + 1),
        ("cut-off", place + 1, place + 1),
    }


@UNHURRIED
@given(chains, st.data())
def test_any_two_records_that_changed_places_are_found(chain: tuple[list[Row], Head], data: st.DataObject) -> None:
    """Each keeps the number of the place that it was put to."""
    rows, head = chain
    a, b = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))
    rows[a], rows[b] = (rows[a][0], *rows[b][1:]), (rows[b][0], *rows[a][1:])

    assert {a + 1, b + 1} <= {p.first for p in found(rows, signed(head)).problems if p.kind == "changed"}


@UNHURRIED
@given(chains, records, st.data())
def test_a_record_put_in_between_is_found(
    chain: tuple[list[Row], Head], more: AuditRecord, data: st.DataObject
) -> None:
    """Even when everything behind it is numbered and linked anew, the signature does not fit."""
    rows, head = chain
    place = data.draw(st.integers(0, len(rows) - 1))
    before = rows[:place]
    last = Head(place, bytes.fromhex(before[-1][8])) if before else Head()
    inserted, last = link(last, [msgspec.structs.replace(more, reason="put in")])
    forged = [*before, *inserted]
    for row in rows[place:]:
        again, last = link(last, [record_of(AuditRow(*row))])
        forged += again

    assert "rewritten" in kinds(found(forged, signed(head)))


@UNHURRIED
@given(chains, st.data())
def test_a_chain_that_was_cut_off_is_found(chain: tuple[list[Row], Head], data: st.DataObject) -> None:
    """What is left fits together; only what is kept elsewhere knows that there was more."""
    rows, head = chain
    kept = data.draw(st.integers(0, len(rows) - 1))

    assert kinds(found(rows[:kept])) == set()
    (problem,) = found(rows[:kept], signed(head)).problems
    assert (problem.kind, problem.first, problem.last) == ("cut-off", kept + 1, len(rows))


@UNHURRIED
@given(chains, st.data())
def test_a_checkpoint_that_was_changed_vouches_for_nothing(
    chain: tuple[list[Row], Head], data: st.DataObject
) -> None:
    """Else whoever cuts the chain would lower the number in it."""
    rows, head = chain
    real = signed(head)
    seq = data.draw(st.integers(0, 2**40).filter(lambda number: number != real.seq))
    forged = Checkpoint(seq, real.hash, real.at, real.kind, real.key, real.signature)

    assert kinds(found(rows, forged)) == {"signature"}


@UNHURRIED
@given(chains, st.data())
def test_what_was_pruned_up_to_a_checkpoint_is_not_missing(
    chain: tuple[list[Row], Head], data: st.DataObject
) -> None:
    """Retention must leave a chain that still verifies, and nothing else may begin late."""
    rows, _ = chain
    gone = data.draw(st.integers(1, len(rows) - 1))
    boundary = KEY.sign(gone, bytes.fromhex(rows[gone - 1][8]), 1, "pruned")

    assert found(rows[gone:], boundary).problems == []
    assert kinds(found(rows[gone:])) == {"missing"}
