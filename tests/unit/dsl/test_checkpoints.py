"""Nothing that cannot be taken back may happen before a person was asked; whoever writes it is told."""

from __future__ import annotations

import pytest

from segue.dsl import check_document, read_document

HEADER = "document: {dsl: '1.0.3', namespace: n, name: d, version: 1.0.0}\n"
ASK = "{call: human-task, with: {title: x, assign: {role: r}}}"
PAY = "{set: {a: 1}, metadata: {segue: {irreversible: true}}}"


def warned(text: str) -> list[str]:
    findings = check_document(read_document(HEADER + text))
    assert not [f for f in findings if f.is_error], findings
    return [f.pointer for f in findings if f.rule == "irreversible-unchecked"]


UNSAFE = {
    "nobody is asked": f"do:\n- pay: {PAY}\n",
    "asked afterwards": f"do:\n- pay: {PAY}\n- ask: {ASK}\n",
    "asked only sometimes": f"do:\n- ask: {ASK[:-1]}, if: '${{ .big }}'}}\n- pay: {PAY}\n",
    "a case goes around": (
        f"do:\n- way: {{switch: [{{small: {{when: '${{ .small }}', then: pay}}}}]}}\n- ask: {ASK}\n- pay: {PAY}\n"
    ),
    "the catch goes around": (
        f"do:\n- t: {{try: [{{ask: {ASK}}}], catch: {{do: [{{x: {{set: {{b: 1}}}}}}]}}}}\n- pay: {PAY}\n"
    ),
    "in a branch beside": f"do:\n- f: {{fork: {{branches: [{{ask: {ASK}}}, {{pay: {PAY}}}]}}}}\n",
    "in a loop that may be empty": f"do:\n- l: {{for: {{in: '${{ .a }}'}}, do: [{{ask: {ASK}}}]}}\n- pay: {PAY}\n",
    "below a list": f"do:\n- d: {{do: [{{pay: {PAY}}}]}}\n",
}
SAFE = {
    "asked before": f"do:\n- ask: {ASK}\n- pay: {PAY}\n",
    "asked in a list before": f"do:\n- d: {{do: [{{ask: {ASK}}}]}}\n- pay: {PAY}\n",
    "asked before the list": f"do:\n- ask: {ASK}\n- d: {{do: [{{x: {{set: {{b: 1}}}}}}, {{pay: {PAY}}}]}}\n",
    "asked in every case": (
        f"do:\n- way: {{switch: [{{a: {{when: '${{ .a }}', then: one}}}}, {{b: {{then: two}}}}]}}\n"
        f"- one: {ASK[:-1]}, then: pay}}\n- two: {ASK}\n- pay: {PAY}\n"
    ),
    "asked in one branch, paid after all": (
        f"do:\n- f: {{fork: {{branches: [{{ask: {ASK}}}, {{x: {{set: {{b: 1}}}}}}]}}}}\n- pay: {PAY}\n"
    ),
    "nothing is irreversible": "do:\n- pay: {set: {a: 1}}\n",
}


@pytest.mark.parametrize("text", UNSAFE.values(), ids=UNSAFE)
def test_a_way_around_the_person_is_found(text: str) -> None:
    """One way without a look is enough to do harm."""
    assert len(warned(text)) == 1


@pytest.mark.parametrize("text", SAFE.values(), ids=SAFE)
def test_a_person_on_every_way_is_enough(text: str) -> None:
    """A warning that cries wolf is switched off."""
    assert warned(text) == []
