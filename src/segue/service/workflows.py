"""Use cases of workflows: validate, test, publish, list, read."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from segue.dsl import read_document
from segue.dsl.flows import Leaving
from segue.service.access import UseCases, governed, open_to_all, workflow_of
from segue.service.cases import Tested, play
from segue.service.consequences import undecided_acts
from segue.service.definitions import Checked, Definitions, refused
from segue.service.errors import Finding, ServiceError
from segue.service.flows import Flows
from segue.service.forbidden import forbidden_flows, reads_labels, unknown_flows
from segue.service.observe import iso
from segue.service.publishing import Publishing
from segue.service.shapes import (
    LabelledArgument,
    LeavingAct,
    Page,
    Published,
    Validation,
    WorkflowDetail,
    WorkflowSummary,
)
from segue.store import Conflict, Definition
from segue.store.consents import Use
from segue.types import Identity, acting_as

if TYPE_CHECKING:
    from segue.core import Plan
    from segue.hosts import EmbeddedHost

SOURCE_BYTES_MAX: Final = 16 * 1024 * 1024
_WORKFLOW: Final = re.compile(r"([A-Za-z0-9-]{1,63})/([A-Za-z0-9-]{1,63})")


def _leaving_act(act: Leaving) -> LeavingAct:
    arguments = [
        LabelledArgument(
            argument="/".join(("", *path)),
            origin=str(origin),
            classes=sorted(labels.classes),
            untrusted=labels.untrusted,
        )
        for path, origins in act.arguments.items()
        for origin, labels in origins.items()
    ]
    return LeavingAct(
        task=act.pointer,
        handler=act.handler,
        connection=act.connection,
        operation=act.operation,
        classes=sorted(act.labels.classes),
        untrusted=act.labels.untrusted,
        sources=sorted(act.labels.sources),
        arguments=arguments,
    )


def parse_workflow(text: str) -> tuple[str, str]:
    """Namespace and name of `namespace/name`.

    Raises:
        ServiceError: `request-malformed`.
    """
    found = _WORKFLOW.fullmatch(text)
    if found is None:
        raise ServiceError(
            "request-malformed",
            f"{text!r} is no workflow.",
            remedy="Write it as namespace/name, such as sales/renewal-risk.",
        )
    return found[1], found[2]


def read_source(path: Path) -> bytes:
    """The content of a document's file.

    Raises:
        ServiceError: `file-unreadable`.
    """
    try:
        with open(path, "rb") as file:
            # One byte more than a document may have: the reader says so, and nothing larger is loaded.
            return file.read(SOURCE_BYTES_MAX + 1)
    except OSError as error:
        raise ServiceError("file-unreadable", f"{str(path)!r}: {error.strerror or error}.") from None


class Workflows(UseCases):
    """Published definitions of one data folder. `host` is None where no host runs."""

    def __init__(
        self,
        definitions: Definitions,
        host: EmbeddedHost | None,
        flows: Flows,
        publishing: Publishing | None = None,
    ) -> None:
        self._definitions = definitions
        self._host = host
        self._flows = flows
        self._publishing = publishing

    @governed("workflow.validate")
    async def validate(self, source: bytes | str, *, file: str = "<document>") -> Validation:
        """Everything that is wrong with a document, all at once."""
        checked = await self._definitions.check(source, file=file)
        findings = [*checked.findings, *(await self._missing(checked))]
        valid = all(finding.severity != "error" for finding in findings)
        return Validation(file=file, valid=valid, findings=findings)

    @governed("workflow.validate")
    async def test(self, source: bytes | str, *, file: str = "<document>") -> Tested:
        """Play the tests that a document declares: nothing acts, and nothing is kept."""
        checked = await self._definitions.check(source, file=file)
        if checked.plan is None:
            return Tested(file=file, passed=False, findings=checked.findings)
        results, findings = await asyncio.to_thread(play, checked.document, checked.plan)
        passed = not findings and all(result.passed for result in results)
        return Tested(file=file, passed=passed, digest=checked.plan.digest, cases=results, findings=findings)

    @governed("workflow.publish", asks_again=True)
    async def publish(self, source: bytes | str, *, file: str = "<document>") -> Published:
        """Publish a document. The same content again changes nothing and is no error.

        Where it is the latest version of its name, its schedule takes the place of that of the version before.

        Raises:
            ServiceError: `definition-refused` with all findings, `version-taken`, or `approval-needed` where a rule
                lets it count only when somebody else has approved it; it waits then.
        """
        checked = await self._definitions.check(source, file=file)
        lacks = await self._missing(checked)
        if checked.plan is None or any(finding.severity == "error" for finding in lacks):
            raise refused(file, [*checked.findings, *lacks])
        if self._publishing is not None and not self._is_published(checked.plan):
            await self._publishing.admit(self.guard, checked.plan, checked.document.text)
        return await self._put(checked, lacks)

    @open_to_all("an approved publication is put by it; no edge calls it")
    async def put(self, source: str, *, by: Identity) -> Published:
        """Publish what somebody approved, or consented to, as whoever wanted it.

        Raises:
            ServiceError: `definition-refused` where what it needs has gone since, or `version-taken`.
        """
        checked = await self._definitions.check(source, file="<publication>")
        lacks = await self._missing(checked)
        if any(finding.severity == "error" for finding in lacks):
            raise refused("<publication>", [*checked.findings, *lacks])
        with acting_as(by):
            return await self._put(checked, lacks)

    @open_to_all("publications that wait ask it; no edge calls it")
    async def lacking(self, source: str) -> list[Use]:
        """Uses of connections by a document that their owners have not consented to."""
        plan = (await self._definitions.check(source, file="<publication>")).plan
        return [] if plan is None or self._publishing is None else self._publishing.lacking(plan)

    async def _missing(self, checked: Checked) -> list[Finding]:
        found: list[Finding] = []
        if checked.plan is not None:
            found += undecided_acts(self.guard, checked.document, checked.plan)
            foreseen = await self._flows.foresee(checked.plan, acts=reads_labels(self.guard))
            found += forbidden_flows(self.guard, checked.document, foreseen)
            found += unknown_flows(checked.document, foreseen)
        if self._publishing is not None:
            found += self._publishing.complaints(checked.document, checked.plan)
            if checked.plan is not None:
                found += await self._publishing.unproven(checked.document, checked.plan)
        return found

    def _is_published(self, plan: Plan) -> bool:
        known = self._definitions.find(plan.namespace, plan.name, plan.version)
        return known is not None and known.digest == plan.digest

    async def _put(self, checked: Checked, lacks: list[Finding]) -> Published:
        plan = checked.plan
        if plan is None:
            raise refused("<document>", checked.findings)
        text = checked.document.text
        now_ms = time.time_ns() // 1_000_000
        definition = Definition(plan.digest, plan.namespace, plan.name, plan.version, text, now_ms)
        try:
            async with self._flows.publishing(plan):
                created = await self._definitions.add(definition, plan, checked.pins)
        except Conflict:
            raise ServiceError(
                "version-taken",
                f"{plan.namespace}/{plan.name}:{plan.version} is published with other content.",
            ) from None
        summary = self._summary(self.find(plan.namespace, plan.name, plan.version))
        if created and summary.latest:
            await self._reschedule(plan.digest, scheduled=plan.schedule is not None)
            if self._publishing is not None:
                who = self.guard.who()
                await self._publishing.published(plan, "" if who is None else who.name)
        warnings = [finding for finding in [*checked.findings, *lacks] if finding.severity != "error"]
        return Published(workflow=summary, created=created, warnings=warnings)

    @governed("workflow.publish", asks_again=True)
    async def publish_file(self, path: Path) -> Published:
        """Publish the document in a file.

        Raises:
            ServiceError: As `publish`, or `file-unreadable`.
        """
        return await self.publish(await asyncio.to_thread(read_source, path), file=str(path))

    @governed("workflow.list")
    async def page(
        self, *, namespace: str | None = None, limit: int = 50, after: str | None = None
    ) -> Page[WorkflowSummary]:
        """The latest version of each workflow, by namespace and name."""
        names = [
            name
            for name in self._definitions.names()
            if namespace in (None, name[0]) and (after is None or "/".join(name) > after)
        ]
        # "a-b/c" sorts before "a/b" as text: the order must be the one that `after` is compared in.
        names.sort(key="/".join)
        items = [self._summary(self.find(*name)) for name in names[:limit]]
        return Page(items=items, next="/".join(names[limit - 1]) if len(names) > limit else None)

    @governed("workflow.read", on=workflow_of)
    async def versions(
        self, namespace: str, name: str, *, limit: int = 50, after: str | None = None
    ) -> Page[WorkflowSummary]:
        """All versions of a workflow, highest first.

        Raises:
            ServiceError: `workflow-unknown`.
        """
        found = self._known(namespace, name)
        place = next((i + 1 for i, d in enumerate(found) if d.version == after), len(found)) if after else 0
        items = [self._summary(definition) for definition in found[place : place + limit]]
        return Page(items=items, next=items[-1].version if len(found) > place + limit else None)

    @governed("workflow.read", on=workflow_of)
    async def get(self, namespace: str, name: str, version: str = "latest") -> WorkflowDetail:
        """A definition with its content.

        Raises:
            ServiceError: `workflow-unknown`.
        """
        definition = self.find(namespace, name, version)
        plan = self._definitions.plan(definition.digest)
        summary = self._summary(definition)
        fields = {field: getattr(summary, field) for field in summary.__struct_fields__}
        return WorkflowDetail(
            **fields,
            document=plan.definition,
            source=definition.source,
            pinned=self._definitions.pins(definition.digest).catalogue,
            requires=[*plan.requires],
        )

    @governed("workflow.read", on=workflow_of)
    async def leaving(self, namespace: str, name: str, version: str = "latest") -> list[LeavingAct]:
        """What each act of a workflow can send out, and where that comes from; in the order of the document.

        Raises:
            ServiceError: `workflow-unknown`.
        """
        digest = self.find(namespace, name, version).digest
        found = self._flows.of(digest)
        pointers = [node.pointer for node in self._definitions.plan(digest).nodes if node.pointer in found]
        return [_leaving_act(found[pointer]) for pointer in dict.fromkeys(pointers)]

    @open_to_all("other use cases find definitions by it; no edge calls it")
    def find(self, namespace: str, name: str, version: str = "latest") -> Definition:
        """The definition that a name and version mean.

        Raises:
            ServiceError: `workflow-unknown`, naming the versions there are.
        """
        found = self._definitions.find(namespace, name, version)
        if found is not None:
            return found
        known = ", ".join(definition.version for definition in self._known(namespace, name)[:10])
        raise ServiceError("workflow-unknown", f"{namespace}/{name} has no version {version!r}; it has {known}.")

    def _known(self, namespace: str, name: str) -> list[Definition]:
        found = self._definitions.versions(namespace, name)
        if not found:
            raise ServiceError("workflow-unknown", f"No workflow {namespace}/{name} is published.")
        return found

    async def _reschedule(self, digest: str, *, scheduled: bool) -> None:
        if self._host is None:
            return  # The next server activates what it finds.
        if scheduled:
            await self._host.activate(digest)
        else:
            definition = self._definitions.definition(digest)
            await self._host.deactivate(definition.namespace, definition.name)

    def _summary(self, definition: Definition) -> WorkflowSummary:
        # Read and not compiled: what an older release published must still be listed.
        data = read_document(definition.source).data
        head = data["document"]
        return WorkflowSummary(
            namespace=definition.namespace,
            name=definition.name,
            version=definition.version,
            digest=definition.digest,
            published_at=iso(definition.published_at),
            title=head.get("title"),
            summary=head.get("summary"),
            scheduled="schedule" in data,
            latest=self.find(definition.namespace, definition.name) is definition,
        )
