"""An OpenID provider, as a relying party sees it: discovery, keys, the exchange of a code, and what a token says.

Theory. Everything that counts stands in the ID token, and it counts only when its signature, issuer, audience, time
and nonce are right (OpenID Connect Core 1.0, section 3.1.3.7). Keys are kept for an hour; a token that names an
unknown key has them read again, because providers rotate them, but not more often than every ten seconds. Only
asymmetric algorithms are taken: with `none`, or with HMAC over a public key, anybody could sign.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import jwt
import msgspec

from segue.connectors.outbound import Answer, Outbound
from segue.connectors.tokens import _client_fields
from segue.types import Failure, TaskFailure, fail

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are taken. Nothing symmetric, and not `none`."""
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
_LIFETIME_MS: Final = 3_600_000
_AGAIN_MS: Final = 10_000
_LEEWAY_SECONDS: Final = 60
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def is_safe(url: str) -> bool:
    """Nobody on the way can read or change what goes there: HTTPS, or this machine itself."""
    place = urlsplit(url)
    return place.scheme == "https" or (place.scheme == "http" and place.hostname in _LOOPBACK)


class OpenIdProvider:
    """One provider for one client. Belongs to one event loop.

    Args:
        outbound: Gives the client that requests leave through; its policy decides what is reached.
        issuer: As its tokens name it, to the letter.
        now_ms: A clock; tests turn it.
    """

    def __init__(
        self,
        outbound: Callable[[], Outbound],
        issuer: str,
        client_id: str,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._outbound = outbound
        self.issuer = issuer
        self._client_id = client_id
        self._now_ms = now_ms or (lambda: time.monotonic_ns() // 1_000_000)
        self._reading = asyncio.Lock()
        self._metadata: tuple[int, dict[str, Any]] | None = None
        self._failed: tuple[int, Failure] | None = None
        self._keys: tuple[int, list[dict[str, Any]]] | None = None
        self._read_again_ms: int | None = None

    async def authorization_url(self, fields: Mapping[str, str]) -> str:
        """Where a browser is sent to sign in.

        Raises:
            TaskFailure: `communication`, `authorization` or `configuration`: its description cannot be read.
        """
        endpoint = str((await self._described())["authorization_endpoint"])
        asked = {"response_type": "code", "client_id": self._client_id, **fields}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def exchange(self, code: str, *, verifier: str, redirect_uri: str, secret: str | None) -> dict[str, Any]:
        """What the provider gives for a code: `id_token`, and `access_token`.

        Raises:
            TaskFailure: `authentication` where it takes the code for wrong; as `authorization_url` otherwise.
        """
        described = await self._described()
        endpoint = str(described["token_endpoint"])
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        client = {"id": self._client_id, "secret": secret, "authentication": _method(described, secret)}
        body = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        body |= {"redirect_uri": redirect_uri} | _client_fields({"client": client}, endpoint, headers)
        answer = await self._outbound().send("POST", endpoint, headers=headers, content=urlencode(body).encode())
        given = _object(answer, endpoint)
        if answer.status != 200 or not isinstance(given.get("id_token"), str):
            raise fail(
                "authentication", f"{endpoint} gave no ID token ({answer.status}, {_word(given.get('error'))})."
            )
        return given

    async def claims(self, token: str, *, nonce: str) -> dict[str, Any]:
        """What an ID token says, once it is known to be from this provider, for this client and this sign-in.

        Raises:
            TaskFailure: `authentication`, saying what is wrong and nothing of the token.
        """
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise fail("authentication", f"The ID token is signed with {_word(algorithm)}, which is not taken.")
            key = await self._key(header.get("kid"), algorithm)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._client_id,
                issuer=self.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise fail("authentication", f"The ID token does not hold: {type(error).__name__}.") from None
        party = claims.get("azp")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or party is not None) and party != self._client_id:
            raise fail("authentication", "The ID token was made for another client.")
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise fail("authentication", "The ID token belongs to another sign-in: its nonce is another one.")
        if not isinstance(claims["sub"], str) or not claims["sub"] or len(claims["sub"]) > 255:
            raise fail("authentication", "The ID token names nobody.")
        return claims

    async def more_claims(self, access_token: Any, subject: str) -> dict[str, Any]:
        """What the provider tells of the person besides the ID token; empty where it tells nothing.

        Raises:
            TaskFailure: `authentication` where it is about somebody else; as `authorization_url` otherwise.
        """
        endpoint = (await self._described()).get("userinfo_endpoint")
        if not isinstance(endpoint, str) or not isinstance(access_token, str):
            return {}
        headers = {"accept": "application/json", "authorization": f"Bearer {access_token}"}
        answer = await self._outbound().send("GET", endpoint, headers=headers)
        given = _object(answer, endpoint)
        if answer.status != 200 or given.get("sub") != subject:
            raise fail("authentication", f"{endpoint} does not tell of who signed in ({answer.status}).")
        return given

    # -- what the provider publishes ---------------------------------------------------------------

    async def _described(self) -> dict[str, Any]:
        async with self._reading:
            if self._metadata is None or self._metadata[0] <= self._now_ms():
                if self._failed is not None and self._failed[0] > self._now_ms():
                    # Anybody may begin to sign in: a provider that is down is not asked for each of them.
                    raise TaskFailure(self._failed[1])
                try:
                    self._metadata = (self._now_ms() + _LIFETIME_MS, await self._read_description())
                except TaskFailure as error:
                    self._failed = (self._now_ms() + _AGAIN_MS, error.failure)
                    raise
            return self._metadata[1]

    async def _read_description(self) -> dict[str, Any]:
        url = self.issuer.rstrip("/") + DISCOVERY_PATH
        found = await self._get(url)
        if found.get("issuer") != self.issuer:
            raise fail("configuration", f"{url} describes another issuer than {self.issuer!r}.")
        places = [*_NEEDED, *(["userinfo_endpoint"] if "userinfo_endpoint" in found else [])]
        if not all(isinstance(found.get(name), str) and is_safe(found[name]) for name in places):
            raise fail("configuration", f"{url} lacks an endpoint, or names one that is not HTTPS.")
        return found

    async def _key(self, kid: Any, algorithm: str) -> jwt.PyJWK:
        found = _chosen(await self._published(again=False), kid, algorithm)
        if found is None:
            found = _chosen(await self._published(again=True), kid, algorithm)
        if found is None:
            raise fail("authentication", "The ID token is signed with a key that the provider does not publish.")
        return jwt.PyJWK(found, algorithm=algorithm)

    async def _published(self, *, again: bool) -> list[dict[str, Any]]:
        url = str((await self._described())["jwks_uri"])
        async with self._reading:
            now = self._now_ms()
            if self._keys is not None and self._keys[0] > now:
                lately = self._read_again_ms is not None and now < self._read_again_ms + _AGAIN_MS
                if not again or lately:
                    return self._keys[1]
                self._read_again_ms = now
            keys = (await self._get(url)).get("keys")
            if not isinstance(keys, list):
                raise fail("configuration", f"{url} publishes no keys.")
            self._keys = (now + _LIFETIME_MS, [key for key in keys if isinstance(key, dict)])
            return self._keys[1]

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._outbound().send("GET", url, headers={"accept": "application/json"})
        if answer.status != 200:
            raise fail("communication", f"{url} answered {answer.status}.")
        return _object(answer, url)


def _chosen(keys: list[dict[str, Any]], kid: Any, algorithm: str) -> dict[str, Any] | None:
    """The key of this id that may have made this signature; without an id, the only one that may."""
    family = {"E": "EC", "R": "RSA", "P": "RSA"}.get(algorithm[0], "")
    kind = "OKP" if algorithm == "EdDSA" else family
    fits = [
        key
        for key in keys
        if key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    return fits[0] if len(fits) == 1 or (fits and kid is not None) else None


def _method(described: Mapping[str, Any], secret: str | None) -> str:
    if secret is None:
        return "none"
    offered = described.get("token_endpoint_auth_methods_supported")
    # Left out, it means the basic method (OpenID Connect Discovery 1.0, section 3).
    basic = not isinstance(offered, list) or "client_secret_basic" in offered
    return "client_secret_basic" if basic else "client_secret_post"


def _object(answer: Answer, url: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise fail("communication", f"{url} answered {answer.status} and no JSON object.") from None


def _word(text: Any) -> str:
    """A short code of a protocol, fit for a log; nothing else that a peer sends."""
    return text if isinstance(text, str) and len(text) <= 40 and text.replace("_", "").isalnum() else "no code"
