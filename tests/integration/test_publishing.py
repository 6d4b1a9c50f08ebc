"""What a document must say of itself, and publications that somebody else approves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import document

import segue.sandbox as segue_sandbox
from segue.service import (
    IdentityChange,
    NewIdentity,
    NewPolicy,
    PublicationDecision,
    Service,
    ServiceError,
    Settings,
    open_service,
)
from segue.types import Identity, acting_as

TWO = """
@id("risky-needs-two") @approval("publisher")
forbid (principal, action == Action::"workflow.publish", resource)
when { context.risk == "high" || context.classes.contains("personal") };
"""
GOVERNED = """
    owner: sales
    purpose: Renew contracts
    risk: RISK
    classes: [CLASS]
    error_route: ROUTE
    fallback: FALLBACK
    tests: TESTS
"""
PASSES = "[{name: it sets, expect: {output: {a: 1}}}]"
ANN = Identity(kind="person", id="ann", roles=frozenset({"publisher"}))
BEN = Identity(kind="person", id="ben", roles=frozenset({"publisher"}))
YES = PublicationDecision(approve=True, reason="read it")


def governed(
    risk: str = "minimal",
    data: str = "public",
    version: str = "1.0.0",
    *,
    route: str = "role:owner",
    fallback: str = "role:owner",
    tests: str = PASSES,
    tasks: str = "  - one: {set: {a: 1}}",
) -> str:
    said = GOVERNED.replace("RISK", risk).replace("CLASS", data).replace("\n    ", "\n      ")
    said = said.replace("ROUTE", route).replace("FALLBACK", fallback).replace("TESTS", tests)
    head = f"document:\n  dsl: '1.0.3'\n  namespace: demo\n  name: flow\n  version: '{version}'\n"
    return f"{head}  metadata:\n    segue:{said}\ndo:\n{tasks}\n"


async def two_eyed(service: Service) -> None:
    await service.permissions.change("two", NewPolicy(text=TWO, reason="a test"))


async def refused(service: Service, text: str) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await service.workflows.publish(text)
    return error.value


@pytest.mark.parametrize("strictness", ["off", "warn", "block"])
async def test_a_document_that_does_not_say_who_answers_for_it(tmp_path: Path, strictness: str) -> None:
    """Governance is defined before production: everything missing is told at once, with its place."""
    async with open_service(tmp_path, Settings(publishing=strictness)) as service:  # type: ignore[arg-type]
        if strictness == "block":
            told = list((await refused(service, document())).findings)
            with pytest.raises(ServiceError):
                service.workflows.find("demo", "flow")
        else:
            told = (await service.workflows.publish(document())).warnings
        missing = [finding.message for finding in told if finding.rule == "governed"]
        assert len(missing) == (0 if strictness == "off" else 7)
        assert (await service.workflows.publish(governed(version="2.0.0"))).warnings == []


CATCHES = """  - one:
      try:
        - two: {raise: {error: {type: runtime, status: 500}}}
      catch:
        do:
          - by-hand: {set: {a: 1}}
          - tell: {run: {workflow: {namespace: demo, name: tells, version: latest}, await: false}}
          - say: {set: {a: 1}}
"""
NAMED = [
    ({"route": "sales-ops"}, "unknown-error-route", "/error_route", "names nothing that can be looked up"),
    ({"route": "group:sales"}, "unknown-error-route", "/error_route", "nobody is in the group 'sales'"),
    ({"route": "person:lou"}, "unknown-error-route", "/error_route", "nobody is called 'lou'"),
    ({"route": "[group:ops, role:boss]"}, "unknown-error-route", "/error_route/1", "given the role 'boss'"),
    ({"route": "task:nowhere"}, "unknown-error-route", "/error_route", "there is no task 'nowhere'"),
    ({"route": "task:two", "tasks": CATCHES}, "unknown-error-route", "/error_route", "below no `catch`"),
    ({"route": "workflow:demo/none"}, "unknown-error-route", "/error_route", "no workflow demo/none is published"),
    ({"route": "workflow:demo/tells"}, "unknown-error-route", "/error_route", "nothing starts the workflow"),
    ({"fallback": "By hand"}, "unknown-fallback", "/fallback", "names nothing"),
    ({"fallback": "{to: task:one, how: see the page}"}, "unknown-fallback", "/fallback/to", "below no `catch`"),
    ({"tests": "none yet"}, "untested", "/tests", "says nothing that can be played"),
    ({"tests": "[{name: no, expect: {output: 2}}]"}, "failing-test", "/tests/0", 'it gave {"a":1}, and not 2'),
]


@asynccontextmanager
async def claims(folder: Path) -> AsyncIterator[Service]:
    """A folder that blocks, with one person in the group `ops`, one who left, and a workflow to tell somebody."""
    settings = Settings(publishing="block", roles=("boss",))
    async with open_service(folder, settings, drive=False) as service:
        await service.accounts.add(NewIdentity(id="ann", groups=["ops"]))
        await service.accounts.add(NewIdentity(id="lou", groups=["sales"], roles=["boss"]))
        await service.accounts.change("person", "lou", IdentityChange(state="locked", reason="left"))
        await service.workflows.publish(governed().replace("name: flow", "name: tells"))
        yield service


async def test_what_a_document_claims_of_itself_is_looked_up(tmp_path: Path) -> None:
    """Routes to people who left, fallbacks that nothing leads to, tests that nobody can play do not exist."""
    async with claims(tmp_path) as service:
        for said, rule, place, message in NAMED:
            (told,) = (await refused(service, governed(version="9.0.0", **said))).findings
            assert (told.rule, told.pointer.removeprefix("/document/metadata/segue")) == (rule, place)
            assert message in told.message
            assert told.remedy
            assert told.line > 1
        # What is there is published: each kind of route and fallback, and tests with the answers of the world.
        tests = "[{name: down, answers: {tell: {output: null}}, expect: {output: {a: 1}}}]"
        routes = "[person:ann, {to: group:ops, how: by chat}, task:by-hand, workflow:demo/tells]"
        text = governed(route=routes, fallback="workflow:demo/tells", tests=tests, tasks=CATCHES)
        assert (await service.workflows.publish(text)).warnings == []


async def test_what_has_gone_since_keeps_a_publication_from_being_approved(tmp_path: Path) -> None:
    """What is approved is what holds when it is approved, and not what held when somebody wanted it."""
    async with claims(tmp_path) as service:
        await two_eyed(service)
        with acting_as(ANN):
            waits = await refused(service, governed("high", version="3.0.0", route="group:ops"))
        assert waits.kind == "approval-needed"
        await service.accounts.change("person", "ann", IdentityChange(state="removed", reason="left"))
        (waiting,) = (await service.publications.page()).items
        with acting_as(BEN), pytest.raises(ServiceError) as error:
            await service.publications.decide(waiting.number, YES)
        assert [one.rule for one in error.value.findings] == ["unknown-error-route"]


def test_tests_are_played_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes a document sees what publishing will say, with and without a data folder."""
    segue, file = Cli(capsys), tmp_path / "flow.yaml"
    file.write_text(governed())
    assert "1 of 1 passed" in segue("test", file).out
    file.write_text(governed(tests="[{name: no, expect: {output: 2}}]"))
    told = segue("test", file, "--data", tmp_path / "data", "--json")
    assert (told.code, told.json["documents"][0]["cases"][0]["passed"]) == (2, False)
    file.write_text(governed(tests="none yet"))
    assert (segue("test", file).code, segue("validate", file).code) == (2, 0)


async def test_a_risky_publication_waits_for_somebody_else(tmp_path: Path) -> None:
    """Four eyes: it counts when another person with the role has approved it, and says so for ever."""
    async with open_service(tmp_path, Settings()) as service:
        await two_eyed(service)
        with acting_as(ANN):
            waits = await refused(service, governed("high"))
            assert waits.kind == "approval-needed"
            assert "risky-needs-two" in waits.detail
            (waiting,) = (await service.publications.page()).items
            with pytest.raises(ServiceError, match="four-eyes"):
                await service.publications.decide(waiting.number, YES)
            with pytest.raises(ServiceError, match="No workflow"):
                service.workflows.find("demo", "flow")
        with acting_as(BEN):
            done = await service.publications.decide(waiting.number, YES)

        assert (done.wanted_by, done.decided_by, done.state) == ("person:ann", "person:ben", "approved")
        by = {(r.action, r.verdict, r.principal) for r in (await service.audit.page(limit=100)).items}
        assert ("publication.approve", "allow", "person:ben") in by
        assert [who for action, verdict, who in by if (action, verdict) == ("workflow.publish", "done")] == [
            "person:ann"
        ]
        assert service.workflows.find("demo", "flow").digest == done.digest
        # Published is published: the same content again asks nobody.
        with acting_as(ANN):
            assert not (await service.workflows.publish(governed("high"))).created


async def test_what_the_rule_is_not_about_is_published_at_once(tmp_path: Path) -> None:
    """A rule about risk must not slow everybody down."""
    async with open_service(tmp_path, Settings()) as service:
        await two_eyed(service)
        with acting_as(ANN):
            assert (await service.workflows.publish(governed("minimal"))).created
            assert (await refused(service, governed("minimal", "personal", "2.0.0"))).kind == "approval-needed"


async def test_the_first_of_two_decisions_counts(tmp_path: Path) -> None:
    """Two people decide at the same moment, and one of them did."""
    cat = Identity(kind="person", id="cat", roles=frozenset({"publisher"}))
    async with open_service(tmp_path, Settings()) as service:
        await two_eyed(service)
        with acting_as(ANN):
            await refused(service, governed("high"))
        (waiting,) = (await service.publications.page()).items

        async def decide(who: Identity, decision: PublicationDecision) -> str:
            with acting_as(who):
                try:
                    return (await service.publications.decide(waiting.number, decision)).state
                except ServiceError as error:
                    return error.kind

        no = PublicationDecision(approve=False, reason="not yet")
        assert sorted(await asyncio.gather(decide(BEN, YES), decide(cat, no))) == ["approved", "publication-decided"]


async def test_who_may_not_publish_makes_nothing_wait(tmp_path: Path) -> None:
    """The list of what waits is for those who publish, and no way to send anything to them."""
    viewer = Identity(kind="person", id="vic", roles=frozenset({"viewer"}))
    async with open_service(tmp_path, Settings()) as service:
        await two_eyed(service)
        with acting_as(viewer):
            denied = await refused(service, governed("high"))
            with pytest.raises(ServiceError) as error:
                await service.publications.decide(1, YES)

        assert (await service.publications.page()).items == []
        assert (denied.kind, error.value.kind) == ("permission-denied", "permission-denied")


CALLS = """document: {dsl: '1.0.3', namespace: demo, name: calls, version: '1.0.0'}
do:
  - warn:
      call: connector
      with:
        use: billing
        operation: OPERATION
        arguments: ARGUMENTS
        undo:
          operation: raiseFinanceAlert
          arguments: { body: { client_no: '${ .client_no }', severity: info, message: withdrawn } }
"""
ALERT = "{ body: { client_no: '${ .client_no }', severity: warning, message: '${ .text }' } }"


def calls(operation: str = "raiseFinanceAlert", arguments: str = ALERT) -> str:
    return CALLS.replace("OPERATION", operation).replace("ARGUMENTS", arguments)


@pytest.mark.parametrize(
    ("text", "rule", "pointer"),
    [
        (calls("raiseAlert"), "unknown-operation", "/do/0/warn/with/operation"),
        (calls(arguments="{}"), "wrong-arguments", "/do/0/warn/with/arguments"),
        (calls(arguments=ALERT.replace("warning", "loud")), "wrong-arguments", "/body/severity"),
        (calls(arguments=ALERT.replace("severity: warning, ", "")), "wrong-arguments", "/with/arguments/body"),
        (calls().replace("severity: info", "severity: loud"), "wrong-arguments", "/undo/arguments/body/severity"),
        (calls().replace("          operation: raiseFinanceAlert", "          operation: gone"), "unknown-operation",
         "/do/0/warn/with/undo/operation"),
    ],
)  # fmt: skip
def test_a_call_that_can_never_succeed_is_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, rule: str, pointer: str
) -> None:
    """C18: a wrongly typed edge is refused at publish time, with its place and what to do."""
    segue, file = Cli(capsys), tmp_path / "calls.yaml"
    described = Path(segue_sandbox.__file__).parent / "openapi" / "billing.yaml"
    data = tmp_path / "data"
    file.write_text(text)
    assert segue("validate", file, "--data", data, "--json").code == 0  # no such connection yet: a warning
    assert segue("connections", "add", "billing", "--openapi", described, "--data", data).code == 0
    told = segue("validate", file, "--data", data, "--json")
    (finding,) = [f for f in told.json["documents"][0]["findings"] if f["severity"] == "error"]
    assert (told.code, finding["rule"], finding["file"]) == (2, rule, str(file))
    assert finding["pointer"].endswith(pointer)
    assert finding["remedy"]
    assert segue("publish", file, "--data", data).code == 2
    file.write_text(calls())
    assert segue("publish", file, "--data", data).code == 0


INLINE = """document: {dsl: '1.0.3', namespace: demo, name: inline, version: '1.0.0'}
do:
  - warn:
      call: openapi
      with:
        document: { endpoint: 'ADDRESS' }
        operationId: OPERATION
        parameters: { body: { client_no: '${ .client_no }', severity: SEVERITY, message: x } }
"""


def inline(address: str, operation: str = "raiseFinanceAlert", severity: str = "info") -> str:
    return INLINE.replace("ADDRESS", address).replace("OPERATION", operation).replace("SEVERITY", severity)


@pytest.mark.parametrize(
    ("wrong", "rule", "pointer"),
    [
        ({"operation": "raiseAlert"}, "unknown-operation", "/do/0/warn/with/operationId"),
        ({"severity": "loud"}, "wrong-arguments", "/do/0/warn/with/parameters/body/severity"),
    ],
)
def test_a_call_without_a_connection_is_compared_with_a_description_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, str], rule: str, pointer: str
) -> None:
    """A local file, or the copy that a connection keeps from the same address; else whoever publishes is told."""
    segue, file, data = Cli(capsys), tmp_path / "inline.yaml", tmp_path / "data"
    described = Path(segue_sandbox.__file__).parent / "openapi" / "billing.yaml"

    def found(text: str) -> list[tuple[str, str]]:
        file.write_text(text)
        told = segue("validate", file, "--data", data, "--json").json["documents"][0]["findings"]
        return [(one["rule"], one["pointer"]) for one in told]

    elsewhere = "https://billing.example/openapi.json"
    assert found(inline(elsewhere, **wrong)) == [("unchecked-call", "/do/0/warn/with/document")]
    assert found(inline(str(described), **wrong)) == [(rule, pointer)]
    assert found(inline(str(described))) == []
    assert segue("connections", "add", "billing", "--openapi", described, "--data", data).code == 0
    assert found(inline(str(described.resolve()), **wrong)) == [(rule, pointer)]
