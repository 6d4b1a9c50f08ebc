"""Tests of a workflow: cases in its document, each an input, the answers of the world, and what must come out.

They stand in `document.metadata.segue.tests`, so the digest of a version covers them: what passes is this version and
no other. Nobody keeps whether they passed; whoever asks plays them again (decision 0153).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from segue.core import Plan
from segue.dsl import Document
from segue.dsl.expressions.values import equal
from segue.service.declared import PLACE as SAID
from segue.service.declared import said_of
from segue.service.definitions import finding_of
from segue.service.errors import Finding
from segue.service.rehearsing import Case, Ending, Expected, Stuck, rehearse
from segue.service.shapes import Shape
from segue.types import Failure, canonical_type

CASES_MAX: Final = 100
SECONDS_MAX: Final = 10.0
"""All cases of a document together."""
PLACE: Final = f"{SAID}/tests"
_SHOWN: Final = 300
_REMEDY: Final = (
    "Write cases, such as `tests: [{ name: …, input: …, answers: { TASK: { output: … } }, expect: { output: … } }]`; "
    "`segue test FILE` plays them."
)


class CaseResult(Shape, frozen=True, kw_only=True):
    """What became of one case.

    Attributes:
        pointer: Where it stands in the document.
        why: Why it did not pass, in a sentence. acts: What was performed and decided, by the names of the tasks.
    """

    name: str
    pointer: str
    passed: bool
    why: str | None = None
    acts: list[str] = msgspec.field(default_factory=list)


class Tested(Shape, frozen=True, kw_only=True):
    """What the tests of one document say. `passed`: it has some that can be played, and all came out as they must.

    Attributes:
        digest: Of the definition that was played; empty where the document is refused.
        findings: What is wrong with the document, or with the form of its tests.
    """

    file: str
    passed: bool
    digest: str = ""
    cases: list[CaseResult] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)


def play(document: Document, plan: Plan) -> tuple[list[CaseResult], list[Finding]]:
    """Play all tests of a document; also what is wrong with their form. Up to ten seconds: use a thread."""
    said = said_of(document.data).get("tests")
    if not isinstance(said, list) or not said:
        told = (
            "it has no tests" if said in (None, "", []) else f"`tests` says nothing that can be played: {said!r:.80}"
        )
        return [], [_untested(document, told, PLACE if said is not None else "/document")]
    if len(said) > CASES_MAX:
        return [], [_untested(document, f"there are {len(said)} tests, and {CASES_MAX} are allowed", PLACE)]
    until = time.monotonic() + SECONDS_MAX
    results: list[CaseResult] = []
    findings: list[Finding] = []
    for place, one in enumerate(said):
        pointer = f"{PLACE}/{place}"
        try:
            case = msgspec.convert(one, Case)
        except msgspec.ValidationError as error:
            findings.append(_untested(document, f"test {place + 1} has another form: {error}", pointer))
            continue
        results.append(_played(plan, case, pointer, until))
    return results, findings


def failing(document: Document, plan: Plan) -> Iterator[Finding]:
    """Findings `untested` and `failing-test` of a document, as errors."""
    results, findings = play(document, plan)
    yield from findings
    for result in results:
        if not result.passed:
            message = f"the test {result.name!r} does not pass: {result.why}"
            remedy = "Put the document right, or what the test expects; `segue test FILE` plays it."
            yield finding_of(document.finding("failing-test", "error", message, remedy, pointer=result.pointer))


def _played(plan: Plan, case: Case, pointer: str, until: float) -> CaseResult:
    try:
        ending = rehearse(plan, case, until=until)
    except Stuck as stuck:
        return CaseResult(name=case.name, pointer=pointer, passed=False, why=str(stuck))
    why = _differs(case.expect, ending)
    return CaseResult(name=case.name, pointer=pointer, passed=why is None, why=why, acts=ending.acts)


def _differs(expected: Expected, ending: Ending) -> str | None:
    """What came out otherwise than it must; None where nothing did."""
    if ending.failure is not None:
        came = _named(ending.failure)
        if expected.error is None:
            return f"it failed: {came}"
        wanted = expected.error
        if canonical_type(ending.failure.type) != canonical_type(wanted.uri):
            return f"it failed otherwise: {came}, and not {wanted.type!r}"
        if wanted.status not in (None, ending.failure.status):
            return f"it failed otherwise: {came}, and not with the status {wanted.status}"
    elif expected.error is not None:
        return f"it did not fail; it gave {_shown(ending.output)}"
    elif not equal(ending.output, expected.output):
        return f"it gave {_shown(ending.output)}, and not {_shown(expected.output)}"
    if expected.acts is not None and expected.acts != ending.acts:
        return f"it did {', '.join(ending.acts) or 'nothing'}, and not {', '.join(expected.acts) or 'nothing'}"
    return None


def _named(failure: Failure) -> str:
    word = failure.type.rpartition("/")[2] or failure.type
    return f"{word} {failure.status} at {failure.instance or '/'}: {(failure.detail or failure.title or '')[:_SHOWN]}"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _untested(document: Document, message: str, pointer: str) -> Finding:
    return finding_of(document.finding("untested", "error", message, _REMEDY, pointer=pointer))
