"""Whoever sees the first page of a list is told that there is another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLI = Path(__file__).parents[2] / "src" / "segue" / "cli"
PAGED = [
    (path.name, function)
    for path in sorted(CLI.glob("*.py"))
    for function in ast.walk(ast.parse(path.read_text()))
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    and any(argument.arg == "after" for argument in function.args.kwonlyargs)
]


def test_there_are_lists_to_look_at() -> None:
    """Else the rule below would hold for nothing."""
    assert len(PAGED) > 10


@pytest.mark.parametrize(("file", "function"), PAGED, ids=[f"{file}:{function.name}" for file, function in PAGED])
def test_a_command_that_pages_says_how_to_go_on(file: str, function: ast.FunctionDef) -> None:
    """Fifty rows look like all there are, and a person decides by what they see."""
    called = {
        node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "tell_more" in called, f"{file}: {function.name} shows a page and not how to see the next"
