"""Printing for people."""

from __future__ import annotations

import io
import json
import sys

import pytest

from segue.cli import output
from segue.service import Finding, ServiceError


class Terminal(io.StringIO):
    """Text that says it is shown on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_of_people_who_want_it(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, environment: dict[str, str], coloured: bool
) -> None:
    """https://no-color.org is honoured."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert ("\x1b[" in output.paint("x", "red", stream)) is coloured


def test_control_characters_are_shown_as_such() -> None:
    """Data must not command the terminal."""
    assert output.clean("a\x1b[2Jb\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb\nc"


HOSTILE = "\x1b[2J", "\x1b[8m", "\x9b2J", "\u202e", "\r", "\x1b]0;title\x07", "\x08"


@pytest.mark.parametrize("command", HOSTILE)
@pytest.mark.parametrize("terminal", [True, False])
def test_no_line_commands_the_terminal(command: str, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles, comments, names and documents are other people's, and an approver decides by what they see."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in ("stdout", "stderr"):
        stream = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, name, stream)
        line = f"{output.paint('by', 'red', stream)}\tann: fine{command}\n"
        output.say(line)
        output.note(output.CLEAR + line)
        output.print_value({"a": line})
        said = stream.getvalue().removeprefix(output.CLEAR)
        assert not {*command} & {"\x9b", "\u202e", "\r", "\x08", "\x07"} & {*said}
        assert said.count("\x1b") == (2 if terminal else 0)
        assert "fine" in said


def test_documents_are_printed_to_the_letter_into_files_and_safely_on_terminals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One is read by programs, the other by whoever approves it."""
    for stream, shown in ((io.StringIO(), "a: b\x1b[8m # c\n"), (Terminal(), "a: b\ufffd[8m # c\n")):
        monkeypatch.setattr(sys, "stdout", stream)
        output.say_document("a: b\x1b[8m # c")
        assert stream.getvalue() == shown


def test_json_on_a_terminal_is_the_same_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escaped, and not replaced."""
    value = {"a": "\x9b2J\u202e\U000e0041 ü \n", "ü": [1]}
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    output.print_json(value)
    assert json.loads(terminal.getvalue()) == value
    assert terminal.getvalue().replace("\n", "").isprintable()


def test_columns_are_as_wide_as_their_content(capsys: pytest.CaptureFixture[str]) -> None:
    """Long names must not push the other columns about."""
    output.table(("name", "status"), [("a", "completed"), ("longer", None)], empty="none")

    assert capsys.readouterr().out.splitlines() == ["NAME    STATUS", "a       completed", "longer"]


def test_a_finding_names_place_rule_and_remedy() -> None:
    """In the form that editors and terminals turn into a link."""
    finding = Finding("a-rule", "error", "is wrong", "mend it", "f.yaml", 3, 7, "/do/0")

    line = output.finding_line(finding)

    assert line.splitlines() == ["f.yaml:3:7: error: is wrong [a-rule]", "    at /do/0", "    mend it"]


def test_a_refusal_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    with pytest.raises(SystemExit) as ended:
        output.refuse(ServiceError("run-unknown", "There is no run 'x'."), as_json=False)

    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert "There is no run 'x'." in err
    assert "segue runs list" in err
