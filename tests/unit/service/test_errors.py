"""The one table of refusals."""

from __future__ import annotations

import msgspec
import pytest

from segue.cli.crash import EXIT_CRASHED as CLI_EXIT_CRASHED
from segue.service import EXIT_CRASHED, PROBLEM_BASE, PROBLEMS, Finding, ServiceError, as_refusal, error_of
from segue.store import FolderInUse, FolderNotUsable, HostError


@pytest.mark.parametrize("kind", sorted(PROBLEMS))
def test_every_kind_says_what_happened_and_what_to_do(kind: str) -> None:
    """A refusal without a next step leaves people alone."""
    entry = PROBLEMS[kind]

    assert 400 <= entry.status < 600
    assert entry.title
    assert entry.meaning.endswith(".")
    assert entry.remedy.endswith(".")


@pytest.mark.parametrize("kind", sorted(PROBLEMS))
def test_a_problem_document_becomes_the_same_error_again(kind: str) -> None:
    """The command line shows a server's refusal as if it had been its own."""
    error = ServiceError(kind, "what happened", findings=[Finding("a-rule", "error", "is wrong", line=3, column=7)])
    problem = msgspec.json.decode(msgspec.json.encode(error.as_problem("/api/v1/runs")))

    again = error_of(problem)

    assert again is not None
    assert again.as_problem("/api/v1/runs") == error.as_problem("/api/v1/runs")
    assert again.exit_code == error.exit_code


def test_somebody_elses_problem_document_is_not_ours() -> None:
    """A proxy's error page must not be taken for the server's word."""
    assert error_of({"type": "about:blank", "status": 502}) is None


def test_the_remedy_of_the_occasion_beats_that_of_the_kind() -> None:
    """Where more is known, more is said."""
    assert ServiceError("run-unknown", "x", remedy="Do this.").as_problem()["remedy"] == "Do this."


def test_a_problem_has_the_members_of_the_standard() -> None:
    """RFC 9457 names them."""
    problem = ServiceError("run-unknown", "There is no run 'x'.").as_problem("/api/v1/runs/x")

    assert problem["type"] == PROBLEM_BASE + "run-unknown"
    assert problem["status"] == 404
    assert {"title", "detail", "instance"} <= problem.keys()
    assert "findings" not in problem


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FolderInUse("in use"), "folder-busy"),
        (FolderNotUsable("damaged"), "folder-unusable"),
        (HostError("disk full"), "not-ready"),
        (ServiceError("run-closed", "x"), "run-closed"),
    ],
)
def test_errors_of_the_rooms_below_are_refusals(error: Exception, kind: str) -> None:
    """An operator can act on them, so they are no crashes."""
    refusal = as_refusal(error)

    assert refusal is not None
    assert refusal.kind == kind


def test_a_bug_is_no_refusal() -> None:
    """It must reach the log with its traceback."""
    assert as_refusal(KeyError("x")) is None


def test_the_crash_code_is_the_same_where_it_is_written_twice() -> None:
    """The crash handler of the command line imports nothing of ours, so it has its own copy."""
    assert CLI_EXIT_CRASHED == EXIT_CRASHED
