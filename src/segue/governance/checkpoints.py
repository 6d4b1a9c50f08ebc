"""Signed checkpoints of the audit chain: what is kept outside the table that it vouches for.

A checkpoint says "at this time the chain had so many records and ended with this hash", signed with Ed25519. It lies
in a file beside the data file and goes wherever records are exported to. A chain that was cut off, or written anew
from some point on, no longer fits a checkpoint; and nobody without the key can make one that fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    # Imported where it is used: it takes longer than most commands, and most of them sign nothing.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_DOMAIN: Final = b"segue.audit.checkpoint.v1\0"
KEY_VARIABLE: Final = "SEGUE_AUDIT_KEY"


class Checkpoint(msgspec.Struct, frozen=True):
    """Where the chain ended at some time.

    Attributes:
        seq, hash: Place and hash, in hexadecimal, of the newest record.
        at: Milliseconds since the Unix epoch, UTC.
        kind: `mark` regularly; `pruned`: records up to it were removed; `restored`: the chain goes on from here
            after a backup was restored, and what came after it before was given up.
        key: The first 16 hexadecimal digits of the public key that verifies it.
        signature: Over all the above, in hexadecimal.
    """

    seq: int
    hash: str
    at: int
    kind: Literal["mark", "pruned", "restored"] = "mark"
    key: str = ""
    signature: str = ""


class AuditKey:
    """The key that signs checkpoints."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key())

    @classmethod
    def load(cls, path: Path, *, environment: dict[str, str] | None = None) -> AuditKey:
        """The key from the variable `SEGUE_AUDIT_KEY` or a file, which is made, for its owner only, where missing.

        Raises:
            ValueError: It is no Ed25519 private key in PEM.
            OSError: The file can neither be read nor made.
        """
        said = (os.environ if environment is None else environment).get(KEY_VARIABLE)
        if said is not None:
            return cls(_private(said.encode(), KEY_VARIABLE))
        try:
            return cls(_private(path.read_bytes(), str(path)))
        except FileNotFoundError:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            made = Ed25519PrivateKey.generate()
            form = serialization.PrivateFormat.PKCS8
            text = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
            return cls(made)

    def sign(
        self, seq: int, hash: bytes, at: int, kind: Literal["mark", "pruned", "restored"] = "mark"
    ) -> Checkpoint:
        """A checkpoint for this end of the chain."""
        plain = Checkpoint(seq, hash.hex(), at, kind, self.public.name)
        return msgspec.structs.replace(plain, signature=self._private.sign(_signed(plain)).hex())


class PublicKey:
    """What verifies checkpoints."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes_raw()
        self.name = raw.hex()[:16]

    @classmethod
    def parse(cls, text: bytes) -> PublicKey:
        """A key from PEM.

        Raises:
            ValueError: It is none.
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = serialization.load_pem_public_key(text)
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("it is no Ed25519 public key")
        return cls(key)

    def pem(self) -> str:
        """The key as PEM, to hand out."""
        from cryptography.hazmat.primitives import serialization

        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(serialization.Encoding.PEM, form).decode()

    def verifies(self, checkpoint: Checkpoint) -> bool:
        """Whether this key's owner signed it as it is."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(bytes.fromhex(checkpoint.signature), _signed(checkpoint))
        except (InvalidSignature, ValueError):
            return False
        return True


def read_checkpoints(path: Path) -> tuple[list[Checkpoint], list[str]]:
    """Checkpoints of a file, oldest first, and what is wrong with its lines; nothing where there is no file."""
    found: list[Checkpoint] = []
    complaints: list[str] = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return [], []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Checkpoint))
        except msgspec.DecodeError:
            # The last line may be half written by a process that was killed; it then vouches for nothing.
            if number < len(lines):
                complaints.append(f"line {number} of {path.name} is no checkpoint")
    return found, complaints


def append_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Add to the file and bring it to disk.

    Raises:
        OSError: It cannot be written.
    """
    line = msgspec.json.encode(checkpoint) + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def standing(checkpoints: Iterable[Checkpoint]) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Those that the chain must fit, and those given up because a backup older than them was restored."""
    kept: list[Checkpoint] = []
    lost: list[Checkpoint] = []
    for checkpoint in checkpoints:
        if checkpoint.kind == "restored":
            lost += [c for c in kept if c.seq > checkpoint.seq]
            kept = [c for c in kept if c.seq <= checkpoint.seq]
        kept.append(checkpoint)
    return kept, lost


def _signed(checkpoint: Checkpoint) -> bytes:
    c = checkpoint
    fields: Sequence[Any] = (c.seq, c.hash, c.at, c.kind, c.key)
    return _DOMAIN + msgspec.json.encode(fields)


def _private(text: bytes, source: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source} holds no private key in PEM ({type(error).__name__})") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{source} holds no Ed25519 key")
    return key
