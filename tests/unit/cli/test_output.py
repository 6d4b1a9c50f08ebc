"""Printing for people."""

from __future__ import annotations

import io

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
