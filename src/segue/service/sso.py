"""Single sign-on: people sign in at an OpenID provider, of which there may be several, and get a session here.

The authorization code flow with PKCE. What a sign-in under way must remember (state, nonce, verifier) lies sealed in
a cookie of its browser: nobody else can finish it, and strangers who begin sign-ins fill no memory. What the claims
say about roles counts at each sign-in (decision 0099). Each provider has an address of its own that it sends back to,
so that none can hand in what another one issued (decision 0132).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from segue.service.access import UseCases, open_to_all
from segue.service.errors import ServiceError
from segue.service.identities import Outsider, Session
from segue.service.later import Handlers
from segue.service.mapping import rights_of
from segue.service.scim.linking import BY_EMAIL
from segue.service.sessions import Sessions
from segue.service.settings import UNNAMED, OidcSettings, Settings
from segue.service.shapes import Shape
from segue.store import Store
from segue.types import SecretSource, TaskFailure

_log = logging.getLogger("segue.sso")

FLOW_SECONDS: Final = 600
"""So long a person may take to sign in at the provider."""
CALLBACK: Final = "/api/v1/login/oidc/callback"
"""Where a provider sends the browser back to, with `/NAME` behind it where it has one; registered there with the
server's address before it."""
_HANDOVER_SECONDS: Final = 60
_WAITING_MAX: Final = 1000
_TEXT_MAX: Final = 4096
_REFUSED: Final = "The sign-in did not succeed."
_DOWN: Final = frozenset({"communication", "configuration", "authorization"})


class _Flow(msgspec.Struct, frozen=True):
    """A sign-in under way, as its cookie holds it, sealed. port and the rest: of the command line that began it."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    provider: str
    port: int = 0
    challenge: str = ""
    mark: str = ""


class _Handover(msgspec.Struct, frozen=True):
    outsider: Outsider
    challenge: str
    until_s: float


class Begun(msgspec.Struct, frozen=True):
    """Where the browser goes, and the cookie that it must bring back."""

    url: str
    cookie: str


class ProviderView(Shape, frozen=True, kw_only=True):
    """A provider that people can choose. `title`: what they read."""

    name: str
    title: str


class CodeOfCli(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the command line got through the browser, and what proves that it began the sign-in."""

    code: Annotated[str, msgspec.Meta(max_length=200)]
    verifier: Annotated[str, msgspec.Meta(max_length=200)]


class SingleSignOn(UseCases):
    """Signing in through a provider of the settings; where they name none, every use is refused."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        handlers: Handlers,
        secrets: SecretSource,
        store: Store,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._providers = settings.providers
        self._provisioned_through = settings.provisioned_through
        self._sessions = sessions
        self._handlers = handlers
        self._secrets = secrets
        self._store = store
        self._scim = settings.scim
        self._public_url = settings.public_url
        self._now_s = now_s
        self._sealing: Any = None
        self._made: dict[str, Any] = {}
        self._finished: dict[str, float] = {}
        self._waiting: dict[str, _Handover] = {}

    @open_to_all("signing in is how somebody becomes known")
    def offered(self) -> list[ProviderView]:
        """The providers that somebody can choose, as the settings name them."""
        return [ProviderView(name=name, title=found.title or name) for name, found in self._providers.items()]

    @open_to_all("signing in is how somebody becomes known")
    async def begin(
        self, address: str, *, provider: str = "", port: int = 0, challenge: str = "", mark: str = ""
    ) -> Begun:
        """Begin a sign-in.

        Args:
            address: Of this server, as the browser knows it; the setting `public_url` beats it.
            provider: Its name; may be left out where there is one.
            port: On this port of the person's own machine a command line waits; 0 where none does.
            challenge: SHA-256 in URL-safe base64 of what the command line will prove itself by.
            mark: Sent back to the command line as it is.

        Raises:
            ServiceError: `sso-off`, `sso-unavailable`, or `request-malformed`.
        """
        name, settings = self._wanted(provider)
        if bool(port) != bool(challenge) or (port and not 1024 <= port <= 65535):
            raise ServiceError("request-malformed", "A command line gives a port from 1024 and a challenge.")
        redirect_uri = (self._public_url or address).rstrip("/") + callback_of(name)
        flow = _Flow(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            redirect_uri=redirect_uri,
            provider=name,
            port=port,
            challenge=challenge,
            mark=mark,
        )
        asked = {
            "scope": " ".join(settings.scopes),
            "redirect_uri": redirect_uri,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge_of(flow.verifier),
            "code_challenge_method": "S256",
        }
        try:
            url = await self._provider(name).authorization_url(asked)
        except TaskFailure as failure:
            raise self._failed(failure) from None
        return Begun(url, self._seal.encrypt_at_time(msgspec.json.encode(flow), int(self._now_s())).decode())

    @open_to_all("signing in is how somebody becomes known")
    async def finish(self, cookie: str, given: Mapping[str, str], *, provider: str = UNNAMED) -> Session | str:
        """End a sign-in with what the provider sent along with the browser.

        Args:
            provider: At whose address the browser came back.
            given: The parameters of the address: `state` and `code`, or `error`.

        Returns:
            The session; or, where a command line began, the address on the person's machine to go on to.

        Raises:
            ServiceError: `sso-refused`, the same whatever was wrong; `sso-off` or `sso-unavailable`.
        """
        name, settings = self._wanted(provider, sso_refused=True)
        flow = self._flow_of(cookie, given)
        there = self._provider(name)
        strange = flow.provider != name or given.get("iss", there.issuer) != there.issuer
        if "error" in given or strange or not given.get("code"):
            _log.info("the provider let nobody in, or another one answered")
            raise ServiceError("sso-refused", _REFUSED)
        answer: dict[str, Any] = {}
        try:
            secret = None if settings.client_secret is None else await self._secret(settings.client_secret)
            answer = await there.exchange(
                given["code"], verifier=flow.verifier, redirect_uri=flow.redirect_uri, secret=secret
            )
            claims = await there.claims(answer["id_token"], nonce=flow.nonce)
            if (settings.needed_claims | self._linking(name)) - claims.keys():
                more = await there.more_claims(answer.get("access_token"), claims["sub"])
                claims = {**more, **claims}
        except TaskFailure as failure:
            if answer:
                # Not what strangers can cause as often as they like: the provider had taken the code.
                self._store.note("login.sso", "person:", verdict="deny", reason=str(failure))
                await self._store.write([])
            raise self._failed(failure) from None
        outsider = self._outsider(name, settings, claims)
        if not flow.port:
            return await self._sessions.enter(outsider)
        code = secrets.token_urlsafe(32)
        self._tidy()
        self._waiting[_digest(code)] = _Handover(outsider, flow.challenge, self._now_s() + _HANDOVER_SECONDS)
        return f"http://127.0.0.1:{flow.port}/?code={code}&mark={flow.mark}"

    @open_to_all("signing in is how somebody becomes known")
    async def hand_over(self, wanted: CodeOfCli) -> Session:
        """The session of the command line that began the sign-in.

        Raises:
            ServiceError: `sso-refused`: the code is wrong, used or too old, or somebody else began; `sso-off`.
        """
        self._require_any()
        self._tidy()
        found = self._waiting.pop(_digest(wanted.code), None)
        fits = found is not None and hmac.compare_digest(challenge_of(wanted.verifier), found.challenge)
        if found is None or not fits:
            raise ServiceError("sso-refused", _REFUSED)
        return await self._sessions.enter(found.outsider)

    # -- helpers -------------------------------------------------------------------------------

    def _require_any(self) -> None:
        if not self._providers:
            raise ServiceError("sso-off", "The settings of this server name no OpenID provider.")

    def _wanted(self, provider: str, *, sso_refused: bool = False) -> tuple[str, OidcSettings]:
        """The provider that is meant, by its name; the only one where none is named."""
        self._require_any()
        name = provider or (next(iter(self._providers)) if len(self._providers) == 1 else "")
        if name in self._providers:
            return name, self._providers[name]
        if sso_refused:
            raise ServiceError("sso-refused", _REFUSED)
        there = ", ".join(self._providers)
        raise ServiceError("request-malformed", f"Which provider? There are {there}.")

    def _linking(self, provider: str) -> frozenset[str]:
        """Claims that tell whom the directory means."""
        how = self._scim.link if provider == self._provisioned_through else ""
        return frozenset(("email", "email_verified") if how == BY_EMAIL else (how,) if how else ())

    @property
    def _seal(self) -> Any:
        # Of this process only: whoever was about to sign in at a restart begins anew.
        if self._sealing is None:
            from cryptography.fernet import Fernet

            self._sealing = Fernet(Fernet.generate_key())
        return self._sealing

    def _provider(self, name: str) -> Any:
        if name not in self._made:
            from segue.connectors import OpenIdProvider

            settings = self._providers[name]
            self._made[name] = OpenIdProvider(lambda: self._handlers.outbound, settings.issuer, settings.client_id)
        return self._made[name]

    def _flow_of(self, cookie: str, given: Mapping[str, str]) -> _Flow:
        """The sign-in that this browser began; each is finished once, whatever came of it."""
        from cryptography.fernet import InvalidToken

        try:
            content = self._seal.decrypt_at_time(cookie.encode(), FLOW_SECONDS, int(self._now_s()))
        except InvalidToken:
            raise ServiceError("sso-refused", _REFUSED) from None
        flow = msgspec.json.decode(content, type=_Flow)
        if not hmac.compare_digest(given.get("state", "").encode(), flow.state.encode()):
            raise ServiceError("sso-refused", _REFUSED)
        self._tidy()
        if flow.state in self._finished:
            raise ServiceError("sso-refused", _REFUSED)
        self._finished[flow.state] = self._now_s() + FLOW_SECONDS
        return flow

    def _tidy(self) -> None:
        now = self._now_s()
        # Both are in the order in which they end.
        done = self._finished
        while done and (next(iter(done.values())) < now or len(done) > _WAITING_MAX * 10):
            del done[next(iter(done))]
        waiting = self._waiting
        while waiting and (next(iter(waiting.values())).until_s < now or len(waiting) > _WAITING_MAX):
            del waiting[next(iter(waiting))]

    async def _secret(self, name: str) -> str:
        value = await self._secrets.read(name)
        return value if isinstance(value, str) else ""

    def _failed(self, failure: TaskFailure) -> ServiceError:
        """What is told to a stranger; the log says more."""
        _log.warning("a sign-in through the provider failed: %s", failure)
        kind = failure.failure.type.rpartition("/")[2]
        if kind in _DOWN:
            return ServiceError("sso-unavailable", "The provider cannot be used at the moment; the log says why.")
        return ServiceError("sso-refused", _REFUSED)

    def _outsider(self, provider: str, settings: OidcSettings, claims: Mapping[str, Any]) -> Outsider:
        mail = claims.get("email")
        mail = mail if isinstance(mail, str) and claims.get("email_verified") is True else ""
        name = claims.get(settings.name_claim)
        display = claims.get("name")
        told = claims.get(settings.groups_claim)
        named = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        belongs = {group for group in named if isinstance(group, str)}
        roles, groups = rights_of(settings, belongs)
        link = mail.lower() if self._scim.link == BY_EMAIL else claims.get(self._scim.link)
        if provider != self._provisioned_through:
            link = ""  # Another provider's people are not those whom the directory means, whatever they are called.
        refused = ""
        if settings.allowed_domains and mail.rpartition("@")[2].lower() not in {
            name.lower() for name in settings.allowed_domains
        }:
            refused = "the domain of the e-mail address is not among `allowed_domains`, or not verified"
        return Outsider(
            subject=f"{settings.issuer}#{claims['sub']}",
            name=name[:_TEXT_MAX] if isinstance(name, str) else "",
            display=display[:200] if isinstance(display, str) else "",
            roles=roles,
            groups=groups,
            link=link[:_TEXT_MAX] if isinstance(link, str) else "",
            refused=refused,
        )


def callback_of(provider: str) -> str:
    """The path that a provider sends back to."""
    return CALLBACK if provider == UNNAMED else f"{CALLBACK}/{provider}"


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
