"""What an OpenID provider publishes is read seldom, and believed only where it fits the settings."""

from __future__ import annotations

import time
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from segue.connectors.openid import OpenIdProvider
from segue.connectors.outbound import Answer
from segue.types import TaskFailure, fail

ISSUER = "https://login.example"
GOOD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth?tenant=1",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


class Site:
    """Answers requests by address, and counts them."""

    def __init__(self, **described: Any) -> None:
        self.described = GOOD | described
        self.keys: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.sent: list[tuple[dict[str, str], bytes]] = []
        self.down = False
        self.now_ms = 0

    async def send(self, method: str, url: str, *, headers: dict[str, str], content: bytes = b"") -> Answer:
        self.asked.append(url.removeprefix(ISSUER))
        if self.down:
            raise fail("communication", "nobody answers")
        if url.endswith("/token"):
            self.sent.append((headers, content))
            return self.answer(url, {"id_token": "x"})
        return self.answer(url, {"keys": self.keys} if url.endswith("/keys") else self.described)

    def answer(self, url: str, body: Any) -> Answer:
        return Answer(status=200, headers={}, content=msgspec.json.encode(body), method="GET", url=url)

    def provider(self) -> OpenIdProvider:
        return OpenIdProvider(lambda: self, ISSUER, "segue", lambda: self.now_ms)  # type: ignore[arg-type,return-value]


class Signer:
    def __init__(self, kid: str) -> None:
        self.kid, self.key = kid, ec.generate_private_key(ec.SECP256R1())
        made: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.key, as_dict=True)
        self.jwk = {name: made[name] for name in ("kty", "crv", "x", "y")} | {"kid": kid}

    def token(self, **header: Any) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "segue", "sub": "ann", "nonce": "n", "iat": now, "exp": now + 60}
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": self.kid, **header})


async def test_description_and_keys_are_kept_for_an_hour() -> None:
    """A sign-in must not depend on three more requests than it needs."""
    site, signer = Site(), Signer("a")
    site.keys, provider = [signer.jwk], site.provider()
    for _ in range(3):
        assert (await provider.claims(signer.token(), nonce="n"))["sub"] == "ann"
    assert site.asked == ["/.well-known/openid-configuration", "/keys"]
    site.now_ms += 3_600_001
    await provider.claims(signer.token(), nonce="n")
    assert len(site.asked) == 4


async def test_an_unknown_key_has_the_keys_read_again_but_not_for_each_token() -> None:
    """Rotation is noticed at once; tokens with invented keys are no way to have the provider flooded."""
    site, old, new = Site(), Signer("old"), Signer("new")
    site.keys, provider = [old.jwk], site.provider()
    await provider.claims(old.token(), nonce="n")
    site.keys = [new.jwk]
    await provider.claims(new.token(), nonce="n")
    for _ in range(5):
        with pytest.raises(TaskFailure, match="does not publish"):
            await provider.claims(Signer("invented").token(), nonce="n")
    assert site.asked.count("/keys") == 2
    site.now_ms += 10_001
    with pytest.raises(TaskFailure, match="does not publish"):
        await provider.claims(old.token(), nonce="n")
    assert site.asked.count("/keys") == 3


@pytest.mark.parametrize("more", [{"use": "enc"}, {"alg": "ES384"}, {"kty": "RSA"}])
async def test_a_key_for_something_else_signs_nothing(more: dict[str, str]) -> None:
    """A key for encryption, or for another algorithm, was not given out for this."""
    site, signer = Site(), Signer("a")
    site.keys = [signer.jwk | more]
    with pytest.raises(TaskFailure, match="does not publish"):
        await site.provider().claims(signer.token(), nonce="n")


async def test_without_a_key_id_only_a_single_key_can_be_meant() -> None:
    """Trying all of them would make the weakest count."""
    site, one, other = Site(), Signer("one"), Signer("other")
    token = jwt.encode(jwt.decode(one.token(), options={"verify_signature": False}), one.key, algorithm="ES256")
    site.keys = [one.jwk]
    assert await site.provider().claims(token, nonce="n")
    site.keys = [one.jwk, other.jwk]
    with pytest.raises(TaskFailure, match="does not publish"):
        await site.provider().claims(token, nonce="n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://another.example"},
        {"issuer": ISSUER + "/"},
        {"token_endpoint": "http://login.example/token"},
        {"userinfo_endpoint": "http://login.example/me"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
    ],
)
async def test_a_description_that_does_not_fit_is_not_believed(wrong: dict[str, Any]) -> None:
    """Whoever answers in its place must not send people, codes or secrets elsewhere."""
    with pytest.raises(TaskFailure):
        await Site(**wrong).provider().authorization_url({})


async def test_a_provider_that_is_down_is_not_asked_for_each_stranger() -> None:
    """Anybody may begin a sign-in; a hundred of them must not wait for a hundred time limits."""
    site = Site()
    site.down, provider = True, site.provider()
    for _ in range(5):
        with pytest.raises(TaskFailure, match="nobody answers"):
            await provider.authorization_url({})
    assert len(site.asked) == 1
    site.down, site.now_ms = False, 10_001
    url = await provider.authorization_url({"state": "s"})
    assert url == f"{ISSUER}/auth?tenant=1&response_type=code&client_id=segue&state=s"


@pytest.mark.parametrize(
    ("offered", "secret", "basic", "posted"),
    [(None, "s&cret", True, False), (["client_secret_post"], "s&cret", False, True), (None, None, False, False)],
)
async def test_the_client_proves_itself_as_the_provider_wants(
    offered: Any, secret: str | None, basic: bool, posted: bool
) -> None:
    """In the header, in the body, or, without a secret, by the verifier alone."""
    site = Site(**({} if offered is None else {"token_endpoint_auth_methods_supported": offered}))
    await site.provider().exchange("c", verifier="v", redirect_uri="https://here/", secret=secret)
    ((headers, content),) = site.sent
    assert ("authorization" in headers) == basic
    assert (b"client_secret=s%26cret" in content) == posted
    assert b"code_verifier=v" in content
    assert (b"client_id=segue" in content) != basic
