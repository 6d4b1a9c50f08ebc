"""Sessions in a real browser: what a page of ours can do, and what pages elsewhere cannot."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.responses import HTMLResponse
from tests.integration.api_support import FIRST, choose_own, client_of, shared_routes
from tests.integration.service_support import TOKEN

from segue.api import create_app
from segue.service import Settings, open_service

V1 = "/api/v1"
PASSWORD = "correct horse battery"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
SECONDS = 60
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="CHROMIUM IS NOT INSTALLED: sessions in a browser not tested")

# Tries things one after another and shows what came of each.
PAGE = """<!doctype html><meta charset=utf-8><pre id=told></pre><script>
const told = {};
async function tried(name, make) {
  try { told[name] = await make(); } catch (error) { told[name] = String(error); }
}
const json = {"content-type": "application/json"};
(async () => {
  SCRIPT
  document.getElementById("told").textContent = "told:" + JSON.stringify(told) + ":end";
})();
</script>"""


class Seen:
    """Requests that reached the server, and whether a session came with them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str, bool]] = []


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def beside(app: Any, pages: Callable[[str], str | None], seen: Seen) -> Any:
    """The API with pages of its own origin beside it, as a web app has them."""

    async def both(scope: Any, receive: Any, send: Any) -> None:
        page = pages(scope["path"])
        if page is not None:
            await HTMLResponse(page)(scope, receive, send)
            return
        headers = dict(scope["headers"])
        carried = b"segue_session=" in headers.get(b"cookie", b"")
        origin = headers.get(b"origin", b"").decode()
        seen.requests.append((scope["method"], scope["path"], origin, carried))
        await app(scope, receive, send)

    return both


async def visit(profile: Path, url: str) -> dict[str, Any]:
    """What the page at this address tells; the browser keeps its cookies in the profile."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *flags, f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(SECONDS):
            content, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # In its place: the words also stand in the script.
    found = re.search(r"<pre[^>]*>told:(.*?):end</pre>", html.unescape(content.decode()), re.DOTALL)
    assert found is not None, content.decode()[:2000]
    told: dict[str, Any] = json.loads(found[1])
    return told


OURS = """
  const answer = await fetch("/api/v1/login", {method: "POST", headers: json, body: JSON.stringify(
    {name: "ann", password: "correct horse battery"})});
  const session = await answer.json();
  const change = {method: "POST", headers: json, body: JSON.stringify({dryRun: true})};
  await tried("cookies", () => document.cookie);
  await tried("whoami", async () => (await (await fetch("/api/v1/whoami")).json()).id);
  await tried("without", async () => (await fetch("/api/v1/retention/run", change)).status);
  change.headers = {...json, "x-csrf-token": session.csrf};
  await tried("with", async () => (await fetch("/api/v1/retention/run", change)).status);
"""
THEIRS = """
  const there = "http://127.0.0.1:PORT/api/v1";
  const carried = {method: "POST", credentials: "include"};
  await tried("read", async () => (await fetch(there + "/whoami", {credentials: "include"})).status);
  await tried("json", async () => (await fetch(there + "/retention/run",
    {...carried, headers: json, body: "{}"})).status);
  await tried("guessed", async () => (await fetch(there + "/retention/run",
    {...carried, headers: {...json, "x-csrf-token": "x"}, body: "{}"})).status);
  await tried("simple", async () => (await fetch(there + "/retention/run",
    {...carried, mode: "no-cors", body: JSON.stringify({dryRun: true})})).type);
  await tried("login", async () => (await fetch(there + "/login", {...carried, mode: "no-cors",
    body: JSON.stringify({name: "ann", password: "correct horse battery"})})).type);
  await tried("form", () => new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = "quiet";
    document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", action: there + "/logout", target: "quiet"});
    document.body.append(form);
    form.submit();
    setTimeout(() => done("sent"), 1500);
  }));
  await tried("framed", () => new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.src = there + "/health";
    frame.onload = () => { try { done(frame.contentDocument.body.innerText); } catch (error) { done("closed"); } };
    document.body.append(frame);
    // A browser need not say that it refused to show something.
    setTimeout(() => done("closed"), 3000);
  }));
"""


async def test_a_session_is_for_our_own_page_and_no_other(tmp_path: Path) -> None:
    """A page of another site gets no cookie along; one of another port does, and has no token to go with it."""
    seen, port = Seen(), 0
    page = PAGE.replace("SCRIPT", OURS)
    again = PAGE.replace("SCRIPT", 'await tried("whoami", async () => (await fetch("/api/v1/whoami")).status);')
    settings = Settings(allowed_hosts=("localhost",))
    async with open_service(tmp_path / "data", settings, local=None) as service:
        async with client_of(service) as owner:
            await owner.post(f"{V1}/identities", json={"id": "ann", "roles": ["admin"], "password": FIRST})
            await choose_own(owner, "ann", PASSWORD)
        app, _ = create_app(service, token=TOKEN, settings=settings, routes=shared_routes())
        ours = beside(app, {"/page": page, "/again": again}.get, seen)

        async def evil(scope: Any, receive: Any, send: Any) -> None:
            await HTMLResponse(PAGE.replace("SCRIPT", THEIRS.replace("PORT", str(port))))(scope, receive, send)

        async with listening(ours) as port, listening(evil) as other:
            profile = tmp_path / "profile"
            told = await visit(profile, f"http://127.0.0.1:{port}/page")
            assert told == {"cookies": "", "whoami": "ann", "without": 403, "with": 200}

            for site, same_site in ((f"http://localhost:{other}", False), (f"http://127.0.0.1:{other}", True)):
                seen.requests.clear()
                told = await visit(profile, f"{site}/")
                assert {told["read"], told["json"], told["guessed"]} == {"TypeError: Failed to fetch"}, told
                assert told["framed"] != '{"status":"ok"}'
                reached = {(method, path): carried for method, path, _, carried in seen.requests}
                assert reached[("POST", "/api/v1/logout")] is same_site, (
                    "a browser that sends no cookie proves nothing"
                )
                assert reached[("POST", "/api/v1/retention/run")] is same_site
                # Nothing was planted, ended or changed.
                assert await visit(profile, f"http://127.0.0.1:{port}/again") == {"whoami": 200}
            actions = await service.store.read(lambda c: c.execute("SELECT action, verdict FROM audit").fetchall())
            assert actions.count(("retention.run", "allow")) == 1
