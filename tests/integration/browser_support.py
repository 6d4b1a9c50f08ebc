"""A real Chromium, driven through its debugging pipe: visit, press, type, read, look."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


class Tab:
    """One tab. What it is asked is asked of the page that is there then."""

    def __init__(self, send: int, receive: asyncio.StreamReader) -> None:
        self._send, self._receive = send, receive
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._session = ""
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        """One command of the DevTools protocol."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        said = {"id": number, "method": method, "params": params}
        said |= {"sessionId": self._session} if self._session else {}
        os.write(self._send, json.dumps(said).encode() + b"\0")
        return await asyncio.wait_for(self._answers[number], 60)

    async def listen(self) -> None:
        """Hear what the browser answers and tells."""
        while True:
            told = json.loads((await self._receive.readuntil(b"\0"))[:-1])
            if "id" in told:
                answer = self._answers.pop(told["id"])
                if "error" in told:
                    answer.set_exception(AssertionError(told["error"]))
                else:
                    answer.set_result(told["result"])
            elif told["method"] == "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])

    async def open(self) -> None:
        """Begin."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            await self.call(f"{domain}.enable")

    async def visit(self, url: str) -> None:
        """Go to an address, as somebody does who types it."""
        await self._leave(self.call("Page.navigate", url=url), "", "body")

    async def press(self, selector: str, *, until: str = "", there: str = "body") -> None:
        """Press a button or link that leads to another page, which may lead on by itself.

        Args:
            until: A part of the address of the page that it ends at. there: something that stands on that page.
        """
        await self._leave(self.run(f"document.querySelector({json.dumps(selector)}).click()"), until, there)

    async def type(self, selector: str, text: str) -> None:
        """Type into a field, in place of what is there."""
        await self.run(
            f"(field => {{ field.focus(); field.select(); }})(document.querySelector({json.dumps(selector)}))"
        )
        await self.call("Input.insertText", text=text)

    async def key(self, key: str) -> None:
        """Press a key."""
        more = {"text": "\r"} if key == "Enter" else {}
        code = 13 if key == "Enter" else 0
        for kind in ("keyDown", "keyUp"):
            given = more if kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **given)

    async def run(self, script: str) -> Any:
        """What a line of script gives, as whoever debugs; pages themselves run none."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self) -> str:
        """What can be read on the page."""
        return str(await self.run("document.body.innerText"))

    async def look(self, width: int, height: int = 800) -> bytes:
        """A picture of the whole page, as PNG."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def _leave(self, doing: Coroutine[Any, Any, Any], until: str, there: str) -> None:
        await self.run("window.before = true")
        await doing
        arrived = (
            "!window.before && document.readyState === 'complete'"
            f" && location.href.includes({json.dumps(until)}) && !!document.querySelector({json.dumps(there)})"
        )
        async with asyncio.timeout(120):
            while not await self._is_so(arrived):  # noqa: ASYNC110 - the browser tells of no such moment
                await asyncio.sleep(0.05)

    async def _is_so(self, condition: str) -> bool:
        try:
            return bool(await self.run(condition))
        except AssertionError:
            return False  # The page that was asked went away meanwhile.


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Tab]:
    """A tab of a browser of its own."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [CHROMIUM, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
    # The browser reads its commands from 3 and answers on 4; a shell puts the two pipes there.
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}', *command),
        pass_fds=(theirs_in, theirs_out),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    receive = asyncio.StreamReader(limit=64 * 2**20)
    pipe = os.fdopen(ours_in, "rb")
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(receive), pipe)
    tab = Tab(ours_out, receive)
    listening = asyncio.create_task(tab.listen())
    try:
        await tab.open()
        yield tab
    finally:
        listening.cancel()
        os.close(ours_out)
        if process.returncode is None:
            process.kill()
        await process.wait()
