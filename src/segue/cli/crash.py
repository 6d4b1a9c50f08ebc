"""The end of a process that failed. Imports nothing of ours: what failed may be an import."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from tempfile import gettempdir
from typing import Final, NoReturn

EXIT_CRASHED: Final = 70
"""The usual code for a fault of the program itself."""


def crash(error: BaseException) -> NoReturn:
    """Write the traceback to a log file, say where, and end."""
    path = Path(gettempdir()) / f"segue-crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        where = f"the details are in {path}"
    except OSError:
        where = f"the details could not be written to {path}"
    print(f"error: Segue failed ({type(error).__name__}); {where}.", file=sys.stderr)
    print("  Please report it with that file.", file=sys.stderr)
    raise SystemExit(EXIT_CRASHED)
