"""Every rule of the linter: a document that breaks it, and where the finding must point.

In the documents, `#<` marks the line where the finding is expected.
"""

# ruff: noqa: E501  (a table of documents reads best with one row on a line)

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import segue.dsl
from segue.dsl import Environment, Finding, PythonFunction

from .documents import HEAD, MARK, document_of, findings_of

Row = tuple[str, str, str, str]
"""Rule, pointer, tasks, other keys of the root."""

_TASK = "- a: {set: {x: 1}}\n"

STRUCTURE: list[Row] = [
    ("unknown-key", "/do/0/a/foo", "- a:\n    set: {x: 1}\n    foo: 1 #<\n", ""),
    ("unknown-key", "/do/0/a/wait/weeks", "- a: {wait: {weeks: 1}} #<\n", ""),
    ("unknown-key", "/extra", _TASK, "extra: 1 #<\n"),
    ("unknown-key", "/do/0/a/with/metod", "- a:\n    call: http\n    with:\n      metod: get #<\n      endpoint: x\n", ""),
    ("unknown-key", "/do/0/a/needs", "- a:\n    set: {x: 1}\n    needs: [b] #<\n", ""),
    ("missing-key", "/do/0/a/with", "- a:\n    call: http\n    with: {method: get} #<\n", ""),
    ("missing-key", "/do/0/a", "- a: {call: http} #<\n", ""),
    ("missing-key", "/do/0/a/switch/0/x", "- a:\n    switch:\n    - x: {when: .a} #<\n", ""),
    ("missing-key", "/do/0/a/emit/event/with", "- a: {emit: {event: {with: {source: x}}}} #<\n", ""),
    ("missing-key", "/do/0/a/run/workflow", "- a: {run: {workflow: {namespace: a, name: b}}} #<\n", ""),
    ("missing-key", "/do/0/a/with", "- a: {call: a2a, with: {method: tasks/get}} #<\n", ""),
    ("unknown-task-kind", "/do/0/a", "- a: {sett: {x: 1}} #<\n", ""),
    ("ambiguous-task", "/do/0/a", "- a: {set: {x: 1}, wait: PT1S} #<\n", ""),
    ("one-key", "/do/0", "- a: {set: {x: 1}} #<\n  then: end\n", ""),
    ("choose-one", "/do/0/a/listen/to", "- a: {listen: {to: {}}} #<\n", ""),
    ("choose-one", "/do/0/a/run", "- a: {run: {await: true}} #<\n", ""),
    (
        "choose-one",
        "/do/0/a/with/endpoint/authentication",
        "- a:\n    call: http\n    with:\n      method: get\n      endpoint:\n        uri: https://x\n"
        "        authentication: {basic: {use: s}, bearer: {use: s}} #<\n",
        "use: {secrets: [s]}\n",
    ),
    ("choose-one", "/do/0/a/with", "- a: {call: asyncapi, with: {document: {endpoint: x}, operation: o}} #<\n", ""),
    ("wrong-type", "/do/0/a/if", "- a:\n    set: {x: 1}\n    if: true #<\n", ""),
    ("wrong-type", "/do/0/a/set", "- a: {set: []} #<\n", ""),
    ("wrong-type", "/do/0/a/for/in/0", "- a: {for: {in: [1]}, do: []} #<\n", ""),
    ("wrong-type", "/do/0/a/with", "- a: {call: f, with: '${ . }'} #<\n", ""),
    ("wrong-type", "/do/0/a/with/headers/n", "- a: {call: http, with: {method: get, endpoint: x, headers: {n: 1}}} #<\n", ""),
    ("wrong-type", "/do/0/a/with/headers", "- a: {call: http, with: {method: get, endpoint: x, headers: plain}} #<\n", ""),
    ("wrong-type", "/use/authentications/p", _TASK, "use: {authentications: {p: text}} #<\n"),
    ("out-of-range", "/do/0/a/set", "- a: {set: {}} #<\n", ""),
    ("out-of-range", "/do/0/a/wait/seconds", "- a: {wait: {seconds: -1}} #<\n", ""),
    ("out-of-range", "/do/0/a/switch", "- a: {switch: []} #<\n", ""),
    ("out-of-range", "/use/retries/r/limit/attempt/count", _TASK, "use: {retries: {r: {limit: {attempt: {count: -1}}}}} #<\n"),
    ("value-not-allowed", "/do/0/a/with/output", "- a: {call: http, with: {method: get, endpoint: x, output: boddy}} #<\n", ""),
    ("value-not-allowed", "/do/0/a/with/method", "- a: {call: mcp, with: {method: nope, transport: {http: {endpoint: x}}}} #<\n", ""),
    ("wrong-form", "/do/0/a/for/each", "- a: {for: {in: ., each: an-item}, do: []} #<\n", ""),
]  # fmt: skip

NAMES: list[Row] = [
    ("duplicate-task-name", "/do/1/a", "- a: {set: {x: 1}}\n- a: {set: {x: 2}} #<\n", ""),
    ("reserved-task-name", "/do/0/exit", "- exit: {set: {x: 1}} #<\n", ""),
    ("unknown-component", "/do/0/a/raise/error", "- a: {raise: {error: nope}} #<\n", ""),
    ("unknown-component", "/do/0/a/timeout", "- a: {set: {x: 1}, timeout: nope} #<\n", ""),
    ("unknown-component", "/do/0/a/catch/retry", "- a: {try: [], catch: {retry: nope}} #<\n", ""),
    (
        "unknown-component",
        "/do/0/a/with/endpoint/authentication/use",
        "- a: {call: http, with: {method: get, endpoint: {uri: x, authentication: {use: nope}}}} #<\n",
        "",
    ),
    ("unknown-component", "/do/0/a/call", "- a: {call: 'f:1.0.0@nope'} #<\n", ""),
    ("unresolved-function", "/do/0/a/call", "- a: {call: nope} #<\n", ""),
    ("unresolved-function", "/do/0/a/call", "- a: {call: 'model:9.9.9@default', with: {name: m, input: 1}} #<\n", ""),
    ("unresolved-function", "/do/0/a/call", "- a: {call: 'f:1.0.0'} #<\n", ""),
    ("remote-function", "/do/0/a/call", "- a: {call: 'https://x/f.yaml'} #<\n", ""),
    ("undeclared-secret", "/do/0/a/with/headers/n", "- a: {call: http, with: {method: get, endpoint: x, headers: {n: '${ $secrets.s }'}}} #<\n", ""),
    (
        "undeclared-secret",
        "/do/0/a/with/endpoint/authentication/basic/use",
        "- a: {call: http, with: {method: get, endpoint: {uri: x, authentication: {basic: {use: s}}}}} #<\n",
        "",
    ),
    ("duplicate-secret", "/use/secrets/1", _TASK, "use: {secrets: [s, s]} #<\n"),
    ("recursive-function", "/use/functions/f/call", "- a: {call: f}\n", "use: {functions: {f: {call: f}}} #<\n"),
    ("recursive-function", "/use/functions/g/do/0/x/call", "- a: {set: {x: 1}}\n", "use:\n  functions:\n    f: {call: g}\n    g: {do: [{x: {call: f}}]} #<\n"),
]  # fmt: skip

FLOW: list[Row] = [
    ("unknown-then-target", "/do/0/a/then", "- a: {set: {x: 1}, then: nope} #<\n", ""),
    ("unknown-then-target", "/do/0/a/do/0/b/then", "- a:\n    do:\n    - b: {set: {x: 1}, then: c} #<\n- c: {set: {x: 1}}\n", ""),
    ("unknown-then-target", "/do/0/a/switch/0/x/then", "- a: {switch: [{x: {then: nope}}]} #<\n", ""),
    ("unknown-then-target", "/do/0/a/catch/then", "- a: {try: [], catch: {then: nope}} #<\n", ""),
    ("unknown-then-target", "/do/0/a/fork/branches/0/b/then", "- a:\n    fork:\n      branches:\n      - b: {set: {x: 1}, then: c} #<\n      - c: {set: {x: 1}}\n", ""),
    ("two-defaults", "/do/0/a/switch/1/y", "- a:\n    switch:\n    - x: {then: end}\n    - y: {then: end} #<\n", ""),
    ("unreachable-task", "/do/1/b", "- a: {set: {x: 1}, then: c}\n- b: {set: {x: 1}} #<\n- c: {set: {x: 1}}\n", ""),
    ("unreachable-task", "/do/1/b", "- a: {raise: {error: {type: 'https://x/y', status: 400}}}\n- b: {set: {x: 1}} #<\n", ""),
    ("endless-loop", "/do/1/b/then", "- a: {set: {x: 1}}\n- b: {set: {x: 1}, then: a} #<\n", ""),
    ("endless-loop", "/do/0/a/then", "- a: {set: {x: 1}, then: a} #<\n", ""),
    ("endless-retry", "/do/0/a/catch/retry", "- a: {try: [{b: {set: {x: 1}}}], catch: {retry: {}}} #<\n", ""),
    ("unknown-need", "/do/0/a/fork/branches/0/b/needs/0", "- a: {fork: {branches: [{b: {set: {x: 1}, needs: [c]}}]}} #<\n", ""),
    ("circular-needs", "/do/0/a/fork/branches/0/b/needs/0", "- a: {fork: {branches: [{b: {set: {x: 1}, needs: [b]}}]}} #<\n", ""),
    ("circular-needs", "/do/0/a/fork/branches/2/d/needs/0", "- a:\n    fork:\n      branches:\n      - b: {set: {x: 1}, needs: [c]}\n      - c: {set: {x: 1}, needs: [d]}\n      - d: {set: {x: 1}, needs: [b]} #<\n", ""),
    ("needs-with-compete", "/do/0/a/fork/branches/1/c/needs", "- a: {fork: {compete: true, branches: [{b: {set: {x: 1}}}, {c: {set: {x: 1}, needs: [b]}}]}} #<\n", ""),
    ("two-branches-export", "/do/0/a/fork/branches/1/c/do/0/d/export", "- a:\n    fork:\n      branches:\n      - b: {set: {x: 1}, export: {as: .}}\n      - c: {do: [{d: {set: {x: 1}, export: {as: .}}}]} #<\n", ""),
    ("listen-to-anything", "/do/0/a/do/0/b/listen/to", "- a:\n    for: {in: .}\n    do:\n    - b: {listen: {to: {any: []}}} #<\n", ""),
    ("until-without-any", "/do/0/a/listen/to/until", "- a:\n    listen:\n      to:\n        one: {with: {type: x}}\n        until: . #<\n", ""),
]  # fmt: skip

EXPRESSIONS: list[Row] = [
    ("invalid-expression", "/do/0/a/set/x", "- a: {set: {x: '${ .a | }'}} #<\n", ""),
    ("invalid-expression", "/do/0/a/if", "- a: {set: {x: 1}, if: '.a ==='} #<\n", ""),
    ("invalid-expression", "/do/0/a/set/x", "- a: {set: {x: '${ $nope }'}} #<\n", ""),
    ("variable-not-available", "/do/0/a/if", "- a: {set: {x: 1}, if: $output} #<\n", ""),
    ("variable-not-available", "/do/0/a/input/from", "- a: {set: {x: 1}, input: {from: $input}} #<\n", ""),
    ("variable-not-available", "/do/0/a/output/as", "- a: {set: {x: 1}, output: {as: $output}} #<\n", ""),
    ("variable-not-available", "/do/0/a/export/as", "- a: {set: {x: 1}, export: {as: $authorization}} #<\n", ""),
    ("variable-not-available", "/input/from", _TASK, "input: {from: $context} #<\n"),
    ("variable-not-available", "/output/as", _TASK, "output: {as: $input} #<\n"),
    ("secret-not-allowed", "/do/0/a/set/x", "- a: {set: {x: '${ $secrets.s }'}} #<\n", "use: {secrets: [s]}\n"),
    ("secret-not-allowed", "/do/0/a/output/as", "- a: {set: {x: 1}, output: {as: $secrets.s}} #<\n", "use: {secrets: [s]}\n"),
    ("secret-not-allowed", "/do/0/a/export/as", "- a: {set: {x: 1}, export: {as: $secrets.s}} #<\n", "use: {secrets: [s]}\n"),
    ("secret-not-allowed", "/do/0/a/emit/event/with/data", "- a: {emit: {event: {with: {type: t, data: '${ $secrets.s }'}}}} #<\n", "use: {secrets: [s]}\n"),
    ("secret-not-allowed", "/do/0/a/with/body", "- a: {call: http, with: {method: get, endpoint: x, body: '${ $secrets.s }'}} #<\n", "use: {secrets: [s]}\n"),
    ("invalid-expression", "/do/0/a/input/from", "- a: {set: {x: 1}, input: {from: '$secrets[.x]'}} #<\n", "use: {secrets: [s]}\n"),
    ("dynamic-steps", "/do/0/a/set/x", "- a: {set: {x: '${ $steps | keys }'}} #<\n", ""),
    ("unknown-step", "/do/0/a/set/x", "- a: {set: {x: '${ $steps.nope }'}} #<\n", ""),
    ("unknown-step", "/do/0/a/set/x", "- a: {set: {x: '${ $steps.b }'}} #<\n- b: {set: {x: 1}}\n", ""),
    ("unknown-step", "/do/0/a/set/x", "- a: {set: {x: '${ $steps.a }'}} #<\n", ""),
    ("unknown-step", "/do/0/a/fork/branches/1/c/set/x", "- a: {fork: {branches: [{b: {set: {x: 1}}}, {c: {set: {x: '${ $steps.b }'}}}]}} #<\n", ""),
    ("expression-in-text", "/do/0/a/set/x", "- a: {set: {x: 'Hello ${ .name }'}} #<\n", ""),
    ("expression-in-filter", "/do/0/a/listen/to/one/with/data", "- a: {listen: {to: {one: {with: {data: {x: '${ .y }'}}}}}} #<\n", ""),
    ("wrong-form", "/do/0/a/wait", "- a:\n    wait: | #<\n      ${ .a\n       | .b }\n", ""),
    ("shadowed-variable", "/do/0/a/for/each", "- a: {for: {in: ., each: context}, do: []} #<\n", ""),
    ("shadowed-variable", "/do/0/a/catch/as", "- a: {try: [], catch: {as: secrets}} #<\n", ""),
    ("same-variable", "/do/0/a/for", "- a: {for: {in: ., each: x, at: x}, do: []} #<\n", ""),
    ("code-from-data", "/do/0/a/run/script/code", "- a: {run: {script: {language: js, code: '${ .code }'}}} #<\n", ""),
]  # fmt: skip

VALUES: list[Row] = [
    ("invalid-duration", "/do/0/a/wait", "- a: {wait: 5 minutes} #<\n", ""),
    ("invalid-duration", "/do/0/a/wait", "- a: {wait: P1M} #<\n", ""),
    ("invalid-duration", "/do/0/a/wait", "- a: {wait: -PT5S} #<\n", ""),
    ("invalid-duration", "/use/timeouts/t/after", _TASK, "use: {timeouts: {t: {after: soon}}} #<\n"),
    ("invalid-duration", "/schedule/every", _TASK, "schedule: {every: PT0S} #<\n"),
    ("bare-expression", "/do/0/a/with/endpoint", "- a: {call: http, with: {method: get, endpoint: .url}} #<\n", ""),
    ("invalid-uri", "/do/0/a/with/endpoint", "- a: {call: http, with: {method: get, endpoint: 'https://x/${ .id }'}} #<\n", ""),
    ("invalid-uri", "/do/0/a/with/endpoint/uri", "- a: {call: http, with: {method: get, endpoint: {uri: 'https://x/a b'}}} #<\n", ""),
    ("invalid-uri", "/do/0/a/raise/error/type", "- a: {raise: {error: {type: not a uri, status: 400}}} #<\n", ""),
    ("invalid-schema", "/do/0/a/input/schema/document", "- a: {set: {x: 1}, input: {schema: {document: {type: strin}}}} #<\n", ""),
    ("invalid-schema", "/input/schema/document", _TASK, "input: {schema: {document: {$ref: 'http://127.0.0.1:9/x'}}} #<\n"),
    ("unknown-schema-format", "/input/schema/format", _TASK, "input: {schema: {format: avro, document: {}}} #<\n"),
    ("resource-not-resolved", "/input/schema/resource", _TASK, "input: {schema: {resource: {endpoint: 'https://x'}}} #<\n"),
    ("invalid-pattern", "/do/0/a/listen/to/one/with/type", "- a: {listen: {to: {one: {with: {type: 'a.(b'}}}}} #<\n", ""),
    ("inline-secret", "/use/authentications/p/basic/password", _TASK, "use: {authentications: {p: {basic: {username: u, password: hunter2}}}} #<\n"),
    ("inline-secret", "/do/0/a/with/headers/Authorization", "- a: {call: http, with: {method: get, endpoint: x, headers: {Authorization: Bearer abc}}} #<\n", ""),
    ("inline-secret", "/do/0/a/run/shell/environment/API_TOKEN", "- a: {run: {shell: {command: ls, environment: {API_TOKEN: abc}}}} #<\n", ""),
    ("processes-not-allowed", "/do/0/a/run/shell", "- a: {run: {shell: {command: ls}}} #<\n", ""),
    ("processes-not-allowed", "/do/0/a/run/script", "- a: {run: {script: {language: python, code: pass}}} #<\n", ""),
    ("unknown-script-language", "/do/0/a/run/script/language", "- a: {run: {script: {language: cobol, code: x}}} #<\n", ""),
    ("arguments-not-a-list", "/do/0/a/run/shell/arguments", "- a: {run: {shell: {command: ls, arguments: {a: b}}}} #<\n", ""),
    ("container-lifetime", "/do/0/a/run/container/lifetime", "- a: {run: {container: {image: x, lifetime: {cleanup: eventually}}}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with", "- a: {call: connector, with: {use: crm}} #<\n", ""),
    ("wrong-arguments", "/do/0/a", "- a: {call: map} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with/uses", "- a: {call: connector, with: {use: crm, operation: x, uses: y}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with/limit", "- a: {call: connector, with: {use: crm, operation: x, limit: 0}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with/channel", "- a: {call: notify, with: {channel: pigeon}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with/due", "- a: {call: human-task, with: {title: x, assign: {role: r}, due: 5}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with", "- a: {call: human-task, with: {title: x, assign: {role: r}, due: soon}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with", "- a: {call: human-task, with: {title: x, assign: {role: r}, form: {type: 1}}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with", "- a: {call: human-task, with: {title: x, assign: {role: r}, outcomes: [a, a]}} #<\n", ""),
    ("wrong-arguments", "/do/0/a/with", "- a: {call: human-task, with: {title: x, assign: {role: r}, outcomes: [resubmit]}} #<\n", ""),
    ("secret-not-allowed", "/do/0/a/with/title", "- a: {call: human-task, with: {title: '${ $secrets.s }', assign: {role: r}}} #<\n", "use: {secrets: [s]}\n"),
    ("approval-by-silence", "/do/0/a/with/deadline/outcome", "- a: {call: human-task, with: {title: x, assign: {role: r}, reminders: [PT1H], deadline: {after: PT2H, outcome: approve}}} #<\n", ""),
    ("silent-deadline", "/do/0/a/with/deadline", "- a: {call: human-task, with: {title: x, assign: {role: r}, deadline: {after: PT2H, outcome: late}}} #<\n", ""),
    ("irreversible-unchecked", "/do/0/a", "- a: {set: {x: 1}, metadata: {segue: {irreversible: true}}} #<\n", ""),
    ("not-yet-supported", "/do/0/a/call", "- a: {call: mcp, with: {method: tools/list, transport: {http: {endpoint: x}}}} #<\n", ""),
    ("not-yet-supported", "/do/0/a/call", "- a: {call: grpc, with: {proto: {endpoint: x}, service: {name: n, host: h}, method: m}} #<\n", ""),
    ("not-yet-supported", "/do/0/a/call", "- a: {call: asyncapi, with: {document: {endpoint: x}, operation: o, message: {}}} #<\n", ""),
    ("not-yet-supported", "/do/0/a/call", "- a: {call: a2a, with: {method: tasks/get, server: 'https://x'}} #<\n", ""),
    ("not-yet-supported", "/do/0/a/run/container", "- a: {run: {container: {image: x}}} #<\n", ""),
    *(("not-yet-supported", "/do/0/a/call", f"- a: {{call: {name}}} #<\n", "")
      for name in ("agent", "gate", "knowledge", "hold", "release", "bot", "rules")),
]  # fmt: skip

ROOT: list[Row] = [
    ("one-schedule", "/schedule", _TASK, "schedule: {} #<\n"),
    ("one-schedule", "/schedule", _TASK, "schedule: {every: PT1M, cron: 0 9 * * *} #<\n"),
    ("read-without-on", "/schedule/read", _TASK, "schedule: {every: PT1M, read: raw} #<\n"),
    ("invalid-cron", "/schedule/cron", _TASK, "schedule: {cron: 99 * * * *} #<\n"),
    ("invalid-cron", "/schedule/cron", _TASK, "schedule: {cron: 0 0 9 * * *} #<\n"),
    ("data-of-data", "/do/0/a/set/x", "- a: {set: {x: '${ $workflow.input[0].data.id }'}} #<\n", "schedule: {on: {one: {with: {type: t}}}}\n"),
    ("unknown-expression-language", "/evaluate/language", _TASK, "evaluate: {language: js} #<\n"),
]  # fmt: skip

ROWS = STRUCTURE + NAMES + FLOW + EXPRESSIONS + VALUES + ROOT
WARNINGS = frozenset(
    {
        "approval-by-silence",
        "irreversible-unchecked",
        "silent-deadline",
        "data-of-data",
        "duplicate-secret",
        "endless-loop",
        "endless-retry",
        "expression-in-text",
        "inline-secret",
        "invalid-pattern",
        "listen-to-anything",
        "newer-dsl-version",
        "unchecked-call",
        "unused-adjustable",
        "unknown-connection",
        "unknown-workflow",
        "unreachable-task",
    }
)


def only(findings: list[Finding], rule: str) -> Finding:
    """The one finding of this rule."""
    found = [finding for finding in findings if finding.rule == rule]
    assert len(found) == 1, [str(finding) for finding in findings]
    return found[0]


def marked_line(text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.endswith(MARK))


@pytest.mark.parametrize(("rule", "pointer", "tasks", "root"), ROWS)
def test_a_broken_rule_is_found_where_it_is_broken(rule: str, pointer: str, tasks: str, root: str) -> None:
    """A finding that does not lead to the place is half a finding."""
    text = document_of(tasks, root=root)
    found = only(findings_of(text), rule)
    assert (found.pointer, found.line) == (pointer, marked_line(text))
    assert found.severity == ("warning" if rule in WARNINGS else "error")
    assert found.message


@pytest.mark.parametrize(
    ("old", "new", "rule", "pointer"),
    [
        ("dsl: '1.0.3'", "dsl: '2.0.0'", "unsupported-dsl-version", "/document/dsl"),
        ("dsl: '1.0.3'", "dsl: '1.1.0'", "unsupported-dsl-version", "/document/dsl"),
        ("dsl: '1.0.3'", "dsl: '1.0.9'", "newer-dsl-version", "/document/dsl"),
        ("dsl: '1.0.3'", "dsl: 1.0", "wrong-type", "/document/dsl"),
        ("namespace: test", "namespace: my_team", "wrong-form", "/document/namespace"),
        ("name: sample", "name: a.b", "wrong-form", "/document/name"),
        ("name: sample", f"name: {'x' * 64}", "wrong-form", "/document/name"),
        ("version: '1.0.0'", "version: '1.0'", "wrong-form", "/document/version"),
        ("version: '1.0.0'", "version: '1.0.0'\n  metadata: {timezone: Mars}", "unknown-time-zone", "/document/metadata/timezone"),
        ("version: '1.0.0'", "version: '1.0.0'\n  metadata: {segue: {timezone: 3}}", "unknown-time-zone", "/document/metadata/segue/timezone"),
        ("  name: sample\n", "", "missing-key", "/document"),
    ],
)  # fmt: skip
def test_the_identity_of_a_document_is_checked(old: str, new: str, rule: str, pointer: str) -> None:
    """Namespace, name and version become addresses and file names."""
    found = only(findings_of(document_of(_TASK).replace(old, new)), rule)
    assert found.pointer == pointer


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.3-beta.1"])
def test_every_1_0_version_is_read(version: str) -> None:
    """Documents of older tools stay valid (ruling R1)."""
    assert findings_of(document_of(_TASK).replace("1.0.3", version)) == []


FINE: list[tuple[str, str]] = [
    ("- a: {set: {x: 1}, then: b}\n- b: {wait: PT1S, then: a}\n", ""),
    ("- a: {set: {x: 1}}\n- b: {set: {x: 1}, if: .again, then: a}\n", ""),
    ("- a: {set: {x: 1}}\n- b: {switch: [{x: {when: .a, then: a}}, {y: {then: exit}}]}\n", ""),
    ("- a: {set: {x: 1}}\n- b: {do: [{c: {set: {x: 1}, if: .stop, then: end}}], then: a}\n", ""),
    ("- a: {set: {x: '${ $steps.b }'}}\n- b: {wait: PT1S, then: a}\n", ""),
    ("- a: {fork: {branches: [{b: {set: {x: 1}}}, {c: {set: {x: '${ $steps.b }'}, needs: [b]}}]}}\n", ""),
    ("- a: {fork: {branches: [{b: {set: {x: 1}}}, {c: {set: {x: 1}, needs: [b]}}, {d: {set: {x: '${ $steps.b }'}, needs: [c]}}]}}\n", ""),
    ("- a: {fork: {compete: true, branches: [{b: {set: {x: 1}, export: {as: .}}}, {c: {set: {x: 1}, export: {as: .}}}]}}\n", ""),
    ("- a: {switch: [{x: {then: c}}, {y: {when: .a, then: b}}]}\n- b: {set: {x: 1}}\n- c: {set: {x: 1}}\n", ""),
    ("- a: {try: [{b: {set: {x: 1}}}], catch: {then: c}, then: end}\n- c: {set: {x: 1}}\n", ""),
    ("- a: {set: {x: 1}}\n", "use: {functions: {f: {do: [{g: {set: {x: '${ .y }'}, then: exit}}]}}}\n"),
    ("- a: {call: f, with: {x: '${ $secrets.s }'}}\n", "use: {secrets: [s], functions: {f: {set: {y: '${ .x }'}}}}\n"),
    ("- a: {set: {x: 1}, input: {from: '{a: $secrets.s}'}}\n", "use: {secrets: [s]}\n"),
    ("- a: {listen: {to: {any: []}}}\n", ""),
    ("- a: {run: {script: {language: js, code: 'f(`${x}`)'}}}\n", ""),
    ("[]\n", ""),
]  # fmt: skip


@pytest.mark.parametrize(("tasks", "root"), FINE)
def test_what_is_fine_is_left_alone(tasks: str, root: str) -> None:
    """A linter that cries wolf is switched off."""
    text = HEAD + root + "do: []\n" if tasks == "[]\n" else document_of(tasks, root=root)
    assert findings_of(text, Environment(allow_processes=True)) == []


def test_all_findings_come_at_once_and_in_document_order() -> None:
    """An author corrects a document once; structural mistakes hide no others."""
    findings = findings_of(
        document_of(
            """\
            - a: {set: {x: '${ .a | }'}, foo: 1}
            - b: {sett: 1}
            - c: {try: [{d: {wait: P1M}}], catch: {retry: nope, bar: 1}}
            - a: {call: http, with: {method: get, endpoint: .url}, then: zzz}
            """,
            root="extra: 1\n",
        )
    )
    rules = [finding.rule for finding in findings]
    assert rules == [
        "unknown-key",
        "invalid-expression",
        "unknown-key",
        "unknown-task-kind",
        "invalid-duration",
        "unknown-component",
        "unknown-key",
        "duplicate-task-name",
        "bare-expression",
        "unknown-then-target",
    ]
    places = [(finding.line, finding.column) for finding in findings]
    assert places == sorted(places)


def test_a_finding_in_a_shared_component_comes_once() -> None:
    """A retry policy that ten tasks use is wrong once."""
    tasks = "".join(f"- t{n}: {{try: [], catch: {{retry: r}}}}\n" for n in range(10))
    findings = findings_of(document_of(tasks, root="use: {retries: {r: {when: '.a ===', delay: PT1S}}}\n"))
    assert [finding.rule for finding in findings] == ["invalid-expression"]


def test_the_place_of_an_error_inside_an_expression_is_exact() -> None:
    """In a long expression the line alone does not help."""
    text = document_of("- a:\n    set:\n      x: '${ .a + $nope }'\n")
    found = only(findings_of(text), "invalid-expression")
    line = text.splitlines()[found.line - 1]
    assert line[found.column - 1 :].startswith("$nope")


def test_a_near_miss_is_suggested() -> None:
    """Most unknown keys are typing mistakes."""
    found = only(findings_of(document_of("- a: {call: http, with: {method: get, endpont: x}}\n")), "unknown-key")
    assert "did you mean 'endpoint'?" in found.remedy


@pytest.mark.parametrize(
    ("environment", "tasks", "rule"),
    [
        ({"connections": {"crm"}}, "- a: {call: connector, with: {use: erp, operation: x}}\n", "unknown-connection"),
        ({"workflows": {("a", "b")}}, "- a: {run: {workflow: {namespace: a, name: c, version: latest}}}\n", "unknown-workflow"),
    ],
)  # fmt: skip
def test_what_may_appear_later_is_only_warned_of(environment: Mapping[str, Any], tasks: str, rule: str) -> None:
    """A connection or a workflow may be added after the document that uses it."""
    assert only(findings_of(document_of(tasks), Environment(**environment)), rule).severity == "warning"


OPENAPI = """\
- a:
    call: openapi
    with: {document: {endpoint: ADDRESS}, operationId: find, parameters: {page: 1, of: '${ .x }'}}
"""


def openapi(address: str, check: Any) -> list[Finding]:
    return findings_of(document_of(OPENAPI.replace("ADDRESS", address)), Environment(check_operation=check))


def test_a_call_of_an_operation_is_compared_with_its_description() -> None:
    """A misspelt argument of an inline call would fail in its first run, as one of a connection."""
    asked: list[Any] = []

    def check(address: str, call: Mapping[str, Any], is_unknown: Any) -> list[Any]:
        asked.append((address, call["operation"], is_unknown(call["arguments"]["of"])))
        return [(("arguments", "page"), "no such argument", "leave it out"), (("operation",), "none", "x")]

    findings = openapi("https://pets.example/api.json", check)
    assert asked == [("https://pets.example/api.json", "find", True)]
    assert only(findings, "wrong-arguments").pointer == "/do/0/a/with/parameters/page"
    assert only(findings, "unknown-operation").pointer == "/do/0/a/with/operationId"


def test_a_call_whose_description_cannot_be_had_is_said_to_be_unchecked() -> None:
    """Whoever publishes must not take silence for a yes."""
    found = only(openapi("https://pets.example/api.json", lambda *_: None), "unchecked-call")
    assert (found.severity, found.pointer) == ("warning", "/do/0/a/with/document")
    assert "connections add" in found.remedy


def test_a_description_that_an_expression_names_is_not_looked_for() -> None:
    """It is known only when the call is made."""
    assert openapi("'${ .where }'", lambda *_: None) == []
    assert openapi("'https://{host}/api.json'", lambda *_: None) == []


def test_a_plan_that_would_explode_is_refused() -> None:
    """Thirty functions that call each other twice would be a thousand million tasks."""
    functions = "\n".join(
        f"    f{n}: {{do: [{{a: {{call: f{n + 1}}}}}, {{b: {{call: f{n + 1}}}}}]}}" for n in range(30)
    )
    root = f"use:\n  functions:\n{functions}\n    f30: {{set: {{x: 1}}}}\n"
    assert only(findings_of(document_of("- a: {call: f0}\n", root=root)), "too-many-tasks").is_error


def test_no_finding_repeats_a_secret() -> None:
    """Findings are shown, logged and mailed."""
    tasks = "- a: {call: http, with: {method: get, endpoint: x, headers: {Authorization: hunter2}}}\n"
    root = "use: {authentications: {p: {basic: {username: u, password: hunter2}}}}\n"
    findings = findings_of(document_of(tasks, root=root))
    assert len(findings) == 2
    assert not any("hunter2" in str(finding) for finding in findings)


_RULE_IN_SOURCE = re.compile(
    r'(?:error|warn|stop|add|Complaint|Finding|finding|_refused)\(\s*(?:file, )?"([a-z]+(?:-[a-z0-9]+)+)"'
    r'|return "(unknown-step)"|f.rule == "(yaml-syntax)"'
)


def test_every_rule_is_documented_and_no_other() -> None:
    """A rule's name is what people search for."""
    source = Path(segue.dsl.__file__).parent
    files = [*source.glob("*.py"), *source.joinpath("compiler").glob("*.py")]
    found = (_RULE_IN_SOURCE.findall(file.read_text(encoding="utf-8")) for file in files)
    rules = {"".join(groups) for listed in found for groups in listed}
    page = Path(__file__).parents[3].joinpath("docs", "document.md").read_text(encoding="utf-8")
    described = dict(re.findall(r"^\| `([a-z0-9-]+)`( \(w\))? \|", page.partition("## 11.")[2], re.MULTILINE))
    assert sorted(rules) == sorted(described)
    assert {rule for rule, mark in described.items() if mark} == WARNINGS
    assert {row[0] for row in ROWS} <= rules


@pytest.mark.parametrize(
    ("tasks", "remedy"),
    [
        ("- a: {call: connector, with: {use: crm}}\n", "add `operation: …`: An operation that the connection's system offers."),
        ("- a: {call: map}\n", "add `with: {fields: …}`: Target field to expression,"),
        ("- a: {call: rate, with: {fee: 1}}\n", "add `months: …`, of the type integer"),
        ("- a: {call: http, with: {endpoint: 'http://x'}}\n", "add `method: …`: GET, POST, and so on;"),
        ("- a: {call: http, with: {method: get}}\n", "add `endpoint: …`"),
    ],
)  # fmt: skip
def test_the_remedy_for_something_missing_says_what_to_write(tasks: str, remedy: str) -> None:
    """A description alone leaves open whether to write it, and where."""
    parameters = {"type": "object", "required": ["months"], "properties": {"months": {"type": "integer"}, "fee": {}}}
    rate = PythonFunction("rate", parameters)
    (found,) = findings_of(document_of(tasks), Environment(functions={"rate": rate}))
    assert found.remedy.startswith(remedy)


def test_what_a_connection_says_of_a_call_stands_at_its_place() -> None:
    """A call that can never succeed is refused when it is published, and so is its undo."""
    asked: list[tuple[str, Any, bool]] = []

    def check(name: str, call: Mapping[str, Any], is_unknown: Callable[[Any], bool]) -> list[Any]:
        asked.append((name, call["operation"], is_unknown(call["arguments"]["n"])))
        return [(("arguments", "n"), "it does not fit", "write another")]

    tasks = (
        "- a:\n    call: connector\n    with:\n      use: crm\n      operation: x\n      arguments: {n: '${ .n }'}\n"
        "      undo: {operation: y, arguments: {n: 1}}\n"
    )
    findings = findings_of(document_of(tasks), Environment(connections={"crm"}, check_call=check))
    places = [finding.pointer for finding in findings if finding.rule == "wrong-arguments" and finding.is_error]
    assert places == ["/do/0/a/with/arguments/n", "/do/0/a/with/undo/arguments/n"]
    assert asked == [("crm", "x", True), ("crm", "y", False)]
