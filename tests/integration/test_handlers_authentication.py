"""Authentication policies against a real token server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.integration.handlers_support import failure_of, perform, route, serving, word

from segue.connectors import Outbound, OutboundPolicy, TokenCache
from segue.handlers.http import HttpHandler
from segue.types import SecretText

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class Authority:
    """A small OAuth2 and OIDC server, and a resource that takes its tokens."""

    def __init__(self) -> None:
        self.base = ""
        self.requests: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.valid: set[str] = set()
        self.reply: dict[str, Any] = {}
        self.status = 200
        self.issuer: str | None = None
        self.delay = asyncio.Event()
        self.delay.set()

    async def token(self, request: Request) -> Response:
        body = await request.body()
        if request.headers["content-type"] == "application/json":
            fields = msgspec.json.decode(body)
        else:
            fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.requests.append(fields)
        self.headers.append(dict(request.headers))
        await self.delay.wait()
        token = f"token-{len(self.requests)}"
        self.valid.add(token)
        reply = {"access_token": token, "token_type": "Bearer", "expires_in": 3600} | self.reply
        return JSONResponse({k: v for k, v in reply.items() if v is not None}, self.status)

    async def discovery(self, request: Request) -> Response:
        return JSONResponse({"issuer": self.issuer or self.base, "token_endpoint": f"{self.base}/oidc/token"})

    async def resource(self, request: Request) -> Response:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or given not in self.valid:
            return JSONResponse({"refused": given}, 401)
        return JSONResponse({"by": given})

    async def basic(self, request: Request) -> Response:
        return JSONResponse(request.headers.get("authorization"))

    async def digest(self, request: Request) -> Response:
        """RFC 7616 with SHA-256 and one nonce."""
        header = request.headers.get("authorization", "")
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
        ha1 = hashlib.sha256(b"user:area:pass-word").hexdigest()
        ha2 = hashlib.sha256(b"GET:/digest").hexdigest()
        parts = [ha1, fields.get("nonce", ""), fields.get("nc", ""), fields.get("cnonce", ""), "auth", ha2]
        if fields.get("response") == hashlib.sha256(":".join(parts).encode()).hexdigest():
            return JSONResponse("in")
        challenge = 'Digest realm="area", qop="auth", algorithm=SHA-256, nonce="abc"'
        return Response(status_code=401, headers={"www-authenticate": challenge})


@pytest.fixture
async def authority() -> AsyncIterator[Authority]:
    authority = Authority()
    routes = [
        route("/oauth2/token", authority.token, "POST"),
        route("/oidc/token", authority.token, "POST"),
        route("/custom", authority.token, "POST"),
        route("/.well-known/openid-configuration", authority.discovery),
        route("/resource", authority.resource),
        route("/basic", authority.basic),
        route("/digest", authority.digest),
    ]
    async with serving(*routes) as authority.base:
        yield authority


class Clock:
    """Milliseconds that a test turns."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def handler(clock: Clock) -> AsyncIterator[HttpHandler]:
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    yield HttpHandler(outbound, TokenCache(outbound, clock))
    await outbound.aclose()


def _to(authority: Authority, policy: Any, path: str = "/resource") -> dict[str, Any]:
    return {"method": "get", "endpoint": {"uri": authority.base + path, "authentication": policy}}


def _oauth2(authority: Authority, **fields: Any) -> dict[str, Any]:
    client = {"id": "app", "secret": "client-s3cret"}
    return {"oauth2": {"authority": authority.base, "grant": "client_credentials", "client": client} | fields}


async def test_basic_sends_user_and_password(handler: HttpHandler, authority: Authority) -> None:
    """RFC 7617; the echoed header must not reach the result."""
    policy = {"basic": {"username": "user", "password": SecretText.of("pw")}}

    echoed = await perform(handler, _to(authority, policy, "/basic"), pw="pass-word")

    assert echoed == "Basic [secret]"


async def test_digest_answers_the_challenge(handler: HttpHandler, authority: Authority) -> None:
    """RFC 7616: the password itself never travels."""
    policy = {"digest": {"username": "user", "password": SecretText.of("pw")}}

    assert await perform(handler, _to(authority, policy, "/digest"), pw="pass-word") == "in"
    assert (await failure_of(handler, _to(authority, policy, "/digest"), pw="wrong-word")).status == 401


@pytest.mark.parametrize(
    ("policy", "secret"),
    [
        ({"bearer": {"token": SecretText.of("s")}}, "static-token"),
        ({"bearer": {"secret": SecretText.of("s")}}, {"token": "static-token"}),
        ({"bearer": {"secret": SecretText.of("s")}}, "static-token"),
    ],
)
async def test_bearer_takes_its_token_inline_or_from_a_secret(
    handler: HttpHandler, authority: Authority, policy: Any, secret: Any
) -> None:
    """`use: secretName` replaces the inline fields (document reference, section 13)."""
    authority.valid.add("static-token")

    assert await perform(handler, _to(authority, policy), s=secret) == {"by": "[secret]"}


async def test_every_scheme_takes_its_fields_from_a_secret(handler: HttpHandler, authority: Authority) -> None:
    """A whole OAuth2 client may live in one secret."""
    policy = {"oauth2": {"secret": SecretText.of("crm")}}

    assert await perform(handler, _to(authority, policy), crm=_oauth2(authority)["oauth2"]) == {"by": "[secret]"}


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"basic": {}, "bearer": {}},
        {"kerberos": {}},
        "text",
        {"basic": {"username": "u"}},
        {"basic": {"username": "u", "password": 5}},
        {"bearer": {"token": ""}},
        {"bearer": "token"},
        {"basic": {"secret": "only-text"}},
        {"oauth2": {"grant": "client_credentials"}},
        {"oauth2": {"authority": "http://127.0.0.1:9", "grant": "magic"}},
        {"oauth2": {"authority": "http://127.0.0.1:9", "grant": "client_credentials", "client": {"id": "a"}}},
        {"oauth2": {"authority": "http://127.0.0.1:9", "grant": "password"}},
        {"oauth2": {"authority": "http://127.0.0.1:9", "grant": EXCHANGE}},
        {"oauth2": {"authority": "http://127.0.0.1:9", "grant": "refresh_token"}},
        {"oauth2": {"authority": "http://127.0.0.1:9", "grant": "authorization_code"}},
        {
            "oauth2": {
                "authority": "http://127.0.0.1:9",
                "grant": "client_credentials",
                "client": {"id": "a", "secret": "b", "authentication": "psychic"},
            }
        },
    ],
)
async def test_a_policy_that_cannot_work_is_a_configuration_failure(
    handler: HttpHandler, authority: Authority, policy: Any
) -> None:
    """Nothing was sent, and the author must know what to write instead."""
    failure = await failure_of(handler, _to(authority, policy))

    assert word(failure) == "configuration"
    assert failure.detail


async def test_client_credentials_are_posted_by_default(handler: HttpHandler, authority: Authority) -> None:
    """The default endpoint, encoding and client method of section 13."""
    policy = _oauth2(authority, scopes=["a", "b"], audiences=["aud"])

    await perform(handler, _to(authority, policy))

    assert authority.requests == [
        {
            "grant_type": "client_credentials",
            "scope": "a b",
            "audience": "aud",
            "client_id": "app",
            "client_secret": "client-s3cret",
        }
    ]


async def test_the_token_endpoint_and_encoding_can_be_chosen(handler: HttpHandler, authority: Authority) -> None:
    """Relative to the authority, or an address of its own."""
    json = {"encoding": "application/json"}
    for endpoint in ("/custom", f"{authority.base}/custom"):
        policy = _oauth2(authority, endpoints={"token": endpoint}, request=json)
        await perform(handler, _to(authority, policy))

    assert [request["grant_type"] for request in authority.requests] == ["client_credentials"] * 2


async def test_client_secret_basic_encodes_both_parts(handler: HttpHandler, authority: Authority) -> None:
    """RFC 6749, section 2.3.1: a colon in the id must not shift the border."""
    client = {"id": "a:b", "secret": "c d", "authentication": "client_secret_basic"}

    await perform(handler, _to(authority, _oauth2(authority, client=client)))

    sent = authority.headers[0]["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"a%3Ab:c%20d"
    assert "client_secret" not in authority.requests[0]


async def test_client_secret_jwt_signs_with_the_secret(handler: HttpHandler, authority: Authority) -> None:
    """OIDC Core, section 9: the secret itself never travels."""
    secret = "a-long-enough-secret-for-hmac-256"
    client = {"id": "app", "secret": secret, "authentication": "client_secret_jwt"}

    await perform(handler, _to(authority, _oauth2(authority, client=client)))

    sent = authority.requests[0]
    claims = jwt.decode(sent["client_assertion"], secret, ["HS256"], audience=f"{authority.base}/oauth2/token")
    assert (claims["iss"], claims["sub"]) == ("app", "app")
    assert sent["client_assertion_type"].endswith("jwt-bearer")
    assert "client_secret" not in sent


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
async def test_private_key_jwt_signs_with_the_key(
    handler: HttpHandler, authority: Authority, key: Any, algorithm: str
) -> None:
    """The public key proves it; the kind of key decides the algorithm."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    client = {"id": "app", "assertion": pem, "authentication": "private_key_jwt"}

    await perform(handler, _to(authority, _oauth2(authority, client=client)))

    assertion = authority.requests[0]["client_assertion"]
    claims = jwt.decode(assertion, key.public_key(), [algorithm], audience=f"{authority.base}/oauth2/token")
    assert claims["sub"] == "app"


async def test_a_ready_assertion_is_sent_as_it_is(handler: HttpHandler, authority: Authority) -> None:
    """Some companies sign elsewhere."""
    client = {"id": "app", "assertion": "x.y.z", "authentication": "private_key_jwt"}

    await perform(handler, _to(authority, _oauth2(authority, client=client)))

    assert authority.requests[0]["client_assertion"] == "x.y.z"


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (
            {"grant": "password", "username": "u", "password": "p4ssword"},
            {"grant_type": "password", "username": "u", "password": "p4ssword"},
        ),
        (
            {"grant": "refresh_token", "subject": {"token": "r3fresh", "type": "refresh_token"}},
            {"grant_type": "refresh_token", "refresh_token": "r3fresh"},
        ),
        (
            {"grant": EXCHANGE, "subject": {"token": "s1", "type": "t1"}, "actor": {"token": "a1", "type": "t2"}},
            {
                "grant_type": EXCHANGE,
                "subject_token": "s1",
                "subject_token_type": "t1",
                "actor_token": "a1",
                "actor_token_type": "t2",
            },
        ),
    ],
)
async def test_the_other_grants(handler: HttpHandler, authority: Authority, fields: Any, sent: Any) -> None:
    """Every grant that needs no person (document reference, section 13)."""
    client = {"id": "app", "authentication": "none"}

    await perform(handler, _to(authority, _oauth2(authority, client=client, **fields)))

    assert authority.requests[0] == {**sent, "client_id": "app"}


async def test_oidc_finds_its_endpoint_by_discovery(handler: HttpHandler, authority: Authority) -> None:
    """`oidc` has no endpoints of its own; they come from the authority."""
    policy = {"oidc": _oauth2(authority)["oauth2"]}

    assert await perform(handler, _to(authority, policy)) == {"by": "[secret]"}


async def test_discovery_for_another_issuer_is_refused(handler: HttpHandler, authority: Authority) -> None:
    """Otherwise one issuer could send the credentials of another to itself."""
    authority.issuer = "http://other.test"

    failure = await failure_of(handler, _to(authority, {"oidc": _oauth2(authority)["oauth2"]}))

    assert (word(failure), authority.requests) == ("authentication", [])


async def test_a_token_is_fetched_once_for_all_who_wait(handler: HttpHandler, authority: Authority) -> None:
    """A thousand tasks that start together must not ask for a thousand tokens."""
    authority.delay.clear()
    tasks = [asyncio.create_task(perform(handler, _to(authority, _oauth2(authority)))) for _ in range(20)]
    while not authority.requests:  # noqa: ASYNC110 - the server counts, it does not signal
        await asyncio.sleep(0.001)
    authority.delay.set()
    await asyncio.gather(*tasks)
    await perform(handler, _to(authority, _oauth2(authority)))

    assert len(authority.requests) == 1


async def test_waiting_for_a_token_takes_no_connection_from_it(authority: Authority, clock: Clock) -> None:
    """With every connection taken by requests that need a token, nobody could fetch it."""
    from segue.connectors import OutboundLimits

    outbound = Outbound(OutboundPolicy(allow_loopback=True), OutboundLimits(max_connections=2))
    handler = HttpHandler(outbound, TokenCache(outbound, clock))
    async with asyncio.timeout(5):
        await asyncio.gather(*(perform(handler, _to(authority, _oauth2(authority))) for _ in range(10)))
    await outbound.aclose()

    assert len(authority.requests) == 1


async def test_different_policies_do_not_share_a_token(handler: HttpHandler, authority: Authority) -> None:
    """A token for one scope must not open another one."""
    await perform(handler, _to(authority, _oauth2(authority, scopes=["a"])))
    await perform(handler, _to(authority, _oauth2(authority, scopes=["b"])))

    assert [request["scope"] for request in authority.requests] == ["a", "b"]


async def test_a_token_is_renewed_before_it_ends(handler: HttpHandler, authority: Authority, clock: Clock) -> None:
    """A token that expires on its way costs a refused request."""
    await perform(handler, _to(authority, _oauth2(authority)))
    clock.now_ms = 3_580_000
    await perform(handler, _to(authority, _oauth2(authority)))
    assert len(authority.requests) == 1

    clock.now_ms = 3_586_000
    await perform(handler, _to(authority, _oauth2(authority)))
    assert len(authority.requests) == 2


async def test_a_short_lived_token_is_used_more_than_once(handler: HttpHandler, authority: Authority) -> None:
    """A margin longer than the token's life would fetch one for every request."""
    authority.reply = {"expires_in": "10"}

    for _ in range(3):
        await perform(handler, _to(authority, _oauth2(authority)))

    assert len(authority.requests) == 1


async def test_a_refused_token_is_renewed_once_and_the_request_repeated(
    handler: HttpHandler, authority: Authority
) -> None:
    """Servers end tokens early: on a restart, on a change of roles."""
    await perform(handler, _to(authority, _oauth2(authority)))
    authority.valid.clear()

    assert await perform(handler, _to(authority, _oauth2(authority))) == {"by": "[secret]"}
    assert len(authority.requests) == 2


async def test_a_token_that_stays_refused_is_not_renewed_for_ever(handler: HttpHandler, authority: Authority) -> None:
    """A client without rights gets fresh tokens that are refused too."""
    authority.reply = {"access_token": "never-valid"}

    failure = await failure_of(handler, _to(authority, _oauth2(authority)))

    assert (word(failure), failure.status) == ("communication", 401)
    assert len(authority.requests) == 2
    assert "never-valid" not in (failure.detail or "")


async def test_a_refresh_token_is_used_and_the_grant_when_it_has_ended(
    handler: HttpHandler, authority: Authority, clock: Clock
) -> None:
    """A refresh token spares the password; it may end at any time."""
    authority.reply = {"refresh_token": "again"}
    policy = _oauth2(authority, grant="password", username="u", password="p4ssword")
    await perform(handler, _to(authority, policy))
    clock.now_ms = 4_000_000
    await perform(handler, _to(authority, policy))

    assert [request["grant_type"] for request in authority.requests] == ["password", "refresh_token"]


async def test_the_authoritys_refusal_is_an_authentication_failure(
    handler: HttpHandler, authority: Authority
) -> None:
    """Its reason is shown; the credential it may quote is not."""
    authority.status = 400
    authority.reply = {"access_token": None, "error_description": "bad secret client-s3cret"}

    failure = await failure_of(handler, _to(authority, _oauth2(authority)))

    assert (word(failure), failure.status) == ("authentication", 401)
    assert "bad secret [secret]" in (failure.detail or "")


async def test_an_authority_in_trouble_is_a_communication_failure(handler: HttpHandler, authority: Authority) -> None:
    """It may work later, so a retry policy must be able to tell."""
    authority.status = 503

    failure = await failure_of(handler, _to(authority, _oauth2(authority)))

    assert (word(failure), failure.status) == ("communication", 503)


async def test_a_token_of_a_foreign_issuer_is_refused(handler: HttpHandler, authority: Authority) -> None:
    """`issuers` names whom to trust."""
    token = jwt.encode({"iss": "http://evil.test"}, "k" * 32, "HS256")
    authority.valid.add(token)
    authority.reply = {"access_token": token}

    trusted = await perform(handler, _to(authority, _oauth2(authority, issuers=["http://evil.test"])))
    failure = await failure_of(handler, _to(authority, _oauth2(authority, issuers=["http://good.test"])))

    assert trusted == {"by": "[secret]"}
    assert word(failure) == "authentication"


async def test_the_guard_holds_for_authorities_too(authority: Authority) -> None:
    """A document could otherwise reach any address by calling it an authority."""
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    handler = HttpHandler(outbound, TokenCache(outbound))
    policy = _oauth2(authority)
    policy["oauth2"]["authority"] = "http://169.254.169.254"
    failure = await failure_of(handler, _to(authority, policy))
    await outbound.aclose()

    assert (word(failure), failure.status) == ("authorization", 403)
