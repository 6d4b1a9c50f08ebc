"""Adjustable values: what operations change of a workflow without a new version, in ranges that its document sets.

The document declares them, each with a JSON Schema and a default; what they are at the moment is kept outside. A run
takes them when it starts, as a part of its first event, and keeps them: a change concerns runs that start later, and
replay never asks.

Law: whatever is kept outside, a run gets exactly the values that its own definition declares, and each of them fits.

Source: decision 0119.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segue.core.plan import Adjustable

Declared = Mapping[str, Adjustable]


def settled(declared: Declared, current: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of this definition starts with: the current values that it allows, and its defaults for the rest."""
    return {
        name: current[name] if name in current and one.check(current[name]) is None else one.default
        for name, one in declared.items()
    }


def carried(declared: Declared, held: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """What a run has under another version: what it held as far as that allows it, as at a start for the rest."""
    return settled(declared, settled(declared, current) | {n: v for n, v in held.items() if _allows(declared, n, v)})


def _allows(declared: Declared, name: str, value: Any) -> bool:
    return name in declared and declared[name].check(value) is None
