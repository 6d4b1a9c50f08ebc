"""Each kind of task becomes its node, with its names resolved."""

from __future__ import annotations

from typing import Any

import pytest

from segue.core.plan import Flow
from segue.dsl import DefinitionError, Environment, compile_plan, read_document
from segue.types import ERROR_BASE, SecretText

from .documents import HEAD, document_of, kinds, node_of, only_node, plan_of, value_of


def test_the_root_carries_what_is_the_workflows_own() -> None:
    """Input, output and timeout of the workflow are those of its root."""
    plan = plan_of(
        "- a: {set: {x: 1}}\n",
        root="""\
        input: {from: .body, schema: {document: {type: object}}}
        output: {as: .x, schema: {document: {type: integer}}}
        timeout: {after: PT1H}
        use: {secrets: [s]}
        """,
    )
    root = plan.root
    assert (plan.namespace, plan.name, plan.version) == ("test", "sample", "1.0.0")
    assert (root.pointer, root.section, plan.secrets) == ("/do", "root", ("s",))
    assert value_of(root.input_from, {"body": 1}) == 1
    assert root.input_check is not None
    assert root.input_check({}) is None
    assert "object" in str(root.input_check(3))
    assert value_of(root.output_as, {"x": 2}) == 2
    assert value_of(root.timeout) == 3_600_000
    assert plan.definition["do"] == [{"a": {"set": {"x": 1}}}]


def test_an_empty_workflow_is_a_workflow() -> None:
    """Ruling R4: its output is its input."""
    assert compile_plan(read_document(HEAD + "do: []\n")).root.tasks == ()


def test_pointers_are_those_of_the_document() -> None:
    """Every error names the place of its task (ruling R26)."""
    plan = plan_of(
        """\
        - a:
            try: [{b: {set: {x: 1}}}]
            catch: {do: [{c/d: {set: {x: 1}}}]}
        - e: {fork: {branches: [{f: {set: {x: 1}}}]}}
        - g:
            listen: {to: {any: []}}
            foreach: {do: [{h: {set: {x: 1}}}]}
        - i: {for: {in: .}, do: [{j: {set: {x: 1}}}]}
        """
    )
    assert [node.pointer for node in plan.nodes] == [
        "/do",
        "/do/0/a",
        "/do/0/a/try/0/b",
        "/do/0/a/catch/do/0/c~1d",
        "/do/1/e",
        "/do/1/e/fork/branches/0/f",
        "/do/2/g",
        "/do/2/g/foreach/do/0/h",
        "/do/3/i",
        "/do/3/i/do/0/j",
    ]


def test_names_of_flow_become_places() -> None:
    """Forwards, backwards, and the three directives."""
    plan = plan_of(
        """\
        - a: {set: {x: 1}, then: c}
        - b: {wait: PT1S, then: exit}
        - c: {switch: [{x: {when: .a, then: b}}, {y: {when: .b, then: end}}, {z: {then: continue}}]}
        - d: {set: {x: 1}, if: .again, then: a}
        """
    )
    assert [node.then for node in plan.root.tasks] == [2, Flow.EXIT, Flow.CONTINUE, 0]
    assert [case.then for case in node_of(plan, "c").cases] == [1, Flow.END, Flow.CONTINUE]
    assert [case.when is None for case in node_of(plan, "c").cases] == [False, False, True]


def test_common_keys_become_programs_and_checks() -> None:
    """Every task may have them, whatever its kind."""
    node = only_node(
        """\
        set: {x: 1}
        if: .go
        input: {from: {a: '${ .b }'}, schema: {document: {required: [b]}}}
        output: {as: .x, schema: {document: {type: integer}}}
        export: {as: '{last: $output}', schema: {document: {type: object}}}
        timeout: {after: {seconds: 3}}
        metadata: {note: anything}
        """
    )
    assert value_of(node.condition, {"go": 1}) == 1
    assert value_of(node.input_from, {"b": 2}) == {"a": 2}
    assert "b" in node.input_check({})
    assert value_of(node.output_as, {"x": 5}) == 5
    assert node.output_check(5) is None
    assert value_of(node.export_as, None, {"output": 4}) == {"last": 4}
    assert node.export_check(3) is not None
    assert value_of(node.timeout) == 3_000
    assert node.definition["metadata"] == {"note": "anything"}


def test_a_timeout_may_be_named() -> None:
    """`use.timeouts` keeps one limit for many tasks."""
    node = only_node("wait: PT5S\ntimeout: short", root="use: {timeouts: {short: {after: PT1S}}}\n")
    assert (value_of(node.timeout), value_of(node.duration)) == (1_000, 5_000)


def test_a_check_never_repeats_the_value() -> None:
    """Its complaint ends up in history and logs."""
    node = only_node("set: {x: 1}\ninput: {schema: {document: {properties: {ssn: {type: integer}}}}}")
    complaint = node.input_check({"ssn": "078-05-1120"})
    assert "/ssn" in complaint
    assert "078" not in complaint


def test_a_secret_counts_as_text_for_a_check() -> None:
    """What it says is not known, but what it is, is."""
    node = only_node("set: {x: 1}\ninput: {schema: {document: {properties: {a: {type: string}}}}}")
    assert node.input_check({"a": SecretText.of("s")}) is None


def test_a_schema_may_be_kept_elsewhere() -> None:
    """It is read when the workflow is published, by whoever publishes."""
    environment = Environment(resolve_resource=lambda endpoint: b'{"type": "integer"}')
    node = only_node("set: {x: 1}\ninput: {schema: {resource: {endpoint: 'https://x/s'}}}", environment=environment)
    assert node.input_check(1) is None
    assert node.input_check("a") is not None


def test_loops_bind_their_variables() -> None:
    """By the names that the document gives them, or the usual ones."""
    plan = plan_of("- a: {for: {in: .x, each: row}, while: $row.ok, do: [{b: {set: {v: '${ $row + $index }'}}}]}\n")
    node = node_of(plan, "a")
    assert (node.each, node.at) == ("row", "index")
    assert node_of(plan, "b").bound == ("row", "index")
    assert node_of(plan, "b").value.reads == ("index", "row")


def test_a_loop_may_run_over_an_inline_list() -> None:
    """Its objects are templates like any other value."""
    node = only_node("for: {in: [{a: '${ .x }'}, {b: 1}]}\ndo: []")
    assert value_of(node.items, {"x": 5}) == [{"a": 5}, {"b": 1}]


def test_needs_become_places() -> None:
    """A branch waits for those that it names."""
    plan = plan_of(
        "- f: {fork: {branches: [{a: {set: {x: 1}}}, {b: {set: {x: 1}, needs: [c, a]}}, {c: {set: {x: 1}}}]}}\n"
    )
    assert node_of(plan, "f").needs == ((), (0, 2), ())
    assert [branch.section for branch in node_of(plan, "f").branches] == ["branch"] * 3


def test_a_fork_without_needs_says_so_briefly() -> None:
    """The core's common case stays the fast one."""
    assert only_node("fork: {compete: true, branches: [{a: {set: {x: 1}}}]}").needs == ()


def test_a_catch_is_resolved() -> None:
    """Filter in the core's words, retry policy by name, durations in milliseconds."""
    node = only_node(
        """\
        try: [{a: {set: {x: 1}}}]
        catch:
          errors:
            with: {type: 'https://serverlessworkflow.io/dsl/errors/types/timeout', status: 408, details: late}
          as: problem
          when: $problem.status > 400
          exceptWhen: .done
          retry: patient
          do: [{b: {set: {x: '${ $problem.title }'}}}]
          then: end
        """,
        root="""\
        use:
          retries:
            patient:
              when: $problem.status >= 500
              delay: {seconds: 2}
              backoff: {exponential: {}}
              jitter: {from: PT0S, to: PT1S}
              limit: {attempt: {count: 3, duration: PT10S}, duration: PT1M}
        """,
    )
    assert node.catch_with == {"type": ERROR_BASE + "timeout", "status": 408, "detail": "late"}
    assert (node.catch_as, node.catch_then, kinds(node.catch_tasks)) == ("problem", Flow.END, ["set"])
    assert node.when.reads == ("problem",)
    retry = node.retry
    assert (retry.backoff, retry.count) == ("exponential", 3)
    spans = (retry.delay, retry.jitter_from, retry.jitter_to, retry.attempt_duration, retry.duration)
    assert [value_of(span) for span in spans] == [2_000, 0, 1_000, 10_000, 60_000]


def test_an_empty_catch_catches_everything() -> None:
    """And swallows it."""
    node = only_node("try: []\ncatch: {}")
    assert (node.catch_with, node.retry, node.catch_tasks, node.catch_as) == (None, None, None, "error")


def test_a_raised_error_may_be_named_and_hold_expressions() -> None:
    """`instance` is always set by the runtime."""
    root = "use: {errors: {e: {type: 'https://x/y', status: 418, detail: '${ .why }', instance: /no}}}\n"
    assert value_of(only_node("raise: {error: e}", root=root).error, {"why": "tea"}) == {
        "type": "https://x/y",
        "detail": "tea",
        "status": 418,
    }


def test_emit_is_a_template() -> None:
    """Properties of the event, at any depth."""
    node = only_node("emit: {event: {with: {type: a.b, data: {id: '${ .id }'}}}}")
    assert value_of(node.event, {"id": 3}) == {"type": "a.b", "data": {"id": 3}}


@pytest.mark.parametrize(
    ("run", "environment", "handler", "expected"),
    [
        (
            "{script: {language: JavaScript, code: x, arguments: {a: '${ .n }'}}, return: all}",
            Environment(allow_processes=True),
            "script",
            {"language": "js", "code": "x", "arguments": {"a": 1}, "return": "all", "stdin": None, "environment": {}},
        ),
        (
            "{script: {language: python, source: {endpoint: 'https://x/{n}'}}}",
            Environment(allow_processes=True),
            "script",
            {
                "language": "python",
                "source": {"endpoint": {"uri": "https://x/1", "authentication": None}},
                "arguments": [],
                "return": "stdout",
                "stdin": None,
                "environment": {},
            },
        ),
        (
            "{shell: {command: ls, arguments: ['-l'], stdin: '${ .n }', environment: {A: b}}, return: code}",
            Environment(allow_processes=True),
            "shell",
            {"command": "ls", "arguments": ["-l"], "return": "code", "stdin": 1, "environment": {"A": "b"}},
        ),
        (
            "{workflow: {namespace: a, name: b, version: latest, input: {n: '${ .n }'}}}",
            Environment(),
            "workflow",
            {"namespace": "a", "name": "b", "version": "latest", "input": {"n": 1}},
        ),
    ],
)
def test_run_becomes_an_act(run: str, environment: Environment, handler: str, expected: dict[str, Any]) -> None:
    """Handlers meet one shape, whatever the document left out."""
    node = only_node(f"run: {run}", environment=environment)
    assert (node.kind, node.handler, node.wait) == ("act", handler, True)
    assert value_of(node.arguments, {"n": 1}) == expected


def test_await_false_is_not_waited_for() -> None:
    """The output is the input, at once."""
    assert only_node("run: {workflow: {namespace: a, name: b, version: '1.0.0'}, await: false}").wait is False


def test_a_document_with_errors_has_no_plan() -> None:
    """All findings come with the refusal."""
    text = document_of("- a: {set: {}}\n- b: {raise: {error: x}}\n- b: {wait: PT1S}\n")
    with pytest.raises(DefinitionError) as refused:
        compile_plan(read_document(text))
    rules = [finding.rule for finding in refused.value.findings]
    assert rules == ["out-of-range", "unknown-component", "duplicate-task-name", "unreachable-task"]


def test_a_document_that_cannot_be_read_has_no_plan() -> None:
    """The findings of reading are findings like any other."""
    with pytest.raises(DefinitionError):
        compile_plan(read_document("a: ["))


def test_the_plan_says_what_it_requires() -> None:
    """A host without a handler for it should not start it."""
    plan = plan_of(
        "- a: {call: http, with: {method: get, endpoint: x}}\n- b: {call: connector, with: {use: c, operation: o}}\n"
    )
    assert plan.requires == ("connector", "http")


def test_the_schedule_is_resolved() -> None:
    """Milliseconds, a zone, a strategy."""
    plan = plan_of("- a: {set: {x: 1}}\n", root="schedule: {every: {minutes: 5}}\n")
    assert plan.schedule is not None
    assert (plan.schedule.every_ms, plan.schedule.zone) == (300_000, "UTC")
    text = document_of("- a: {set: {x: 1}}\n", root="schedule: {cron: 0 9 * * 1-5}\n")
    zoned = text.replace("version: '1.0.0'\n", "version: '1.0.0'\n  metadata: {segue: {timezone: Europe/Berlin}}\n")
    schedule = compile_plan(read_document(zoned)).schedule
    assert schedule is not None
    assert (schedule.cron, schedule.zone) == ("0 9 * * 1-5", "Europe/Berlin")


def test_a_schedule_may_follow_events() -> None:
    """One run for each satisfied strategy."""
    root = "schedule: {on: {one: {with: {type: a.b}}}, read: envelope}\n"
    schedule = plan_of("- a: {set: {x: 1}}\n", root=root).schedule
    assert schedule is not None
    assert schedule.on is not None
    assert (schedule.on.types, schedule.read) == (("a.b",), "envelope")
