"""Assembling the handlers."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.handlers_support import failure_of, word

from segue.handlers import build_handlers
from segue.types import Handler


async def test_every_handler_is_there_under_its_commands_name() -> None:
    """The compiler writes these names into plans; `workflow` is the host's own."""
    handlers = build_handlers()
    try:
        assert set(handlers) == {
            "http", "openapi", "function", "connector", "model", "notify", "script", "shell", "find-personal-data",
        }  # fmt: skip
        for handler in handlers.values():
            typed: Handler = handler
            assert callable(typed.perform)
    finally:
        await handlers.aclose()


async def test_programs_and_loopback_are_off_until_somebody_allows_them() -> None:
    """A fresh installation must not run what a document's author wrote, nor reach into the machine."""
    handlers = build_handlers()
    try:
        shell = await failure_of(handlers["shell"], {"command": "true"})
        script = await failure_of(handlers["script"], {"language": "python", "code": ""})
        http = await failure_of(handlers["http"], {"method": "get", "endpoint": {"uri": "http://127.0.0.1:1/"}})
        mail = await failure_of(handlers["notify"], {"channel": "email", "to": "a@b.test", "text": "x"})
    finally:
        await handlers.aclose()

    assert word(shell) == word(script) == word(mail) == "configuration"
    assert word(http) == "authorization"


def test_importing_the_room_loads_nothing_heavy() -> None:
    """The command line imports it at every start."""
    program = (
        "import sys, segue.handlers, segue.connectors, segue.ai;"
        "heavy = {'httpx', 'yaml', 'onnxruntime', 'sklearn', 'numpy', 'fastapi', 'aiosmtplib', 'jwt'};"
        "print(sorted(heavy & set(sys.modules)))"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
