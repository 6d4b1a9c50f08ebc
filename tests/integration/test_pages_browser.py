"""One story in a real browser: from a link on another site to a decision, without a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse
from tests.integration.api_support import shared_routes
from tests.integration.browser_support import CHROMIUM, browser
from tests.integration.pages_support import PASSWORD, desk
from tests.integration.service_support import TOKEN
from tests.integration.test_browser import listening

from segue.api import create_app
from segue.service import Settings

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="CHROMIUM IS NOT INSTALLED: pages in a browser not tested")


async def test_a_person_follows_a_link_signs_in_and_decides(tmp_path: Path) -> None:
    """What no client of ours shows: cookies between sites, the key Enter, policies, what a text becomes."""
    evil = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    async with desk(tmp_path / "data") as here:
        task = await here.ask_for({"amount": 50, "note": f"\n{evil}"}, title=f"Pay? {evil}", text=evil)
        settings = Settings(guesses_per_minute=0)
        ours, _ = create_app(here.service, token=TOKEN, settings=settings, routes=shared_routes())

        async def mailbox(scope: Any, receive: Any, send: Any) -> None:
            link = f"http://127.0.0.1:{port}/desk/tasks/{task}"
            await HTMLResponse(f'<a href="{link}">Open</a>')(scope, receive, send)

        async with listening(ours) as port, listening(mailbox) as other, browser(tmp_path / "profile") as tab:
            place = f"http://127.0.0.1:{port}/desk/tasks/{task}"
            await tab.visit(f"http://localhost:{other}/")
            await tab.press("a", until="/desk/sign-in")
            await tab.type("#name", "ann")
            await tab.type("#password", PASSWORD)
            await tab.press("main button", until=place)
            assert evil in await tab.text()
            assert not str(await tab.run("document.title")).startswith("run")

            # Signed in: a link on another site leads to the task, though the cookie is for our own pages only.
            await tab.visit(f"http://localhost:{other}/")
            await tab.press("a", until=place, there="h1")

            await tab.type('[name="data/amount"]', "45")
            await tab.key("Enter")
            assert (await here.task(task))["state"] == "offered"
            assert await tab.run("location.href") == place
            await tab.type('[name="data/amount"]', "much")
            await tab.press('[value="approve"]', until="/decide")
            assert "is no number" in await tab.text()
            assert await tab.run("document.querySelector('[name=\"data/amount\"]').value") == "much"
            await tab.type('[name="data/amount"]', "45")
            await tab.press('[value="approve"]', until="done=decided")
            assert "Your decision counts." in await tab.text()
            await tab.press("header button", until="told=out")
            await tab.visit(place)
            assert "/desk/sign-in" in await tab.run("location.href")
            # The one style is applied, and nothing else was refused.
            assert not [text for text in tab.complaints if "Content Security Policy" in text], tab.complaints
            assert await tab.run("getComputedStyle(document.querySelector('main')).maxWidth") == "1152px"
        assert (await here.output(task))["data"] == {"amount": 45, "note": f"\n{evil}"}
