"""OAuth 2 and OpenID Connect tokens: fetched once, kept until they expire, shared under the same policy.

A token belongs to everything that identifies who asks for what (authority, client, grant, scopes, audiences,
user), so two connections never see each other's. Tokens live in memory only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from segue.connectors.circuit import TargetDown
from segue.connectors.outbound import Answer, Outbound
from segue.types import TaskFailure, fail, failure

CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant
GRANTS: Final = ("authorization_code", CLIENT_CREDENTIALS, "password", "refresh_token", TOKEN_EXCHANGE)
CLIENT_METHODS: Final = (
    "client_secret_post",
    "client_secret_basic",
    "client_secret_jwt",
    "private_key_jwt",
    "none",
)
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# A token is renewed this long before it ends, so that it does not expire on its way; short-lived ones after nine
# tenths of their life, or they would never be used twice.
_EARLY_MS: Final = 15_000
# A server that names no lifetime promises nothing; a refusal renews the token sooner.
_UNSTATED_LIFETIME_MS: Final = 300_000
_DISCOVERY_LIFETIME_MS: Final = 3_600_000
_CACHED_MAX: Final = 512


class Token(msgspec.Struct, frozen=True):
    """An access token and when to renew it, in milliseconds of the cache's clock."""

    value: str
    renew_ms: int
    refresh: str | None = None


class TokenCache:
    """Fetches tokens, at most one at a time for each policy.

    Args:
        outbound: The client the requests leave through.
        now_ms: A clock; tests turn it.
    """

    def __init__(self, outbound: Outbound, now_ms: Callable[[], int] | None = None) -> None:
        self._outbound = outbound
        self._now_ms = now_ms or (lambda: time.monotonic_ns() // 1_000_000)
        self._tokens: OrderedDict[str, Token] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        self._discovered: dict[str, tuple[int, dict[str, Any]]] = {}

    async def token(self, policy: Mapping[str, Any], *, discover: bool, not_this: str | None = None) -> Token:
        """A token for this policy: the kept one while it lasts, else a new one.

        Args:
            policy: The revealed fields of an `oauth2` or `oidc` policy.
            discover: The endpoints come from the authority's discovery document (`oidc`).
            not_this: A token the peer has just refused; it is dropped.

        Raises:
            TaskFailure: `configuration` for a policy that cannot work here, `authentication` when the
                authority refuses, `communication` when it cannot be reached.
        """
        key = _fingerprint(policy, discover)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            kept = self._tokens.get(key)
            if kept is not None and kept.value != not_this and kept.renew_ms > self._now_ms():
                self._tokens.move_to_end(key)
                return kept
            try:
                fresh = await self._fetch(policy, discover, kept.refresh if kept is not None else None)
            finally:
                # Whoever waits still holds this lock; later callers find the token or make a new one.
                self._locks.pop(key, None)
            self._keep(key, fresh)
            return fresh

    def _keep(self, key: str, token: Token) -> None:
        self._tokens[key] = token
        self._tokens.move_to_end(key)
        while len(self._tokens) > _CACHED_MAX:
            self._tokens.popitem(last=False)

    async def _fetch(self, policy: Mapping[str, Any], discover: bool, refresh: str | None) -> Token:
        endpoint = await self._token_endpoint(policy, discover)
        if refresh is not None and policy.get("grant") != "refresh_token":
            try:
                return await self._ask(policy, endpoint, {"grant_type": "refresh_token", "refresh_token": refresh})
            except TaskFailure:
                pass  # refresh tokens end too; the grant itself is asked next
        return await self._ask(policy, endpoint, _grant_fields(policy, refresh))

    async def _ask(self, policy: Mapping[str, Any], endpoint: str, fields: dict[str, Any]) -> Token:
        headers = {"accept": "application/json"}
        body = fields | _common_fields(policy) | _client_fields(policy, endpoint, headers)
        encoding = (policy.get("request") or {}).get("encoding", "application/x-www-form-urlencoded")
        if encoding == "application/json":
            content = msgspec.json.encode(body)
        elif encoding == "application/x-www-form-urlencoded":
            content = urlencode(body, doseq=True).encode()
        else:
            raise fail("configuration", f"request.encoding {encoding!r} is not one a token request can have.")
        headers["content-type"] = encoding
        answer = await self._outbound.send(
            "POST", endpoint, headers=headers, content=content, repeatable=True, inside_another=True
        )
        return self._read(policy, endpoint, answer)

    def _read(self, policy: Mapping[str, Any], endpoint: str, answer: Answer) -> Token:
        data = _object(answer)
        value = data.get("access_token")
        if answer.status >= 500:
            detail = f"The authority answered {answer.status} at {endpoint}."
            raise TargetDown(
                failure("communication", detail, status=answer.status), f"its authority answers {answer.status}"
            )
        if answer.status >= 400 or not isinstance(value, str) or not value:
            reason = data.get("error_description") or data.get("error") or f"status {answer.status}"
            raise fail("authentication", f"The authority gave no token at {endpoint}: {reason}.")
        _check_issuer(policy, value)
        lifetime = data.get("expires_in")
        seconds = _seconds(lifetime)
        lifetime_ms = _UNSTATED_LIFETIME_MS if seconds is None else int(seconds * 1000)
        refresh = data.get("refresh_token")
        return Token(
            value=value,
            renew_ms=self._now_ms() + lifetime_ms - min(_EARLY_MS, lifetime_ms // 10),
            refresh=refresh if isinstance(refresh, str) else None,
        )

    async def _token_endpoint(self, policy: Mapping[str, Any], discover: bool) -> str:
        authority = policy.get("authority")
        if not isinstance(authority, str) or not authority:
            raise fail("configuration", "An OAuth2 or OIDC policy needs an authority: the address of its server.")
        if discover:
            endpoint = (await self._discover(authority)).get("token_endpoint")
            if not isinstance(endpoint, str):
                raise fail("configuration", f"The discovery document of {authority} names no token endpoint.")
            return endpoint
        endpoint = (policy.get("endpoints") or {}).get("token", "/oauth2/token")
        if "://" in endpoint:
            return str(endpoint)
        return f"{authority.rstrip('/')}/{endpoint.lstrip('/')}"

    async def _discover(self, authority: str) -> dict[str, Any]:
        known = self._discovered.get(authority)
        if known is not None and known[0] > self._now_ms():
            return known[1]
        url = f"{authority.rstrip('/')}/.well-known/openid-configuration"
        answer = await self._outbound.send("GET", url, inside_another=True)
        data = _object(answer)
        if answer.status != 200 or not data:
            raise fail(
                "communication",
                f"{url} gave no discovery document (status {answer.status}).",
                status=answer.status if answer.status >= 400 else None,
            )
        # Discovery is only as trustworthy as the name it claims: a document for another issuer is refused.
        if str(data.get("issuer", authority)).rstrip("/") != authority.rstrip("/"):
            raise fail("authentication", f"The discovery document of {authority} is for another issuer.")
        if len(self._discovered) >= _CACHED_MAX:
            self._discovered.clear()
        self._discovered[authority] = (self._now_ms() + _DISCOVERY_LIFETIME_MS, data)
        return data


def _fingerprint(policy: Mapping[str, Any], discover: bool) -> str:
    text = msgspec.json.encode([discover, policy], order="sorted")
    return hashlib.sha256(text).hexdigest()


def _grant_fields(policy: Mapping[str, Any], refresh: str | None) -> dict[str, Any]:
    grant = policy.get("grant")
    if grant == CLIENT_CREDENTIALS:
        return {"grant_type": grant}
    if grant == "password":
        return {"grant_type": grant, **_needed(policy, "username", "password")}
    if grant == "refresh_token":
        first = policy.get("refresh_token") or (policy.get("subject") or {}).get("token")
        token = refresh or first
        if not token:
            raise fail(
                "configuration",
                "The grant refresh_token needs the refresh token as subject.token: put it there by its secret.",
            )
        return {"grant_type": grant, "refresh_token": token}
    if grant == TOKEN_EXCHANGE:
        return {"grant_type": grant, **_exchange_fields(policy)}
    if grant == "authorization_code":
        raise fail(
            "configuration",
            "The grant authorization_code needs a person at a browser, and a run has none: "
            "use client_credentials, or refresh_token with a token obtained beforehand.",
        )
    raise fail("configuration", f"The grant {grant!r} is not known: use one of {', '.join(GRANTS)}.")


def _exchange_fields(policy: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for role in ("subject", "actor"):
        given = policy.get(role)
        if given is None:
            continue
        both = _needed(given, "token", "type", inside=f"{role}.")
        fields |= {f"{role}_token": both["token"], f"{role}_token_type": both["type"]}
    if "subject_token" not in fields:
        raise fail("configuration", "A token exchange needs subject.token and subject.type.")
    return fields


def _common_fields(policy: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if scopes := policy.get("scopes"):
        fields["scope"] = " ".join(scopes)
    if audiences := policy.get("audiences"):
        fields["audience"] = audiences if len(audiences) > 1 else audiences[0]
    return fields


def _client_fields(policy: Mapping[str, Any], endpoint: str, headers: dict[str, str]) -> dict[str, Any]:
    """The fields that prove who the client is; the basic method writes a header instead."""
    client = policy.get("client") or {}
    method = client.get("authentication", "client_secret_post")
    if method not in CLIENT_METHODS:
        raise fail("configuration", f"client.authentication {method!r} is not one of {', '.join(CLIENT_METHODS)}.")
    identity = {"client_id": client["id"]} if client.get("id") else {}
    if method == "none" or (not client and policy.get("grant") != CLIENT_CREDENTIALS):
        return identity
    if method == "private_key_jwt":
        given = _needed(client, "id", "assertion", inside="client.")
        assertion = _signed_by_key(given["id"], endpoint, given["assertion"])
        return identity | {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
    given = _needed(client, "id", "secret", inside="client.")
    if method == "client_secret_jwt":
        assertion = _signed(given["id"], endpoint, given["secret"], "HS256")
        return identity | {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
    if method == "client_secret_basic":
        # RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
        pair = f"{quote(given['id'], safe='')}:{quote(given['secret'], safe='')}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return {}
    return identity | {"client_secret": given["secret"]}


def _signed_by_key(client_id: str, endpoint: str, assertion: str) -> str:
    """The assertion: a ready one as it is, or one signed now when a private key was given in its place."""
    if "-----BEGIN" not in assertion:
        return assertion
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(assertion.encode(), password=None)
    except (ValueError, TypeError):
        raise fail("configuration", "client.assertion is not a private key that can be read.") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return _signed(client_id, endpoint, key, "RS256")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}.get(key.curve.name)
        if algorithm is not None:
            return _signed(client_id, endpoint, key, algorithm)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _signed(client_id, endpoint, key, "EdDSA")
    raise fail("configuration", "client.assertion must be an RSA, P-256, P-384, P-521 or Ed25519 key.")


def _signed(client_id: str, endpoint: str, key: Any, algorithm: str) -> str:
    import jwt

    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": endpoint,
        "jti": str(uuid.uuid4()),
        "iat": now,
        "exp": now + 120,
    }
    return jwt.encode(claims, key, algorithm=algorithm)


def _check_issuer(policy: Mapping[str, Any], token: str) -> None:
    issuers = policy.get("issuers")
    if not issuers or token.count(".") != 2:
        return
    import jwt

    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return  # an opaque token may contain two dots
    if claims.get("iss") not in issuers:
        raise fail("authentication", f"The token was issued by {claims.get('iss')!r}, who is not among the issuers.")


def _needed(fields: Mapping[str, Any], *names: str, inside: str = "") -> dict[str, str]:
    for name in names:
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise fail("configuration", f"The authentication policy needs {inside}{name} as text.")
    return {name: fields[name] for name in names}


def _object(answer: Answer) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def _seconds(value: Any) -> float | None:
    """A lifetime as a number; some servers write it as text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return float(value) if isinstance(value, str) and value.isdigit() else None
