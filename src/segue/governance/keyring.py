"""Envelope encryption: data keys for the workspace and for each data subject, wrapped by one key-encryption key.

Data is sealed with data keys (AES-256-GCM). Data keys lie, wrapped, in `segue.keys`: a file of its own beside the
data file, so that no backup of the data holds them and a destroyed key stays destroyed when a backup is restored.
The key-encryption key lies where neither is: in a file elsewhere, in the environment, or, wrapped, in `segue.keys`,
where only a service can unwrap it (`kms.py`). Rotating it wraps the data keys anew; rotating a data key lets new
data have a new one, and what the old one sealed stays readable. Erasing a data subject is destroying its key.

Sealed text is `~` (`^` where bytes were sealed) and base64 of: id of the key (8 bytes), nonce (12), ciphertext with
its tag. Nonces are random: 2^32 of them for one key are within what NIST SP
800-38D, section 8.3, allows.
"""

from __future__ import annotations

import binascii
import hmac
import os
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

KEYS_NAME: Final = "segue.keys"
KEY_VARIABLE: Final = "SEGUE_KEY"
ERASED: Final = '"erased"'
"""What reads in place of a value whose key was destroyed: JSON text."""

_TEXT: Final = "~"
_BYTES: Final = "^"
_MARKS: Final = (_TEXT, _BYTES, f'"{_TEXT}', f'"{_BYTES}')
_ID: Final = 8
_NONCE: Final = 12
_NONCE_FORMAT: Final = f"{_NONCE}s"
_NONCES_AT_ONCE: Final = 4096
_SINGLE: Final = 256
_BLIND_KEPT: Final = 10_000
_base64: Final = msgspec.json.Encoder().encode
"""Of bytes: base64 in quotes. Of a list of them it is faster than one after the other."""
_KEK: Final = "kek"
_ABOUT_KEK: Final = b"segue.kek.v1"
_TABLES: Final = """
CREATE TABLE key (
    id BLOB PRIMARY KEY, kind TEXT NOT NULL, subject TEXT, wrapped BLOB, made_at INTEGER NOT NULL, gone_at INTEGER,
    reason TEXT, hold TEXT
);
CREATE INDEX key_by_subject ON key (subject, made_at);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class KeysRefused(ValueError):
    """Keys are missing, wrong, or not to be had. The message says what to do."""


class KeyEncryption(Protocol):
    """What wraps data keys: a key in a file, or a service that never gives its key away."""

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """The key, so that only this service can unwrap it. `about` must be the same when it is unwrapped."""
        ...

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """The key.

        Raises:
            KeysRefused: This service did not wrap it.
        """
        ...


class KeyService(KeyEncryption, Protocol):
    """A service that holds a key and never gives it away; `name` is how messages call it."""

    @property
    def name(self) -> str:
        """Which service, where, and which of its keys."""
        ...


class WrappedKey(msgspec.Struct, frozen=True):
    """A key-encryption key that only a service can unwrap. `by`: its name when it was wrapped."""

    by: str
    wrapped: bytes


class LocalKey:
    """A key-encryption key of 32 bytes in this process."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    @classmethod
    def parse(cls, text: str, source: str) -> LocalKey:
        """From base64.

        Raises:
            KeysRefused: It is not 32 bytes.
        """
        try:
            key = binascii.a2b_base64(text.strip().encode(), strict_mode=True)
        except (ValueError, UnicodeEncodeError):
            key = b""
        if len(key) != 32:
            raise KeysRefused(f"{source} holds no key: 32 bytes in base64 are needed")
        return cls(key)

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """See `KeyEncryption`."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """See `KeyEncryption`."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], about)
        except InvalidTag:
            raise KeysRefused(
                f"the key-encryption key is not the one that {KEYS_NAME} was made with; give the right one"
            ) from None


def new_key_file(path: Path) -> LocalKey:
    """Make a key-encryption key in a file that only its owner may read.

    Raises:
        KeysRefused: The file exists or cannot be made.
    """
    text = binascii.b2a_base64(os.urandom(32)).decode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeysRefused(f"the key file {str(path)!r} cannot be made: {error.strerror}") from None
    return LocalKey.parse(text, str(path))


def new_wrapped_key(service: KeyService) -> tuple[LocalKey, WrappedKey]:
    """Make a key-encryption key and let a service wrap it.

    The service wraps this one key and not each data key: what runs needs the service once, at its start, goes on
    while the service is down, and a new data subject costs no request.

    Raises:
        KeysRefused: The service does not do it.
    """
    key = os.urandom(32)
    wrapped = service.wrap(key, _ABOUT_KEK)
    # What cannot be unwrapped again must not become the only way to the data.
    if service.unwrap(wrapped, _ABOUT_KEK) != key:
        raise KeysRefused(f"{service.name} does not give back what it was given")
    return LocalKey(key), WrappedKey(service.name, wrapped)


def open_ring(
    path: Path,
    *,
    key_file: Path | None,
    service: KeyService | None,
    environment: Mapping[str, str] | None = None,
) -> KeyRing:
    """The data keys of a folder, with the key-encryption key from wherever this folder has it.

    Args:
        service: What the settings name; asked only where it wrapped the key-encryption key.

    Raises:
        KeysRefused: The key-encryption key is not to be had, or is another one.
    """
    kept = _wrapped_key(path)
    if kept is None:
        return KeyRing(path, find_key(key_file, environment))
    if service is None:
        raise KeysRefused(f"the key-encryption key is held by {kept.by}: name that service in the settings (kms)")
    return KeyRing(path, LocalKey(service.unwrap(kept.wrapped, _ABOUT_KEK)))


def _wrapped_key(path: Path) -> WrappedKey | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            row = file.execute("SELECT value FROM meta WHERE name = ?", (_KEK,)).fetchone()
    except sqlite3.Error as error:
        raise KeysRefused(f"{path} cannot be read ({error}); put it back from a copy") from None
    return None if row is None else msgspec.json.decode(row[0], type=WrappedKey)


def find_key(path: Path | None, environment: Mapping[str, str] | None = None) -> LocalKey:
    """The key-encryption key from the variable `SEGUE_KEY`, or else from a file.

    Raises:
        KeysRefused: There is none.
    """
    said = (os.environ if environment is None else environment).get(KEY_VARIABLE)
    if said is not None:
        return LocalKey.parse(said, KEY_VARIABLE)
    if path is None:
        raise KeysRefused(f"the data is encrypted: set {KEY_VARIABLE}, or the setting key_file")
    try:
        return LocalKey.parse(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise KeysRefused(f"the key file {str(path)!r} cannot be read ({error}); put it back") from None


class _Key:
    """A data key, ready. `seals`: its id and what encrypts with it, which go together."""

    __slots__ = ("decrypt", "id", "seals", "secret")

    def __init__(self, id: bytes, secret: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.id = id
        cipher = AESGCM(secret)
        self.decrypt = cipher.decrypt
        self.seals: tuple[bytes, Callable[[bytes, bytes, None], bytes]] = id, cipher.encrypt
        self.secret = secret


class _Nonces:
    """Random nonces of this process, each given out once.

    They are drawn many at a time: a system call for each would cost as much as sealing, and lets go of the
    interpreter lock, which a thread may not get back before the event loop has nothing to do.

    Attributes:
        single: Some that nobody has; whoever pops one has it. Where there is none, `one` gives one.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What is drawn belongs to somebody else: a process and its child must not use the same."""
        self._lock = threading.Lock()
        self._drawn = b""
        self._given = 0
        self.single: list[bytes] = []

    def take(self, number: int) -> Iterator[tuple[bytes]]:
        """So many; called from any thread."""
        wanted = number * _NONCE
        with self._lock:
            place = self._given
            if place + wanted > len(self._drawn):
                self._drawn, place = os.urandom(max(wanted, _NONCE * _NONCES_AT_ONCE)), 0
            self._given = place + wanted
            return struct.iter_unpack(_NONCE_FORMAT, self._drawn[place : place + wanted])

    def one(self) -> bytes:
        """One, and `single` is full again."""
        more = [nonce for (nonce,) in self.take(_SINGLE)]
        nonce = more.pop()
        self.single = more
        return nonce


_nonces: Final = _Nonces()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_nonces.forget)


class KeyView(NamedTuple):
    """What may be told of a data key. `kind`: workspace, index or subject. Times in milliseconds."""

    id: str
    kind: str
    made_at: int
    gone_at: int | None
    reason: str | None
    hold: str | None


class KeyRing:
    """The data keys of one data folder; a `segue.types.Cipher`.

    Args:
        path: `segue.keys`, which must exist.

    Raises:
        KeysRefused: It cannot be read, or the key-encryption key is another one.
    """

    def __init__(self, path: Path, encryption: KeyEncryption) -> None:
        self._path = path
        self._encryption = encryption
        self._lock = threading.RLock()
        self._keys: dict[bytes, _Key] = {}
        self._of_run: dict[int, _Key] = {}
        self._of_subject: dict[str, _Key] = {}
        self._blind: dict[str, str] = {}
        try:
            with closing(self._connect()) as file:
                # The last row and not the latest time: the clock may have been set back since a rotation.
                rows = file.execute(
                    "SELECT id, kind FROM key WHERE gone_at IS NULL AND kind <> 'subject' ORDER BY rowid"
                ).fetchall()
                for id, kind in rows:
                    key = self._unwrap(file, id)
                    if kind == "index":
                        self._index = key
                    else:
                        self._workspace = key
        except sqlite3.Error as error:
            raise KeysRefused(f"{path} cannot be read ({error}); put it back from a copy") from None

    @classmethod
    def create(cls, path: Path, encryption: KeyEncryption, wrapped: WrappedKey | None = None) -> KeyRing:
        """Make the file with its first keys.

        Args:
            wrapped: The key-encryption key, where a service wrapped it.

        Raises:
            KeysRefused: It exists, or cannot be made.
        """
        if path.exists():
            raise KeysRefused(f"{path} exists: this data folder is encrypted already")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(path, isolation_level=None)) as file:
                file.executescript(_TABLES)
                _keep_wrapped(file, wrapped)
                for kind in ("index", "workspace"):
                    _add(file, encryption, kind, None)
        except (OSError, sqlite3.Error) as error:
            raise KeysRefused(f"{path} cannot be made: {error}") from None
        return cls(path, encryption)

    # -- sealing -------------------------------------------------------------------------------

    def seal(self, raw: bytes, run: int | None = None, *, packed: bool = False) -> str:
        """See `segue.types.Cipher`."""
        key = self._workspace if run is None else self._of_run.get(run, self._workspace)
        id, encrypt = key.seals
        try:
            nonce = _nonces.single.pop()
        except IndexError:
            nonce = _nonces.one()
        sealed = binascii.b2a_base64(id + nonce + encrypt(nonce, raw, None), newline=False)
        return (_BYTES if packed else _TEXT) + sealed.decode("ascii")

    def seal_rows(self, rows: Sequence[tuple[int, bytes]]) -> list[str]:
        """See `segue.types.Cipher`. The everyday path: what can be done once is."""
        if not rows:
            return []
        key_of, workspace = self._of_run.get, self._workspace
        sealed = []
        for (run, raw), (nonce,) in zip(rows, _nonces.take(len(rows)), strict=True):
            id, encrypt = key_of(run, workspace).seals
            sealed.append(id + nonce + encrypt(nonce, raw, None))
        return [_TEXT + text for text in _base64(sealed)[2:-2].decode("ascii").split('","')]

    def unseal(self, stored: Any) -> Any:
        """See `segue.types.Cipher`."""
        if not isinstance(stored, str) or not stored.startswith(_MARKS):
            return stored
        # Some columns hold JSON, so a sealed value stands in quotes there.
        text = stored.strip('"')
        sealed = binascii.a2b_base64(text[1:])
        key = self._known(sealed[:_ID])
        if key is None:
            return ERASED
        place = _ID + _NONCE
        plain = key.decrypt(sealed[_ID:place], sealed[place:], None)
        return plain if text[0] == _BYTES else plain.decode()

    def blind(self, text: str) -> str:
        """See `segue.types.Cipher`."""
        found = self._blind.get(text)
        if found is None:
            found = _TEXT + hmac.digest(self._index.secret, text.encode(), "sha256").hex()[:40]
            if len(self._blind) >= _BLIND_KEPT:
                self._blind.clear()
            self._blind[text] = found
        return found

    def keyed(self, digest: bytes, run: int | None = None) -> bytes:
        """See `segue.types.Cipher`."""
        key = self._workspace if run is None else self._of_run.get(run, self._workspace)
        return hmac.digest(sha256(b"blob" + key.secret).digest(), digest, "sha256")

    # -- subjects ------------------------------------------------------------------------------

    def assign(self, run: int, subject: str | None) -> None:
        """See `segue.types.Cipher`. The subject's key is made, and on disk, before this returns."""
        if subject is None:
            self._of_run.pop(run, None)
            return
        key = self._of_subject.get(subject)
        if key is None:
            with self._lock, closing(self._connect()) as file:
                row = file.execute(
                    "SELECT id FROM key WHERE subject = ? AND gone_at IS NULL ORDER BY made_at DESC LIMIT 1",
                    (subject,),
                ).fetchone()
                id = row[0] if row else _add(file, self._encryption, "subject", subject)
                key = self._of_subject[subject] = self._unwrap(file, id)
        self._of_run[run] = key

    def destroy(self, subject: str, reason: str) -> int:
        """Destroy all keys of a data subject, given as its blind stand-in; returns how many there were.

        Raises:
            KeysRefused: A legal hold is on it.
        """
        with self._lock, closing(self._connect()) as file:
            held = file.execute("SELECT hold FROM key WHERE subject = ? AND hold IS NOT NULL", (subject,)).fetchone()
            if held is not None:
                raise KeysRefused(f"a legal hold is on this data subject ({held[0]}): release it first")
            ids = [
                id for (id,) in file.execute("SELECT id FROM key WHERE subject = ? AND gone_at IS NULL", (subject,))
            ]
            # The file overwrites what it deletes (secure_delete), and keeps no journal behind.
            file.execute(
                "UPDATE key SET wrapped = NULL, gone_at = ?, reason = ? WHERE subject = ? AND gone_at IS NULL",
                (_now_ms(), reason, subject),
            )
            gone = self._of_subject.pop(subject, None)
            for id in ids:
                self._keys.pop(id, None)
            if gone is not None:
                self._of_run = {run: key for run, key in self._of_run.items() if key.id != gone.id}
            return len(ids)

    def hold(self, subject: str, reason: str | None) -> bool:
        """Put a legal hold on a data subject, or lift it (None); False where it has no key."""
        with self._lock, closing(self._connect()) as file:
            sql = "UPDATE key SET hold = ? WHERE subject = ? AND gone_at IS NULL"
            return file.execute(sql, (reason, subject)).rowcount > 0

    def hold_on(self, subject: str) -> str | None:
        """Why a data subject is under legal hold; None where it is not."""
        with closing(self._connect()) as file:
            sql = "SELECT hold FROM key WHERE subject = ? AND hold IS NOT NULL"
            found = file.execute(sql, (subject,)).fetchone()
        return None if found is None else str(found[0])

    def held(self) -> list[str]:
        """Data subjects under legal hold, as their blind stand-ins."""
        with self._lock, closing(self._connect()) as file:
            return [s for (s,) in file.execute("SELECT DISTINCT subject FROM key WHERE hold IS NOT NULL")]

    # -- rotation ------------------------------------------------------------------------------

    def rotate(self) -> None:
        """What is sealed for the workspace from now on gets a new key; what is there stays readable."""
        with self._lock, closing(self._connect()) as file:
            self._workspace = self._unwrap(file, _add(file, self._encryption, "workspace", None))

    def older(self) -> list[bytes]:
        """Ids of keys of the workspace before the newest one that were not destroyed."""
        with self._lock, closing(self._connect()) as file:
            sql = "SELECT id FROM key WHERE kind = 'workspace' AND gone_at IS NULL ORDER BY rowid"
            return [id for (id,) in file.execute(sql) if id != self._workspace.id]

    def retire(self, ids: Sequence[bytes], reason: str) -> None:
        """Destroy older keys of the workspace. What they sealed, in backups too, can be opened by nobody any more."""
        with self._lock, closing(self._connect()) as file:
            for id in ids:
                assert id != self._workspace.id, "the newest key is in use"
                sql = (
                    "UPDATE key SET wrapped = NULL, gone_at = ?, reason = ?"
                    " WHERE id = ? AND kind = 'workspace' AND gone_at IS NULL"
                )
                file.execute(sql, (_now_ms(), reason, id))
                self._keys.pop(id, None)

    def rewrap(self, encryption: KeyEncryption, wrapped: WrappedKey | None = None) -> int:
        """Wrap all data keys with another key-encryption key, in one transaction; returns how many.

        Args:
            wrapped: The new key-encryption key, where a service wrapped it.
        """
        with self._lock, closing(self._connect()) as file:
            file.execute("BEGIN IMMEDIATE")
            rows = file.execute("SELECT id, kind, wrapped FROM key WHERE gone_at IS NULL").fetchall()
            for id, kind, old in rows:
                about = _about(id, kind)
                again = encryption.wrap(self._encryption.unwrap(old, about), about)
                file.execute("UPDATE key SET wrapped = ? WHERE id = ?", (again, id))
            _keep_wrapped(file, wrapped)
            file.execute("COMMIT")
            self._encryption = encryption
            return len(rows)

    def list(self) -> list[KeyView]:
        """All keys, oldest first; never what they are."""
        with self._lock, closing(self._connect()) as file:
            sql = "SELECT lower(hex(id)), kind, made_at, gone_at, reason, hold FROM key ORDER BY made_at, rowid"
            return [KeyView(*row) for row in file.execute(sql)]

    # -- helpers -------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise KeysRefused(f"{self._path} is missing, and the data is encrypted; put it back from a copy")
        file = sqlite3.connect(self._path, isolation_level=None)
        file.execute("PRAGMA secure_delete = ON")
        file.execute("PRAGMA synchronous = EXTRA")
        return file

    def _known(self, id: bytes) -> _Key | None:
        """The key with this id; None where it was destroyed."""
        key = self._keys.get(id)
        if key is None:
            with self._lock, closing(self._connect()) as file:
                row = file.execute("SELECT gone_at FROM key WHERE id = ?", (id,)).fetchone()
                if row is None:
                    raise KeysRefused(
                        f"a stored value needs the key {id.hex()}, which {self._path.name} does not have"
                    )
                if row[0] is not None:
                    return None
                key = self._unwrap(file, id)
        return key

    def _unwrap(self, file: sqlite3.Connection, id: bytes) -> _Key:
        kind, wrapped = file.execute("SELECT kind, wrapped FROM key WHERE id = ?", (id,)).fetchone()
        key = self._keys[id] = _Key(id, self._encryption.unwrap(wrapped, _about(id, kind)))
        return key


def _keep_wrapped(file: sqlite3.Connection, wrapped: WrappedKey | None) -> None:
    file.execute("DELETE FROM meta WHERE name = ?", (_KEK,))
    if wrapped is not None:
        text = msgspec.json.encode(wrapped).decode()
        file.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (_KEK, text))


def _add(file: sqlite3.Connection, encryption: KeyEncryption, kind: str, subject: str | None) -> bytes:
    id = os.urandom(_ID)
    wrapped = encryption.wrap(os.urandom(32), _about(id, kind))
    sql = "INSERT INTO key (id, kind, subject, wrapped, made_at) VALUES (?, ?, ?, ?, ?)"
    file.execute(sql, (id, kind, subject, wrapped, _now_ms()))
    return id


def _about(id: bytes, kind: str) -> bytes:
    return b"segue.key.v1\0" + id + kind.encode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
