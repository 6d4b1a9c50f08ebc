"""The folder or the server cannot do it now."""

from __future__ import annotations

from typing import Final

from segue.service.problems.kind import EXIT_CRASHED, ProblemKind

CONDITIONS: Final[dict[str, ProblemKind]] = {
    "folder-busy": ProblemKind(
        423,
        "Another process works with this data folder",
        "One process at a time may work with a data folder.",
        "Let that process do it, or stop it first.",
    ),
    "too-many-requests": ProblemKind(
        429,
        "Too many requests",
        "Whoever asks has spent what they may ask in a minute, or an address has tried too many passwords and codes.",
        "Wait as long as `Retry-After` says. `requests_per_minute` and `guesses_per_minute` are settings.",
    ),
    "login-barred": ProblemKind(
        429,
        "Too many wrong passwords",
        "After five wrong passwords in a row a name is barred for a quarter of an hour.",
        "Wait, or let an administrator set another password.",
    ),
    "folder-unusable": ProblemKind(
        500,
        "The data folder cannot be used",
        "It may not be written, its file is damaged, or a newer release wrote it.",
        "Check permissions and disk space, or choose another folder with --data.",
    ),
    "internal": ProblemKind(
        500,
        "Segue failed",
        "A fault of the program; the log says more.",
        "Report it with the log entry that the detail names.",
        EXIT_CRASHED,
    ),
    "not-ready": ProblemKind(
        503,
        "The server takes no work at the moment",
        "It is starting or stopping, or its disk does not take writes.",
        "Try again shortly; the detail says what an operator can do.",
    ),
    "sso-unavailable": ProblemKind(
        503,
        "The OpenID provider cannot be used",
        "It does not answer, the outbound policy does not let requests reach it, or the settings do not fit it.",
        "Try again; whoever operates the server finds the reason in its log.",
    ),
    "server-needed": ProblemKind(
        503,
        "This needs a running server",
        "The command changes what only a running server may change, and none serves the data folder.",
        "Start one with `segue serve --data DIR`.",
    ),
    "server-unreachable": ProblemKind(
        503,
        "The server does not answer",
        "Nothing answers at the address of the server, or it answers with something else.",
        "Check SEGUE_URL, or start a server with `segue serve`.",
    ),
    "disk-low": ProblemKind(
        507,
        "The disk is nearly full",
        "Less disk space is free than the setting `disk_free_min_mb` asks for: new runs and events are not taken.",
        "Free disk space. What is under way goes on, and new work is taken again by itself.",
    ),
}
