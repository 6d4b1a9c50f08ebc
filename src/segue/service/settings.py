"""Settings: one struct, four sources. A flag beats the environment, which beats `segue.toml`."""

from __future__ import annotations

import ipaddress
import logging
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from segue.governance.clocks import ApprovalClock, WishClocks
from segue.governance.export import complaint_of_target
from segue.governance.kms import KmsSettings
from segue.governance.limits import ActLimit
from segue.service.errors import ServiceError
from segue.service.shared import (
    SHARED_NAME,
    below_shared,
    environment_or,
    installation_of,
    refuse_alone,
    refuse_shared,
    secret_variables,
)

_log = logging.getLogger("segue.settings")

FILE_NAME: Final = "segue.toml"
PREFIX: Final = "SEGUE_"
HISTORY_MIN: Final = 100
"""Fewer events than this would leave nothing to look at when something goes wrong."""
DEFAULT_FOLDER: Final = "segue-data"
# Read by the command line itself, or by other parts of the environment; not settings of a data folder.
_NOT_SETTINGS: Final = frozenset(
    {
        *("SEGUE_DATA", "SEGUE_WORKSPACES", "SEGUE_URL", "SEGUE_TOKEN", "SEGUE_PASSWORD", "SEGUE_NEW_PASSWORD"),
        *("SEGUE_AUDIT_KEY", "SEGUE_KEY"),
    }
)
_NOT_SETTINGS_PREFIXES: Final = ("SEGUE_SECRET_", "SEGUE_TEST_")


class OutboundSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What requests of workflows may reach, and how far they may go.

    Attributes:
        allow_hosts: When not empty, only these hosts; `*.example.org` means all below it.
        deny_hosts: Never these hosts.
        allow_networks: CIDR ranges that are allowed though they are private or local.
        deny_networks: CIDR ranges that are never reached.
        allow_loopback: Reach this machine itself.
        allow_private: Reach private networks such as 10.0.0.0/8.
        max_redirects: Redirects followed for one request.
        connect_ms: Longest time to open a connection, in milliseconds.
        total_ms: Longest time for a request and its whole answer, in milliseconds.
        max_response_bytes: Largest answer that is read.
        max_connections: Open connections to all hosts together.
    """

    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()
    allow_loopback: bool = False
    allow_private: bool = False
    max_redirects: int = 0
    connect_ms: int = 10_000
    total_ms: int = 60_000
    max_response_bytes: int = 32 * 1024 * 1024
    max_connections: int = 100


class ProcessLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of programs that documents start, where `allow_processes` lets them.

    Attributes:
        time_limit_ms: A program that runs longer is killed.
        output_limit_bytes: Of its output; a program that writes more is killed.
        concurrency: Programs running at the same time.
    """

    time_limit_ms: int = 60_000
    output_limit_bytes: int = 4 * 1024 * 1024
    concurrency: int = 8


UNNAMED: Final = "oidc"
"""What the provider of the table `[oidc]` is called among several."""


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The OpenID provider that people sign in through.

    Attributes:
        issuer: As its tokens name it, to the letter.
        client_secret: Name of the secret that holds the client's secret; None for a public client.
        scopes: What is asked for; `openid` is among it.
        name_claim: Claim from which somebody's name here is made when they come for the first time.
        groups_claim: Claim with the names of the groups that somebody belongs to.
        roles: Roles here by group there. Nobody gets others by signing in.
        groups: Groups here by group there.
        allowed_domains: When not empty, only people with a verified e-mail address of these domains come in.
        title: What people read where they choose among several; the name of its table where it is left out.
    """

    issuer: str
    client_id: str
    client_secret: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    roles: dict[str, list[str]] = {}
    groups: dict[str, list[str]] = {}
    allowed_domains: tuple[str, ...] = ()
    title: str = ""

    @property
    def needed_claims(self) -> frozenset[str]:
        """Claims that are asked for at the provider where its ID token does not hold them."""
        mail = ("email", "email_verified") if self.allowed_domains else ()
        return frozenset({self.name_claim, self.groups_claim, *mail})


class ScimSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How people that a directory provisions sign in, and what gives them their roles.

    Attributes:
        link: Claim of the provider whose value is the `externalId` of whoever signs in; `email` compares the verified
            address with the one of the directory instead; empty links nobody.
        groups: What the mapping of `oidc` is asked with for them: the groups that the directory `pushed`, or those
            of the `claim` at each sign-in.
        only: Nobody comes in through a provider whom the directory has not provisioned.
        provider: Through which of several providers they sign in, by its name: `oidc` for the table of that name.
    """

    link: str = "sub"
    groups: Literal["pushed", "claim"] = "pushed"
    only: bool = False
    provider: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an administrator decides about one data folder.

    Attributes:
        workspace: Name of the workspace that the data folder is; identities that were added under another name have
            no rights in it.
        host: Address that `segue serve` binds to.
        port: Port that `segue serve` binds to; 0 lets the system choose.
        allowed_hosts: Further names by which the server may be addressed, besides the loopback ones.
        public_url: Where people reach the server, such as `https://segue.example.com`; mails then bring links.
        max_body_bytes: Largest request body that the server reads.
        tls_cert_file: Certificate, with its chain, as PEM: the server then speaks TLS 1.2 or later and nothing else.
        tls_key_file: Private key of the certificate; in the same file where it is left out.
        behind_proxy: Addresses or networks of proxies that end TLS in front of the server. What they say of the
            client's address is believed; with one named, the server may listen beyond loopback without TLS.
        requests_per_minute: Requests by each identity; 0 for any number. The holder of the folder is not bounded.
        guesses_per_minute: Passwords and one-time codes tried from one address; 0 for any number.
        allow_processes: Let documents start processes (`run.script`, `run.shell`).
        allow_remote_functions: Let documents call functions by an absolute address; they are read at publish.
        functions: Python functions to register at the start, each as `module:name` or `NAME=module:name`.
        models_folder: Folder with model files and their cards; `models` in the data folder where it is left out.
        secrets_folder: Folder with one file for each secret, asked after the environment.
        secret_variables: What the variables of the environment begin with that hold secrets. Of several workspaces
            each has its own, which nobody sets.
        connection_variables: Variables of the environment that a connection added over the network may take its
            credentials from: `NAME`, `PREFIX_*`, or `CONNECTION:NAME` for one connection. None where it is empty.
        audit_key_file: Key that signs checkpoints of the audit chain; `audit.key` in the data folder where it is left
            out. The variable SEGUE_AUDIT_KEY may hold the key itself.
        key_file: Key-encryption key of an encrypted data folder. The variable SEGUE_KEY may hold the key itself.
        kms: Service that wraps the key-encryption key, in place of `key_file`: `kind` is `vault` or `aws`; see
            `segue.governance.VaultTransit` and `AwsKms`.
        audit_export: Where records of the audit chain are sent on to: paths, `syslog+udp://HOST:PORT`,
            `syslog+tcp://HOST:PORT`, `syslog+tls://HOST:PORT` or `otlp+http://HOST:PORT/v1/logs`.
        lifecycle_webhook: Where lifecycle CloudEvents of all runs are posted, as batches; none are where it is left
            out. The outbound policy counts for it.
        acts_max: Acts on the world under way at the same time, over all runs.
        early_events_ms: How long an event is kept for runs that wait for it later, in milliseconds.
        failures: What becomes of a failure that nobody catches: `hold` lets the task wait for a person, `fault`
            ends the run. `segue serve` holds unless told otherwise.
        escalate_after: Deadline of an exception whose document names none, as a duration such as `PT4H`; none has one
            where it is left out.
        escalate_to: Who answers for it then, one after the other: people, roles or groups.
        publishing: What becomes of a document that lacks its owner, purpose, class of risk, data classes, error
            route, fallback or tests: `off` publishes it, `warn` says so, `block` refuses it.
        roles: Roles of your own, besides those that ship and that rules name. Where there are any, documents and
            people have no others.
        limits: How much workflows may do without a person; see `segue.governance.ActLimit`.
        approvals: What the clock does while acts wait for approval, where neither rule nor limit says it.
        wishes: The clocks of publications, changes of values, consents and changes of people that wait for somebody:
            see `segue.governance.WishClocks`.
        disk_free_min_mb: While less disk space is free, in MB, new runs and events are refused; 0 never refuses.
        payload_warn_kb: Values from this size on, in KiB of JSON, are pointed out in what is told of a run; 0 never.
        retention_days: How long closed runs are kept after their end; 0 keeps them for ever.
        retention_by_class: Closed runs whose document names this data class are kept so many days at most, whatever
            else is said; at least 1.
        history_max_events: A run keeps about so many events; when it has more, its oldest ones are folded into a
            snapshot. A document may say otherwise. 0 keeps all of them.
        event_retention_days: How long CloudEvents are kept after their arrival; 0 keeps them for ever.
        payload_max_kb: Largest input, result of a task or event that is stored, in KiB of JSON.
        concurrency: How many runs of a workflow may be under way, by `namespace/name`; beats what its documents say.
        mail: Mail server that e-mail leaves through: `host`, `sender`, `port`, `tls`, `username`, `password`.
        oidc: The OpenID provider that people sign in through; nobody does where it is left out.
        sso: Further ones, by the names that people choose them by.
        scim: How people that a directory provisions sign in.
        outbound: What requests of workflows may reach.
        processes: Bounds of programs that documents start.
    """

    workspace: str = "default"
    host: str = "127.0.0.1"
    port: int = 8420
    allowed_hosts: tuple[str, ...] = ()
    public_url: str | None = None
    max_body_bytes: int = 4 * 1024 * 1024
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    behind_proxy: tuple[str, ...] = ()
    requests_per_minute: int = 6000
    guesses_per_minute: int = 60
    allow_processes: bool = False
    allow_remote_functions: bool = False
    functions: tuple[str, ...] = ()
    models_folder: str | None = None
    secrets_folder: str | None = None
    secret_variables: str = "SEGUE_SECRET_"  # noqa: S105 - the beginning of names
    connection_variables: tuple[str, ...] = ()
    audit_key_file: str | None = None
    key_file: str | None = None
    kms: KmsSettings | None = None
    audit_export: tuple[str, ...] = ()
    lifecycle_webhook: str | None = None
    acts_max: int = 1000
    early_events_ms: int = 3_600_000
    failures: Literal["hold", "fault"] = "fault"
    escalate_after: str | None = None
    escalate_to: tuple[str, ...] = ()
    publishing: Literal["off", "warn", "block"] = "off"
    roles: tuple[str, ...] = ()
    limits: tuple[ActLimit, ...] = ()
    approvals: ApprovalClock = ApprovalClock()
    wishes: WishClocks = WishClocks()
    disk_free_min_mb: int = 256
    payload_max_kb: int = 16 * 1024
    payload_warn_kb: int = 1024
    retention_days: int = 90
    event_retention_days: int = 30
    retention_by_class: dict[str, int] = {}
    history_max_events: int = 10_000
    concurrency: dict[str, int] = {}
    mail: dict[str, Any] = {}
    oidc: OidcSettings | None = None
    sso: dict[str, OidcSettings] = {}
    scim: ScimSettings = ScimSettings()
    outbound: OutboundSettings = OutboundSettings()
    processes: ProcessLimits = ProcessLimits()

    @property
    def providers(self) -> dict[str, OidcSettings]:
        """Every OpenID provider by its name; the one that needs none is called `oidc`."""
        return ({} if self.oidc is None else {UNNAMED: self.oidc}) | self.sso

    @property
    def provisioned_through(self) -> str:
        """The provider that people sign in through whom a directory provisions; empty where it is not said."""
        if self.scim.provider:
            return self.scim.provider
        return UNNAMED if self.oidc is not None else next(iter(self.sso)) if len(self.sso) == 1 else ""


TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "approvals": ApprovalClock,
    "wishes": WishClocks,
    "outbound": OutboundSettings,
    "processes": ProcessLimits,
    "oidc": OidcSettings,
    "scim": ScimSettings,
}
"""Tables of the file whose settings have variables of their own."""


def load_settings(
    folder: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of a data folder.

    Args:
        folder: Where `segue.toml` may lie; None reads no file.
        environment: Variables `SEGUE_NAME` and `SEGUE_OUTBOUND_NAME`; the process's own when None. Lists are
            written with commas.
        flags: What the command line says, by name; None values count as unsaid.
        defaults: Defaults of this occasion, in the shape of the file; every source beats them.

    Raises:
        ServiceError: `setting-refused`, naming the setting and its source.
    """
    above = None if folder is None else installation_of(folder)
    said = _from_environment(environment_or(environment))
    told = {name: value for name, value in (flags or {}).items() if value is not None}
    if folder is None or above is None:
        own = {} if folder is None else _read_file(folder / FILE_NAME)
        return _checked(_over(defaults or {}, own, said, told), "the settings")
    name, own = folder.absolute().name, _read_file(folder / FILE_NAME)
    shared = _over(defaults or {}, _read_file(above / SHARED_NAME))
    refuse_shared(shared, str(above / SHARED_NAME))
    given = _over(said, told)
    merged = _over(
        {"workspace": name, "secret_variables": secret_variables(name)},
        *(below_shared(shared, name), own, below_shared(given, name)),
    )
    refuse_alone(own, merged, folder)
    return _checked(merged, f"the settings of {str(folder)!r}")


def load_shared(
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """What a folder of workspaces says for its server and for all of them.

    The arguments are those of `load_settings`.

    Raises:
        ServiceError: `setting-refused`, also for what only one workspace may say.
    """
    variables = environment_or(environment)
    shared, said = _read_file(folder / SHARED_NAME), _from_environment(variables)
    refuse_shared(shared, str(folder / SHARED_NAME))
    refuse_shared(said, "the environment", variables)
    told = {name: value for name, value in (flags or {}).items() if value is not None}
    merged = _over(defaults or {}, shared, said, told)
    if merged.get("allow_processes"):
        raise ServiceError(
            "setting-refused",
            "Programs that one workspace starts could read the folders of the others.",
            remedy="Serve the workspace that needs them by a server of its own, as a user of its own.",
        )
    return _checked(merged, f"the settings of {str(folder)!r}")


def _over(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One above the other; the last one is the strongest."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer)
    return merged


def _read_file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ServiceError("setting-refused", f"{path} cannot be read: {error}.") from None
    # Checked here already, so that the message can name the file.
    _checked(found, str(path))
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable.startswith(_NOT_SETTINGS_PREFIXES):
            continue
        place, name, kind = _place_of(variable)
        if kind is None:
            # Not refused: other programs may share the prefix. Not silent: it may be a typing error.
            _log.warning("the environment variable %s names no setting and is ignored", variable)
            continue
        value = _value_of(variable, text, kind)
        (found if place is None else found.setdefault(place, {}))[name] = value
    return found


def _place_of(variable: str) -> tuple[str | None, str, Any]:
    name = variable.removeprefix(PREFIX).lower()
    table: str | None = None
    owner: type[msgspec.Struct] = Settings
    for candidate, struct in TABLES.items():
        if name.startswith(candidate + "_"):
            table, name, owner = candidate, name.removeprefix(candidate + "_"), struct
    kinds = {field.name: field.type for field in msgspec.structs.fields(owner)}
    return table, name, None if name in ("mail", "kms", "limits", "concurrency", "sso", *TABLES) else kinds.get(name)


def _value_of(variable: str, text: str, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool and text.lower() in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        return text.lower() in ("1", "true", "yes", "on")
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ServiceError("setting-refused", f"The environment variable {variable} is wrong: {error}.") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _check_providers(settings: Settings, source: str) -> None:
    for name, provider in settings.providers.items():
        _check_oidc(provider, UNNAMED if name == UNNAMED else f"sso.{name}", source)
        if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name) is None or UNNAMED in settings.sso:
            detail = f"In {source}: `sso.{name}`: a provider's name is short, in lower case, and not `{UNNAMED}`."
            raise ServiceError("setting-refused", detail)
    # Issuer and subject are all that tells people apart.
    if len({provider.issuer for provider in settings.providers.values()}) < len(settings.providers):
        raise ServiceError("setting-refused", f"In {source}: two providers have the same `issuer`.")
    if settings.scim.provider and settings.scim.provider not in settings.providers:
        raise ServiceError("setting-refused", f"In {source}: `scim.provider` names no provider.")


def _check_oidc(oidc: OidcSettings, table: str, source: str) -> None:
    place = urlsplit(oidc.issuer)
    local = place.scheme == "http" and place.hostname in ("127.0.0.1", "localhost", "::1")
    if not (place.scheme == "https" or local) or not place.hostname or place.query or place.fragment:
        raise ServiceError("setting-refused", f"In {source}: `{table}.issuer` must be an address with https.")
    if "openid" not in oidc.scopes:
        raise ServiceError("setting-refused", f"In {source}: `{table}.scopes` must name `openid`.")
    if {"owner", "system"} & {role for roles in oidc.roles.values() for role in roles}:
        raise ServiceError("setting-refused", f"In {source}: `{table}.roles` cannot grant `owner` or `system`.")


def _checked(values: Mapping[str, Any], source: str) -> Settings:
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise ServiceError("setting-refused", f"In {source}: {error}.") from None
    if not 0 <= settings.port <= 65535:
        raise ServiceError("setting-refused", f"In {source}: `port` must lie in 0 to 65535, got {settings.port}.")
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", settings.workspace) is None:
        raise ServiceError("setting-refused", f"In {source}: `workspace` must be a short name in lower case.")
    for target in settings.audit_export:
        if complaint := complaint_of_target(target):
            raise ServiceError("setting-refused", f"In {source}: `audit_export`: {complaint}.")
    if settings.lifecycle_webhook is not None and not _is_address(settings.lifecycle_webhook):
        raise ServiceError("setting-refused", f"In {source}: `lifecycle_webhook` must be an http or https address.")
    if re.fullmatch(r"[A-Z][A-Z0-9_]*_", settings.secret_variables) is None:
        raise ServiceError(
            "setting-refused", f"In {source}: `secret_variables` must be capitals, digits and _, with _ at its end."
        )
    names = [limit.name for limit in settings.limits]
    if len(set(names)) < len(names):
        raise ServiceError("setting-refused", f"In {source}: each of the `limits` needs a name of its own.")
    for act_limit in settings.limits:
        if complaint := act_limit.complaint():
            raise ServiceError("setting-refused", f"In {source}: the limit {act_limit.name!r}: {complaint}.")
    if complaint := settings.approvals.complaint():
        raise ServiceError("setting-refused", f"In {source}: `approvals`: {complaint}.")
    if complaint := settings.wishes.complaint():
        raise ServiceError("setting-refused", f"In {source}: `wishes`: {complaint}.")
    not_negative = ("disk_free_min_mb", "retention_days", "event_retention_days", "payload_warn_kb")
    for name in (*not_negative, "requests_per_minute", "guesses_per_minute"):
        if getattr(settings, name) < 0:
            raise ServiceError("setting-refused", f"In {source}: `{name}` must not be negative.")
    if settings.tls_key_file is not None and settings.tls_cert_file is None:
        raise ServiceError("setting-refused", f"In {source}: `tls_key_file` needs `tls_cert_file`.")
    for proxy in settings.behind_proxy:
        if not _is_network(proxy):
            detail = f"In {source}: `behind_proxy` names addresses or networks, not {proxy!r}."
            raise ServiceError("setting-refused", detail)
    if any(days < 1 for days in settings.retention_by_class.values()):
        raise ServiceError(
            "setting-refused", f"In {source}: `retention_by_class` must say at least 1 day for a class."
        )
    if settings.history_max_events and settings.history_max_events < HISTORY_MIN:
        raise ServiceError(
            "setting-refused",
            f"In {source}: `history_max_events` must be 0, which keeps everything, or at least {HISTORY_MIN}.",
        )
    for workflow, limit in settings.concurrency.items():
        if limit < 1 or workflow.count("/") != 1:
            detail = f"In {source}: `concurrency` gives `namespace/name` a number from 1, not {workflow!r} {limit}."
            raise ServiceError("setting-refused", detail)
    _check_providers(settings, source)
    for name in ("max_body_bytes", "acts_max", "payload_max_kb"):
        if getattr(settings, name) < 1:
            raise ServiceError("setting-refused", f"In {source}: `{name}` must be at least 1.")
    return settings


def _is_address(text: str) -> bool:
    try:
        place = urlsplit(text)
    except ValueError:
        return False
    return place.scheme in ("http", "https") and bool(place.hostname)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
