"""`call: find-personal-data` in a run: a message is masked before anything else sees it."""

from __future__ import annotations

from pathlib import Path

from tests.integration.service_support import document

from segue import Segue

FLOW = document(
    """
    - look: {call: find-personal-data, with: {value: '${ . }', mask: true, names: [Ada]}}
    - kept: {set: '${ {found: [.found[] | {kind, at}], kinds: .kinds, message: .value.mails[0].text} }'}
    """
)


async def test_a_run_masks_what_stands_in_its_texts(tmp_path: Path) -> None:
    """The result says where, and never what."""
    given = {
        "mails": [{"text": "I am Ada, ada@example.org, card 4111 1111 1111 1111"}],
        "a/b": ["call +49 30 901820"],
    }
    async with Segue.open(tmp_path) as segue:
        await segue.publish(FLOW)
        result = await (await segue.start("demo/flow", input=given)).result()

    assert result == {
        "found": [
            *({"kind": kind, "at": "/mails/0/text"} for kind in ("name", "email", "payment-card")),
            {"kind": "phone", "at": "/a~1b/0"},
        ],
        "kinds": {"email": 1, "name": 1, "payment-card": 1, "phone": 1},
        "message": "I am [name], [email], card [payment-card]",
    }


async def test_a_text_that_is_too_long_fails_the_task(tmp_path: Path) -> None:
    """Silence would mean that nothing was found."""
    flow = document("- look: {call: find-personal-data, with: {value: '${ . }'}}")
    async with Segue.open(tmp_path) as segue:
        await segue.publish(flow)
        run = await segue.start("demo/flow", input="a" * 4_000_001)
        await segue.service.runs.wait(run.id)
        error = (await segue.service.runs.get(run.id)).error
    assert error is not None
    assert "4000000 are looked through" in error["detail"]
