"""How dear a password is to guess."""

from __future__ import annotations

from segue.governance.credentials import Passwords


async def test_a_password_costs_memory_and_time_to_guess() -> None:
    """Whoever steals the file tries as many as they can pay for (`tests/cheap.py` is for tests only)."""
    passwords = Passwords()

    kept = await passwords.hash("correct horse battery")

    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.fits("correct horse battery", kept)
    assert not await passwords.fits("correct horse batterz", kept)
    assert not await passwords.fits("", "")
