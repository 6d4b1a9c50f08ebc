"""The four kinds of authentication that the systems ask for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any, Protocol
from urllib.parse import parse_qsl

from segue.sandbox.database import Database
from segue.sandbox.http import Refusal, Reply, Request, json_reply

TOKENS_TABLE = """
CREATE TABLE tokens (
    token_sha256 BLOB PRIMARY KEY, scopes TEXT NOT NULL, issued_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
"""


class Lock(Protocol):
    """Decides whether a request comes from a known client."""

    def check(self, request: Request, scopes: frozenset[str]) -> None:
        """Let the request pass.

        Raises:
            Refusal: 401, or 403 where the client is known and lacks a scope.
        """
        ...


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _credentials(request: Request, scheme: str) -> str:
    kind, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if kind.lower() == scheme else ""


class BasicLock:
    """HTTP basic authentication (RFC 7617)."""

    def __init__(self, realm: str, username: str, password: str) -> None:
        self._challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
        self._expected = base64.b64encode(f"{username}:{password}".encode()).decode()

    def check(self, request: Request, scopes: frozenset[str]) -> None:
        if not _same(_credentials(request, "basic"), self._expected):
            raise Refusal(401, "bad_credentials", "Sign in with HTTP basic authentication.", self._challenge)


class BearerLock:
    """One fixed bearer token that does not expire."""

    def __init__(self, token: str) -> None:
        self._token = token

    def check(self, request: Request, scopes: frozenset[str]) -> None:
        if not _same(_credentials(request, "bearer"), self._token):
            challenge = {"WWW-Authenticate": "Bearer"}
            raise Refusal(401, "bad_token", "Send the API token as a bearer token.", challenge)


class ApiKeyLock:
    """A key in a header of the vendor's own."""

    def __init__(self, header: str, key: str) -> None:
        self._header = header
        self._key = key

    def check(self, request: Request, scopes: frozenset[str]) -> None:
        if not _same(request.headers.get(self._header.lower(), ""), self._key):
            raise Refusal(401, "bad_api_key", f"Send your key in the header {self._header}.")


class ClientCredentialsLock:
    """OAuth 2 client credentials (RFC 6749, section 4.4) with tokens that expire.

    Tokens are kept as digests in the system's file, so they outlive a restart of the server.
    """

    def __init__(self, db: Database, client_id: str, client_secret: str, scopes: frozenset[str]) -> None:
        self._db = db
        self._client = f"{client_id}:{client_secret}"
        self._scopes = scopes

    def check(self, request: Request, scopes: frozenset[str]) -> None:
        token = _credentials(request, "bearer")
        row = self._db.one("SELECT scopes, expires_ms FROM tokens WHERE token_sha256 = ?", _digest(token))
        if row is None or row[1] <= _now_ms():
            reason = "The access token expired." if row else "An access token is required."
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"' if token else "Bearer"}
            raise Refusal(401, "invalid_token", reason, challenge)
        if not scopes <= set(row[0].split()):
            wanted = " ".join(sorted(scopes))
            challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'}
            raise Refusal(403, "insufficient_scope", f"The token lacks a scope of: {wanted}.", challenge)

    def issue(self, request: Request, lifetime_s: float) -> Reply:
        """Answer a request at the token endpoint; its errors are worded as RFC 6749, section 5.2 says."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if not _same(self._client_of(request, form), self._client):
            challenge = {"WWW-Authenticate": 'Basic realm="crm"'}
            return json_reply(401, {"error": "invalid_client"}, challenge)
        if form.get("grant_type") != "client_credentials":
            return json_reply(400, {"error": "unsupported_grant_type"})
        scopes = set(form.get("scope", "").split()) or self._scopes
        if not scopes <= self._scopes:
            return json_reply(400, {"error": "invalid_scope"})
        return json_reply(200, self._new_token(" ".join(sorted(scopes)), lifetime_s), {"Cache-Control": "no-store"})

    def _client_of(self, request: Request, form: dict[str, str]) -> str:
        """Client id and secret, from the header or from the form."""
        if encoded := _credentials(request, "basic"):
            try:
                return base64.b64decode(encoded, validate=True).decode()
            except ValueError:
                return ""
        return f"{form.get('client_id', '')}:{form.get('client_secret', '')}"

    def _new_token(self, scopes: str, lifetime_s: float) -> dict[str, Any]:
        token, now_ms = secrets.token_urlsafe(32), _now_ms()
        with self._db.transaction():
            # Old ones go here, so that the table stays as small as one lifetime.
            self._db.execute("DELETE FROM tokens WHERE expires_ms < ?", (now_ms - 86_400_000,))
            self._db.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?)",
                (_digest(token), scopes, now_ms, now_ms + int(lifetime_s * 1000)),
            )
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime_s), "scope": scopes}

    def shorten(self, lifetime_s: float) -> None:
        """Let no token live longer than `lifetime_s` after its issue; 0 revokes all."""
        with self._db.transaction():
            self._db.execute(
                "UPDATE tokens SET expires_ms = min(expires_ms, issued_ms + ?)", (int(lifetime_s * 1000),)
            )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
