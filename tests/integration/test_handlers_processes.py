"""`run.script` and `run.shell` with real programs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from tests.integration.handlers_support import command, failure_of, perform, route, serving, word

from segue.connectors import Outbound, OutboundPolicy, TokenCache
from segue.handlers import ProcessSettings
from segue.handlers.processes import ScriptHandler, ShellHandler
from segue.types import SecretText

ALLOWED = ProcessSettings(allow_scripts=True, allow_shell=True, time_limit_ms=20_000, output_limit_bytes=100_000)
QUICK = ProcessSettings(allow_scripts=True, allow_shell=True, time_limit_ms=300)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs a child subreaper and /proc")


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    yield outbound
    await outbound.aclose()


@pytest.fixture
def shell(outbound: Outbound) -> ShellHandler:
    return ShellHandler(ALLOWED, outbound, TokenCache(outbound))


@pytest.fixture
def script(outbound: Outbound) -> ScriptHandler:
    return ScriptHandler(ALLOWED, outbound, TokenCache(outbound))


def _alive(marker: str) -> list[int]:
    """Processes whose command line holds the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in line and state != "Z" and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


# Shell.


async def test_a_command_answers_its_stdout(shell: ShellHandler) -> None:
    """The default of `return`."""
    assert await perform(shell, {"command": "echo hello; echo aside >&2"}) == "hello\n"


async def test_arguments_are_positional(shell: ShellHandler) -> None:
    """They are data: the shell must not read them as its own language."""
    arguments = {"command": 'printf "%s|" "$@"', "arguments": ["a b", "$(touch /tmp/x)", 5, {"k": 1}, True]}

    assert await perform(shell, arguments) == 'a b|$(touch /tmp/x)|5|{"k":1}|true|'


async def test_stdin_is_text_or_json(shell: ShellHandler) -> None:
    """An object arrives as JSON."""
    assert await perform(shell, {"command": "cat", "stdin": "plain"}) == "plain"
    assert await perform(shell, {"command": "cat", "stdin": {"a": [1]}}) == '{"a":[1]}'
    assert await perform(shell, {"command": "cat"}) == ""


async def test_a_program_need_not_read_its_stdin(shell: ShellHandler) -> None:
    """A full pipe must not hold the task."""
    assert await perform(shell, {"command": "echo done", "stdin": "x" * 1_000_000}) == "done\n"


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        ("stdout", "out\n"),
        ("stderr", "err\n"),
        ("code", 0),
        ("all", {"code": 0, "stdout": "out\n", "stderr": "err\n"}),
        ("none", None),
    ],
)
async def test_return_chooses_the_result(shell: ShellHandler, returned: str, result: Any) -> None:
    """Document reference, section 8."""
    assert await perform(shell, {"command": "echo out; echo err >&2", "return": returned}) == result


@pytest.mark.parametrize(("returned", "result"), [("code", 3), ("all", {"code": 3, "stdout": "", "stderr": ""})])
async def test_an_exit_code_is_data_where_it_was_asked_for(shell: ShellHandler, returned: str, result: Any) -> None:
    """Ruling R20."""
    assert await perform(shell, {"command": "exit 3", "return": returned}) == result


@pytest.mark.parametrize("returned", ["stdout", "stderr", "none"])
async def test_otherwise_an_exit_code_is_a_runtime_failure(shell: ShellHandler, returned: str) -> None:
    """Ruling R20; what the program said last is shown."""
    failure = await failure_of(shell, {"command": "echo no such file >&2; exit 3", "return": returned})

    assert (word(failure), failure.status) == ("runtime", 500)
    assert failure.detail == "The program ended with exit code 3: no such file"


async def test_a_program_that_a_signal_ended_has_128_and_more(shell: ShellHandler) -> None:
    """As shells count."""
    assert await perform(shell, {"command": "kill -TERM $$", "return": "code"}) == 128 + signal.SIGTERM


async def test_nothing_of_the_services_environment_is_inherited(
    shell: ShellHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the service's credentials."""
    monkeypatch.setenv("SEGUE_SECRET_CRM", "canary-value")

    text = await perform(shell, {"command": "env; cat /proc/$$/environ", "environment": {"ONE": 1, "TWO": None}})

    names = {line.split("=")[0] for line in text.split("\0")[0].splitlines()}
    assert "canary-value" not in text
    assert {"PATH", "HOME", "TMPDIR", "LANG", "ONE"} <= names
    assert names <= {"PATH", "HOME", "TMPDIR", "LANG", "ONE", "PWD", "OLDPWD", "SHLVL", "_"}


async def test_secrets_reach_the_program_and_not_its_result(shell: ShellHandler) -> None:
    """A program that prints its environment must not carry a secret into history."""
    arguments = {"command": "echo $TOKEN; test $TOKEN = sh0ut-it", "environment": {"TOKEN": SecretText.of("t")}}

    assert await perform(shell, arguments, t="sh0ut-it") == "[secret]\n"
    failing = {"command": "echo $TOKEN >&2; exit 1", "environment": {"TOKEN": SecretText.of("t")}}
    assert "sh0ut-it" not in str(await failure_of(shell, failing, t="sh0ut-it"))


async def test_each_program_has_a_folder_of_its_own_that_goes_with_it(shell: ShellHandler) -> None:
    """Runs must not see each other's files, and the disk must not fill."""
    folder = (await perform(shell, {"command": "pwd; touch here; stat -c %a ."})).split()

    assert folder[1] == "700"
    assert Path(folder[0]).parent == Path(tempfile.gettempdir())
    assert not os.path.exists(folder[0])  # noqa: ASYNC240 - a test may block


async def test_output_over_the_limit_ends_the_program(shell: ShellHandler) -> None:
    """One program must not fill the memory."""
    started = time.monotonic()
    failure = await failure_of(shell, {"command": "yes"})

    assert word(failure) == "runtime"
    assert "more than 100000 bytes" in (failure.detail or "")
    assert time.monotonic() - started < 10


async def test_the_time_limit_ends_the_program(outbound: Outbound) -> None:
    """A program that hangs must not hold its task for ever."""
    failure = await failure_of(ShellHandler(QUICK, outbound, TokenCache(outbound)), {"command": "sleep 60"})

    assert (word(failure), failure.status) == ("timeout", 408)


@LINUX
@pytest.mark.parametrize(
    "how",
    [
        "sleep 61.{n}",
        "sleep 61.{n} & sleep 61.{n}",
        "(setsid sleep 61.{n} &) ; sleep 61.{n}",
        "setsid sh -c 'trap \"\" TERM HUP; sleep 61.{n}; sleep 61.{n}' & sleep 61.{n}",
    ],
)
async def test_a_cancelled_program_takes_all_its_descendants_along(shell: ShellHandler, how: str) -> None:
    """Also those that left its session: nothing outlives its parent."""
    marker = f"61.{time.time_ns()}"
    task = asyncio.create_task(perform(shell, {"command": how.replace("61.{n}", marker)}))
    while not _alive(f"sleep\0{marker}"):  # noqa: ASYNC110 - another process cannot signal
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert _alive(marker) == []


@LINUX
async def test_a_program_that_ends_leaves_no_background_process(shell: ShellHandler) -> None:
    """A daemon started by a task would belong to nobody."""
    marker = f"62.{time.time_ns()}"

    assert await perform(shell, {"command": f"(setsid sleep {marker} &); echo done"}) == "done\n"
    assert _alive(marker) == []


@LINUX
def test_programs_die_with_the_service(tmp_path: Path) -> None:
    """kill -9 gives the service no chance to clean up; the supervisor sees the lifeline close."""
    marker = f"63.{time.time_ns()}"
    service = tmp_path / "service.py"
    service.write_text(
        "import asyncio\n"
        "from segue.handlers import build_handlers, ProcessSettings\n"
        "from segue.types import EffectContext, Perform\n"
        "async def main():\n"
        "    handlers = build_handlers(processes=ProcessSettings(allow_shell=True))\n"
        f"    arguments = {{'command': '(setsid sleep {marker} &) ; sleep {marker}'}}\n"
        "    command = Perform(1, 'shell', arguments, 'n', '/do/0/n', '1')\n"
        "    await handlers['shell'].perform(command, EffectContext('r', 'w', 'k', None))\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, str(service)])
    deadline = time.monotonic() + 20
    while len(_alive(f"sleep\0{marker}")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    while _alive(marker) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert _alive(marker) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"command": "  "},
        {"command": ["ls"]},
        {"command": "ls", "arguments": {"l": True}},
        {"command": "ls", "arguments": ["a\0b"]},
        {"command": "ls", "environment": ["A=1"]},
        {"command": "ls", "environment": {"A=B": "1"}},
        {"command": "ls", "return": "everything"},
    ],
)
async def test_bad_arguments_start_nothing(shell: ShellHandler, arguments: Any) -> None:
    """Ruling R3 among them: a map of options is never guessed at."""
    assert word(await failure_of(shell, arguments)) == "validation"


def test_recovery_is_the_administrators_word(outbound: Outbound) -> None:
    """Nobody can tell from outside what a program has done."""
    tokens = TokenCache(outbound)
    settings = ProcessSettings(recovery="repeat")

    assert ShellHandler(ALLOWED, outbound, tokens).recovery(command("shell", {})) == "ask"
    assert ShellHandler(settings, outbound, tokens).recovery(command("shell", {})) == "repeat"


# Scripts.


async def test_python_runs_isolated(script: ScriptHandler) -> None:
    """Neither the service's environment nor its folder may change what a script imports."""
    code = "import sys\nprint(sys.flags.isolated, sys.argv[1:], sys.stdin.read(), __name__)"
    arguments = {"language": "python", "code": code, "arguments": ["a", 2], "stdin": "in"}

    assert await perform(script, arguments) == "1 ['a', '2'] in __main__\n"


async def test_a_map_of_arguments_becomes_variables(script: ScriptHandler) -> None:
    """Ruling R3."""
    arguments = {"x": 4, "who": {"name": 'é"'}}
    python = {"language": "python", "code": "print(x + 1, who['name'])", "arguments": arguments}
    js = {"language": "js", "code": "console.log(x + 1, who.name)", "arguments": arguments}

    assert await perform(script, python) == '5 é"\n'
    assert await perform(script, js) == '5 é"\n'


@pytest.mark.parametrize("language", ["js", "javascript", "JS"])
async def test_javascript_runs_as_a_module(script: ScriptHandler, language: str) -> None:
    """With await at its top, `require`, and argv as usual."""
    code = "const [, , a] = process.argv; const v = await Promise.resolve(1); console.log(a, v, require('os').EOL)"

    assert await perform(script, {"language": language, "code": code, "arguments": ["z"]}) == "z 1 \n\n"


async def test_a_failing_script_shows_what_it_said(script: ScriptHandler) -> None:
    """The author needs the message of the exception."""
    failure = await failure_of(script, {"language": "python", "code": "raise ValueError('odd')"})

    assert word(failure) == "runtime"
    assert "ValueError: odd" in (failure.detail or "")


async def test_a_script_may_come_from_an_address(script: ScriptHandler) -> None:
    """`source` is an external resource."""

    async def code(request: Request) -> Response:
        return Response("print('fetched')", media_type="text/x-python")

    async with serving(route("/s.py", code)) as base:
        arguments = {"language": "python", "source": {"endpoint": {"uri": f"{base}/s.py"}}}
        assert await perform(script, arguments) == "fetched\n"
        missing = await failure_of(script, {"language": "python", "source": {"endpoint": {"uri": f"{base}/gone"}}})
    assert (word(missing), missing.status) == ("communication", 404)


async def test_without_node_the_reason_is_given(outbound: Outbound, tmp_path: Path) -> None:
    """An administrator can do something about it, the author cannot."""
    settings = ProcessSettings(allow_scripts=True, path=str(tmp_path))
    handler = ScriptHandler(settings, outbound, TokenCache(outbound))

    failure = await failure_of(handler, {"language": "js", "code": "1"})

    assert word(failure) == "configuration"
    assert "no node" in (failure.detail or "")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"language": "ruby", "code": "1"}, "configuration"),
        ({"language": "python"}, "validation"),
        ({"language": "python", "source": "x"}, "validation"),
        ({"language": "python", "code": "1", "arguments": "x"}, "validation"),
        ({"language": "python", "code": "1", "arguments": {"a-b": 1}}, "validation"),
    ],
)
async def test_bad_script_arguments_start_nothing(script: ScriptHandler, arguments: Any, kind: str) -> None:
    """Each with a reason."""
    assert word(await failure_of(script, arguments)) == kind
