"""The pages about handlers and connections are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from segue.ai import ModelCard
from segue.connectors import Breaker, Connection, Limits, Lookup, OutboundPolicy, Paging, parse_auth

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("connections.md", "handlers.md")


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_python_example_runs(page: str) -> None:
    """People copy them."""
    blocks = _blocks(page, "python")
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-c", block], check=True, timeout=60)


def test_json_examples_are_what_they_say() -> None:
    """One lookup and one paging."""
    lookup, paging = _blocks("connections.md", "json")

    assert msgspec.json.decode(lookup, type=Lookup).find == "listOutreach"
    assert msgspec.json.decode(paging, type=Paging).kind == "cursor"


def test_yaml_examples_are_task_lists() -> None:
    """They must parse, and name the arguments the handler reads."""
    for block in _blocks("connections.md", "yaml"):
        [task] = yaml.safe_load(block)
        [body] = task.values()
        assert body["call"] == "connector"
        assert set(body["with"]) <= {"use", "operation", "arguments", "all", "limit"}


def test_short_forms_of_authentication_mean_their_stored_forms() -> None:
    """The table stands side by side."""
    page = (DOCS / "connections.md").read_text()
    rows = re.findall(r'^\| `([^`]+)` \| `(\{"kind[^`]+)` \|$', page, re.MULTILINE)

    assert len(rows) == 5
    for short, stored in rows:
        assert parse_auth(short) == msgspec.json.decode(stored)


@pytest.mark.parametrize(
    ("page", "struct", "absent"),
    [
        ("connections.md", Connection, set()),
        ("connections.md", Breaker, set()),
        ("connections.md", Limits, set()),
        ("handlers.md", OutboundPolicy, set()),
        ("handlers.md", ModelCard, {"purpose"}),
    ],
)
def test_every_setting_has_its_entry(page: str, struct: type, absent: set[str]) -> None:
    """A setting nobody can find is not there."""
    text = (DOCS / page).read_text()

    for field in msgspec.structs.fields(struct):
        assert f"`{field.name}`" in text or field.name in absent, field.name
