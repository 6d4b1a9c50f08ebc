"""Turns an authentication policy of a document, with its secrets revealed, into something a request can carry."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Final

import httpx

from segue.connectors.tokens import TokenCache
from segue.types import fail

SCHEMES: Final = ("basic", "digest", "bearer", "oauth2", "oidc")
Note = Callable[[Any], None]


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._value
        yield request


class ApiKey(httpx.Auth):
    """A key in a header, a query parameter or a cookie, as an OpenAPI `apiKey` security scheme says."""

    def __init__(self, name: str, place: str, value: str) -> None:
        self._name, self._place, self._value = name, place, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._place == "query":
            request.url = request.url.copy_set_param(self._name, self._value)
        elif self._place == "cookie":
            request.headers["cookie"] = f"{self._name}={self._value}"
        else:
            request.headers[self._name] = self._value
        yield request


class _FetchedToken(httpx.Auth):
    """A token from the cache; refused once, it is fetched anew and the request is sent a second time."""

    def __init__(self, tokens: TokenCache, policy: Mapping[str, Any], discover: bool, note: Note) -> None:
        self._tokens, self._policy, self._discover, self._note = tokens, policy, discover, note

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._tokens.token(self._policy, discover=self._discover)
        self._note(token.value)
        request.headers["authorization"] = f"Bearer {token.value}"
        response = yield request
        if response.status_code != 401:
            return
        renewed = await self._tokens.token(self._policy, discover=self._discover, not_this=token.value)
        self._note(renewed.value)
        request.headers["authorization"] = f"Bearer {renewed.value}"
        yield request


def authenticator(policy: Any, tokens: TokenCache, note: Note) -> httpx.Auth | None:
    """What to send a request with, or None where no policy is given.

    Args:
        policy: Exactly one scheme with its fields; secrets revealed. `{scheme: {"secret": {...}}}` takes the
            fields from the secret, and a secret that is plain text is the token of `bearer`.
        note: Told every credential, so that it can be masked wherever it comes back.

    Raises:
        TaskFailure: `configuration`, when the policy is not one that digest section 13 describes.
    """
    if policy is None:
        return None
    if not isinstance(policy, dict) or len(policy) != 1 or next(iter(policy)) not in SCHEMES:
        raise fail("configuration", f"An authentication policy has exactly one of {', '.join(SCHEMES)}.")
    scheme, fields = next(iter(policy.items()))
    fields = _from_secret(scheme, fields)
    if scheme in ("oauth2", "oidc"):
        _note_credentials(fields, note)
        return _FetchedToken(tokens, fields, scheme == "oidc", note)
    if scheme == "bearer":
        note(_text(fields, scheme, "token"))
        return _Bearer(fields["token"])
    username, password = _text(fields, scheme, "username"), _text(fields, scheme, "password")
    note(password)
    if scheme == "basic":
        note(f"{username}:{password}")
        return httpx.BasicAuth(username, password)
    return httpx.DigestAuth(username, password)


def _from_secret(scheme: str, fields: Any) -> dict[str, Any]:
    if isinstance(fields, dict) and set(fields) == {"secret"}:
        fields = fields["secret"]
        if isinstance(fields, str) and scheme == "bearer":
            return {"token": fields}
        if not isinstance(fields, dict):
            raise fail("configuration", f"The secret of a {scheme!r} policy must be an object with its fields.")
    if not isinstance(fields, dict):
        raise fail("configuration", f"The {scheme!r} policy must be an object with its fields.")
    return fields


def _text(fields: Mapping[str, Any], scheme: str, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise fail("configuration", f"The {scheme!r} policy needs {name!r} as text.")
    return value


def _note_credentials(fields: Mapping[str, Any], note: Note) -> None:
    client = fields.get("client")
    if isinstance(client, dict):
        note(client.get("secret"))
        note(client.get("assertion"))
    note(fields.get("password"))
    for role in ("subject", "actor"):
        if isinstance(fields.get(role), dict):
            note(fields[role].get("token"))
