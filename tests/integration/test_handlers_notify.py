"""`call: notify` against a real mail server and a real webhook receiver."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.integration.handlers_support import command, failure_of, perform, route, serving, word

from segue.connectors import Credential, Outbound, OutboundPolicy, TokenCache
from segue.handlers import MailSettings
from segue.handlers.notify import NotifyHandler
from segue.types import SecretText


class Sink:
    """Keeps what arrives; refuses as it is told."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.data_reply = "250 OK"
        self.refused: set[str] = set()
        self.port = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        if not self.data_reply:
            await asyncio.sleep(60)
        return self.data_reply

    def message(self) -> EmailMessage:
        content = self.envelopes[-1].content
        assert isinstance(content, bytes)
        return message_from_bytes(content, policy=default)


def _login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data.password == b"m4il-pass", handled=False)


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    controller = Controller(
        sink, hostname="127.0.0.1", port=_free_port(), authenticator=_login, auth_require_tls=False
    )
    controller.start()
    sink.port = controller.port
    yield sink
    controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    yield outbound
    await outbound.aclose()


def _handler(outbound: Outbound, sink: Sink | None = None, **settings: Any) -> NotifyHandler:
    mail = None
    if sink is not None:
        mail = MailSettings(
            **(
                {"host": "127.0.0.1", "port": sink.port, "sender": "Segue <flow@segue.test>", "tls": "none"}
                | settings
            )
        )
    return NotifyHandler(outbound, TokenCache(outbound), mail, now_s=lambda: 1_700_000_000.0)


MAIL = {"channel": "email", "to": "ann@example.org", "subject": "Renewal é", "text": "Hello"}


async def test_a_mail_arrives_as_it_was_written(outbound: Outbound, sink: Sink) -> None:
    """Recipients of To and Cc, both forms of the text, and a sender nobody can choose."""
    arguments = MAIL | {"to": ["ann@example.org", "bob@example.org"], "cc": "cy@example.org", "html": "<b>Hello</b>"}

    record = await perform(
        _handler(outbound, sink), arguments | {"reply_to": "desk@example.org", "from": "evil@x.test"}
    )

    message = sink.message()
    assert sink.envelopes[0].rcpt_tos == ["ann@example.org", "bob@example.org", "cy@example.org"]
    assert sink.envelopes[0].mail_from == "flow@segue.test"
    assert message["From"] == "Segue <flow@segue.test>"
    assert (message["Subject"], message["Reply-To"], message["Cc"]) == (
        "Renewal é",
        "desk@example.org",
        "cy@example.org",
    )
    assert [part.get_content().strip() for part in message.iter_parts()] == ["Hello", "<b>Hello</b>"]
    assert record["accepted"] == ["ann@example.org", "bob@example.org", "cy@example.org"]
    assert record["id"] == message["Message-ID"]
    assert type(record["id"]) is str  # history holds JSON


async def test_the_same_act_has_the_same_message_id(outbound: Outbound, sink: Sink) -> None:
    """Mail systems drop a second message of the same id; another act is another message."""
    handler = _handler(outbound, sink)
    for key in ("run-1/1", "run-1/1", "run-1/2"):
        await perform(handler, MAIL, key=key)

    ids = [message_from_bytes(envelope.content or b"", policy=default)["Message-ID"] for envelope in sink.envelopes]  # type: ignore[arg-type]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@segue.test>")


async def test_a_login_is_made_with_referenced_credentials(
    outbound: Outbound, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused one is an authentication failure, without the password."""
    monkeypatch.setenv("TEST_MAIL_PASSWORD", "m4il-pass")
    login = {"username": Credential(text="svc"), "password": Credential(env="TEST_MAIL_PASSWORD")}

    assert (await perform(_handler(outbound, sink, **login), MAIL))["refused"] == {}
    monkeypatch.setenv("TEST_MAIL_PASSWORD", "wr0ng-pass")
    failure = await failure_of(_handler(outbound, sink, **login), MAIL)
    assert (word(failure), failure.status) == ("authentication", 401)
    assert "wr0ng-pass" not in str(failure)


async def test_refused_recipients_are_in_the_record(outbound: Outbound, sink: Sink) -> None:
    """Some got it: that is no failure, and not the whole truth either."""
    sink.refused = {"bob@example.org"}

    record = await perform(_handler(outbound, sink), MAIL | {"cc": "bob@example.org"})

    assert record["accepted"] == ["ann@example.org"]
    assert record["refused"] == {"bob@example.org": "550 no such mailbox"}


async def test_when_nobody_is_accepted_it_is_a_failure(outbound: Outbound, sink: Sink) -> None:
    """Nothing was delivered."""
    sink.refused = {"ann@example.org"}

    failure = await failure_of(_handler(outbound, sink), MAIL)

    assert (word(failure), failure.outcome_unknown) == ("communication", False)
    assert "no such mailbox" in (failure.detail or "")


@pytest.mark.parametrize(("reply", "status"), [("451 later", 503), ("554 never", 500)])
async def test_a_refusal_says_whether_to_try_again(outbound: Outbound, sink: Sink, reply: str, status: int) -> None:
    """4yz is temporary; retry policies filter on the status."""
    sink.data_reply = reply

    failure = await failure_of(_handler(outbound, sink), MAIL)

    assert (word(failure), failure.status) == ("communication", status)


async def test_without_a_server_it_is_a_communication_failure(outbound: Outbound, sink: Sink) -> None:
    """Nothing was sent."""
    failure = await failure_of(_handler(outbound, sink, port=_free_port()), MAIL)

    assert (word(failure), failure.outcome_unknown) == ("communication", False)


async def test_a_connection_lost_in_the_message_leaves_the_outcome_unknown(outbound: Outbound, sink: Sink) -> None:
    """The server may have taken it; before the message nothing can have happened."""
    sink.data_reply = ""

    failure = await failure_of(_handler(outbound, sink, timeout_ms=300), MAIL)

    assert (word(failure), failure.outcome_unknown, len(sink.envelopes)) == ("communication", True, 1)


async def test_starttls_is_not_given_up_quietly(outbound: Outbound, sink: Sink) -> None:
    """A server that does not offer it would otherwise get password and text in the clear."""
    failure = await failure_of(_handler(outbound, sink, tls="starttls"), MAIL)

    assert word(failure) == "configuration"
    assert sink.envelopes == []


@pytest.mark.parametrize(
    "change",
    [
        {"to": None},
        {"to": "not an address"},
        {"to": ["ann@example.org", 5]},
        {"to": "ann@example.org\r\nBcc: all@example.org"},
        {"subject": "a\r\nBcc: all@example.org"},
        {"text": None},
        {"channel": "pigeon"},
        {"reply_to": "nobody"},
    ],
)
async def test_what_is_no_mail_is_refused(outbound: Outbound, sink: Sink, change: Any) -> None:
    """Headers come from data; nobody may add some."""
    failure = await failure_of(_handler(outbound, sink), MAIL | change)

    assert (word(failure), sink.envelopes) == ("validation", [])


def test_recovery_of_notices(outbound: Outbound, sink: Sink) -> None:
    """Webhooks are keyed; for mail the administrator decides."""
    webhook = command("notify", {"channel": "webhook"})

    assert _handler(outbound).recovery(webhook) == "repeat"
    assert _handler(outbound, sink).recovery(command("notify", MAIL)) == "repeat"
    assert _handler(outbound, sink, recovery="ask").recovery(command("notify", MAIL)) == "ask"
    with pytest.raises(ValueError, match="looked up"):
        _handler(outbound, sink, recovery="verify")


class Receiver:
    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

    async def take(self, request: Request) -> Response:
        self.seen.append((dict(request.headers), await request.body()))
        return JSONResponse({}, self.status)


async def test_a_webhook_is_signed_and_keyed(outbound: Outbound) -> None:
    """The receiver can check who sent it, when, and whether it has seen it before."""
    receiver = Receiver()
    raw = b"0123456789abcdef0123456789abcdef"
    secret = "whsec_" + base64.b64encode(raw).decode()
    async with serving(route("/hook", receiver.take, "POST")) as base:
        endpoint = {"uri": f"{base}/hook"}
        arguments = {"channel": "webhook", "endpoint": endpoint, "body": {"a": 1}, "secret": SecretText.of("s")}
        records = [await perform(_handler(outbound), arguments, key=key, s=secret) for key in ("k1", "k1", "k2")]

    headers, body = receiver.seen[0]
    signed = f"{headers['webhook-id']}.1700000000.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    assert (body, headers["webhook-signature"], headers["idempotency-key"]) == (b'{"a":1}', expected, "k1")
    assert records[0] == {"channel": "webhook", "id": headers["webhook-id"], "status": 200}
    assert records[0] == records[1] != records[2]


async def test_a_webhook_that_is_refused_is_a_communication_failure(outbound: Outbound) -> None:
    """As any request."""
    receiver = Receiver()
    receiver.status = 410
    async with serving(route("/hook", receiver.take, "POST")) as base:
        failure = await failure_of(_handler(outbound), {"channel": "webhook", "endpoint": {"uri": f"{base}/hook"}})

    assert (word(failure), failure.status) == ("communication", 410)


@pytest.mark.parametrize("change", [{"endpoint": None}, {"secret": 5}, {"secret": ""}, {"secret": "whsec_!"}])
async def test_what_is_no_webhook_is_refused(outbound: Outbound, change: Any) -> None:
    """Nothing is sent unsigned that should be signed."""
    arguments = {"channel": "webhook", "endpoint": {"uri": "http://127.0.0.1:9/"}, "secret": "s3cret-text"} | change

    assert word(await failure_of(_handler(outbound), arguments)) == "validation"
