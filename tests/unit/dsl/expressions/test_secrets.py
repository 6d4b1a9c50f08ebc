"""Secrets: named, passed on, joined to text, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from segue.dsl.expressions import EvaluationError, ExpressionRefused, compile_expression
from segue.types import SecretText

TOKEN = SecretText.of("crm", "token")


def evaluate(text: str, data: Any = None) -> Any:
    return compile_expression(text, variables=["secrets", "context"]).evaluate(data, {"context": {}})


@pytest.mark.parametrize("text", ["$secrets.crm.token", '$secrets["crm"].token', '$secrets."crm"["token"]'])
def test_a_secret_is_named_by_constants(text: str) -> None:
    """So which secrets a document reads is known before it runs."""
    expression = compile_expression(text, variables=["secrets"])
    assert expression.evaluate(None) == TOKEN
    assert expression.secrets == {("crm", "token")}
    assert expression.variables == {"secrets"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Bearer " + $secrets.crm.token', "Bearer [secret crm.token]"),
        ('$secrets.crm.token + "!"', "[secret crm.token]!"),
        ('"Bearer \\($secrets.crm.token)"', "Bearer [secret crm.token]"),
        ('"\\($secrets.a)\\(1 + 1)\\($secrets.b)"', "[secret a]2[secret b]"),
        ("$secrets.a + $secrets.b", "[secret a][secret b]"),
        ('["Basic ", $secrets.a] | add', "Basic [secret a]"),
        ('[$secrets.a, "x"] | join(":")', "[secret a]:x"),
        ("null + $secrets.a", "[secret a]"),
        ("$secrets.a // 1", "[secret a]"),
        ('@text "\\($secrets.a)"', "[secret a]"),
    ],
)
def test_a_secret_may_be_joined_to_text(text: str, expected: str) -> None:
    """Headers are built like this; the handler fills the value in at the last moment."""
    value = evaluate(text)
    assert isinstance(value, SecretText)
    assert str(value) == expected


def test_a_secret_may_stand_in_arrays_and_objects() -> None:
    """Arguments of calls are objects."""
    value = evaluate("{auth: [$secrets.crm.token], n: ([$secrets.a] | length)}")
    assert value == {"auth": [TOKEN], "n": 1}


@pytest.mark.parametrize(
    "text",
    [
        "$secrets",
        "$secrets[.name]",
        "$secrets[]",
        "$secrets | keys",
        "$secrets[0]",
        "$secrets.crm[.field]",
        "$secrets.crm[]",
        "$secrets[1:]",
        "$secrets as {$crm} | $crm",
        "{$secrets}",
        "[$secrets]",
        "$secrets.a.b[0]",
        "reduce $secrets[] as $s (0; 1)",
    ],
)
def test_any_other_mention_of_secrets_is_refused(text: str) -> None:
    """Otherwise a document could read more than it declares."""
    with pytest.raises(ExpressionRefused, match="secrets") as caught:
        compile_expression(text, variables=["secrets"])
    assert "$secrets.crm.token" in caught.value.hint


@pytest.mark.parametrize(
    "operation",
    """. == "x"|. != "x"|"x" == .|. < "x"|[.] < ["x"]|[.] == ["x"] or [.] == [.]|length|type|tostring|tojson|@base64
    @json|@uri|@html|@sh|explode|ascii_downcase|split("")|split("x")|test("a")|startswith("a")|ltrimstr("a")|.[0:1]
    . * 2|. - "a"|. / "a"|. + 1|1 + .|tonumber|contains("a")|inside("abc")|index("a")|keys|has("a")|error|.a|.[0]|.[]
    fromjson|utf8bytelength|[.] | sort|[., "a"] | unique|[.] | tojson|"x" * .|sub("a"; "b")|{(.): 1}|ascii|implode|abs
    . as [$x] | $x|[.] | @csv|[.] | @tsv|todate|min_by(.)|[.] | index(.[0])|"a" | ltrimstr($s)|IN("a")
    tostream | tojson
    floor|-.|to_entries|gsub("a"; $s)|@json "\\(.)"|@base64 "\\(.)"|toboolean|trim|getpath(["a"])
    """.replace("\n", "|")
    .replace(" | ", " ¦ ")
    .split("|"),
)
def test_a_secret_can_be_used_in_no_other_way(operation: str) -> None:
    """Length, comparison and encoding would tell something about the value, or hide it from redaction."""
    program = operation.strip().replace("¦", "|")
    if not program:
        return
    with pytest.raises(EvaluationError) as caught:
        evaluate(f"$secrets.crm.token as $s | $s | {program}")
    assert "token" not in str(caught.value).replace("$secrets", "")


def test_the_rule_is_said() -> None:
    """The author learns what is allowed."""
    with pytest.raises(EvaluationError, match="a secret may only be passed on or joined to text"):
        evaluate("$secrets.crm.token | length")


def test_a_secret_that_arrives_in_data_is_guarded_too() -> None:
    """`input.from` may pass a secret on to the task's definition."""
    with pytest.raises(EvaluationError, match="may only be passed on"):
        evaluate(".header | @base64", {"header": TOKEN})
    assert evaluate(".header", {"header": TOKEN}) == TOKEN
    assert evaluate('(.header == "x")?', {"header": TOKEN}) is None


def test_without_the_variable_secrets_do_not_exist() -> None:
    """Ruling R13: not in output.as, export.as, set or emit."""
    with pytest.raises(ExpressionRefused, match=r"\$secrets is not available here"):
        compile_expression("$secrets.crm", variables=["context"])


def test_text_that_looks_like_a_secret_is_text() -> None:
    """A stranger cannot ask for a secret by imitating one."""
    assert evaluate('. + "!"', "[secret crm.token]") == "[secret crm.token]!"
