"""The docs say what is there, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from segue.api import openapi_document
from segue.cli.app import _COMMANDS, _GROUPS
from segue.service import LIFECYCLE_TYPES, PROBLEMS

DOCS = Path(__file__).parents[3] / "docs"
HTTP = (DOCS / "http-api.md").read_text()
CLI = (DOCS / "cli.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", (DOCS / "python-api.md").read_text(), re.DOTALL)


def test_the_list_of_refusals_is_the_table_of_the_service() -> None:
    """Generated from the table, and held against it."""
    rows = [f"| `{k}` | {e.status} | {e.exit_code} | {e.meaning} |" for k, e in PROBLEMS.items()]

    assert HTTP.rstrip().endswith("\n".join(rows))


def test_every_route_is_listed_and_nothing_else() -> None:
    """Against the OpenAPI document that clients are generated from."""
    routes = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, methods in openapi_document()["paths"].items()
        for method in methods
    }

    assert set(re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|", HTTP, re.MULTILINE)) == routes


def test_every_command_is_listed() -> None:
    """What is not documented does not exist for anybody."""
    commands = {f"segue {name}" for name in _COMMANDS}
    commands |= {f"segue {group} {name}" for group, (_, inner) in _GROUPS.items() for name in inner}

    assert {command for command in commands if f"`{command}" not in CLI} == set()


def test_every_lifecycle_word_is_listed() -> None:
    """Consumers subscribe by type."""
    for kind in LIFECYCLE_TYPES:
        assert f"`{kind.split('.')[-2]}`" in HTTP


@pytest.mark.parametrize(("place", "call", "answer"), [(0, "main", 0.5), (1, "hello", {"message": "Hello Ada"})])
async def test_the_snippets_of_the_python_api_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, call: str, answer: object
) -> None:
    """A snippet that does not run teaches an error."""
    monkeypatch.setattr("segue._recorded", {})
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(PYTHON[place], "python-api.md", "exec"), names)

    result = await (names[call](tmp_path) if call == "main" else names[call]())

    assert result == answer
