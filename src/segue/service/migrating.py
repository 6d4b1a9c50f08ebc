"""Use cases of migration: let live runs go on under another version of their workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from segue.service.access import UseCases, governed, of
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.inbox import Migration, MigrationMove, MigrationObstacle, Migrations
from segue.service.workflows import Workflows, parse_workflow
from segue.store import RunFilter, RunRecord, Store
from segue.types import CLOSED, RunStatus

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

REASON_MAX: Final = 1000
MAPPING_MAX: Final = 10_000
_LIVE: Final[tuple[RunStatus, ...]] = ("pending", "running", "waiting", "suspended")
_PAGE: Final = 200
_TOLD_MAX: Final = 100


class Migrating(UseCases):
    """Migrates the runs of one data folder. `host` is None where no host runs: then nothing can be migrated."""

    def __init__(
        self, store: Store, definitions: Definitions, workflows: Workflows, host: EmbeddedHost | None
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._workflows = workflows
        self._host = host

    @governed("run.steer", on=of("Run"))
    async def run(
        self,
        run_id: str,
        version: str,
        mapping: Mapping[str, str] | None = None,
        *,
        by: str = "",
        reason: str = "",
        dry_run: bool = True,
    ) -> Migration:
        """Let a live run go on under another version of its workflow; on disk when this returns.

        What is open goes on, and its results reach the counterparts; acts keep their effect keys. Clocks that run
        keep their time. Everything that stands against it is told at once, and then nothing is changed.

        Args:
            mapping: Pointers of tasks to their counterparts in the new version, where names differ.
            reason: Why; kept in the history of the run. Needed unless `dry_run`.
            dry_run: Only tell what would happen.

        Raises:
            ServiceError: `run-unknown`, `run-closed`, `workflow-unknown`, `choice-refused` or `server-needed`.
        """
        record = await self._store.run(run_id)
        if record is None:
            raise ServiceError("run-unknown", f"There is no run {run_id!r}.")
        if record.status in CLOSED:
            raise ServiceError("run-closed", f"Run {run_id} is {record.status}.")
        _check(reason, mapping or {}, dry_run=dry_run)
        return await self._one(record, version, mapping or {}, by, reason, dry_run)

    @governed("run.steer")
    async def all(
        self,
        workflow: str,
        version: str,
        mapping: Mapping[str, str] | None = None,
        *,
        since: str | None = None,
        by: str = "",
        reason: str = "",
        dry_run: bool = True,
    ) -> Migrations:
        """The same for every live run of a workflow; those that something stands against stay where they are.

        Args:
            workflow: `namespace/name`.
            since: Only runs that are under this version now; all other versions than the new one when left out.

        Raises:
            ServiceError: `workflow-unknown`, `request-malformed`, `choice-refused` or `server-needed`.
        """
        _check(reason, mapping or {}, dry_run=dry_run)
        namespace, name = parse_workflow(workflow)
        target = self._workflows.find(namespace, name, version)
        matched, done, refused = 0, 0, list[Migration]()
        before: int | None = None
        while True:
            wanted = RunFilter(status=_LIVE, namespace=namespace, name=name, version=since)
            page = await self._store.runs(wanted, limit=_PAGE, before=before)
            for record in page.items:
                if record.digest == target.digest:
                    continue
                matched += 1
                found = await self._one(record, target.version, mapping or {}, by, reason, dry_run)
                done += not found.obstacles
                if found.obstacles and len(refused) < _TOLD_MAX:
                    refused.append(found)
            before = page.next
            if before is None:
                break
        return Migrations(
            workflow=workflow, to=target.version, dry_run=dry_run, matched=matched, migrated=done, refused=refused
        )

    async def _one(
        self, record: RunRecord, version: str, mapping: Mapping[str, str], by: str, reason: str, dry_run: bool
    ) -> Migration:
        if self._host is None:
            raise ServiceError("server-needed", "This changes runs, and no host runs here.")
        target = self._workflows.find(record.namespace, record.name, version)
        found = await self._host.migrate(record.id, target.digest, mapping, by=by, reason=reason, dry_run=dry_run)
        return Migration(
            run=record.id,
            before=record.version,
            after=target.version,
            dry_run=dry_run,
            migrated=not dry_run and not found.obstacles,
            position=[MigrationMove(task=m.id, kind=m.kind, before=m.before, after=m.after) for m in found.moves],
            obstacles=[
                MigrationObstacle(pointer=o.pointer, message=o.message, remedy=o.remedy) for o in found.obstacles
            ],
        )


def _check(reason: str, mapping: Mapping[str, str], *, dry_run: bool) -> None:
    if not dry_run and (not reason.strip() or len(reason) > REASON_MAX):
        raise ServiceError("choice-refused", f"This needs a reason, of 1 to {REASON_MAX} characters.")
    if len(mapping) > MAPPING_MAX or not all(isinstance(pointer, str) for pointer in mapping.values()):
        raise ServiceError(
            "choice-refused", "A mapping is an object: pointer of a task to pointer of its counterpart."
        )
