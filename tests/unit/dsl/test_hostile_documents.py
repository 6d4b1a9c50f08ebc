"""Documents made to hurt: each stays under a megabyte and would cost minutes, memory or the stack.

The time limits are wide: they tell seconds from minutes, on a busy machine as well.
"""

from __future__ import annotations

import time
from textwrap import indent

import pytest

from segue.dsl import check_document, read_document

from .documents import HEAD, document_of, findings_of

TIME_S_MAX = 20.0


def _jumps() -> str:
    return document_of("".join(f"- t{n}: {{set: {{x: 1}}, then: t0}}\n" for n in range(15_000)))


def _unknown_targets() -> str:
    return document_of("".join(f"- t{n}: {{set: {{x: 1}}, then: nope{n}}}\n" for n in range(15_000)))


def _unknown_keys() -> str:
    keys = ", ".join(f"key{n}: 1" for n in range(50_000))
    return HEAD + f"do: [{{a: {{call: http, with: {{{keys}}}}}}}]\n"


def _unknown_steps() -> str:
    return document_of("".join(f"- t{n}: {{set: '${{ $steps.nope{n} }}'}}\n" for n in range(10_000)))


def _chain_of_needs() -> str:
    branches = "".join(f"- b{n}: {{set: {{x: 1}}, needs: [b{n - 1}]}}\n" for n in range(1, 12_000))
    return document_of("- f:\n    fork:\n      branches:\n      - b0: {set: {x: 1}}\n" + indent(branches, " " * 6))


def _chain_of_functions() -> str:
    functions = "".join(f"    f{n}: {{call: f{n + 1}}}\n" for n in range(10_000))
    return document_of("- a: {call: f0}\n", root="use:\n  functions:\n" + functions + "    f10000: {set: {x: 1}}\n")


def _extensions() -> str:
    extensions = "".join(f"  - e{n}: {{extend: emit}}\n" for n in range(10_000))
    tasks = "".join(f"- t{n}: {{set: {{x: 1}}}}\n" for n in range(10_000))
    return document_of(tasks, root="use:\n  extensions:\n" + extensions)


def _extensions_that_apply() -> str:
    extensions = "".join(f"  - e{n}: {{extend: set, before: [{{b: {{set: {{x: 1}}}}}}]}}\n" for n in range(2_000))
    tasks = "".join(f"- t{n}: {{set: {{x: 1}}}}\n" for n in range(2_000))
    return document_of(tasks, root="use:\n  extensions:\n" + extensions)


def _loops_within() -> str:
    inner = "".join(f"- t{n}: {{set: {{x: 1}}, then: t0}}\n" for n in range(3_000))
    return document_of("- a:\n    do:\n" + indent(inner, " " * 4) + "- b: {set: {x: 1}, then: a}\n")


def _secrets() -> str:
    names = ", ".join(f"s{n}" for n in range(20_000))
    tasks = "".join(f"- t{n}: {{set: {{x: 1}}, input: {{from: $secrets.s{n}}}}}\n" for n in range(5_000))
    return document_of(tasks, root=f"use: {{secrets: [{names}]}}\n")


@pytest.mark.parametrize(
    "make",
    [
        _jumps,
        _unknown_targets,
        _unknown_keys,
        _unknown_steps,
        _chain_of_needs,
        _chain_of_functions,
        _extensions,
        _extensions_that_apply,
        _loops_within,
        _secrets,
    ],
)
def test_checking_takes_time_in_proportion_to_the_document(make: object) -> None:
    """Whoever may validate a document may not thereby stop the service."""
    text = make()  # type: ignore[operator]
    assert len(text) < 1_048_576
    started = time.perf_counter()
    findings = check_document(read_document(text))
    elapsed_s = time.perf_counter() - started
    assert elapsed_s < TIME_S_MAX
    assert len(findings) <= 1_010
    assert sum(len(str(finding)) for finding in findings) < 2_000_000


def test_a_chain_of_calls_does_not_fill_the_stack() -> None:
    """Each function is shallow; together they are not."""
    assert "tasks-too-deep" in {finding.rule for finding in findings_of(_chain_of_functions())}


def test_thousands_of_findings_are_cut_off() -> None:
    """The first thousand are enough to start with."""
    findings = findings_of(_unknown_targets())
    assert "too-many-findings" in {finding.rule for finding in findings}


def test_thousands_of_structural_mistakes_are_cut_off_too() -> None:
    """And what was not looked at is not compiled."""
    tasks = "".join(f"- t{n}: {{raise: {{error: {{}}}}}}\n" for n in range(5_000))
    findings = findings_of(document_of(tasks))
    assert {finding.rule for finding in findings} == {"missing-key", "too-many-findings"}
