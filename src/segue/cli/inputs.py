"""Reading what a command is given: JSON in the argument, in a file, or on standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from segue.cli.app import STDIN
from segue.service import ServiceError

Shape = TypeVar("Shape")
BYTES_MAX: Final = 64 * 1024 * 1024


def read_file(path: Path | str) -> bytes:
    """The content of a file; `-` is standard input.

    Raises:
        ServiceError: `file-unreadable`.
    """
    if str(path) in ("-", STDIN):
        return sys.stdin.buffer.read(BYTES_MAX + 1)
    try:
        with open(path, "rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ServiceError("file-unreadable", f"{str(path)!r}: {error.strerror or error}.") from None
    if len(content) > BYTES_MAX:
        raise ServiceError("file-unreadable", f"{str(path)!r} is larger than {BYTES_MAX // 1024**2} MiB.")
    return content


def fitting(
    given: dict[str, Any], kind: type[Shape], *, problem: str = "command-refused", remedy: str | None = None
) -> Shape:
    """What a command was given, as the service takes it.

    Raises:
        ServiceError: Of this kind, where it does not fit.
    """
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ServiceError(problem, f"{error}.", remedy=remedy) from None


def read_json(text: str | None, option: str) -> Any:
    """The value of an option that takes `JSON`, `@FILE` or `@-`; None where it was not given.

    Raises:
        ServiceError: `request-malformed` or `file-unreadable`.
    """
    if text is None:
        return None
    content: bytes | str = text
    source = option
    if text.startswith("@"):
        content = read_file(text[1:])
        source = f"{option} {text}"
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError(
            "request-malformed",
            f"{source} is not JSON: {error}.",
            remedy="Give JSON, `@FILE` or `@-` for standard input. Text needs quotes of its own: '\"text\"'.",
        ) from None
