"""What the use cases of a data folder stand on before it is opened: settings, handlers, definitions, the guard."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from segue.ai import ModelRegistry
from segue.connectors import MemoryConnections, OutboundPolicy, connection_from_json
from segue.governance import (
    MODEL,
    ActDoor,
    ActLimits,
    ChainedSecrets,
    Consents,
    EnvironmentSecrets,
    FileSecrets,
    Guard,
    KeyRing,
)
from segue.handlers import FunctionRegistry, HandlerSet, build_handlers
from segue.service.adjusted import Adjusted
from segue.service.connections import foreseeing, foreseeing_operations
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.flows import Flows
from segue.service.functions import described, load_functions
from segue.service.keys import ring_of
from segue.service.later import Handlers
from segue.service.limits import count_on
from segue.service.masking import Masking
from segue.service.ownership import Accesses, Ownership
from segue.service.permissions import put_in_force
from segue.service.policies import refused_ladder
from segue.service.resources import Resources
from segue.service.retention import rules_of
from segue.service.settings import Settings
from segue.service.switches import load_switches
from segue.service.vault import VaultSecrets
from segue.store import Rules, Store
from segue.store.adjustments import list_values
from segue.store.consents import list_consents, list_model_owners
from segue.store.folder import DATABASE_NAME, open_reader
from segue.store.permission import list_policy_changes, list_switches
from segue.store.records import list_connections
from segue.types import Identity, SecretSource, TaskFailure

_log = logging.getLogger("segue.ground")


@dataclass(frozen=True, slots=True)
class Ground:
    """Made by `lay`; `load` fills it with what the folder holds.

    Attributes:
        loaded: Connections as they are used; `source`: where secrets come from.
        ring: Opens and seals what is stored; None in a plain folder.
    """

    folder: Path
    settings: Settings
    models: ModelRegistry
    loaded: MemoryConnections
    source: VaultSecrets
    handlers: Handlers
    definitions: Definitions
    guard: Guard
    rules: Rules
    ring: KeyRing | None
    flows: Flows
    masking: Masking
    limits: ActLimits
    adjusted: Adjusted
    ownership: Ownership
    accesses: Accesses

    @classmethod
    def lay(
        cls,
        folder: Path,
        settings: Settings,
        *,
        functions: FunctionRegistry | None,
        models: ModelRegistry | None,
        secrets: SecretSource | None,
        base: Path | None,
        local: Identity | None,
        among: bool = False,
    ) -> Ground:
        """Arguments as for `open_service`; `local` is who acts where no edge has said who.

        Raises:
            ServiceError: `setting-refused` or `function-refused`.
        """
        if (why := refused_ladder(settings.escalate_after, settings.escalate_to)) is not None:
            raise ServiceError("setting-refused", f"{why}.")
        registry = functions if functions is not None else FunctionRegistry()
        load_functions(registry, settings.functions, only_named=among)
        known = models if models is not None else ModelRegistry()
        load_models(folder, settings, known)
        loaded = MemoryConnections()
        handlers = Handlers(registry, known, lambda: make_handlers(settings, registry, known, loaded))
        resources = Resources(lambda: handlers.outbound, base)
        definitions = Definitions(
            functions=lambda: described(registry),
            allow_processes=settings.allow_processes,
            connections=lambda: [connection.name for connection in loaded.all()],
            check_call=foreseeing(loaded, lambda: handlers.calls),
            check_operation=foreseeing_operations(loaded, lambda: handlers.calls, resources.resource),
            fetch_function=resources.function,
            fetch_resource=resources.resource,
            allow_remote_functions=settings.allow_remote_functions,
        )
        guard = Guard(local=local, workspace=settings.workspace)
        flows = Flows(definitions, loaded)
        accesses = Accesses(loaded)
        return cls(
            folder=folder,
            settings=settings,
            models=known,
            loaded=loaded,
            source=VaultSecrets(secrets if secrets is not None else secrets_of(settings)),
            handlers=handlers,
            definitions=definitions,
            guard=guard,
            rules=rules_of(settings, definitions),
            ring=ring_of(folder, settings),
            flows=flows,
            masking=Masking(definitions, flows, guard),
            limits=ActLimits(settings.limits),
            adjusted=Adjusted(),
            ownership=Ownership(
                Consents(accesses.owner, accesses.of),
                lambda name: (
                    known.has(name.removeprefix(MODEL)) if name.startswith(MODEL) else bool(loaded.find(name))
                ),
            ),
            accesses=accesses,
        )

    def load(self, store: Store) -> Definitions:
        """Learn what the host needs before it goes on with the first run."""
        self.source.store = store
        with closing(open_reader(store.folder / DATABASE_NAME, self.ring)) as reader:
            self.definitions.load(store, reader)
            self.source.load(reader)
            # Before the host goes on: what is forbidden or stopped must not go out once more.
            put_in_force(self.guard, list_policy_changes(reader))
            self.adjusted.load(list_values(reader))
            count_on(self.limits, store, reader)
            load_switches(self.guard, list_switches(reader, thrown=True))
            for name, data in list_connections(reader).items():
                try:
                    self.loaded.put(connection_from_json(data))
                except TaskFailure as failure:
                    # One that was changed in the file must not keep all work, and verifying it, from going on.
                    _log.error("the connection %s is left out; `segue audit verify` tells more: %s", name, failure)
            self.accesses.model_owners.update(list_model_owners(reader))
            self.ownership.store = store
            self.ownership.load(list_consents(reader, state="granted"))
        return self.definitions

    def door(self) -> ActDoor:
        """What every act passes."""
        guard, flows = self.guard, self.flows
        consents = self.ownership.consents
        usual = self.settings.approvals
        return ActDoor(
            guard,
            guard.switches,
            flows.facts,
            self.limits,
            consents,
            clock=usual,
            changes=flows.changes,
            apart=flows.tells_apart,
        )


def make_handlers(
    settings: Settings, functions: FunctionRegistry, models: ModelRegistry, connections: MemoryConnections
) -> HandlerSet:
    """The handlers that these settings want. They import what is slow to import, so they are made late."""
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
    environment = EnvironmentSecrets(settings.secret_variables)
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
