"""Where secrets come from, and how they are kept out of everything that is written down.

A workflow mentions a secret (`SecretText`); a source knows its value; a `Redactor` lives as long as one
act, reveals what the act needs and remembers what it revealed, so that a peer which echoes a credential
cannot carry it into a result, an error or a log.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from segue.types import Failure, SecretSource, SecretText, TaskFailure, fail

MASK: Final = "[secret]"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# Shorter values are masked only where they are the whole text: masking each "1" of a result would
# destroy it and, by the holes it leaves, tell the secret.
_SHORTEST_INSIDE_TEXT: Final = 4
_log = logging.getLogger("segue.governance.secrets")


class EnvironmentSecrets:
    """Secrets from environment variables: the secret `crm-token` is read from `SEGUE_SECRET_CRM_TOKEN`.

    Letters are raised and everything but letters and digits becomes an underscore. A value that is a
    JSON object makes a structured secret; any other text is taken as it is.
    """

    def __init__(self, prefix: str = "SEGUE_SECRET_", environment: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        self._environment = os.environ if environment is None else environment

    async def read(self, name: str) -> Any:
        """The secret's value, or an authorization failure that names the variable to set."""
        variable = self._prefix + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        value = self._environment.get(variable)
        if value is None:
            raise fail("authorization", f"There is no secret {name!r}: set {variable}, or name another secret.")
        return _structured(value)


class FileSecrets:
    """Secrets from a folder with one file for each, as container platforms mount them.

    One line end at the close of a file is dropped. A file whose content is a JSON object makes a structured
    secret. A file that others than its owner may read is used, and a warning is logged once.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._warned: set[str] = set()

    async def read(self, name: str) -> Any:
        """The secret's value, or an authorization failure that names the folder."""
        # The name comes from a document: it must not be able to walk out of the folder.
        if not _NAME.fullmatch(name):
            raise fail("authorization", f"{name!r} cannot be the name of a secret.")
        try:
            return _structured(await asyncio.to_thread(self._read_file, name))
        except FileNotFoundError:
            raise fail(
                "authorization", f"There is no secret {name!r}: add a file of that name to the secrets folder."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise fail("authorization", f"The secret {name!r} cannot be read ({type(error).__name__}).") from None

    def _read_file(self, name: str) -> str:
        path = self._folder / name
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and name not in self._warned:
            self._warned.add(name)
            _log.warning("the secret file %r can be read by others: set its mode to 0600", name)
        text = path.read_text(encoding="utf-8")
        return text.removesuffix("\n").removesuffix("\r")


class ChainedSecrets:
    """Several sources, asked in order; the first that has the secret answers."""

    def __init__(self, *sources: SecretSource) -> None:
        self._sources = sources

    async def read(self, name: str) -> Any:
        """The value from the first source that has it, or an authorization failure."""
        reasons: list[str] = []
        for source in self._sources:
            try:
                return await source.read(name)
            except TaskFailure as refusal:
                reasons.append(str(refusal))
        raise fail("authorization", " ".join(reasons) or f"There is no secret {name!r}: no source is set up.")


def _structured(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, dict) else text


_MAY_MENTION: Final = frozenset({dict, list, tuple, SecretText})


def mentions_secret(value: Any) -> bool:
    """Whether a `SecretText` stands anywhere in this value."""
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return kind is SecretText
    for item in value:  # noqa: SIM110 - called for every act, and a generator costs more than all the rest
        if type(item) in _MAY_MENTION and mentions_secret(item):
            return True
    return False


class Redactor:
    """Reveals the secrets one act needs, and masks them in whatever the act leaves behind.

    Make one for each act. Values are masked in the forms in which peers echo them: plain, percent-encoded,
    form-encoded and base64.
    """

    __slots__ = ("_forms", "_needles", "_pattern", "_whole")

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._whole: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._needles: set[bytes] | None = None

    async def reveal(self, value: Any, secrets: SecretSource) -> Any:
        """The same value with every `SecretText` in it replaced by what it stands for.

        Raises:
            TaskFailure: `authorization`, when a secret is absent, forbidden or lacks the field asked for.
        """
        names: set[str] = set()
        _collect(value, names)
        if not names:
            return value
        values = {name: await secrets.read(name) for name in sorted(names)}
        return self._replace(value, values)

    def note(self, value: Any) -> None:
        """Remember a secret that came another way: a token that was fetched, a password from a file."""
        if isinstance(value, dict):
            for item in value.values():
                self.note(item)
        elif isinstance(value, list):
            for item in value:
                self.note(item)
        elif value is not None and not isinstance(value, bool):
            self._note_text(str(value))

    def mask(self, value: Any) -> Any:
        """The same JSON value with every remembered secret replaced by `[secret]`; keys included."""
        if not self._whole:
            return value
        if isinstance(value, (dict, list)) and not self._mentions(value):
            return value
        return self._masked(value)

    def _mentions(self, value: Any) -> bool:
        """Whether a remembered secret may stand in a value: a search through its bytes.

        Most answers hold none, and a walk over a list of thousands of records would hold up the event loop.
        """
        written = msgspec.json.encode(value)
        if self._needles is None:
            inside = {msgspec.json.encode(form)[1:-1] for form in self._forms}
            self._needles = inside | {msgspec.json.encode(text) for text in self._whole}
        return any(needle in written for needle in self._needles)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask_text(value)
        if isinstance(value, dict):
            return {self._mask_text(key): self._masked(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._masked(item) for item in value]
        # A secret that looks like a number comes back as one from peers that parse it.
        if isinstance(value, (int, float)) and not isinstance(value, bool) and str(value) in self._forms:
            return MASK
        return value

    def mask_bytes(self, content: bytes) -> bytes:
        """The same bytes with every remembered secret replaced."""
        for form in sorted(self._forms, key=len, reverse=True):
            content = content.replace(form.encode(), MASK.encode())
        return content

    def mask_failure(self, failure: Failure) -> Failure:
        """The same failure with every remembered secret replaced in its texts."""
        if not self._whole:
            return failure
        texts = {name: self.mask(getattr(failure, name)) for name in ("type", "title", "detail")}
        return msgspec.structs.replace(failure, **texts)

    def _mask_text(self, text: str) -> str:
        if text in self._whole:
            return MASK
        if self._pattern is None and self._forms:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def _note_text(self, text: str) -> None:
        if not text or text in self._whole:
            return
        self._whole.add(text)
        self._needles = None
        if len(text) >= _SHORTEST_INSIDE_TEXT:
            encoded = base64.b64encode(text.encode()).decode()
            self._forms |= {text, quote(text, safe=""), quote_plus(text), encoded, encoded.rstrip("=")}
            # As it stands inside JSON text, for peers that answer JSON under another content type.
            self._forms.add(msgspec.json.encode(text).decode()[1:-1])
            self._pattern = None

    def _replace(self, value: Any, values: Mapping[str, Any]) -> Any:
        if isinstance(value, SecretText):
            return value.reveal(lambda path: self._look_up(path, values))
        if isinstance(value, dict):
            return {key: self._replace(item, values) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._replace(item, values) for item in value]
        return value

    def _look_up(self, path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
        found: Any = values[path[0]]
        for depth, key in enumerate(path[1:], start=1):
            if not isinstance(found, dict) or key not in found:
                whole = ".".join(path[:depth])
                raise fail("authorization", f"The secret {whole!r} has no field {key!r}: add it, or name another.")
            found = found[key]
        self.note(found)
        return found


def _collect(value: Any, names: set[str]) -> None:
    if isinstance(value, SecretText):
        names |= value.names
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, names)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, names)
