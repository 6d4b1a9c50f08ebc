"""One-time codes: a link in a mail that lets exactly one person decide exactly one task, once.

The code itself goes to the person and is kept nowhere; the store has its SHA-256. It has 192 random bits, so a slow
hash would protect nothing. Looking (GET) spends nothing, so programs that open every link of a mail decide nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

CODE_LIFE_MS: Final = 3 * 86_400_000
"""How long a code is good for when nobody says otherwise: over a weekend."""

_BYTES: Final = 24


def new_code() -> str:
    """A code that nobody can guess."""
    return secrets.token_urlsafe(_BYTES)


def hash_code(code: str) -> str:
    """What the store keeps of it."""
    return hashlib.sha256(code.encode()).hexdigest()
