"""The end of a process that failed. Imports nothing of ours: what failed may be an import.

The log file says where it went wrong and with what kinds of errors, and no message: what errors say quotes values,
and people are asked to send the file.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir
from traceback import walk_tb
from typing import Final, NoReturn

EXIT_CRASHED: Final = 70
"""The usual code for a fault of the program itself."""

_FRAMES_MAX: Final = 60
"""Of each error: a recursion without an end has a thousand that say the same."""


def crash(error: BaseException) -> NoReturn:
    """Write where it went wrong to a log file, say where that is, and end."""
    path = Path(gettempdir()) / f"segue-crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join([_versions(), *_told(error, set())]) + "\n")
        where = f"the details are in {path}"
    except OSError:
        where = f"the details could not be written to {path}"
    print(f"error: Segue failed ({type(error).__name__}); {where}.", file=sys.stderr)
    print("  Please report it with that file: it names places in programs, and no data.", file=sys.stderr)
    raise SystemExit(EXIT_CRASHED)


def _versions() -> str:
    ours = getattr(sys.modules.get("segue"), "__version__", "?")
    return f"Segue {ours}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def _told(error: BaseException, told: set[int]) -> Iterator[str]:
    """Lines about an error, after those about what led to it."""
    told.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in told:
        yield from _told(before, told)
        yield "which led to"
    frames = [
        f"  {f.f_code.co_filename}:{line} in {f.f_code.co_qualname}" for f, line in walk_tb(error.__traceback__)
    ]
    if len(frames) > _FRAMES_MAX:
        half = _FRAMES_MAX // 2
        frames[half:-half] = [f"  … {len(frames) - 2 * half} more"]
    yield from frames
    kind = type(error)
    yield f"{kind.__module__}.{kind.__qualname__}{_facts(error)}"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from (f"    {line}" for line in _told(one, told))


def _facts(error: BaseException) -> str:
    """What else is known of an error and comes from the system, never from data."""
    if isinstance(error, ImportError):
        return f" (module {error.name})" if error.name else ""
    if isinstance(error, OSError):
        return f" ({errno.errorcode.get(error.errno, error.errno)})" if error.errno else ""
    name = getattr(error, "sqlite_errorname", None)
    return f" ({name})" if isinstance(name, str) else ""
