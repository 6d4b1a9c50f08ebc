"""Passwords, tokens and one-time codes: how they are made, kept and checked.

A password is hashed with Argon2id, in a thread and few at a time, so that many who sign in at once take neither the
event loop nor all memory. A token is 32 random bytes; its SHA-256 is kept, which is enough for what nobody can guess.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import Final
from weakref import WeakKeyDictionary

import argon2
import pyotp

PASSWORD_MIN: Final = 12
PASSWORD_MAX: Final = 1000
COST: Final = argon2.profiles.RFC_9106_LOW_MEMORY
"""What each password costs to hash: 64 MiB, three passes, four lanes (RFC 9106, section 4, its second choice)."""
_AT_ONCE: Final = 2
STEP_SECONDS: Final = 30


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Passwords:
    """Hashes and checks passwords. Two at a time: each takes 64 MiB and about a tenth of a second.

    Two over all workspaces of a process, which would otherwise take as many times the memory.
    """

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher.from_parameters(COST)
        self._nobodys = ""

    @property
    def _turn(self) -> asyncio.Semaphore:
        return _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))

    async def hash(self, password: str) -> str:
        """The hash to keep, with its own salt and parameters."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, password: str, kept: str) -> bool:
        """The password is the one that was hashed. An empty hash fits nothing, and takes as long to say so."""
        async with self._turn:
            return await asyncio.to_thread(self._fits, password, kept)

    def _fits(self, password: str, kept: str) -> bool:
        if not self._nobodys:
            self._nobodys = self._hasher.hash(secrets.token_urlsafe(16))
        try:
            return self._hasher.verify(kept or self._nobodys, password) and bool(kept)
        except (argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError):
            return False


def new_token(prefix: str) -> tuple[str, str]:
    """A token to show once, and the digest to keep."""
    token = f"{prefix}_{secrets.token_urlsafe(32)}"
    return token, digest_of(token)


def digest_of(token: str) -> str:
    """What a token is found by."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_totp() -> str:
    """A secret for one-time codes, as authenticator apps read it."""
    return pyotp.random_base32()


def totp_uri(secret: str, name: str) -> str:
    """What an authenticator app takes as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Segue")


def totp_step(secret: str, code: str, *, at: int, after: int) -> int | None:
    """The time step whose code this is; None where it is none of these minutes, or was used before.

    Args:
        at: Milliseconds since the epoch, UTC. The steps beside are taken too: clocks differ.
        after: Only later steps count, so that a code that somebody watched is worth nothing.
    """
    given = code.strip().replace(" ", "").encode()
    totp, now = pyotp.TOTP(secret), at // 1000 // STEP_SECONDS
    for step in (now, now - 1, now + 1):
        # As bytes: what somebody types may hold any letter, and texts are compared safely in ASCII only.
        if step > after and secrets.compare_digest(totp.generate_otp(step).encode(), given):
            return step
    return None
