"""`call: notify`: e-mail and signed webhooks.

Both carry a name made from the effect key, so a notice that is sent again after a crash is recognised: e-mail by its
Message-ID, which mail systems use to drop doubles, and a webhook by `webhook-id` and `Idempotency-Key`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import TYPE_CHECKING, Any

import msgspec

from segue.connectors import (
    HostLines,
    Outbound,
    TokenCache,
    authenticator,
    is_success,
    read_credential,
    refused,
)
from segue.governance import Redactor
from segue.handlers.acting import act_with_secrets
from segue.handlers.http import endpoint_of, header_texts, host_in
from segue.handlers.settings import MailSettings
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, fail

if TYPE_CHECKING:
    import aiosmtplib


class NotifyHandler:
    """Sends notices.

    For e-mail: `channel: email`, `to` (one address or several), `cc`, `subject`, `text`, `html`, `reply_to`.
    For a webhook: `channel: webhook`, `endpoint`, `body`, `headers`, `secret` (signs the notice).

    Args:
        mail: The mail server; without it e-mail is refused.
        now_s: Seconds since the Unix epoch; tests turn it.
        hosts: The lines to hosts, shared by all handlers that call them.
    """

    def __init__(
        self,
        outbound: Outbound,
        tokens: TokenCache,
        mail: MailSettings | None = None,
        now_s: Callable[[], float] = time.time,
        *,
        hosts: HostLines | None = None,
    ) -> None:
        self._hosts = hosts or HostLines(outbound)
        self._tokens = tokens
        self._mail = mail
        self._now_s = now_s

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Send the notice; the result is its delivery record."""

        async def act(arguments: dict[str, Any], redactor: Redactor) -> Any:
            channel = arguments.get("channel")
            if channel == "email":
                return await self._send_mail(arguments, context, redactor)
            if channel == "webhook":
                return await self._send_webhook(arguments, context, redactor)
            raise fail("validation", f"channel must be email or webhook, not {channel!r}.")

        return await act_with_secrets(command.arguments, context, act)

    def target(self, command: Perform) -> str:
        """The host of a webhook; all e-mail has the one mail server."""
        is_mail = command.arguments.get("channel") == "email"
        return "email" if is_mail else host_in(command.arguments.get("endpoint"))

    def recovery(self, command: Perform) -> Recovery:
        """Webhooks are keyed and repeated; e-mail as the administrator declares."""
        if command.arguments.get("channel") == "email" and self._mail is not None:
            return self._mail.recovery
        return "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never needed: `recovery` does not answer `verify`."""
        return NOT_DONE

    async def _send_mail(self, arguments: dict[str, Any], context: EffectContext, redactor: Redactor) -> Any:
        settings = self._mail
        if settings is None:
            raise fail("configuration", "This installation has no mail server: an administrator sets one up.")
        recipients = [*_addresses(arguments, "to"), *_addresses(arguments, "cc")]
        if not recipients:
            raise fail("validation", "An e-mail needs somebody in `to`.")
        message = _message(arguments, settings.sender, message_id(context.key, settings.sender), self._now_s())
        login = {}
        for name, credential in (("username", settings.username), ("password", settings.password)):
            if credential is not None:
                login[name] = await read_credential(credential, context.secrets.read)
        redactor.note(login.get("password"))
        refused_recipients = await _deliver(message, recipients, settings, login)
        return {
            "channel": "email",
            "id": str(message["Message-ID"]),
            "accepted": [address for address in recipients if address not in refused_recipients],
            "refused": refused_recipients,
        }

    async def _send_webhook(self, arguments: dict[str, Any], context: EffectContext, redactor: Redactor) -> Any:
        endpoint = endpoint_of(arguments.get("endpoint"))
        content = msgspec.json.encode(arguments.get("body"))
        notice_id = f"msg_{_name_of(context.key)}"
        headers = header_texts(arguments.get("headers")) | {
            "content-type": "application/json",
            "webhook-id": notice_id,
            "webhook-timestamp": str(int(self._now_s())),
            "idempotency-key": context.key,
        }
        secret = arguments.get("secret")
        if secret is not None:
            if not isinstance(secret, str) or not secret:
                raise fail("validation", "The secret of a webhook must be text.")
            redactor.note(secret)
            headers["webhook-signature"] = sign(secret, notice_id, headers["webhook-timestamp"], content)
        answer = await self._hosts.send(
            "POST",
            endpoint["uri"],
            lane=context.workflow,
            headers=headers,
            content=content,
            auth=authenticator(endpoint.get("authentication"), self._tokens, redactor.note),
            repeatable=True,
            tells_lost=context.has_undo,
        )
        if not is_success(answer.status, redirect=False):
            raise refused(answer)
        return {"channel": "webhook", "id": notice_id, "status": answer.status}


def sign(secret: str, notice_id: str, timestamp: str, content: bytes) -> str:
    """The signature of a webhook: HMAC-SHA256 over id, time and body, as the Standard Webhooks convention has it.

    Args:
        secret: Plain text, or `whsec_` and base64.
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise fail("validation", "A webhook secret that begins with whsec_ must go on in base64.") from None
    signed = hmac.new(key, f"{notice_id}.{timestamp}.".encode() + content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def message_id(key: str, sender: str) -> str:
    """The Message-ID of the mail with this effect key: the same however often it is sent."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "segue.invalid"
    return f"<{_name_of(key)}@{domain}>"


def _name_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def _addresses(arguments: dict[str, Any], field: str) -> list[str]:
    given = arguments.get(field)
    listed = [] if given is None else given if isinstance(given, list) else [given]
    for address in listed:
        try:
            if not isinstance(address, str) or not Address(addr_spec=address).domain:
                raise ValueError
        except (ValueError, IndexError, HeaderParseError):
            raise fail("validation", f"{address!r} in {field!r} is not an e-mail address.") from None
    return listed


def _message(arguments: dict[str, Any], sender: str, identity: str, now_s: float) -> EmailMessage:
    text, html = arguments.get("text"), arguments.get("html")
    if not isinstance(text, str) and not isinstance(html, str):
        raise fail("validation", "An e-mail needs `text` or `html`.")
    message = EmailMessage()
    fields = {
        "From": sender,
        "To": ", ".join(_addresses(arguments, "to")),
        "Cc": ", ".join(_addresses(arguments, "cc")),
        "Reply-To": ", ".join(_addresses(arguments, "reply_to")),
        "Subject": str(arguments.get("subject") or ""),
        "Date": formatdate(now_s),
        "Message-ID": identity,
        # Automatic answers (out of office) are not wanted back (RFC 3834).
        "Auto-Submitted": "auto-generated",
    }
    try:
        for name, value in fields.items():
            if value:
                message[name] = value
    except ValueError:
        raise fail("validation", "The subject of an e-mail cannot hold a line end.") from None
    if isinstance(text, str):
        message.set_content(text)
        if isinstance(html, str):
            message.add_alternative(html, subtype="html")
    else:
        message.set_content(html, subtype="html")
    return message


async def _deliver(
    message: EmailMessage, recipients: list[str], settings: MailSettings, login: dict[str, str]
) -> dict[str, str]:
    """Hand the message to the server; the recipients it refused, with its reasons."""
    import aiosmtplib

    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        use_tls=settings.tls == "tls",
        start_tls=False,
        timeout=settings.timeout_ms / 1000,
    )
    sending = False
    try:
        async with asyncio.timeout(settings.timeout_ms / 1000):
            await client.connect()
            await _open(client, settings, login)
            sending = True
            sender = parseaddr(settings.sender)[1]
            refusals, _ = await client.send_message(message, sender=sender, recipients=recipients)
    except aiosmtplib.SMTPAuthenticationError as error:
        raise fail("authentication", f"The mail server refuses the login: {error.code} {error.message}.") from None
    except aiosmtplib.SMTPRecipientsRefused as error:
        reasons = "; ".join(f"{entry.recipient}: {entry.code} {entry.message}" for entry in error.recipients)
        raise fail("communication", f"The mail server refuses every recipient: {reasons}.") from None
    except aiosmtplib.SMTPResponseException as error:
        # 4yz is "try again later" (RFC 5321, section 4.2.1).
        status = 503 if 400 <= error.code < 500 else 500
        detail = f"The mail server refuses the message: {error.code} {error.message}."
        raise fail("communication", detail, status=status) from None
    except aiosmtplib.SMTPConnectError as error:
        raise fail("communication", f"The mail server cannot be reached: {error}.") from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        reason = str(error) or f"no answer within {settings.timeout_ms} ms"
        detail = f"The mail server did not confirm the message: {reason}."
        raise fail("communication", detail, outcome_unknown=sending) from None
    finally:
        # Without waiting for a farewell: the server has answered for the message, and that answer stands.
        client.close()
    return {address: f"{response.code} {response.message}" for address, response in refusals.items()}


async def _open(client: aiosmtplib.SMTP, settings: MailSettings, login: dict[str, str]) -> None:
    """Encrypt and sign in as the settings say; nothing is given up quietly."""
    await client.ehlo()
    if settings.tls == "starttls":
        if not client.supports_extension("starttls"):
            raise fail("configuration", "The mail server offers no STARTTLS: correct it, or the tls setting.")
        await client.starttls()
    if "username" in login:
        await client.login(login["username"], login.get("password", ""))
