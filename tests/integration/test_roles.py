"""Roles that there are, and what is left to somebody whom nobody is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import document
from tests.integration.test_escalation import told

from segue.service import (
    IdentityChange,
    NewIdentity,
    NewPolicy,
    OidcSettings,
    Service,
    ServiceError,
    Settings,
    open_service,
)

RULE = """@id("large") @approval("treasurer") @escalate("P1D board")
forbid (principal in Role::"clerk", action == Action::"workflow.publish", resource);"""


def asks(to: str, more: str = "", *, said: str = "{}") -> str:
    return document(
        f"""
        - ask:
            call: human-task
            with:
              title: Pay?
              assign: {to}
              {more}
        """,
        name="asks",
    ).replace("version: '1.0.0'", f"version: '1.0.0', metadata: {{segue: {said}}}")


async def added(service: Service, name: str, *roles: str, groups: tuple[str, ...] = ()) -> None:
    await service.accounts.add(NewIdentity(id=name, roles=[*roles], groups=[*groups]))


async def warned(service: Service, text: str) -> list[tuple[str, str]]:
    found = (await service.workflows.validate(text)).findings
    return [(one.rule, one.pointer) for one in found if one.rule in ("nobody-decides", "unknown-role")]


async def test_only_roles_that_mean_something_are_given(tmp_path: Path) -> None:
    """A misspelt role gives nothing and looks as if it did; the refusal lists those there are."""
    async with open_service(tmp_path, Settings(), drive=False) as service:
        with pytest.raises(
            ServiceError, match=r"no role 'aprover'. There are: admin, approver, .*viewer\."
        ) as refused:
            await added(service, "ann", "aprover")
        assert "`roles`" in refused.value.remedy
        await added(service, "ann", "approver")
        for role in ("treasurer", "board", "clerk", "payer"):
            with pytest.raises(ServiceError, match=role):
                await service.accounts.change("person", "ann", IdentityChange(roles=["approver", role]))
        # A rule in force names three of them, and a published document the other.
        await service.permissions.change("large", NewPolicy(text=RULE, reason="a test"))
        await service.workflows.publish(asks("{ role: payer }"))
        everything = ["approver", "treasurer", "board", "clerk", "payer"]
        await service.accounts.change("person", "ann", IdentityChange(roles=everything))
        # What somebody has already is no obstacle when its rule is gone.
        await service.permissions.change("large", NewPolicy(text=None, reason="a test"))
        await service.accounts.change("person", "ann", IdentityChange(roles=everything[:2]))


async def test_where_the_setting_lists_roles_there_are_no_others(tmp_path: Path) -> None:
    """Documents make none then; neither does the mapping of a provider."""
    async with open_service(tmp_path, Settings(roles=("payer",)), drive=False) as service:
        await added(service, "ann", "approver", "payer")
        assert await warned(service, asks("{ role: payer }")) == []
        with pytest.raises(ServiceError) as refused:
            await service.workflows.publish(asks("{ role: [payer, boss] }"))
        (finding,) = refused.value.findings
        assert (finding.rule, finding.pointer) == ("unknown-role", "/do/0/ask/with/assign")
    provider = OidcSettings(issuer="https://id.example", client_id="x", roles={"all": ["boss"]})
    with pytest.raises(ServiceError, match="'boss', which `roles` does not list"):
        async with open_service(tmp_path, Settings(roles=("payer",), oidc=provider), drive=False):
            pass


async def test_what_nobody_could_decide_is_said_before_it_is_published(tmp_path: Path) -> None:
    """A role without anybody, or with people who may not decide, is a task that waits for ever."""
    rung = "escalate: [{ after: P1D, to: { group: leads } }]"
    async with open_service(tmp_path, Settings(), drive=False) as service:
        assert await warned(service, asks("{ role: approver }")) == []  # The holder is alone, and decides.
        await added(service, "vic", "viewer", groups=("leads",))
        place = "/do/0/ask/with"
        assert await warned(service, asks("{ role: approver }", rung)) == [
            ("nobody-decides", f"{place}/assign"),
            ("nobody-decides", f"{place}/escalate/0/to"),
        ]
        await added(service, "ann", "approver", groups=("leads",))
        assert await warned(service, asks("{ role: approver }", rung)) == []
        assert await warned(service, asks("{ person: joe }")) == [("nobody-decides", f"{place}/assign")]
        assert await warned(service, asks("{ person: '${ .boss }' }")) == []
        assert await warned(service, asks("{ group: leads }", "authority: { roles: [publisher] }")) != []
        ladder = asks("{ group: leads }", said="{escalate_after: PT1H, escalate_to: [leads, nobody-here]}")
        assert await warned(service, ladder) == [("nobody-decides", "/document/metadata/segue/escalate_to/1")]


async def test_a_task_that_nobody_can_decide_is_told_to_its_owner(tmp_path: Path) -> None:
    """It must not wait in silence; where there is no owner, those who can offer it to others hear of it."""
    async with open_service(tmp_path, Settings()) as service:
        await added(service, "olga", groups=("sales",))
        await added(service, "otto", "operator")
        await added(service, "ann", "approver")
        await service.workflows.publish(asks("{ role: payer }", said="{owner: sales}"))
        await service.runs.start("demo/asks")
        (notice,) = await told(service, "olga")
        assert (notice.kind, notice.task) == ("undecidable", 1)
        # Whoever asks for it does not decide it, and nobody else has the role.
        await service.workflows.publish(asks("{ role: approver }", "requester: ann").replace("1.0.0", "2.0.0"))
        await service.runs.start("demo/asks")
        assert [n.task for n in await told(service, "otto")] == [2]
        records = (await service.audit.page(action="task.undecidable")).items
        assert [(r.resource, (r.data or {})["told"]) for r in records] == [
            ("human-task:2", ["otto"]),
            ("human-task:1", ["olga"]),
        ]


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What to do about it comes with the refusal."""
    segue = Cli(capsys)
    done = segue("users", "add", "ann", "--role", "aprover", "--data", tmp_path / "data")
    assert done.code == 2
    assert "There are: admin, approver" in done.err
