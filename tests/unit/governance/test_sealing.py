"""Sealing: what is sealed reads back, and no nonce is used twice."""

from __future__ import annotations

import binascii
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segue.governance import keyring
from segue.governance.keyring import KeyRing, LocalKey


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    folder: Path = tmp_path_factory.mktemp("keys")
    made = KeyRing.create(folder / "segue.keys", LocalKey(bytes(32)))
    made.assign(1, "~somebody")
    return made


def nonce_of(sealed: str) -> bytes:
    return binascii.a2b_base64(sealed[1:])[8:20]


def test_many_at_once_read_back_like_one(ring: KeyRing) -> None:
    """Text of any length, for a data subject and for the workspace; no rows are no texts."""
    rows = [(number % 3, b"x" * number) for number in range(200)]
    assert [ring.unseal(text) for text in ring.seal_rows(rows)] == [raw.decode() for _, raw in rows]
    assert [ring.unseal(ring.seal(raw, run)) for run, raw in rows] == [raw.decode() for _, raw in rows]
    assert ring.unseal(ring.seal(b"\x00packed", 1, packed=True)) == b"\x00packed"
    assert ring.seal_rows([]) == []


def test_what_is_about_somebody_is_sealed_with_their_key(ring: KeyRing) -> None:
    """Otherwise destroying the key would leave it readable."""
    ours, theirs = (binascii.a2b_base64(text[1:])[:8] for text in ring.seal_rows([(2, b"{}"), (1, b"{}")]))
    assert ours != theirs
    assert binascii.a2b_base64(ring.seal(b"{}", 1)[1:])[:8] == theirs
    assert binascii.a2b_base64(ring.seal(b"{}")[1:])[:8] == ours


def test_no_nonce_is_given_out_twice(ring: KeyRing) -> None:
    """Two values under one key and nonce tell what they have in common. Loop and writer seal at once."""

    def work(_: int) -> list[str]:
        return [*ring.seal_rows([(1, b"{}")] * 150), *(ring.seal(b"{}") for _ in range(150))]

    with ThreadPoolExecutor(4) as threads:
        sealed = [text for some in threads.map(work, range(40)) for text in some]
    assert len({nonce_of(text) for text in sealed}) == len(sealed) == 12_000


def test_a_child_process_has_nonces_of_its_own(ring: KeyRing) -> None:
    """Some are drawn before they are needed, and a fork copies them."""
    ring.seal(b"{}")
    ring.seal_rows([(1, b"{}")])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, nonce_of(ring.seal(b"{}")) + nonce_of(ring.seal_rows([(1, b"{}")])[0]))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 24)
    os.close(reading)
    os.close(writing)
    ours = {nonce_of(ring.seal(b"{}")), nonce_of(ring.seal_rows([(1, b"{}")])[0])}
    assert len(theirs) == 24
    assert ours.isdisjoint({theirs[:12], theirs[12:]})


def test_the_key_of_the_last_rotation_counts_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back must not bring the key back that a rotation was to end."""
    made = KeyRing.create(tmp_path / "segue.keys", LocalKey(bytes(32)))
    monkeypatch.setattr(keyring, "_now_ms", lambda: 0)
    made.rotate()
    older = made.older()
    read_back = KeyRing(tmp_path / "segue.keys", LocalKey(bytes(32)))
    assert older
    assert read_back.older() == older
    assert binascii.a2b_base64(read_back.seal(b"{}")[1:])[:8] == binascii.a2b_base64(made.seal(b"{}")[1:])[:8]
