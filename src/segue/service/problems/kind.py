"""What a way of being refused is, and what commands end with."""

from __future__ import annotations

from typing import Final

import msgspec

EXIT_COMPLETED: Final = 0
EXIT_FAULTED: Final = 1
EXIT_REFUSED: Final = 2
EXIT_CANCELLED: Final = 3
EXIT_HELD: Final = 4
EXIT_CRASHED: Final = 70
"""What a command ends with; 70 is the usual code for a fault of the program itself."""

EXIT_OF_STATUS: Final = {"completed": EXIT_COMPLETED, "faulted": EXIT_FAULTED, "cancelled": EXIT_CANCELLED}

PROBLEM_BASE: Final = "urn:segue:problem:"


class ProblemKind(msgspec.Struct, frozen=True):
    """One way in which a request is refused.

    Attributes:
        status: HTTP status of the problem document.
        title: One line that is the same every time.
        meaning: When it happens, for the list in the docs.
        remedy: What to do next, where the occasion does not say anything better.
        exit_code: What the command line ends with.
    """

    status: int
    title: str
    meaning: str
    remedy: str
    exit_code: int = EXIT_REFUSED
