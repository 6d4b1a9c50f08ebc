"""The company's addresses and credentials as variables of a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segue.sandbox.company import CompanyError


def exports(directory: Path) -> str:
    """Lines of `export PRACTICE_CRM_URL=…` for a POSIX shell, from what the last start over the directory wrote.

    Raises:
        CompanyError: Nobody has started the company there.
    """
    try:
        described = json.loads((directory / "practice.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = f"Start the company first: python -m segue.sandbox serve --data {directory}"
        raise CompanyError(f"{directory} holds no practice.json. {remedy}") from None
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in _variables(described))


def _variables(described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "PRACTICE_TODAY", described["today"]
    for name, system in described["systems"].items():
        prefix = f"PRACTICE_{name.upper()}"
        yield f"{prefix}_URL", system["url"]
        yield f"{prefix}_OPENAPI", system["openapi"]
        for field, value in system["credentials"].items():
            if field != "kind":
                yield f"{prefix}_{field.upper()}", value if isinstance(value, str) else " ".join(value)
        for field in ("token", "knobs", "stats", "reset"):
            yield f"{prefix}_ADMIN_{field.upper()}", system["admin"][field]
