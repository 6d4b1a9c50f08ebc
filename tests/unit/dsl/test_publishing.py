"""Digest, speed, and the workflows that come with the product."""

from __future__ import annotations

import time
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

import segue
from segue.dsl import (
    Environment,
    FunctionDocument,
    check_document,
    compile_plan,
    digest_of,
    read_document,
)

from .documents import document_of

TASKS = "- a: {set: {x: 1, y: 'é'}}\n"
TEMPLATES = sorted(Path(segue.__file__).parent.joinpath("catalog", "templates").rglob("*.yaml"))


def test_layout_does_not_change_the_digest() -> None:
    """A run is pinned to what its document says."""
    first = digest_of(read_document(document_of(TASKS)))
    second = digest_of(read_document("# a comment\n" + document_of("- a:\n    set: {y: é, 'x': 1}\n")))
    assert first == second
    assert len(first) == 64


def test_every_change_of_content_changes_the_digest() -> None:
    """Metadata included: it may say who is responsible."""
    texts = [document_of(TASKS), document_of(TASKS.replace("1", "2")), document_of(TASKS.replace("1", "1.0"))]
    texts += [document_of(TASKS).replace("version: '1.0.0'", "version: '1.0.1'")]
    assert len({digest_of(read_document(text)) for text in texts}) == len(texts)


def test_the_digest_covers_the_functions_that_are_called() -> None:
    """A function that changes under the same name makes another definition."""

    def environment(digest: str) -> Environment:
        function = FunctionDocument("f", "1.0.0", digest, body={"set": {"x": 1}})

        def resolve(name: str, version: str | None, endpoint: Any) -> FunctionDocument:
            return function

        return Environment(resolve_function=resolve)

    document = read_document(document_of("- a: {call: f}\n"))
    assert digest_of(document, environment("one")) != digest_of(document, environment("two"))


def test_the_plan_carries_the_digest() -> None:
    """Both ways to ask give one answer."""
    document = read_document(document_of(TASKS))
    assert compile_plan(document).digest == digest_of(document)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_the_templates_have_no_findings(path: Path) -> None:
    """They are what people copy."""
    findings = check_document(read_document(path.read_bytes(), file=path.name))
    assert [str(finding) for finding in findings] == []


def test_there_are_templates() -> None:
    """So that the test above cannot pass by finding nothing."""
    assert TEMPLATES


STEP = """\
- t{n}:
    call: http
    with:
      method: get
      endpoint: https://example.com/items/{{id}}
      headers: {{accept: application/json}}
      query: {{page: '${{ .page | tostring }}'}}
    input: {{from: '{{id: .id, page: .page}}'}}
    output: {{as: '${{ {{ id: .id, page: ((.page // 0) + {n}) }} }}'}}
    export: {{as: '$context + {{ t{n}: .id }}'}}
"""


def test_five_hundred_tasks_are_published_while_nobody_notices() -> None:
    """The editor checks at every pause in typing. Reading the same text in the same run is the yardstick."""
    text = document_of("".join(STEP.format(n=n) for n in range(500)))
    started = time.process_time()
    document = read_document(text)
    read_s = time.process_time() - started
    plan = compile_plan(document)
    compiled_s = time.process_time() - started - read_s
    assert len(plan.nodes) == 501
    # About 8 on a quiet machine; the bound catches what grows with the square of the document.
    assert compiled_s < 40 * read_s


def test_nesting_is_bounded_by_depth_and_not_by_luck() -> None:
    """Thirty levels of `do` are far below the limit of depth, and compile."""
    tasks = "- leaf: {set: {x: 1}}\n"
    for level in range(30):
        tasks = f"- level{level}:\n    do:\n" + indent(tasks, "      ")
    assert len(compile_plan(read_document(document_of(tasks))).nodes) == 32
