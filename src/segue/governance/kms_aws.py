"""AWS KMS: Encrypt and Decrypt of its JSON API, signed with Signature Version 4.

Two operations and one signature are less than the vendor's library, and need no file format of theirs. Source: AWS
KMS API Reference (Encrypt, Decrypt), AWS IAM User Guide, "Create a signed AWS API request". What a wrapped key is
for goes along as encryption context. Credentials of instances and containers are not fetched: name them by reference.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import httpx
import msgspec

from segue.governance.keyring import KeysRefused
from segue.governance.kms import AwsKms
from segue.governance.kms_line import Line, credential, required_address

_SERVICE: Final = "kms"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Aws:
    """See `KeyService`."""

    def __init__(self, settings: AwsKms, environment: Mapping[str, str]) -> None:
        self._settings = s = settings
        self._environment = environment
        own = f"https://kms.{s.region}.amazonaws.com"
        self._address = own if s.endpoint is None else required_address(s.endpoint, "kms.endpoint")
        self._line = Line(self.name, ca_file=s.ca_file, timeout_ms=s.timeout_ms)

    @property
    def name(self) -> str:
        """See `KeyService`."""
        return f"AWS KMS in {self._settings.region}, key {self._settings.key}"

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """See `KeyEncryption`."""
        return self._ask("Encrypt", "CiphertextBlob", {"Plaintext": b64encode(key).decode()}, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """See `KeyEncryption`."""
        return self._ask("Decrypt", "Plaintext", {"CiphertextBlob": b64encode(wrapped).decode()}, about)

    def _ask(self, operation: str, field: str, said: Mapping[str, Any], about: bytes) -> bytes:
        whole = {"KeyId": self._settings.key, "EncryptionContext": {"segue": about.decode()}, **said}
        content = msgspec.json.encode(whole)
        url = f"{self._address}/"
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "host": httpx.URL(url).netloc.decode(),
            "x-amz-target": f"TrentService.{operation}",
        }
        status, answer = self._line.post(url, content, self._signed(headers, content))
        if status != 200:
            kind = str(answer.get("__type", "no reason given")).rpartition("#")[2]
            why = answer.get("message") or answer.get("Message")
            raise KeysRefused(f"{self.name} refuses ({status}): {kind}" + (f": {why}" if why else ""))
        try:
            return b64decode(answer[field], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise KeysRefused(f"{self.name} answers without {field!r}") from None

    def _signed(self, headers: dict[str, str], content: bytes) -> dict[str, str]:
        s, environment = self._settings, self._environment
        access = credential(s.access_key, environment, "kms.access_key")
        secret = credential(s.secret_key, environment, "kms.secret_key")
        if s.session_token is not None:
            token = credential(s.session_token, environment, "kms.session_token")
            headers = {**headers, "x-amz-security-token": token}
        return sign("POST", "/", headers, content, Signer(access, secret, s.region, _SERVICE), datetime.now(UTC))


class Signer(msgspec.Struct, frozen=True):
    """Who signs, for which region and service."""

    access: str
    secret: str
    region: str
    service: str


def sign(
    method: str, path: str, headers: Mapping[str, str], content: bytes, signer: Signer, now: datetime
) -> dict[str, str]:
    """Headers with `x-amz-date` and `authorization`; for requests without a query.

    Args:
        headers: Names in lower case; all of them are signed.
    """
    at = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "x-amz-date": at}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed))
    request = "\n".join([method, path, "", lines, names, sha256(content).hexdigest()])
    scope = f"{at[:8]}/{signer.region}/{signer.service}/aws4_request"
    text = "\n".join([_ALGORITHM, at, scope, sha256(request.encode()).hexdigest()])
    key = f"AWS4{signer.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    said = f"{_ALGORITHM} Credential={signer.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**signed, "authorization": said}
