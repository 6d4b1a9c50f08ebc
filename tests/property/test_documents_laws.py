"""Laws of documents: reading never fails but says what is wrong, and what is not wrong compiles."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from segue.dsl import (
    DefinitionError,
    Document,
    Environment,
    check_document,
    compile_plan,
    default_functions,
    digest_of,
    document_schema,
    read_document,
)
from segue.dsl.functions import latest
from segue.dsl.schema import ROOT
from segue.dsl.schema import document_schema as structure_schema
from segue.dsl.structure import check_structure

RICH = """\
document: {dsl: '1.0.3', namespace: test, name: rich, version: '1.0.0', metadata: {timezone: Europe/Berlin}}
input: {schema: {document: {type: object}}, from: .body}
output: {as: '{last: ., a: $steps.a}'}
timeout: {after: PT1H}
schedule: {cron: 0 9 * * 1-5}
use:
  secrets: [s]
  authentications: {p: {basic: {username: u, password: '${ $secrets.s }'}}}
  errors: {e: {type: 'https://x/y', status: 418, detail: '${ .why }'}}
  retries: {r: {delay: PT1S, backoff: {linear: {}}, jitter: {from: PT0S, to: PT1S}, limit: {attempt: {count: 2}}}}
  timeouts: {t: {after: {seconds: 5}}}
  functions: {f: {do: [{g: {set: {x: '${ .n }'}}}]}}
  extensions: [{log: {extend: call, when: .x, before: [{l: {emit: {event: {with: {type: a.b}}}}}]}}]
do:
- a: {set: {x: '${ .y }', z: [1, 'w']}, if: .go, export: {as: '$context + {a: .}'}, then: c}
- b: {wait: {minutes: 1}, timeout: t, then: d}
- c: {switch: [{x: {when: .a, then: b}}, {y: {then: d}}]}
- d: {call: http, with: {method: get, endpoint: {uri: 'https://x/{id}', authentication: {use: p}}, query: {q: '1'}}}
- e: {for: {in: .items, each: row}, while: $row.ok, do: [{i: {call: f, with: {n: '${ $row }'}}}]}
- f: {fork: {branches: [{g: {set: {x: 1}}}, {h: {set: {x: '${ $steps.g }'}, needs: [g]}}]}}
- i: {try: [{j: {raise: {error: e}}}], catch: {errors: {with: {status: 418}}, retry: r, do: [{k: {set: {x: 1}}}]}}
- l:
    listen: {to: {any: [{with: {type: a.b}, correlate: {k: {from: .data.id}}}], until: length > 1}, read: envelope}
    foreach: {item: event, do: [{m: {set: {x: '${ $event }'}}}]}
- n: {emit: {event: {with: {type: a.c, data: '${ . }'}}}}
- o: {run: {workflow: {namespace: a, name: b, version: latest, input: {x: 1}}}}
- p: {call: map, with: {value: '${ .rows }', fields: {id: .no}}}
- q: {call: connector, with: {use: crm, operation: get, arguments: {id: '${ .id }'}}}
"""
VALIDATOR = jsonschema_rs.validator_for(structure_schema(), offline=True)
PRINTED = jsonschema_rs.validator_for(document_schema(), offline=True)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["${ .a | }", "${ $nope }", "${ $secrets.s }", "${ $steps.a }", "${ .a\n}"]),
    st.sampled_from(
        ["${ .a }", "${", ".a", "end", "a", "PT1S", "P1M", "https://x/{a}", "$context", "1.0.0", "e", "r"]
    ),
)
keys = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["do", "set", "call", "with", "for", "in", "try", "catch", "then", "when", "use", "if", "as", "any"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=4)


@cache
def rich() -> Any:
    document = read_document(RICH)
    assert check_document(document) == [], check_document(document)
    return document.data


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The rich document with one to three values changed, keys removed, or entries doubled."""
    data = copy.deepcopy(rich())
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from(list(_holders(data))))
        if not holder:
            continue
        place = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder)))))
        action = draw(st.sampled_from(["replace", "remove", "move", "double"]))
        if action == "replace":
            holder[place] = draw(values)
        elif action == "remove":
            del holder[place]
        elif action == "move":
            holder[place] = copy.deepcopy(draw(st.sampled_from(list(_holders(data)))))
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[place]))
        else:
            holder[draw(keys)] = copy.deepcopy(holder[place])
    return data


def _holders(value: Any) -> Any:
    if isinstance(value, dict | list):
        yield value
        for held in value.values() if isinstance(value, dict) else value:
            yield from _holders(held)


def _hold_the_laws(document: Document) -> None:
    """Errors keep a document from compiling, and nothing else does."""
    findings = check_document(document)
    if any(finding.is_error for finding in findings):
        with pytest.raises(DefinitionError) as refused:
            compile_plan(document)
        assert list(refused.value.findings) == findings
    else:
        assert compile_plan(document).digest == digest_of(document)
    places = [(finding.line, finding.column) for finding in findings]
    assert places == sorted(places)
    last = document.text.count("\n") + 1
    assert all(0 <= finding.line <= last for finding in findings)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(source: bytes) -> None:
    """A stranger's file never becomes an exception."""
    _hold_the_laws(read_document(source))


@given(st.text(alphabet="abdo:-#&*!|>%@`'\"{}[],?~ \t\n0.9éx\\", max_size=80))
def test_any_yaml_like_text_is_read_or_refused(source: str) -> None:
    """The signs of YAML in every disorder."""
    _hold_the_laws(read_document(source))


@given(objects)
def test_json_is_read_as_what_it_says(value: dict[str, Any]) -> None:
    """JSON is YAML, for us and for the tools that write it."""
    document = read_document(json.dumps(value))
    assert document.data == value
    assert all(_leads_somewhere(value, pointer) for pointer in document.marks)


def _leads_somewhere(value: Any, pointer: str) -> bool:
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(key)]
        elif key in value:
            value = value[key]
        else:
            return False
    return True


# A common writer speaks YAML 1.1. Where 1.2 reads the same text otherwise (numbers such as 0E0, line breaks such
# as U+2028), what it writes is not what it meant; so these are left out.
plain_words = st.text(
    st.characters(exclude_characters="0123456789\x85\u2028\u2029", exclude_categories=("Cs",)), max_size=8
)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), plain_words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(plain_words, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(plain_words, plain_values, max_size=4))
def test_yaml_is_read_as_what_it_says(value: dict[str, Any]) -> None:
    """Block style, quoting and escapes as a common writer uses them."""
    text = yaml.safe_dump(value, allow_unicode=True)
    assert read_document(text).data == value, text


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_changed_document_has_findings_or_a_plan(data: Any) -> None:
    """Whatever an author breaks, the answer is a list of findings."""
    _hold_the_laws(read_document(json.dumps(data, indent=1)))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_the_walk_agrees_with_a_complete_validator(data: Any) -> None:
    """Precise messages are worth nothing if they are about another language."""
    assert bool(check_structure(data, ROOT).complaints) == (not VALIDATOR.is_valid(data))


@st.composite
def with_changed_calls(draw: st.DrawFn) -> Any:
    """The rich document with calls of the default catalogue whose arguments are anything, or nearly right."""
    data = copy.deepcopy(rich())
    for number in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(default_functions())))
        properties = (default_functions()[name][latest(default_functions()[name])].parameters or {})["properties"]
        written = st.dictionaries(st.one_of(st.sampled_from(sorted(properties)), keys), values, max_size=5)
        data["do"].append({f"call{number}": {"call": name, "with": draw(st.one_of(written, values))}})
    return data


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(mutated(), with_changed_calls()))
def test_what_the_printed_schema_refuses_the_linter_refuses(data: Any) -> None:
    """`segue schema` is what editors underline by: what they show red must not be published."""
    use = data.get("use")
    functions = use.get("functions") if isinstance(use, dict) else None
    # A function of the document hides the catalogue's of the same name, which a schema cannot know.
    assume(not isinstance(functions, dict) or not functions.keys() & default_functions().keys())
    if PRINTED.is_valid(data):
        return
    findings = check_document(read_document(json.dumps(data)))
    assert any(finding.is_error for finding in findings), next(PRINTED.iter_errors(data)).message


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_an_environment_that_allows_everything_changes_no_law(data: Any) -> None:
    """Permissions add findings or take them away; they never break the walk."""
    environment = Environment(
        allow_processes=True,
        allow_remote_functions=True,
        connections=set(),
        workflows=set(),
        resolve_resource=_broken,
    )
    check_document(read_document(json.dumps(data)), environment)


def _broken(endpoint: Any) -> bytes:
    raise OSError("no network")
