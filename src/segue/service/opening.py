"""Opening a data folder: everything that a service stands on, wired and closed in the right order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from segue.ai import ModelRegistry
from segue.connectors import MemoryConnections, OutboundPolicy, connection_from_json
from segue.governance import (
    ActDoor,
    ActLimits,
    ChainedSecrets,
    Consents,
    EnvironmentSecrets,
    FileSecrets,
    Guard,
    KeyRing,
)
from segue.governance.credentials import Passwords
from segue.handlers import FunctionRegistry, HandlerSet, build_handlers
from segue.service.accounts import Accounts
from segue.service.adjusted import Adjusted
from segue.service.adjusting import Adjusting
from segue.service.attempts import FailedSignIns
from segue.service.audit import Audit
from segue.service.backups import Backups, note_restored
from segue.service.connections import Connections, foreseeing
from segue.service.controls import Controls
from segue.service.definitions import Definitions
from segue.service.directory import Directory, now_ms
from segue.service.effects import Effects
from segue.service.errors import ServiceError, as_refusal
from segue.service.events import Events
from segue.service.exceptions import Exceptions
from segue.service.exporting import Exporting
from segue.service.flows import Flows
from segue.service.functions import described, load_functions
from segue.service.keys import Keys, ring_of
from segue.service.later import Handlers
from segue.service.limits import ActLimitsUsed, count_on
from segue.service.masking import Masking
from segue.service.migrating import Migrating
from segue.service.models import Models
from segue.service.own_credentials import OwnCredentials
from segue.service.ownership import Accesses, Ownership
from segue.service.owning import Owning
from segue.service.permissions import Permissions, put_in_force
from segue.service.personal import Personal
from segue.service.policies import policies, refused_ladder
from segue.service.profiles import Profiles
from segue.service.publishing import Publications, Publishing
from segue.service.recorded import Limits
from segue.service.resources import Resources
from segue.service.retention import Retention, rules_of
from segue.service.roster import Roster
from segue.service.runs import Runs
from segue.service.scim import ScimDescription, ScimGroups, ScimUsers, Teams
from segue.service.service import Service
from segue.service.sessions import Sessions
from segue.service.settings import Settings
from segue.service.shapes import Validation
from segue.service.sso import SingleSignOn
from segue.service.steering import Steering
from segue.service.subjects import Subjects
from segue.service.switches import StopSwitches, load_switches
from segue.service.tasks import Tasks
from segue.service.telling import Telling
from segue.service.timeline import Timeline
from segue.service.tokens import Tokens
from segue.service.vault import Secrets, VaultSecrets
from segue.service.workflows import Workflows
from segue.store import FolderInUse, FolderNotUsable, Rules, Store
from segue.store.adjustments import list_values
from segue.store.consents import list_consents
from segue.store.folder import DATABASE_NAME, open_reader
from segue.store.permission import list_policy_changes, list_switches
from segue.store.records import list_connections
from segue.types import LOCAL_OWNER, Identity, SecretSource, TaskFailure, owner_of

if TYPE_CHECKING:
    from segue.core import Plan
    from segue.hosts import EmbeddedHost


def _make(
    settings: Settings, functions: FunctionRegistry, models: ModelRegistry, connections: MemoryConnections
) -> HandlerSet:
    from segue.connectors import OutboundLimits
    from segue.handlers import MailSettings, ProcessSettings

    outbound = msgspec.structs.asdict(settings.outbound)
    processes = ProcessSettings(
        allow_scripts=settings.allow_processes,
        allow_shell=settings.allow_processes,
        **msgspec.structs.asdict(settings.processes),
    )
    try:
        mail = msgspec.convert(settings.mail, MailSettings) if settings.mail else None
        policy = OutboundPolicy(**_fields_of(OutboundPolicy, outbound))
    except (msgspec.ValidationError, ValueError) as error:
        raise ServiceError("setting-refused", f"{error}.") from None
    return build_handlers(
        functions=functions,
        models=models,
        connections=connections,
        processes=processes,
        mail=mail,
        policy=policy,
        limits=OutboundLimits(**_fields_of(OutboundLimits, outbound)),
    )


def _fields_of(struct: type[msgspec.Struct], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in struct.__struct_fields__ if name in values}


def secrets_of(settings: Settings) -> SecretSource:
    """Where secrets come from: the environment first, then the secrets folder."""
    environment = EnvironmentSecrets()
    if settings.secrets_folder is None:
        return environment
    return ChainedSecrets(environment, FileSecrets(settings.secrets_folder))


def load_models(folder: Path, settings: Settings, registry: ModelRegistry) -> None:
    """Register the models of the models folder.

    Raises:
        ServiceError: `setting-refused`, for a card that does not fit or a folder that is named and missing.
    """
    place = folder / "models" if settings.models_folder is None else Path(settings.models_folder)
    if not place.is_dir():
        if settings.models_folder is not None:
            raise ServiceError("setting-refused", f"The models folder {str(place)!r} does not exist.")
        return
    try:
        registry.add_folder(place)
    except (TaskFailure, ValueError) as error:
        raise ServiceError("setting-refused", f"In the models folder {str(place)!r}: {error}") from None


@asynccontextmanager
async def open_service(
    folder: Path,
    settings: Settings,
    *,
    drive: bool = True,
    functions: FunctionRegistry | None = None,
    models: ModelRegistry | None = None,
    secrets: SecretSource | None = None,
    base: Path | None = None,
    attended: bool = True,
    alone: bool = False,
    local: Identity | None = LOCAL_OWNER,
    signed: bool = True,
) -> AsyncIterator[Service]:
    """Open a data folder.

    Args:
        drive: Start a host, which goes on with every unfinished run. False reads and publishes only.
        functions, models: What documents may call, besides what the settings name.
        secrets: Where secrets come from, instead of the settings.
        base: Folder that documents may read schemas from, by path; None for a server.
        signed: Sign the audit chain; not worth it for a folder that is thrown away.
        attended: Somebody can decide what becomes of a failure. Where nobody can, none is held.
        alone: The process is there for this folder only, so its garbage collector may be set for it.
        local: Who acts where no edge has said who: the program that opens the folder, as its owner. A server says
            None, so that a request which slipped past its edge is denied.

    Raises:
        ServiceError: `folder-busy`, `folder-unusable`, `setting-refused` or `function-refused`.
    """
    if (why := refused_ladder(settings.escalate_after, settings.escalate_to)) is not None:
        raise ServiceError("setting-refused", f"{why}.")
    registry = functions if functions is not None else FunctionRegistry()
    load_functions(registry, settings.functions)
    known_models = models if models is not None else ModelRegistry()
    load_models(folder, settings, known_models)
    loaded = MemoryConnections()
    source = VaultSecrets(secrets if secrets is not None else secrets_of(settings))
    async with AsyncExitStack() as stack:
        handlers = Handlers(registry, known_models, lambda: _make(settings, registry, known_models, loaded))
        stack.push_async_callback(handlers.aclose)
        resources = Resources(lambda: handlers.outbound, base)
        definitions = Definitions(
            functions=lambda: described(registry),
            allow_processes=settings.allow_processes,
            connections=lambda: [connection.name for connection in loaded.all()],
            check_call=foreseeing(loaded, lambda: handlers.calls),
            fetch_function=resources.function,
            fetch_resource=resources.resource,
            allow_remote_functions=settings.allow_remote_functions,
        )
        host: EmbeddedHost | None = None
        mine = owner_of(settings.workspace) if local is LOCAL_OWNER else local
        guard = Guard(local=mine, workspace=settings.workspace)
        rules = rules_of(settings, definitions)
        ring = ring_of(folder, settings)
        flows = Flows(definitions, loaded)
        masking = Masking(definitions, flows, guard)
        act_limits = ActLimits(settings.limits)
        adjusted = Adjusted()
        accesses = Accesses(loaded)
        ownership = Ownership(Consents(accesses.owner, accesses.of), lambda name: loaded.find(name) is not None)

        def load(store: Store) -> Definitions:
            # What the host needs before it goes on with the first run.
            source.store = store
            with closing(open_reader(store.folder / DATABASE_NAME, ring)) as reader:
                definitions.load(store, reader)
                source.load(reader)
                # Before the host goes on: what is forbidden or stopped must not go out once more.
                put_in_force(guard, list_policy_changes(reader))
                adjusted.load(list_values(reader))
                count_on(act_limits, store, reader)
                load_switches(guard, list_switches(reader, thrown=True))
                for data in list_connections(reader).values():
                    loaded.put(connection_from_json(data))
                ownership.store = store
                ownership.load(list_consents(reader, state="granted"))
            return definitions

        try:
            if drive:
                door = ActDoor(
                    guard,
                    guard.switches,
                    flows.facts,
                    act_limits,
                    ownership.consents,
                    changes=flows.changes,
                )
                opened = _host(
                    folder, settings, handlers, load, source, rules, attended, alone, door, ring, adjusted.values
                )
                host = await stack.enter_async_context(opened)
                store = host.store
            else:
                store = Store.open(folder, cipher=ring)
                stack.push_async_callback(store.close)
                load(store)
        except (FolderInUse, FolderNotUsable) as error:
            raise as_refusal(error) or error from None
        if host is not None:
            await _activate(host, definitions)
        key_file = None if settings.audit_key_file is None else Path(settings.audit_key_file)
        audit = Audit(store, masking, key_file=key_file, targets=settings.audit_export)
        if signed:
            await audit.note_settings(msgspec.json.encode(settings))
            await stack.enter_async_context(audit.kept())
        guard.audit = store
        await note_restored(store)
        roster, passwords = await Roster.load(store), Passwords()
        directory = Directory(store, host.now_ms if host is not None else now_ms, roster.people)
        personal = Personal(store, directory, handlers, source)
        await stack.enter_async_context(personal.kept())
        accounts = Accounts(roster, passwords, personal)
        failures = FailedSignIns(store, settings.workspace)
        await stack.enter_async_context(failures.kept())
        sessions = Sessions(roster, passwords, failures, directory, settings.scim)
        teams = Teams(roster, settings.oidc, settings.scim)
        await teams.load(store)
        if host is not None:
            telling = Telling(store, directory, handlers, source, settings.public_url, masking)
            await stack.enter_async_context(telling.kept())
            if settings.lifecycle_webhook is not None:
                from segue.service.webhook import LifecycleWebhook

                webhook = LifecycleWebhook(settings.lifecycle_webhook, store, definitions, handlers.outbound, masking)
                await stack.enter_async_context(webhook.kept())
        connections = Connections(store, loaded, handlers, source, settings.connection_variables)
        publishing = Publishing(store, settings.publishing, adjusted, ownership)
        workflows = Workflows(definitions, host, flows, publishing)
        publications = Publications(store, workflows)
        limits = Limits(settings.history_max_events, settings.payload_warn_kb * 1024)
        runs = Runs(store, definitions, workflows, host, masking, limits)
        exceptions = Exceptions(store, definitions, host, masking)
        tasks = Tasks(store, definitions, directory, host, masking)
        profiles, effects = Profiles(store, directory, masking), Effects(store, masking)
        tokens = Tokens(roster)
        exporting = Exporting(
            store,
            definitions,
            masking,
            tasks=tasks,
            exceptions=exceptions,
            effects=effects,
            audit=audit,
            accounts=accounts,
            tokens=tokens,
            profiles=profiles,
        )
        yield Service(
            workflows=workflows,
            runs=runs,
            migrating=Migrating(store, definitions, workflows, host),
            steering=Steering(store, definitions, workflows, runs, host, masking, limits),
            exceptions=exceptions,
            tasks=tasks,
            profiles=profiles,
            effects=effects,
            events=Events(host),
            connections=connections,
            models=Models(known_models),
            audit=audit,
            controls=Controls(store, audit, known_models, ring),
            keys=Keys(store, ring),
            subjects=Subjects(store, ring, exporting),
            secrets=Secrets(store, source, definitions, loaded),
            retention=Retention(rules, settings, definitions, store, host),
            timeline=Timeline(store, runs, ring, masking),
            backups=Backups(store),
            accounts=accounts,
            sessions=sessions,
            own_credentials=OwnCredentials(roster, passwords, failures, personal),
            tokens=tokens,
            sso=SingleSignOn(settings.oidc, sessions, handlers, source, store, settings.scim, settings.public_url),
            scim=ScimDescription(settings.max_body_bytes),
            scim_users=ScimUsers(teams, directory),
            scim_groups=ScimGroups(teams),
            permissions=Permissions(store, accounts),
            publications=publications,
            owning=Owning(store, definitions, loaded, ownership, publications),
            adjusting=Adjusting(store, definitions, workflows, adjusted),
            limits=ActLimitsUsed(act_limits),
            switches=StopSwitches(store, guard.switches, host),
            store=store,
            host=host,
            guard=guard,
        )


def _host(
    folder: Path,
    settings: Settings,
    handlers: Handlers,
    plans: Callable[[Store], Definitions],
    secrets: SecretSource,
    rules: Rules,
    attended: bool,
    alone: bool,
    door: ActDoor,
    ring: KeyRing | None,
    values: Callable[[Plan], Mapping[str, Any]],
) -> AbstractAsyncContextManager[EmbeddedHost]:
    from segue.hosts import EmbeddedHost, HostSettings

    return EmbeddedHost.open(
        folder,
        handlers=handlers,
        plans=plans,
        secrets=secrets,
        door=door,
        policy=policies(
            attended=attended,
            concurrency=settings.concurrency,
            escalate_after=settings.escalate_after,
            escalate_to=settings.escalate_to,
        ),
        values=values,
        cipher=ring,
        settings=HostSettings(
            acts_max=settings.acts_max,
            early_events_ms=settings.early_events_ms,
            hold_failures=settings.failures == "hold",
            disk_free_min_bytes=settings.disk_free_min_mb * 1_000_000,
            payload_bytes_max=settings.payload_max_kb * 1024,
            retention=rules,
            tune_gc=alone,
            history_max_events=settings.history_max_events,
        ),
    )


async def _activate(host: EmbeddedHost, definitions: Definitions) -> None:
    """Let what was published while no host ran start by itself."""
    active = {record.digest for record in host.schedules()}
    for name in definitions.names():
        latest = definitions.find(*name, "latest")
        if latest is not None and latest.digest not in active and definitions.is_scheduled(latest):
            await host.activate(latest.digest)


@asynccontextmanager
async def open_checker(
    settings: Settings, *, functions: FunctionRegistry | None = None
) -> AsyncIterator[Callable[[bytes, Path], Awaitable[Validation]]]:
    """Validate documents without a data folder; schemas that they name by path are read beside each file.

    Raises:
        ServiceError: `function-refused`.
    """
    registry = functions if functions is not None else FunctionRegistry()
    load_functions(registry, settings.functions)
    models, connections = ModelRegistry(), MemoryConnections()
    alone = Guard(local=LOCAL_OWNER)
    handlers = Handlers(registry, models, lambda: _make(settings, registry, models, connections))

    async def check(content: bytes, path: Path) -> Validation:
        resources = Resources(lambda: handlers.outbound, path.parent)
        definitions = Definitions(
            functions=lambda: described(registry),
            allow_processes=settings.allow_processes,
            fetch_function=resources.function,
            fetch_resource=resources.resource,
            allow_remote_functions=settings.allow_remote_functions,
        )
        workflows = Workflows(definitions, None, Flows(definitions, connections))
        # Whoever checks a file on their own machine needs nobody's leave.
        workflows.guard = alone
        return await workflows.validate(content, file=str(path))

    try:
        yield check
    finally:
        await handlers.aclose()
