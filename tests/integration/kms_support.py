"""Stand-ins for Vault's transit engine and for AWS KMS, in the shapes that their vendors publish.

With SEGUE_TEST_VAULT=ADDRESS,TOKEN,KEY the tests speak to that Vault or OpenBao instead of the stand-in.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENVIRONMENT = {
    "VAULT_TOKEN": "root",
    "VAULT_ROLE": "role-1",
    "VAULT_SECRET": "secret-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}


class _Service(BaseHTTPRequestHandler):
    """What both have in common. `down` answers everything with 503; `asked` holds the paths that were asked."""

    keys: ClassVar[list[AESGCM]] = []
    asked: ClassVar[list[str]] = []
    down: ClassVar[bool] = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).asked.append(self.path)
        status, answer = self.unavailable() if self.down else self.answer(body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        raise NotImplementedError

    def unavailable(self) -> tuple[int, Any]:
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    @classmethod
    def rotate(cls) -> None:
        """A new version of the key."""
        cls.keys.append(AESGCM(AESGCM.generate_key(256)))


class VaultStandIn(_Service):
    """`POST /v1/transit/encrypt/segue`, `…/decrypt/segue` and `POST /v1/auth/approle/login`."""

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.path == "/v1/auth/approle/login":
            if (body.get("role_id"), body.get("secret_id")) != ("role-1", "secret-1"):
                return 400, {"errors": ["invalid role or secret ID"]}
            return 200, {"auth": {"client_token": "of-the-role", "lease_duration": 300, "renewable": True}}
        if self.headers.get("X-Vault-Token") not in ("root", "of-the-role"):
            return 403, {"errors": ["permission denied"]}
        about = base64.b64decode(body["associated_data"])
        if self.path == "/v1/transit/encrypt/segue":
            sealed = b"0" * 12 + self.keys[-1].encrypt(b"0" * 12, base64.b64decode(body["plaintext"]), about)
            text = f"vault:v{len(self.keys)}:{base64.b64encode(sealed).decode()}"
            return 200, {"data": {"ciphertext": text, "key_version": len(self.keys)}}
        if self.path == "/v1/transit/decrypt/segue":
            found = re.fullmatch(r"vault:v(\d+):(.*)", body["ciphertext"])
            if found is None:
                return 400, {"errors": ["invalid ciphertext: no prefix"]}
            sealed = base64.b64decode(found[2])
            try:
                plain = self.keys[int(found[1]) - 1].decrypt(sealed[:12], sealed[12:], about)
            except (InvalidTag, IndexError):
                return 400, {"errors": ["cipher: message authentication failed"]}
            return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}
        return 400, {"errors": ["encryption key not found"]}

    def unavailable(self) -> tuple[int, Any]:
        return 503, {"errors": ["Vault is sealed"]}


class AwsStandIn(_Service):
    """`TrentService.Encrypt` and `TrentService.Decrypt` of the JSON 1.1 protocol."""

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not self.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"):
            return 400, {"__type": "UnrecognizedClientException", "message": "The security token is invalid."}
        if body["KeyId"] != "alias/segue":
            return 400, {"__type": "NotFoundException", "message": f"Alias {body['KeyId']} is not found."}
        about = json.dumps(body["EncryptionContext"]).encode()
        arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        if self.headers["x-amz-target"] == "TrentService.Encrypt":
            sealed = b"1" * 12 + self.keys[-1].encrypt(b"1" * 12, base64.b64decode(body["Plaintext"]), about)
            blob = base64.b64encode(sealed).decode()
            return 200, {"CiphertextBlob": blob, "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        sealed = base64.b64decode(body["CiphertextBlob"])
        for key in self.keys:
            try:
                plain = base64.b64encode(key.decrypt(sealed[:12], sealed[12:], about)).decode()
                return 200, {"Plaintext": plain, "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
            except InvalidTag:
                continue
        return 400, {"__type": "com.amazonaws.kms#InvalidCiphertextException", "message": None}

    def unavailable(self) -> tuple[int, Any]:
        return 500, {"__type": "KMSInternalException", "message": "try again"}


@contextmanager
def standing_in(kind: type[_Service]) -> Iterator[tuple[str, type[_Service]]]:
    """A stand-in of its own: its address, and its class, which holds its state."""
    own = type("Own", (kind,), {"keys": [], "asked": [], "down": False})
    own.rotate()
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", own
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def real_vault() -> tuple[str, str, str] | None:
    """Address, token and key of a real one to test against."""
    said = os.environ.get("SEGUE_TEST_VAULT", "").split(",")
    return (said[0], said[1], said[2]) if len(said) == 3 else None
