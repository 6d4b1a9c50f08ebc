"""JSON Pointers into answers (RFC 6901)."""

from __future__ import annotations

from typing import Any


def value_at(data: Any, pointer: str) -> Any:
    """The value that the pointer leads to, or None where it leads nowhere."""
    for step in pointer.split("/")[1:] if pointer else ():
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        else:
            return None
    return data


def only_array(data: Any) -> list[Any] | None:
    """The array itself, or the only array among an object's values; None when that is not clear."""
    if isinstance(data, list):
        return data
    if isinstance(data, dict):
        arrays = [value for value in data.values() if isinstance(value, list)]
        if len(arrays) == 1:
            return arrays[0]
    return None
