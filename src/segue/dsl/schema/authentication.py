"""Authentication policies."""

from __future__ import annotations

from segue.dsl.schema.build import Schema, closed, either, exactly_one, many, ref, text, words

GRANTS = (
    "authorization_code",
    "client_credentials",
    "password",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:token-exchange",
)
SCHEMES = ("basic", "digest", "bearer", "oauth2", "oidc")

_SECRET = closed("secret reference", {"use": text("A name in `use.secrets`.", minLength=1)}, required=("use",))
_TOKEN = closed("token", {"token": text(), "type": text()}, required=("token", "type"))


def _login(title: str) -> Schema:
    fields = {"username": text(), "password": text("Write an expression such as ${ $secrets.crm.password }.")}
    return either(_SECRET, closed(title, fields, required=("username", "password")))


_OAUTH: dict[str, Schema] = {
    "authority": ref("uri", "The authorization server."),
    "grant": words(*GRANTS),
    "client": closed(
        "client",
        {
            "id": text(),
            "secret": text(),
            "assertion": text("For private_key_jwt."),
            "authentication": words(
                "client_secret_post",
                "client_secret_basic",
                "client_secret_jwt",
                "private_key_jwt",
                "none",
                default="client_secret_post",
            ),
        },
    ),
    "request": closed(
        "token request",
        {
            "encoding": words(
                "application/x-www-form-urlencoded",
                "application/json",
                default="application/x-www-form-urlencoded",
            )
        },
    ),
    "issuers": many(text()),
    "scopes": many(text()),
    "audiences": many(text()),
    "username": text(),
    "password": text(),
    "subject": _TOKEN,
    "actor": _TOKEN,
}
_ENDPOINTS = closed("OAuth2 endpoints", {"token": text(), "revocation": text(), "introspection": text()})
_NEEDED = ("authority", "grant")

_POLICIES: dict[str, Schema] = {
    "basic": _login("basic"),
    "digest": _login("digest"),
    "bearer": either(_SECRET, closed("bearer", {"token": text()}, required=("token",))),
    "oauth2": either(_SECRET, closed("oauth2", {**_OAUTH, "endpoints": _ENDPOINTS}, required=_NEEDED)),
    "oidc": either(_SECRET, closed("oidc", _OAUTH, required=_NEEDED)),
}

DEFS: dict[str, Schema] = {
    "authenticationPolicy": exactly_one("authentication policy", _POLICIES, SCHEMES),
    "authentication": exactly_one(
        "authentication",
        {**_POLICIES, "use": text("A name in `use.authentications`.", minLength=1)},
        (*SCHEMES, "use"),
    ),
}
