"""Each command of the command line: results, refusals, exit codes, JSON."""

from __future__ import annotations

import io
import json
import re
import sys
import tempfile
from pathlib import Path

import pytest
from tests.integration.cli_support import Cli, Outcome
from tests.integration.service_support import CHECKED, PAID, WAITS, document

FAULTS = document("- broken: {raise: {error: {type: 'https://example.com/e', status: 418, detail: no coffee}}}")
OPENAPI = json.dumps(
    {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:9"}],
        "paths": {"/orders": {"get": {"operationId": "listOrders", "responses": {"200": {"description": "ok"}}}}},
    }
)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """The command line, in an empty folder with a data folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SEGUE_URL", raising=False)
    files = {"flow": document(), "faults": FAULTS, "waits": WAITS, "checked": CHECKED, "bad": "do: 1", "not": "{"}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "shop.json").write_text(OPENAPI)
    return Cli(capsys)


# -- run -------------------------------------------------------------------------------------------


def test_a_completed_run_ends_with_0_and_shows_its_output(cli: Cli) -> None:
    """The result goes to standard output, and only the result."""
    done = cli("run", "flow.yaml")

    assert done.code == 0
    assert '"a": 1' in done.out
    assert "/do/0/one" in done.out
    assert done.err == ""


def test_a_faulted_run_ends_with_1_and_says_why(cli: Cli) -> None:
    """Scripts test the code, people read the reason."""
    done = cli("run", "faults.yaml")

    assert done.code == 1
    assert "no coffee" in done.out
    assert "/do/0/broken" in done.out


def test_the_json_of_a_run_says_everything(cli: Cli, tmp_path: Path) -> None:
    """Status, output, error, emitted events, and the tasks in the order in which they started."""
    tasks = """
    - first: {set: {n: 2}}
    - tell: {emit: {event: {with: {type: told, data: {n: 1}}}}}
    - both:
        fork:
          branches:
            - b: {set: {b: 1}}
            - a: {set: {a: 1}}
    """
    (tmp_path / "f.yaml").write_text(document(tasks))

    done = cli("run", "f.yaml", "--json")

    report = done.json
    assert (done.code, report["status"], report["error"]) == (0, "completed", None)
    assert report["output"] == [{"b": 1}, {"a": 1}]
    assert [(t["pointer"], t["status"]) for t in report["tasks"]] == [
        ("/do/0/first", "completed"),
        ("/do/1/tell", "completed"),
        ("/do/2/both", "completed"),
        ("/do/2/both/fork/branches/0/b", "completed"),
        ("/do/2/both/fork/branches/1/a", "completed"),
    ]
    assert [e["type"] for e in report["events"]] == ["told"]


def test_the_json_of_a_faulted_run_has_the_error(cli: Cli) -> None:
    """In the shape of the language's errors."""
    report = cli("run", "faults.yaml", "--json").json

    assert (report["status"], report["output"]) == ("faulted", None)
    assert report["error"]["instance"] == "/do/0/broken"


@pytest.mark.parametrize("given", ['{"id": 7}', "@input.json", "@-"])
def test_input_comes_from_the_argument_a_file_or_standard_input(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Large inputs do not fit on a command line."""
    (tmp_path / "input.json").write_text('{"id": 7}')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 7}')))

    assert cli("run", "checked.yaml", "--input", given, "--json").code == 0


def test_a_document_may_come_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`generate | segue run -`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(document().encode())))

    assert cli("run", "-", "--json").json["output"] == {"a": 1}


def test_events_can_be_sent_to_the_run(cli: Cli) -> None:
    """A document that listens can be tried without a server."""
    done = cli("run", "waits.yaml", "--event", json.dumps(PAID), "--json")

    assert done.json["output"] == {"paid": True}


def test_a_python_function_can_be_named(cli: Cli, tmp_path: Path) -> None:
    """By module and name, under its own name or another."""
    (tmp_path / "scoring_for_cli.py").write_text("def score(x: int) -> int:\n    return x * 2\n")
    (tmp_path / "f.yaml").write_text(document("- s: {call: double, with: {x: 21}}"))

    done = cli("run", "f.yaml", "--function", "double=scoring_for_cli:score", "--json")

    assert done.json["output"] == 42


def test_a_started_workflow_can_be_given_along(cli: Cli, tmp_path: Path) -> None:
    """A document that starts another one needs it published."""
    child = "- sub: {run: {workflow: {namespace: demo, name: flow, version: '1.0.0'}}}"
    (tmp_path / "parent.yaml").write_text(document(child, name="parent"))

    assert cli("run", "parent.yaml", "--with", "flow.yaml", "--json").json["output"] == {"a": 1}


def test_processes_are_off_unless_allowed(cli: Cli, tmp_path: Path) -> None:
    """A document from somewhere must not start programs by itself."""
    (tmp_path / "sh.yaml").write_text(document("- s: {run: {shell: {command: echo hello}}}"))

    refused = cli("run", "sh.yaml", "--json")
    allowed = cli("run", "sh.yaml", "--allow-processes", "--json")

    assert (refused.code, refused.json["status"]) == (2, "refused")
    assert (allowed.code, allowed.json["output"].strip()) == (0, "hello")


def test_a_schema_beside_the_document_is_read(cli: Cli, tmp_path: Path) -> None:
    """The path is relative to the document, not to the working directory."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "in.json").write_text('{"type": "object", "required": ["id"]}')
    more = "input: {schema: {resource: {endpoint: in.json}}}"
    (tmp_path / "sub" / "f.yaml").write_text(document(more=more))

    assert cli("run", "sub/f.yaml", "--input", '{"id": 1}').code == 0
    assert cli("run", "sub/f.yaml", "--input", "{}").code == 2


# -- bad input -------------------------------------------------------------------------------------

BAD: list[tuple[list[str], str]] = [
    (["nothing"], "nothing"),
    (["run"], "FILE"),
    (["run", "flow.yaml", "--colour"], "--colour"),
    (["run", "none.yaml"], "none.yaml"),
    (["run", "."], "."),
    (["run", "bad.yaml"], "errors"),
    (["run", "not.yaml"], "error"),
    (["run", "flow.yaml", "--input", "{"], "--input"),
    (["run", "flow.yaml", "--input", "@none.json"], "none.json"),
    (["run", "flow.yaml", "--event", "{"], "--event"),
    (["run", "waits.yaml", "--event", "{}"], "specversion"),
    (["run", "checked.yaml", "--input", '{"id": "x"}'], "id"),
    (["run", "flow.yaml", "--function", "nothing"], "nothing"),
    (["run", "flow.yaml", "--function", "no.such:thing"], "no.such"),
    (["run", "flow.yaml", "--function", "a b"], "a b"),
    (["run", "flow.yaml", "--with", "none.yaml"], "none.yaml"),
    (["validate"], "FILES"),
    (["validate", "none.yaml"], "none.yaml"),
    (["validate", "bad.yaml"], "bad.yaml"),
    (["publish", "none.yaml"], "none.yaml"),
    (["publish", "bad.yaml"], "bad.yaml"),
    (["workflows", "show", "demo/none"], "demo/none"),
    (["workflows", "show", "flow"], "namespace/name"),
    (["workflows", "list", "--limit", "x"], "--limit"),
    (["runs", "start", "demo/flow"], "segue serve"),
    (["runs", "start", "flow"], "namespace/name"),
    (["runs", "start", "demo/flow", "--input", "{"], "--input"),
    (["runs", "list", "--status", "odd"], "odd"),
    (["runs", "list", "--since", "yesterday"], "yesterday"),
    (["runs", "list", "--workflow", "x"], "namespace/name"),
    (["runs", "list", "--after", "x"], "next"),
    (["runs", "show", "none"], "none"),
    (["runs", "show"], "RUN"),
    (["runs", "history", "none"], "none"),
    (["runs", "tail", "none"], "none"),
    (["runs", "tail"], "serves"),
    (["runs", "cancel", "none"], "segue serve"),
    (["runs", "pause", "none"], "segue serve"),
    (["runs", "resume", "none"], "segue serve"),
    (["events", "send"], "--type"),
    (["events", "send", "{"], "EVENT"),
    (["events", "send", "--type", "a", "--content", "{"], "--content"),
    (["events", "send", "--type", "a"], "segue serve"),
    (["connections", "add", "shop"], "openapi"),
    (["connections", "add", "shop", "--openapi", "none.json"], "none.json"),
    (["connections", "add", "Shop", "--openapi", "shop.json"], "Shop"),
    (["connections", "add", "shop", "--openapi", "flow.yaml"], "OpenAPI"),
    (["connections", "add", "shop", "--openapi", "shop.json", "--auth", "bearer=hunter2"], "token"),
    (["connections", "add", "shop", "--openapi", "shop.json", "--setting", "[]"], "--setting"),
    (["connections", "add", "shop", "--openapi", "shop.json", "--setting", '{"colour": 1}'], "colour"),
    (["connections", "test", "none"], "none"),
    (["connections", "describe", "none"], "none"),
    (["connections", "remove", "none"], "none"),
    (["workflows", "list", "--limit", "0"], "--limit"),
    (["runs", "list", "--limit", "501"], "--limit"),
    (["runs", "start", "demo/flow", "--key", "a b"], "a b"),
    (["serve", "--log-level", "loud"], "loud"),
    (["serve", "--port", "70000"], "70000"),
    (["serve", "--host", "not an address", "--port", "0"], "not an address"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_refused_with_what_where_and_what_next(
    cli: Cli, tmp_path: Path, arguments: list[str], said: str
) -> None:
    """Exit 2, a message that names the thing, and never a traceback."""
    (tmp_path / "data").mkdir(exist_ok=True)
    done = cli(*arguments)

    assert done.code == 2, done
    assert said.lower() in (done.out + done.err).lower()
    assert "hunter2" not in done.out + done.err


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_json_document_where_json_is_asked_for(cli: Cli, arguments: list[str], said: str) -> None:
    """A program that reads us must not have to guess."""
    done = cli(*arguments, "--json")

    assert done.code == 2
    refusal = done.json
    if arguments[0] != "validate" or "documents" not in refusal:
        assert refusal["status"] == "refused"
        assert refusal["error"]["remedy"]


# -- validate --------------------------------------------------------------------------------------


def test_validation_tells_place_rule_and_remedy_of_every_file(cli: Cli, tmp_path: Path) -> None:
    """One run over all files, all findings at once."""
    (tmp_path / "warns.yaml").write_text(document("- a: {set: {x: 'Hello ${ .name }'}}"))

    done = cli("validate", "flow.yaml", "bad.yaml", "warns.yaml")

    assert done.code == 2
    lines = done.out.splitlines()
    assert "flow.yaml: valid" in lines
    assert any(line.startswith("bad.yaml: refused") for line in lines)
    assert any(line.startswith("bad.yaml:1:") and "error" in line for line in lines)
    assert any("warns.yaml:" in line and "warning" in line for line in lines)
    assert any(line.startswith("warns.yaml: valid (1 warning)") for line in lines)


def test_warnings_alone_do_not_refuse(cli: Cli, tmp_path: Path) -> None:
    """They can be published, so they exit 0."""
    (tmp_path / "warns.yaml").write_text(document("- a: {set: {x: 'Hello ${ .name }'}}"))

    done = cli("validate", "warns.yaml", "--json")

    assert done.code == 0
    ((finding,),) = [d["findings"] for d in done.json["documents"]]
    assert finding["severity"] == "warning"
    assert {"rule", "message", "file", "line", "column", "pointer"} <= finding.keys()


def test_the_schema_is_a_json_schema(cli: Cli) -> None:
    """Editors load it."""
    assert "properties" in cli("schema").json


# -- without a server ------------------------------------------------------------------------------


def published(cli: Cli, *names: str) -> Outcome:
    """Publish files."""
    done = cli("publish", *names)
    assert done.code == 0, done.err
    return done


def test_publishing_needs_no_server(cli: Cli) -> None:
    """The folder is opened for a moment."""
    first, again = published(cli, "flow.yaml"), published(cli, "flow.yaml")

    assert first.out.startswith("published demo/flow:1.0.0")
    assert again.out.startswith("already published")
    assert [w["name"] for w in cli("workflows", "list", "--json").json["items"]] == ["flow"]
    assert cli("workflows", "show", "demo/flow:1.0.0", "--source").out == document()
    assert "1.0.0 (latest)" in cli("workflows", "show", "demo/flow").out


def test_the_same_version_with_other_content_is_refused(cli: Cli, tmp_path: Path) -> None:
    """With what to do about it."""
    published(cli, "flow.yaml")
    (tmp_path / "flow.yaml").write_text(document("- two: {set: {b: 2}}"))

    done = cli("publish", "flow.yaml")

    assert done.code == 2
    assert "document.version" in done.err


def test_runs_of_a_folder_can_be_read_without_a_server(cli: Cli, tmp_path: Path) -> None:
    """After a `segue run --data` as after a server that was stopped."""
    run = cli("run", "flow.yaml", "--data", str(tmp_path / "data"), "--json").json["id"]

    assert [r["id"] for r in cli("runs", "list", "--json").json["items"]] == [run]
    assert cli("runs", "list", "--status", "faulted", "--json").json["items"] == []
    assert cli("runs", "show", run, "--json").json["status"] == "completed"
    assert "/do/0/one" in cli("runs", "show", run).out
    assert [e["e"] for e in cli("runs", "history", run, "--json").json["items"]] == ["run-started"]
    events = [json.loads(line) for line in cli("runs", "tail", run, "--json").out.splitlines()]
    assert events[-1]["type"] == "io.serverlessworkflow.workflow.completed.v1"
    assert "completed" in cli("runs", "tail", run).out


def test_connections_are_added_listed_described_and_removed(cli: Cli) -> None:
    """Credentials are references, and are not shown."""
    added = cli("connections", "add", "shop", "--openapi", "shop.json", "--auth", "bearer=env:SHOP_TOKEN", "--json")

    assert (added.code, added.json["operations"]) == (0, 1)
    assert cli("connections", "add", "shop", "--openapi", "shop.json").code == 2
    assert "bearer" in cli("connections", "list").out
    assert "SHOP_TOKEN" not in cli("connections", "list").out
    assert "listOrders" in cli("connections", "describe", "shop").out
    assert cli("connections", "describe", "shop", "listOrders", "--json").json["method"] == "GET"
    assert cli("connections", "describe", "shop", "none").code == 2
    assert cli("connections", "test", "shop").code == 1
    assert cli("connections", "remove", "shop").code == 0
    assert cli("connections", "list", "--json").json["items"] == []


def test_models_are_listed(cli: Cli, tmp_path: Path) -> None:
    """None is an answer too."""
    (tmp_path / "data").mkdir(exist_ok=True)
    assert cli("models", "list", "--json").json == []


# -- the rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    ["", "--help", "version", "run --help", "runs", "runs --help", "runs start --help", "serve --help"],
)
def test_help_is_a_result(cli: Cli, arguments: str) -> None:
    """It goes to standard output and ends with 0."""
    done = cli(*arguments.split())

    assert done.code == 0
    assert "segue" in done.out.lower()


def test_no_colour_where_no_terminal_is(cli: Cli) -> None:
    """Files and pipes get plain text."""
    assert "\x1b" not in cli("run", "flow.yaml").out
    assert "\x1b" not in cli("run", "bad.yaml").err


def test_a_crash_writes_a_log_and_says_where(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """People get one line, whoever mends it gets the place and the kind of every error."""
    monkeypatch.setattr("segue.cli.crash.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("segue.cli.run.load_settings", lambda *_, **__: 1 / 0)

    done = cli("run", "flow.yaml")

    assert done.code == 70
    (log,) = tmp_path.glob("segue-crash-*.log")
    assert str(log) in done.err
    text = log.read_text()
    assert "builtins.ZeroDivisionError" in text
    assert re.search(r"segue/cli/run\.py:\d+ in run\n", text)
    assert log.stat().st_mode & 0o077 == 0


def test_a_crash_log_holds_no_value(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """People are asked to send it, and what errors say quotes data: of causes, notes and groups too."""

    def broken(*_: object, **__: object) -> None:
        try:
            Path("/canary").read_text()
        except OSError as error:
            reason = ValueError("cannot read canary@example.org")
            reason.add_note("canary in a note")
            try:
                raise KeyError("canary key")
            except KeyError as other:
                raise ExceptionGroup("canary group", [reason, other]) from error

    monkeypatch.setattr("segue.cli.crash.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("segue.cli.run.load_settings", broken)

    done = cli("run", "flow.yaml")

    (log,) = tmp_path.glob("segue-crash-*.log")
    text = log.read_text()
    assert "canary" not in text + done.err
    for told in ("builtins.FileNotFoundError (ENOENT)", "ExceptionGroup", "    builtins.ValueError", "KeyError"):
        assert told in text


def test_control_characters_in_data_do_not_reach_the_terminal(cli: Cli, tmp_path: Path) -> None:
    """A value must not be able to clear the screen or to colour a lie."""
    raised = "- x: {raise: {error: {type: 'https://e.test/e', status: 400, detail: \"a\\u001b[2Jb\"}}}"
    (tmp_path / "f.yaml").write_text(document(raised))

    assert "\x1b" not in cli("run", "f.yaml").out


@pytest.mark.parametrize("command", ["run", "serve", "validate"])
def test_help_names_only_options_that_are_meant(cli: Cli, command: str) -> None:
    """The parser makes up an option that empties each list; in the help it would puzzle people."""
    said = cli(command, "--help")

    assert "--function" in said.out
    assert "--empty-" not in said.out


def test_a_connection_whose_credentials_are_missing_is_added_with_a_warning(cli: Cli, tmp_path: Path) -> None:
    """They may come later; but a typing error in a reference should not wait for the first run to be found."""
    token = tmp_path / "token"
    auths = {"bearer=env:NO_SUCH_TOKEN": "NO_SUCH_TOKEN", f"bearer=file:{token}": str(token)}
    auths["bearer=secret:no-such"] = "SEGUE_SECRET_NO_SUCH"
    for number, (auth, named) in enumerate(auths.items()):
        added = cli("connections", "add", f"shop-{number}", "--openapi", "shop.json", "--auth", auth)
        assert added.code == 0
        assert "warning: token: " in added.err
        assert named in added.err

    token.write_text("hunter2")
    found = cli("connections", "add", "fine", "--openapi", "shop.json", "--auth", f"bearer=file:{token}", "--json")
    assert found.json["warnings"] == []
    assert "hunter2" not in found.out + found.err


@pytest.mark.parametrize("file", ["flow.yaml", "faults.yaml", "bad.yaml"])
def test_a_one_off_run_leaves_no_data_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """Neither here, nor where SEGUE_DATA points, nor among temporary files; however it ends."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = {path.name for path in tmp_path.iterdir()}

    cli("run", file)
    assert list(temporary.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == before


def test_reading_makes_no_data_folder(cli: Cli, tmp_path: Path) -> None:
    """A typing error in --data would look like a company without any runs."""
    missing = tmp_path / "no-such-folder"

    outcome = cli("runs", "list", "--data", missing)

    assert (outcome.code, missing.exists()) == (2, False)
    assert "no-such-folder" in outcome.err
    assert "--data" in outcome.err
