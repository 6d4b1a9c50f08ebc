"""Runs one program and lets nothing of it survive. Started by `processes.py` as its own small process.

    python -I -S _supervisor.py LIFELINE_FD PROGRAM ARGUMENT…

The supervisor adopts every descendant of the program, also those that left its session (Linux: child subreaper).
When the program ends, when the lifeline's other end closes because the service stops the act or was itself killed,
or on SIGTERM, it kills them all and only then ends, with the program's exit code (128 + n after signal n).
Elsewhere than on Linux it kills the program's process group, which a program that opens a session of its own escapes.

It imports nothing of Segue and as little else as possible: its start is part of every script's time.
"""

import ctypes
import os
import select
import signal
import sys

_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS_MAX = 200


def main() -> int:
    lifeline, program = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(lifeline, False)
    _adopt_descendants()
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    child = _start(program)
    code = _wait(child, lifeline, waker)
    _kill_all(child)
    return code


def _adopt_descendants() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(program: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(program[0], program)  # noqa: S606 - starting this program is the purpose
    except OSError as error:
        os.write(2, f"{program[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _wait(child: int, lifeline: int, waker: int) -> int:
    """Wait for the program, the lifeline or a signal; the exit code, 137 where the program must be killed."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN | select.POLLHUP)
    poll.register(waker, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == lifeline:
                return 137
            if signal.SIGTERM in os.read(waker, 512):
                return 137
            code = _reap(child)
            if code is not None:
                return code


def _reap(child: int) -> int | None:
    """Collect everything that ended; the program's exit code if it is among it."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended


def _kill_all(child: int) -> None:
    """Kill everything below this process.

    Stopped before they are killed: a stopped process cannot start another, so one that multiplies is caught as well.
    """
    for _ in range(_ROUNDS_MAX):
        stopped: set[int] = set()
        while new := set(_descendants()) - stopped:
            _signal_each(new, signal.SIGSTOP)
            stopped |= new
        _signal_each(stopped, signal.SIGKILL)
        try:
            os.killpg(child, signal.SIGKILL)  # all there is to go by where there is no /proc
        except (ProcessLookupError, PermissionError):
            pass
        if not _collect_one():
            return


def _signal_each(pids: set[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _collect_one() -> bool:
    """Wait for one descendant to end, then collect the rest that did; whether there was any."""
    try:
        os.waitpid(-1, 0)
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _descendants() -> list[int]:
    """Everything below this process, read from /proc; nothing where there is no /proc."""
    children: dict[int, list[int]] = {}
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name in parentheses may hold anything, so the fields are counted from its last one.
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    sys.exit(main())
