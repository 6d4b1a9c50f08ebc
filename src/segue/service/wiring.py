"""The use cases of an open data folder, each with what it needs and nothing else."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from segue.governance.credentials import Passwords
from segue.service.accounts import Accounts
from segue.service.adjusting import Adjusting
from segue.service.attempts import FailedSignIns, told_in_time
from segue.service.audit import Audit
from segue.service.backups import Backups, note_restored
from segue.service.connections import Connections
from segue.service.controls import Controls
from segue.service.deciders import Deciders
from segue.service.directory import Directory, now_ms
from segue.service.effects import Effects
from segue.service.events import Events
from segue.service.exceptions import Exceptions
from segue.service.exporting import Exporting
from segue.service.forwarding import Forwarding
from segue.service.ground import Ground
from segue.service.holders import Holders
from segue.service.keys import Keys
from segue.service.leaving import Leaving
from segue.service.limits import ActLimitsUsed
from segue.service.migrating import Migrating
from segue.service.models import Models
from segue.service.own_credentials import OwnCredentials
from segue.service.owning import Owning
from segue.service.permissions import Permissions
from segue.service.personal import Personal
from segue.service.profiles import Profiles
from segue.service.publishing import Publications, Publishing
from segue.service.reach import Reach
from segue.service.recorded import Limits
from segue.service.retention import Retention
from segue.service.roles import KnownRoles
from segue.service.roster import Roster
from segue.service.runs import Runs
from segue.service.scim import ScimDescription, ScimGroups, ScimUsers, Teams
from segue.service.second import AccountChanges, AccountWishes
from segue.service.service import Service
from segue.service.sessions import Sessions
from segue.service.sso import SingleSignOn
from segue.service.steering import Steering
from segue.service.subjects import Subjects
from segue.service.switches import StopSwitches
from segue.service.tasks import Tasks
from segue.service.telling import Telling
from segue.service.timeline import Timeline
from segue.service.tokens import Tokens
from segue.service.vault import Secrets
from segue.service.waiting import Waiting
from segue.service.wish_keeper import Lapsing, WishKeeper
from segue.service.wishes import Wishes
from segue.service.workflows import Workflows
from segue.store import Store
from segue.store.wishes import Wish, WishKind

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost


@dataclass(frozen=True, slots=True)
class _People:
    """Who there is, and how they sign in and are reached."""

    roster: Roster
    passwords: Passwords
    directory: Directory
    personal: Personal
    accounts: Accounts
    reach: Reach
    wishes: AccountWishes
    deciders: Deciders
    failures: FailedSignIns
    sessions: Sessions
    teams: Teams
    roles: KnownRoles


async def wire(
    ground: Ground, store: Store, host: EmbeddedHost | None, stack: AsyncExitStack, *, signed: bool
) -> Service:
    """All use cases over an open store. What goes on by itself is entered into `stack`.

    Args:
        signed: Sign the audit chain.
    """
    settings = ground.settings
    key_file = None if settings.audit_key_file is None else Path(settings.audit_key_file)
    audit = Audit(store, ground.masking, key_file=key_file)
    if signed:
        await audit.note_settings(msgspec.json.encode(settings))
        await stack.enter_async_context(audit.kept())
        await stack.enter_async_context(Forwarding(store, ground.masking, settings.audit_export).kept())
    ground.guard.audit = store
    await stack.enter_async_context(told_in_time(store, ground.guard.tell_refusals, "segue-refusals"))
    await note_restored(store)
    people = await _people(ground, store, host, stack)
    if host is not None:
        await _tell(ground, store, people, stack)
        await stack.enter_async_context(Leaving(store, people.roster, people.directory, host).kept())
        if ground.guard.local is None:
            # A server is asked by many; a program that opens the folder for itself mostly asks for one thing.
            await stack.enter_async_context(ground.flows.kept())
    service = _assembled(ground, store, host, audit, people)
    if host is not None:
        await stack.enter_async_context(_keeper(ground, service, people).kept())
    return service


def _keeper(ground: Ground, service: Service, people: _People) -> WishKeeper:
    """The clocks of what waits for approval go on as long as the folder is open."""

    async def consent_lapsed(wish: Wish, reason: str) -> None:
        namespace, _, name = wish.place.partition("/")
        use = (wish.connection, namespace, name, wish.more)
        await service.publications.give_up(namespace, name, use, reason, "lapsed")

    lapsing: dict[WishKind, Lapsing] = {
        "publication": Lapsing(service.publications.deciding),
        "adjustment": Lapsing(ground.adjusted.changing),
        "consent": Lapsing(service.owning.deciding, consent_lapsed),
        "account": Lapsing(service.account_changes.deciding),
    }
    return WishKeeper(service.store, people.directory, people.deciders, lapsing)


async def _people(ground: Ground, store: Store, host: EmbeddedHost | None, stack: AsyncExitStack) -> _People:
    settings = ground.settings
    roster, passwords = await Roster.load(store), Passwords()
    directory = Directory(store, host.now_ms if host is not None else now_ms, roster.people)
    personal = Personal(store, directory, ground.handlers, ground.source)
    await stack.enter_async_context(personal.kept())
    reach = Reach(ground.guard, ground.accesses.owners)
    deciders = Deciders(ground.guard, ground.ownership.consents.owner_of, directory, settings.wishes)
    wishes = AccountWishes(store, personal, deciders)
    failures = FailedSignIns(store, settings.workspace)
    await stack.enter_async_context(failures.kept())
    roles = KnownRoles(settings, ground.guard, ground.definitions)
    roles.require_mapped()
    teams = Teams(roster, settings.providers.get(settings.provisioned_through), settings.scim)
    await teams.load(store)
    return _People(
        roster=roster,
        passwords=passwords,
        directory=directory,
        personal=personal,
        accounts=Accounts(roster, passwords, personal, directory, reach, wishes, roles),
        reach=reach,
        wishes=wishes,
        deciders=deciders,
        failures=failures,
        sessions=Sessions(roster, passwords, failures, directory, settings.scim),
        teams=teams,
        roles=roles,
    )


async def _tell(ground: Ground, store: Store, people: _People, stack: AsyncExitStack) -> None:
    """Tell people and systems what happens, as long as the folder is open."""
    settings, handlers = ground.settings, ground.handlers
    telling = Telling(
        store,
        people.directory,
        handlers,
        ground.source,
        settings.public_url,
        ground.masking,
        ground.definitions,
        Holders(ground.guard, people.directory),
    )
    await stack.enter_async_context(telling.kept())
    if settings.lifecycle_webhook is not None:
        from segue.service.webhook import LifecycleWebhook

        webhook = LifecycleWebhook(
            settings.lifecycle_webhook, store, ground.definitions, handlers.outbound, ground.masking
        )
        await stack.enter_async_context(webhook.kept())


def _assembled(ground: Ground, store: Store, host: EmbeddedHost | None, audit: Audit, people: _People) -> Service:
    settings, definitions, masking = ground.settings, ground.definitions, ground.masking
    roster, sessions, directory = people.roster, people.sessions, people.directory
    publishing = Publishing(
        store,
        settings.publishing,
        ground.adjusted,
        ground.ownership,
        people.deciders,
        ground.models,
        Holders(ground.guard, directory),
        definitions.starts_on_events,
        people.roles,
    )
    workflows = Workflows(definitions, host, ground.flows, publishing)
    publications = Publications(store, workflows, people.deciders)
    limits = Limits(settings.history_max_events, settings.payload_warn_kb * 1024)
    runs = Runs(store, definitions, workflows, host, masking, limits)
    exceptions = Exceptions(store, definitions, host, masking)
    tasks = Tasks(store, definitions, directory, host, masking)
    profiles = Profiles(store, directory, masking, roster, people.reach, people.wishes)
    effects, tokens = Effects(store, definitions, masking), Tokens(roster)
    exporting = Exporting(
        store,
        definitions,
        masking,
        tasks=tasks,
        exceptions=exceptions,
        effects=effects,
        audit=audit,
        accounts=people.accounts,
        tokens=tokens,
        profiles=profiles,
    )
    return Service(
        workflows=workflows,
        runs=runs,
        migrating=Migrating(store, definitions, workflows, host),
        steering=Steering(store, definitions, workflows, runs, host, masking, limits),
        exceptions=exceptions,
        tasks=tasks,
        waiting=Waiting(store, directory, tasks, workflows, people.deciders, masking),
        wishes=Wishes(store, people.deciders),
        profiles=profiles,
        effects=effects,
        events=Events(host),
        connections=Connections(store, ground.loaded, ground.handlers, ground.source, settings.connection_variables),
        models=Models(ground.models, ground.accesses.model_owners, definitions),
        audit=audit,
        controls=Controls(store, audit, ground.models, ground.ring),
        keys=Keys(store, ground.ring),
        subjects=Subjects(store, ground.ring, exporting, *(() if host is None else (host.about,))),
        secrets=Secrets(store, ground.source, definitions, ground.loaded),
        retention=Retention(ground.rules, settings, definitions, store, host),
        timeline=Timeline(store, definitions, runs, ground.ring, masking),
        backups=Backups(store),
        accounts=people.accounts,
        account_changes=AccountChanges(store, roster, people.accounts, profiles, people.deciders),
        sessions=sessions,
        own_credentials=OwnCredentials(roster, people.passwords, people.failures, people.personal),
        tokens=tokens,
        sso=SingleSignOn(settings, sessions, ground.handlers, ground.source, store),
        scim=ScimDescription(settings.max_body_bytes),
        scim_users=ScimUsers(people.teams, directory),
        scim_groups=ScimGroups(people.teams),
        permissions=Permissions(store, people.accounts),
        publications=publications,
        owning=Owning(
            store,
            definitions,
            ground.loaded,
            ground.ownership,
            publications,
            people.deciders,
            ground.models,
            ground.accesses,
        ),
        adjusting=Adjusting(store, definitions, workflows, ground.adjusted, people.deciders),
        limits=ActLimitsUsed(ground.limits),
        switches=StopSwitches(store, ground.guard.switches, host, ground.models),
        store=store,
        host=host,
        guard=ground.guard,
    )
