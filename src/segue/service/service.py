"""The service: the use cases of one data folder, gathered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import segue
from segue.governance import Guard
from segue.service.access import UseCases, open_to_all
from segue.service.accounts import Accounts
from segue.service.adjusting import Adjusting
from segue.service.audit import Audit
from segue.service.backups import Backups
from segue.service.connections import Connections
from segue.service.controls import Controls
from segue.service.effects import Effects
from segue.service.errors import ServiceError
from segue.service.events import Events
from segue.service.exceptions import Exceptions
from segue.service.keys import Keys
from segue.service.limits import ActLimitsUsed
from segue.service.migrating import Migrating
from segue.service.models import Models
from segue.service.own_credentials import OwnCredentials
from segue.service.owning import Owning
from segue.service.permissions import Permissions
from segue.service.profiles import Profiles
from segue.service.publishing import Publications
from segue.service.retention import Retention
from segue.service.runs import Runs
from segue.service.scim import ScimDescription, ScimGroups, ScimUsers
from segue.service.second import AccountChanges
from segue.service.sessions import Sessions
from segue.service.shapes import Health
from segue.service.sso import SingleSignOn
from segue.service.steering import Steering
from segue.service.subjects import Subjects
from segue.service.switches import StopSwitches
from segue.service.tasks import Tasks
from segue.service.timeline import Timeline
from segue.service.tokens import Tokens
from segue.service.vault import Secrets
from segue.service.waiting import Waiting
from segue.service.wishes import Wishes
from segue.service.workflows import Workflows
from segue.store import Store

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost


@dataclass(frozen=True)
class Service:
    """Everything a person or program can do with one data folder.

    Attributes:
        host: What drives runs; None where the folder was opened for reading and publishing only.
        guard: What each use case asks first.
    """

    workflows: Workflows
    runs: Runs
    steering: Steering
    migrating: Migrating
    exceptions: Exceptions
    tasks: Tasks
    waiting: Waiting
    wishes: Wishes
    profiles: Profiles
    effects: Effects
    events: Events
    connections: Connections
    models: Models
    audit: Audit
    controls: Controls
    keys: Keys
    subjects: Subjects
    secrets: Secrets
    timeline: Timeline
    retention: Retention
    backups: Backups
    accounts: Accounts
    account_changes: AccountChanges
    sessions: Sessions
    own_credentials: OwnCredentials
    tokens: Tokens
    sso: SingleSignOn
    scim: ScimDescription
    scim_users: ScimUsers
    scim_groups: ScimGroups
    permissions: Permissions
    publications: Publications
    adjusting: Adjusting
    limits: ActLimitsUsed
    owning: Owning
    switches: StopSwitches
    store: Store
    host: EmbeddedHost | None
    guard: Guard

    def __post_init__(self) -> None:
        for field in fields(self):
            group = getattr(self, field.name)
            if isinstance(group, UseCases):
                group.guard = self.guard

    @open_to_all("whoever watches the process has no token")
    def health(self) -> Health:
        """The process is alive."""
        return Health(status="ok", version=segue.__version__)

    @open_to_all("whoever watches the process has no token")
    async def ready(self) -> Health:
        """The server takes work.

        Raises:
            ServiceError: `not-ready`, with the reason.
        """
        # The count is not told to whoever has no token; that it can be read is what counts.
        await self.store.count_runs()
        if self.host is not None:
            health = self.host.health()
            if not health.accepting:
                raise ServiceError("not-ready", health.trouble or "The server is about to stop.")
        return Health(status="ready", version=segue.__version__)
