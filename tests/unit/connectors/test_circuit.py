"""When a system counts as down, and how it is asked again."""

from __future__ import annotations

import pytest

from segue.connectors import Breaker
from segue.connectors.circuit import Circuit, speaks_for_down


class _Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def _circuit(clock: _Clock, *, width: int = 8, **settings: float) -> Circuit:
    return Circuit(Breaker(**({"requests_min": 4} | settings)), width, clock)  # type: ignore[arg-type]


def _fail(circuit: Circuit, times: int) -> bool:
    return [circuit.failed(circuit.generation, "status 503") for _ in range(times)][-1]


def _reopen(circuit: Circuit, clock: _Clock) -> None:
    """Let the pause pass, and let the probe fail."""
    clock.now_s += circuit.pause_ms / 1000
    circuit.end_pause(circuit.generation)
    _fail(circuit, 1)


@pytest.mark.parametrize(
    ("status", "down"),
    [(200, False), (404, False), (429, False), (500, True), (501, False), (503, True), (504, True), (505, False)],
)
def test_only_server_errors_speak_for_a_system_that_is_down(status: int, down: bool) -> None:
    """A thousand wrong requests must not close the door to right ones."""
    assert speaks_for_down(status) is down


def test_it_opens_at_the_share_of_failures(clock: _Clock) -> None:
    """Two failures of four requests are half."""
    circuit = _circuit(clock)
    circuit.succeeded(0)
    circuit.succeeded(0)

    assert not _fail(circuit, 1)
    assert _fail(circuit, 1)
    assert (circuit.state, circuit.width, circuit.left_ms) == ("open", 0, 1000)


def test_few_requests_never_open_it(clock: _Clock) -> None:
    """One failure at night is all of the requests of that window, and says nothing."""
    circuit = _circuit(clock)

    assert not _fail(circuit, 3)
    assert circuit.state == "closed"


def test_failures_before_the_window_do_not_count(clock: _Clock) -> None:
    """A bad hour in the morning must not weigh on the afternoon."""
    circuit = _circuit(clock)
    _fail(circuit, 3)
    clock.now_s += 31

    assert not _fail(circuit, 3)


def test_after_the_pause_one_request_tries_it(clock: _Clock) -> None:
    """A system that comes back must not be met by everybody at once."""
    circuit = _circuit(clock)
    _fail(circuit, 4)
    clock.now_s += 1

    assert circuit.end_pause(circuit.generation)
    assert (circuit.state, circuit.width) == ("half-open", 1)


def test_each_answer_makes_room_for_one_more_until_the_full_width(clock: _Clock) -> None:
    """The load comes back step by step, also after the circuit has closed."""
    circuit = _circuit(clock, width=6)
    _fail(circuit, 4)
    circuit.end_pause(circuit.generation)

    seen = []
    for _ in range(7):
        circuit.succeeded(circuit.generation)
        seen.append((circuit.state, circuit.width))

    assert [state for state, _ in seen] == ["half-open"] * 2 + ["closed"] * 5
    assert [width for _, width in seen] == [2, 3, 4, 5, 6, 6, 6]


def test_a_failed_probe_doubles_the_pause_up_to_the_longest(clock: _Clock) -> None:
    """The longer it is down, the less it is asked."""
    circuit = _circuit(clock, open_ms=1000, open_ms_max=5000)
    _fail(circuit, 4)
    pauses = [circuit.pause_ms]
    for _ in range(3):
        _reopen(circuit, clock)
        pauses.append(circuit.pause_ms)

    assert pauses == [1000, 2000, 4000, 5000]


def _close(circuit: Circuit) -> None:
    circuit.end_pause(circuit.generation)
    for _ in range(3):
        circuit.succeeded(circuit.generation)
    assert circuit.state == "closed"


@pytest.mark.parametrize(("good_s", "pause_ms"), [(10, 4000), (31, 1000)])
def test_a_system_that_flaps_is_left_alone_longer(clock: _Clock, good_s: float, pause_ms: int) -> None:
    """Three good answers do not forget an outage; a good window does."""
    circuit = _circuit(clock)
    _fail(circuit, 4)
    _reopen(circuit, clock)
    _close(circuit)
    clock.now_s += good_s
    _fail(circuit, 4)

    assert circuit.pause_ms == pause_ms


def test_what_began_before_it_opened_says_nothing_afterwards(clock: _Clock) -> None:
    """A time-out of thirty seconds arrives long after the system is back."""
    circuit = _circuit(clock)
    _fail(circuit, 4)
    circuit.end_pause(circuit.generation)

    assert not circuit.failed(0, "no complete answer")
    assert not circuit.succeeded(0)
    assert (circuit.state, circuit.width) == ("half-open", 1)


def test_the_end_of_an_earlier_pause_changes_nothing(clock: _Clock) -> None:
    """Timers may fire late; only the one of this pause counts."""
    circuit = _circuit(clock)
    _fail(circuit, 4)
    earlier = circuit.generation
    _reopen(circuit, clock)

    assert not circuit.end_pause(earlier)
    assert circuit.state == "open"


def test_without_a_breaker_it_never_opens(clock: _Clock) -> None:
    """An administrator may decide that nothing is ever held back."""
    circuit = Circuit(None, 8, clock)

    assert not _fail(circuit, 100)
    assert circuit.width == 8


def test_the_report_tells_since_when_why_and_until_when(clock: _Clock) -> None:
    """What an operator asks first."""
    circuit = _circuit(clock)
    assert circuit.report(under_way=0, waiting=0).since_ms is None
    _fail(circuit, 4)

    report = circuit.report(under_way=2, waiting=3)

    assert (report.state, report.last_failure, report.under_way, report.waiting) == ("open", "status 503", 2, 3)
    assert report.since_ms == report.last_failure_ms
    assert report.since_ms is not None
    assert report.retry_ms == report.since_ms + 1000
