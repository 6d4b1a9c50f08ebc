"""Approvals of acts: what is asked for, and what an approval that was given still counts for.

An approval binds one act of one run with its arguments, and the text of the rules that it lifts: where any of them
differs from what somebody saw, it counts for nothing and they are asked anew (decision 0104).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from segue.types import Perform, SecretText


def act_digest(run: str, command: Perform) -> str:
    """SHA-256 over everything that makes this act this act; secrets count as the references that they are."""
    said = [run, command.effect, command.handler, command.arguments]
    raw = json.dumps(said, sort_keys=True, separators=(",", ":"), default=_pieces)
    return hashlib.sha256(raw.encode()).hexdigest()


def lifted(command: Perform, digest: str, rules: Mapping[str, str]) -> dict[str, str]:
    """Of these rules, with their text, those that somebody has approved for exactly this act; and who did."""
    return {
        rule: given.by
        for given in command.approvals
        if given.digest == digest
        for rule, text in given.rules.items()
        if rules.get(rule) == text
    }


def _pieces(value: Any) -> Any:
    if isinstance(value, SecretText):
        return {"secret": value.pieces}
    raise TypeError(f"a value of type {type(value).__name__!r} is no argument")
