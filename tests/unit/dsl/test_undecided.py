"""Acts against people: on which ways does no person decide?"""

from __future__ import annotations

import pytest

from segue.dsl import Environment, PythonFunction, check_document, compile_plan, read_document
from segue.dsl.flows import undecided

HEADER = "document: {dsl: '1.0.3', namespace: n, name: d, version: 1.0.0}\n"
ASK = "{call: human-task, with: {title: x, assign: {role: r}}}"
REJECT = "{call: f, metadata: {segue: {affects: person, adverse: true}}}"
ENVIRONMENT = Environment(functions={"f": PythonFunction("f")})
DECISION = (
    "{call: decision, with: {model: m, version: '1', input: {}, title: t, threshold: 0.9, sample: 0,"
    " assign: {role: r}, deadline: {after: PT1H, outcome: reject}}}"
)


def ways(tasks: str) -> dict[str, tuple[str, ...]]:
    document = read_document(HEADER + tasks)
    assert not [f for f in check_document(document, ENVIRONMENT) if f.is_error]
    return undecided(compile_plan(document, ENVIRONMENT))


OPEN = {
    "nobody": f"do:\n- no: {REJECT}\n",
    "afterwards": f"do:\n- no: {REJECT}\n- ask: {ASK}\n",
    "a model alone": f"do:\n- ask: {DECISION}\n- no: {REJECT}\n",
    "silence": (f"do:\n- ask: {ASK[:-2]}, deadline: {{after: PT1H, outcome: reject}}}}}}\n- no: {REJECT}\n"),
    "left out by a review": (
        f"do:\n- ask: {ASK[:-2]}, review: {{confidence: 1, threshold: 0.5, sample: 0}}}}}}\n- no: {REJECT}\n"
    ),
    "an agent": f"do:\n- ask: {ASK.replace('role', 'agent')}\n- no: {REJECT}\n",
    "skipped": f"do:\n- ask: {ASK[:-1]}, if: '${{ .big }}'}}\n- no: {REJECT}\n",
    "a case goes around": (
        f"do:\n- way: {{switch: [{{low: {{when: '${{ .low }}', then: no}}}}]}}\n- ask: {ASK}\n- no: {REJECT}\n"
    ),
    "a jump back goes around": (
        f"do:\n- way: {{switch: [{{low: {{when: '${{ .low }}', then: back}}}}]}}\n- ask: {ASK}\n- no: {REJECT}\n"
        "- back: {wait: PT1S, then: no}\n"
    ),
    "below a marked list": (
        "do:\n- all: {do: [{no: {call: f}}], metadata: {segue: {affects: person, adverse: true}}}\n"
    ),
    "the catch goes around": (
        f"do:\n- t: {{try: [{{ask: {ASK}}}], catch: {{do: [{{x: {{set: {{b: 1}}}}}}]}}}}\n- no: {REJECT}\n"
    ),
}
DECIDED = {
    "before": f"do:\n- ask: {ASK}\n- no: {REJECT}\n",
    "before the loop": f"do:\n- ask: {ASK}\n- l: {{for: {{in: '${{ .a }}'}}, do: [{{no: {REJECT}}}]}}\n",
    "in the loop": f"do:\n- l: {{for: {{in: '${{ .a }}'}}, do: [{{ask: {ASK}}}, {{no: {REJECT}}}]}}\n",
    "a branch that it needs": (
        f"do:\n- f: {{fork: {{branches: [{{ask: {ASK}}}, {{no: {REJECT[:-1]}, needs: [ask]}}}}]}}}}\n"
    ),
    "only the good news is alone": (
        "do:\n- way: {switch: [{low: {when: '${ .low }', then: ask}}]}\n- yes: {call: f, then: end}\n"
        f"- ask: {ASK}\n- no: {REJECT}\n"
    ),
    "nothing is marked": "do:\n- no: {call: f}\n",
}


@pytest.mark.parametrize("tasks", OPEN.values(), ids=OPEN)
def test_a_way_on_which_no_person_decides_is_found(tasks: str) -> None:
    """One is enough for a rejection by a machine."""
    assert len(ways(tasks)) == 1


@pytest.mark.parametrize("tasks", DECIDED.values(), ids=DECIDED)
def test_a_person_on_every_way_is_enough(tasks: str) -> None:
    """A rule that refuses what is right is taken out of force."""
    assert ways(tasks) == {}


def test_the_way_is_told_task_by_task() -> None:
    """Whoever must close it needs to see it."""
    assert ways(OPEN["a case goes around"]) == {"/do/2/no": ("/do/0/way", "/do/2/no")}


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("{adverse: true}", "/do/0/no/metadata/segue"),
        ("{affects: everybody}", "/do/0/no/metadata/segue"),
        ("{affects: person, adverse: 'yes'}", "/do/0/no/metadata/segue/adverse"),
    ],
)
def test_a_mark_that_says_nothing_known_is_refused(said: str, place: str) -> None:
    """A misspelt mark would be no mark."""
    found = check_document(
        read_document(f"{HEADER}do:\n- no: {{call: f, metadata: {{segue: {said}}}}}\n"), ENVIRONMENT
    )
    assert [(f.rule, f.pointer) for f in found] == [("invalid-consequence", place)]
