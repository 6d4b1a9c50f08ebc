"""What an administrator sets for handlers. Kept apart, so that reading settings loads no handler."""

from __future__ import annotations

import msgspec

from segue.connectors import Credential
from segue.types import Recovery


class ProcessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an administrator allows.

    Attributes:
        allow_scripts: `run.script` may start Python and JavaScript.
        allow_shell: `run.shell` may start commands.
        time_limit_ms: A program that runs longer is killed and its task fails with a timeout.
        output_limit_bytes: Of stdout and stderr together; a program that writes more is killed.
        concurrency: Programs running at the same time.
        recovery: What may follow a crash of the service in the middle of a program. `ask`, because nobody can
            tell from outside what a program has already done; `repeat`, where all of them may run twice.
        path: Where programs are looked up.
        node: The JavaScript interpreter; looked up in `path` when left out.
    """

    allow_scripts: bool = False
    allow_shell: bool = False
    time_limit_ms: int = 60_000
    output_limit_bytes: int = 4 * 1024 * 1024
    concurrency: int = 8
    recovery: Recovery = "ask"
    path: str = "/usr/local/bin:/usr/bin:/bin"
    node: str | None = None


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail server that notices leave through; chosen by the administrator, so the outbound policy does not apply.

    Attributes:
        sender: Address in From; a document may not choose another.
        tls: `starttls` (required once chosen), `tls` from the first byte, or `none` for a server on this machine.
        timeout_ms: For the whole delivery.
        recovery: `repeat` sends again after a crash under the same Message-ID; `ask` leaves it to a person.
    """

    host: str
    sender: str
    port: int = 587
    tls: str = "starttls"
    username: Credential | None = None
    password: Credential | None = None
    timeout_ms: int = 30_000
    recovery: Recovery = "repeat"

    def __post_init__(self) -> None:
        if self.recovery == "verify":
            raise ValueError("an e-mail cannot be looked up: recovery is 'repeat' or 'ask'")
        if self.tls not in ("starttls", "tls", "none"):
            raise ValueError(f"tls must be 'starttls', 'tls' or 'none', got {self.tls!r}")
