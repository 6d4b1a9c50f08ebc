"""Pages on which people decide: from a link to a decision, over the real guard and the real service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from tests.integration.api_support import BASE, FIRST
from tests.integration.pages_support import PASSWORD, V1, Desk, desk, fields_of_page, press

from segue.people import hash_code
from segue.store import notices

CODE = "a-code-for-tests-that-nobody-guesses"
SAME = {"sec-fetch-site": "same-origin"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One server for all: each test asks for tasks of its own."""
    async with desk(tmp_path_factory.mktemp("desk")) as made:
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


# -- from a link to a decision ---------------------------------------------------------------------


async def test_a_link_leads_over_signing_in_to_the_task_and_its_decision_to_the_run(here: Desk) -> None:
    """The thin line: a person who has nothing but a browser and their password."""
    task = await here.ask_for({"amount": 50, "note": "a\nb"})
    async with here.browser() as browser:
        led = await browser.get(f"/desk/tasks/{task}")
        assert led.status_code == 303
        sign_in = await browser.get(led.headers["location"])
        assert sign_in.headers["content-type"] == "text/html; charset=utf-8"
        fields = fields_of_page(sign_in.text, "/desk/sign-in")
        assert fields["next"] == [f"/desk/tasks/{task}"]
        back = await browser.post("/desk/sign-in", data={**fields, "name": "ann", "password": PASSWORD})
        assert (back.status_code, back.headers["location"]) == (303, f"/desk/tasks/{task}")
        done = await press(browser, task, "approve", comment="fine\nand good")
        assert done.headers["location"] == f"/desk/tasks/{task}?done=decided"
        page = await browser.get(done.headers["location"])
        assert "Your decision counts." in page.text
        assert "decided by <bdi>ann (you)</bdi>" in page.text
    data = {"amount": 50, "note": "a\nb"}
    assert await here.output(task) == {"outcome": "approve", "data": data, "by": "ann", "comment": "fine\nand good"}
    assert not (await here.task(task))["edited"], "what nobody touched was not changed"


async def test_what_is_typed_into_the_form_is_what_is_decided(here: Desk) -> None:
    """Types of the schema, nested objects, and what the schema does not name stays."""
    task = await here.ask_for({"amount": 50, "note": "x", "from": "erp", "ship": {"city": "Bonn"}})
    async with await here.signed_in("ann") as browser:
        done = await press(
            browser, task, "approve", **{"data/amount": "45.50", "data/note": "", "data/ship/city": "Ulm"}
        )
    assert done.status_code == 303, done.text
    assert (await here.output(task))["data"] == {"amount": 45.5, "from": "erp", "ship": {"city": "Ulm"}}


async def test_a_wrong_entry_is_told_beside_its_field_and_nothing_typed_is_lost(here: Desk) -> None:
    """Of the page's own reading, of the form's schema, of a limit and of a missing comment."""
    task = await here.ask_for()
    async with await here.signed_in("ann") as browser:
        for outcome, amount, comment, status, why in (
            ("approve", "1.000,50", "my words", 422, "is no number"),
            ("approve", "-1", "my words", 422, "does not fit the form"),
            ("approve", "5000", "my words", 403, "up to 1,000"),
            ("send-back", "50", "", 422, "needs a comment"),
            ("destroy", "50", "my words", 422, "is not among its outcomes"),
            ("approve", "50", "x" * 4001, 422, "at most 4000"),
        ):
            answer = await press(browser, task, outcome, **{"data/amount": amount, "comment": comment})
            assert (answer.status_code, why in answer.text) == (status, True), answer.text
            again = fields_of_page(answer.text, f"/desk/tasks/{task}/decide")
            assert (again["data/amount"], again["comment"]) == ([amount], [comment])
    assert (await here.task(task))["state"] == "offered"


async def test_nothing_posted_beside_the_form_gets_into_the_data(here: Desk) -> None:
    """Who writes a form of their own gets in what the form has fields for, and no more."""
    task = await here.ask_for()
    async with await here.signed_in("ann") as browser:
        more = {
            "data": '{"amount": 7}',
            "data/": "x",
            "data/owner": "ann",
            "data/ship": '{"city": "X"}',
            "amount": "8",
        }
        assert (await press(browser, task, "approve", **more)).status_code in (303, 422)
        if (await here.task(task))["state"] == "offered":
            assert (await press(browser, task, "approve")).status_code == 303
    data = (await here.output(task))["data"]
    assert data in ({"amount": 50}, {"amount": 50, "ship": {"city": "X"}})


# -- races -----------------------------------------------------------------------------------------


async def test_a_second_press_and_a_lost_race_say_what_happened(here: Desk) -> None:
    """Who pressed twice is not frightened, and who came second does not believe that they decided."""
    task = await here.ask_for()
    async with await here.signed_in("ann") as ann, await here.signed_in("bob") as bob:
        action = f"/desk/tasks/{task}/decide"
        mine = {**fields_of_page((await ann.get(f"/desk/tasks/{task}")).text, action), "outcome": "approve"}
        theirs = {**fields_of_page((await bob.get(f"/desk/tasks/{task}")).text, action), "outcome": "reject"}
        first, second = await asyncio.gather(ann.post(action, data=mine), ann.post(action, data=mine))
        assert sorted([first.status_code, second.status_code]) == [303, 409]
        twice = first if first.status_code == 409 else second
        assert "You have decided this before." in twice.text
        late = await bob.post(action, data=theirs)
        assert late.status_code == 409
        assert "You came too late" in late.text
        assert re.search(r"Approve, decided by <bdi>ann</bdi> on <time", late.text)


async def test_what_changed_meanwhile_is_shown_anew_beside_what_was_typed(here: Desk) -> None:
    """Nobody writes an old amount over a new one by pressing again."""
    task = await here.ask_for(approvals=2)
    async with await here.signed_in("ann") as ann, await here.signed_in("bob") as bob:
        action = f"/desk/tasks/{task}/decide"
        stale = fields_of_page((await ann.get(f"/desk/tasks/{task}")).text, action)
        assert (await press(bob, task, "approve", **{"data/amount": "60"})).status_code == 303
        answer = await ann.post(action, data={**stale, "data/note": "mine", "outcome": "approve"})
        assert answer.status_code == 409
        assert "the task changed after you had opened it" in answer.text
        assert "You had entered: <bdi>mine</bdi>" in answer.text
        again = fields_of_page(answer.text, action)
        assert (again["data/amount"], again["data/note"]) == (["60"], [""])
        assert (await ann.post(action, data={**again, "outcome": "approve"})).status_code == 303
        voted = await bob.get(f"/desk/tasks/{task}")
    assert "Who has decided" in voted.text
    assert (await here.output(task))["data"] == {"amount": 60}


async def test_who_cannot_decide_is_told_why_and_gets_no_button(here: Desk) -> None:
    """Requester, limit, no voice twice, claimed by somebody else: before anything is typed."""
    small, large, two = await here.ask_for(), await here.ask_for({"amount": 5000}), await here.ask_for(approvals=2)
    async with await here.signed_in("ann") as ann, await here.signed_in("rita") as rita:
        assert (await press(ann, two, "approve")).status_code == 303
        claimed = await here.ask_for()
        async with await here.signed_in("bob") as bob:
            form = fields_of_page((await bob.get(f"/desk/tasks/{claimed}")).text, f"/desk/tasks/{claimed}/claim")
            assert (await bob.post(f"/desk/tasks/{claimed}/claim", data=form)).status_code == 303
        for browser, task, why in (
            (rita, small, "the requester never decides"),
            (ann, large, "up to 1,000"),
            (ann, two, "another person must"),
            (ann, claimed, "bob has claimed it"),
        ):
            page = (await browser.get(f"/desk/tasks/{task}")).text
            assert "You cannot decide this" in page
            assert why in page
            assert 'name="outcome"' not in page


# -- handing on ------------------------------------------------------------------------------------


async def test_a_task_is_claimed_put_back_handed_on_and_sent_back(here: Desk) -> None:
    """All of it on the page, each with what came of it."""
    task = await here.ask_for()
    place = f"/desk/tasks/{task}"
    async with await here.signed_in("ann") as ann, await here.signed_in("bob") as bob:
        csrf = fields_of_page((await ann.get(place)).text, f"{place}/claim")
        theirs = fields_of_page((await bob.get(place)).text, f"{place}/claim")
        assert "done=claimed" in (await ann.post(f"{place}/claim", data=csrf)).headers["location"]
        late = await bob.post(f"{place}/claim", data=theirs)
        assert (late.status_code, "ann has claimed it" in late.text) == (422, True)
        assert "done=released" in (await ann.post(f"{place}/release", data=csrf)).headers["location"]
        nobody = await ann.post(f"{place}/delegate", data={**csrf, "to": " "})
        assert (nobody.status_code, "To whom?" in nobody.text) == (422, True)
        refused = await ann.post(f"{place}/delegate", data={**csrf, "to": "rita"})
        assert (refused.status_code, "the requester never decides" in refused.text) == (422, True)
        handed = await ann.post(f"{place}/delegate", data={**csrf, "to": "bob", "reason": "away <b>"})
        assert "done=delegated" in handed.headers["location"]
        assert "away &lt;b&gt;" in (await bob.get(place)).text
        assert (await press(bob, task, "send-back", comment="which year?")).status_code == 303
    async with await here.signed_in("rita") as rita:
        assert "which year?" in (await rita.get(place)).text
        assert (await press(rita, task, "resubmit", **{"data/amount": "70"})).status_code == 303
    assert ((await here.task(task))["state"], (await here.task(task))["data"]) == ("offered", {"amount": 70})


# -- by a one-time code ----------------------------------------------------------------------------


async def give_code(here: Desk, task: int, name: str, code: str) -> None:
    await here.owner.post(f"{V1}/people/{name}", json={"roles": ["approver"]})
    assert here.service.host is not None
    now = here.service.host.now_ms()
    await here.service.store.write([notices.put_code(hash_code(code), task, name, now, now + 60_000)])


async def test_a_code_shows_a_page_that_asks_and_decides_by_a_press(here: Desk) -> None:
    """Programs that open links of mails decide nothing; a person does, once, without signing in."""
    task = await here.ask_for()
    await give_code(here, task, "cem", CODE)
    async with here.browser() as browser:
        for method in ("GET", "HEAD", "GET"):
            page = await browser.request(method, "/desk/code", params={"code": CODE, "outcome": "approve"})
        assert (await here.task(task))["state"] == "offered"
        assert "/claim" not in page.text
        fields = fields_of_page(page.text, "/desk/code")
        wrong = await browser.post("/desk/code", data={**fields, "outcome": "approve", "data/amount": "much"})
        assert (wrong.status_code, "is no number" in wrong.text) == (422, True)
        done = await browser.post("/desk/code", data={**fields, "outcome": "approve"})
        assert (done.status_code, "Approve: this is decided." in done.text) == (200, True)
        again = await browser.post("/desk/code", data={**fields, "outcome": "approve"})
        assert (again.status_code, "was used" in again.text) == (403, True)
        assert "segue_session" not in done.headers.get("set-cookie", "")
    assert (await here.task(task))["decisions"][0]["via"] == "code"


# -- signing in and out ----------------------------------------------------------------------------


async def test_nobody_is_sent_anywhere_but_to_our_own_pages(here: Desk) -> None:
    """A link to a sign-in of ours that leads to a copy of it elsewhere collects passwords."""
    async with here.browser() as browser:
        for where in ("https://evil.example/", "//evil.example", "/desk/inbox\r\nX: y", "/api/v1/runs"):
            page = await browser.get("/desk/sign-in", params={"next": where})
            assert fields_of_page(page.text, "/desk/sign-in")["next"] == ["/desk/inbox"]
        given = {"name": "ann", "password": PASSWORD, "next": "//evil.example"}
        assert (await browser.post("/desk/sign-in", data=given)).headers["location"] == "/desk/inbox"


async def test_a_refused_sign_in_says_as_much_as_the_api_and_bars_as_it_does(here: Desk) -> None:
    """Pages are no second door with softer rules."""
    await here.owner.post(f"{V1}/identities", json={"id": "eve", "password": FIRST})
    async with here.browser() as browser:

        async def tried(name: str, password: str) -> httpx.Response:
            return await browser.post("/desk/sign-in", data={"name": name, "password": password})

        known, unknown = await tried("eve", "wrong"), await tried("nobody", "wrong")
        assert (known.status_code, unknown.status_code) == (401, 401)
        assert known.text.replace("eve", "") == unknown.text.replace("nobody", "")
        for _ in range(4):
            assert 'value="eve"' in (await tried("eve", "wrong")).text
        barred = await tried("eve", FIRST)
        assert (barred.status_code, int(barred.headers["retry-after"]) > 0) == (429, True)
        assert (await tried("x" * 100, "y")).status_code == 401
        assert "segue_session" not in browser.cookies


async def test_a_password_that_somebody_else_set_leads_to_choosing_ones_own(here: Desk) -> None:
    """A session of such a password is worth nothing else, so no page but this one must come."""
    await here.owner.post(f"{V1}/identities", json={"id": "new", "roles": ["approver"], "password": FIRST})
    task = await here.ask_for()
    async with here.browser() as browser:
        given = {"name": "new", "password": FIRST, "next": f"/desk/tasks/{task}"}
        led = await browser.post("/desk/sign-in", data=given)
        assert urlsplit(led.headers["location"]).path == "/desk/password"
        assert urlsplit((await browser.get("/desk/inbox")).headers["location"]).path == "/desk/password"
        fields = fields_of_page((await browser.get(led.headers["location"])).text, "/desk/password")
        for old, new, again, status in (
            ("wrong", PASSWORD, PASSWORD, 401),
            (FIRST, "short", "short", 422),
            (FIRST, PASSWORD, "another one", 422),
        ):
            sent = {**fields, "old": old, "new": new, "again": again}
            assert (await browser.post("/desk/password", data=sent)).status_code == status
        sent = {**fields, "old": FIRST, "new": PASSWORD, "again": PASSWORD}
        done = await browser.post("/desk/password", data=sent)
        query = parse_qs(urlsplit(done.headers["location"]).query)
        assert (done.status_code, query["next"]) == (303, [f"/desk/tasks/{task}"])
        again = await browser.post("/desk/sign-in", data={**given, "password": PASSWORD})
        assert again.headers["location"] == f"/desk/tasks/{task}"


async def test_who_signs_out_is_out(here: Desk) -> None:
    """The session ends on the server, and not only in the browser."""
    async with await here.signed_in("bob") as browser:
        token = browser.cookies["segue_session"]
        fields = fields_of_page((await browser.get("/desk/inbox")).text, "/desk/sign-out")
        assert (await browser.post("/desk/sign-out", data={"csrf": ""})).status_code == 403
        assert (await browser.post("/desk/sign-out", data=fields)).headers["location"] == "/desk/sign-in?told=out"
        browser.cookies.set("segue_session", token)
        assert (await browser.get("/desk/inbox")).status_code == 303


# -- what other pages can do -----------------------------------------------------------------------


async def test_no_form_counts_that_another_page_sent(here: Desk) -> None:
    """With the cookie and without the token; with a token of another session; from another site, signed in or not."""
    task = await here.ask_for()
    place = f"/desk/tasks/{task}"
    async with await here.signed_in("ann") as ann, await here.signed_in("bob") as bob:
        fields = {**fields_of_page((await ann.get(place)).text, f"{place}/decide"), "outcome": "approve"}
        for name in ("decide", "claim", "release", "delegate"):
            sent = {**fields, "to": "bob", "csrf": ""}
            assert (await ann.post(f"{place}/{name}", data=sent)).status_code == 403, name
        assert (await bob.post(f"{place}/decide", data=fields)).status_code == 403
        without = {key: held for key, held in fields.items() if key != "csrf"}
        assert (await ann.post(f"{place}/decide", data=without)).status_code == 403
        assert (
            await ann.post(f"{place}/decide", data={**fields, "csrf": [fields["csrf"][0]] * 2})
        ).status_code == 403
        assert (await ann.post(f"{place}/decide", json={"outcome": "approve"})).status_code == 415
        for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "null"}):
            assert (await ann.post(f"{place}/decide", data=fields, headers=headers)).status_code == 403
            planted = {"name": "ann", "password": PASSWORD}
            assert (await here.browser().post("/desk/sign-in", data=planted, headers=headers)).status_code == 403
        assert (await here.task(task))["state"] == "offered"
        assert (await ann.post(f"{place}/decide", data=fields, headers=SAME)).status_code == 303


async def test_a_link_in_a_mail_finds_the_session_that_the_browser_keeps_back(here: Desk) -> None:
    """The cookie is for our own pages only, so the first request of a link comes without it; the second is ours."""
    task = await here.ask_for()
    async with here.browser(**{"sec-fetch-site": "cross-site"}) as browser:
        page = await browser.get(f"/desk/tasks/{task}")
    assert page.status_code == 200
    assert f'content="0; url=/desk/tasks/{task}"' in page.text
    async with here.browser(**SAME) as browser:
        assert (await browser.get(f"/desk/tasks/{task}")).status_code == 303


async def test_every_page_runs_no_script_is_not_framed_and_is_not_kept(here: Desk) -> None:
    """Also refusals, also of what is not there."""
    task = await here.ask_for()
    async with await here.signed_in("vera") as browser, here.browser() as stranger:
        for client, path, status in (
            (browser, "/desk/inbox", 200),
            (browser, f"/desk/tasks/{task}", 200),
            (browser, "/desk/tasks/999999", 404),
            (browser, "/desk/tasks/x", 400),
            (browser, "/desk/nothing", 404),
            (browser, f"/desk/tasks/{task}/decide", 405),
            (browser, "/desk/inbox?after=x", 400),
            (stranger, "/desk/sign-in", 200),
            (stranger, f"/desk/code?code={CODE}-no", 403),
            (stranger, "/desk/code?code=x", 400),
        ):
            answer = await client.get(path)
            assert answer.status_code == status, (path, answer.text)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert policy.endswith("; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
            assert "unsafe" not in policy
            assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
            assert 'name="viewport"' in answer.text
            assert "<script" not in answer.text


@pytest.mark.parametrize(
    "name", ['a"><script>', "a\r\nSet-Cookie: x=y", "a b", "\\evil.example", "ü", "..", "%0d%0a"]
)
async def test_a_workspace_that_there_is_none_of_breaks_no_page(here: Desk, name: str) -> None:
    """Whoever asks for one names it as they like, and gets the page or the redirect that everybody gets."""

    async def below(scope: Any, receive: Any, send: Any) -> None:
        root = f"/w/{name}"
        await here.owner._transport.app({**scope, "root_path": root, "path": root + scope["path"]}, receive, send)  # type: ignore[attr-defined]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=below), base_url=BASE) as browser:
        for path, status in (("/desk/sign-in", 200), ("/desk/tasks/1", 303), ("/desk/code?code=x", 400)):
            answer = await browser.get(path)
            assert answer.status_code == status, answer.text
            assert "<script" not in answer.text
            assert set(answer.headers.get("location", "")) <= set(map(chr, range(33, 127)))
        led = await browser.get("/desk/tasks/1", headers={"sec-fetch-site": "cross-site"})
        assert (led.status_code, "<script" in led.text) == (200, False)


async def test_what_strangers_wrote_is_text_and_nothing_else(here: Desk) -> None:
    """Title, description, data, context, comments, keys, names of fields: a customer may have written any of them."""
    bad = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
    rtl = "pay \u202e000,1\u202c"
    context = {bad: bad, "link": "javascript:alert(1)", "login": "https://bank.example@evil.example/", "rtl": rtl}
    context |= {"long": "x" * 100_000, "many": list(range(5000)), "nul": "a\0b", "rows": [{bad: bad}, {bad: rtl}]}
    data = {"amount": 50, "note": f"</textarea>{bad}", bad: bad}
    task = await here.ask_for(data, title=f"{bad}{rtl}", text=bad, context=context)
    async with await here.signed_in("ann") as ann:
        wrong = await press(ann, task, "approve", **{"data/amount": bad, "comment": bad})
        page = await ann.get(f"/desk/tasks/{task}")
        inbox = await ann.get("/desk/inbox")
        assert (await press(ann, task, "reject", comment=bad)).status_code == 303
        closed = await ann.get(f"/desk/tasks/{task}")
    for answer in (wrong, page, inbox, closed):
        assert "<script" not in answer.text
        assert "<img" not in answer.text
        assert 'href="javascript' not in answer.text
        assert "\u202e" not in re.sub(r'value="[^"]*"|<textarea.*?</textarea>|<title>.*?</title>', "", answer.text)
    assert 'href="https://bank' not in page.text
    assert "more characters" in page.text
    assert len(page.content) < 200_000
    assert (await here.output(task))["data"] == data


async def test_the_inbox_has_what_one_can_decide_and_pages(here: Desk) -> None:
    """The most urgent first, with a way on; and nothing for whoever can decide nothing."""
    tasks = [await here.ask_for(title=f"Pay {n}?") for n in range(27)]
    async with await here.signed_in("cem") as cem, await here.signed_in("vera") as vera:
        seen: list[str] = []
        path: str | None = "/desk/inbox"
        while path is not None:
            page = (await cem.get(path)).text
            seen += re.findall(r'href="/desk/tasks/(\d+)"', page)
            more = re.search(r'href="(/desk/inbox\?after=[^"]+)">More', page)
            path = more[1] if more else None
        assert set(map(str, tasks)) <= set(seen)
        assert len(seen) == len(set(seen))
        assert "Nothing waits for you." in (await vera.get("/desk/inbox")).text
        assert "Nothing waits for you." in (await cem.get("/desk/inbox?overdue=true")).text
