"""Keys and files of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.governance import AuditKey, PublicKey, append_checkpoint, read_checkpoints
from segue.governance.checkpoints import standing


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """A key that changes at each start could verify nothing; one that others can read signs for them."""
    path = tmp_path / "audit.key"
    first, second = (AuditKey.load(path, environment={}) for _ in range(2))

    assert first.public.name == second.public.name
    assert path.stat().st_mode & 0o777 == 0o600
    assert first.public.pem().startswith("-----BEGIN PUBLIC KEY-----")


def test_the_environment_may_hold_the_key(tmp_path: Path) -> None:
    """Then nothing in the data folder can sign."""
    path = tmp_path / "audit.key"
    made = AuditKey.load(path, environment={})
    said = {"SEGUE_AUDIT_KEY": path.read_text()}

    assert AuditKey.load(tmp_path / "none", environment=said).public.name == made.public.name
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """With the place, and without the content."""
    path = tmp_path / "audit.key"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"audit\.key holds no private key"):
        AuditKey.load(path, environment={})
    with pytest.raises(ValueError, match=r"."):
        PublicKey.parse(text.encode())


def test_a_half_written_last_line_harms_nothing(tmp_path: Path) -> None:
    """A process may be killed at any moment; the next checkpoint begins a line of its own."""
    path, key = tmp_path / "checkpoints", AuditKey.load(tmp_path / "key", environment={})
    append_checkpoint(path, key.sign(1, bytes(32), 5))
    path.write_bytes(path.read_bytes() + b'{"seq":2,"ha')

    assert [c.seq for c in read_checkpoints(path)[0]] == [1]
    assert read_checkpoints(path)[1] == []
    append_checkpoint(path, key.sign(3, bytes(32), 6))
    found, complaints = read_checkpoints(path)
    assert [c.seq for c in found] == [1, 3]
    assert complaints == ["line 2 of checkpoints is no checkpoint"]


def test_restoring_a_backup_gives_up_what_came_after_it(tmp_path: Path) -> None:
    """Only a signed word excuses a chain that is shorter than it was."""
    key = AuditKey.load(tmp_path / "key", environment={})
    marks = [key.sign(seq, bytes(32), seq) for seq in (1, 5, 9)]
    restored = key.sign(4, bytes(32), 10, "restored")

    kept, lost = standing([*marks, restored])

    assert [c.seq for c in kept] == [1, 4]
    assert [c.seq for c in lost] == [5, 9]
