"""What the service refuses, and why: one table that problem documents, exit codes and the docs are made from.

A `ServiceError` names one kind of the table. Interfaces never invent a status or an exit code of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from segue.store import BackupRefused, DiskLow, ErasedData, FolderInUse, FolderNotUsable, HostError
from segue.types import Failure

EXIT_COMPLETED: Final = 0
EXIT_FAULTED: Final = 1
EXIT_REFUSED: Final = 2
EXIT_CANCELLED: Final = 3
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


PROBLEMS: Final[dict[str, ProblemKind]] = {
    "request-malformed": ProblemKind(
        400,
        "The request cannot be read",
        "The body is no JSON or YAML of the expected shape, or a parameter has the wrong type.",
        "Correct the part that the detail names and send it again.",
    ),
    "scim-refused": ProblemKind(
        400,
        "The provisioning request cannot be used",
        "A filter, path, operation or value of a SCIM request is not as the standard has it, or not taken here.",
        "Correct the part that the detail names; docs/scim.md says what is taken.",
    ),
    "command-refused": ProblemKind(
        400,
        "The command cannot be read",
        "A command line has an unknown command or option, or lacks something.",
        "`segue --help` shows the commands.",
    ),
    "token-refused": ProblemKind(
        401,
        "A valid token is needed",
        "The request carries no bearer token, or not the server's.",
        "Send `Authorization: Bearer TOKEN` with the token from the file `server.json` in the data folder.",
    ),
    "not-signed-in": ProblemKind(
        401,
        "Somebody must be signed in",
        "The request reached a use case and nobody was acting.",
        "Sign in with `segue login`, or send a token.",
    ),
    "login-refused": ProblemKind(
        401,
        "The sign-in is refused",
        "Name, password and one-time code do not fit together, or the person may not sign in.",
        "Try again; after five wrong passwords in a row a name is barred for a quarter of an hour.",
    ),
    "sso-refused": ProblemKind(
        401,
        "The single sign-on is refused",
        "The provider let nobody in, its answer does not hold or is too old, or the person may not sign in here.",
        "Begin again. Whoever administers finds the reason in the server's log and in the audit.",
    ),
    "csrf-refused": ProblemKind(
        403,
        "The change does not come from our own page",
        "A session changes something only with the header `X-CSRF-Token`, which the login answered.",
        "Send the `csrf` of the session in the header.",
    ),
    "permission-denied": ProblemKind(
        403,
        "This is not permitted",
        "The policies do not let whoever asked do this; the detail names the action and the rules that decided.",
        "Ask whoever administers identities for a role that may.",
    ),
    "password-due": ProblemKind(
        403,
        "A password of one's own comes first",
        "Somebody else set the password of this sign-in; it is worth nothing but choosing another.",
        "Choose one with `POST /me/password`, or sign in with `segue login`, which asks for it; then sign in again.",
    ),
    "approval-needed": ProblemKind(
        403,
        "Somebody else must approve this first",
        "A rule lets this happen only with the approval of a role.",
        "Ask somebody with the role that the detail names.",
    ),
    "code-refused": ProblemKind(
        403,
        "The one-time code is worth nothing",
        "It is unknown, was used, or has expired; or its task is closed.",
        "Sign in and decide there, or wait for the next reminder, which brings a new code.",
    ),
    "not-yours": ProblemKind(
        403,
        "Somebody else must decide this",
        "Who asks is not among those asked, requested it, lacks the role, or is above their limit.",
        "`segue tasks show` names who may; whoever may can delegate or reassign it.",
    ),
    "host-refused": ProblemKind(
        403,
        "The server is not addressed by a name of its own",
        "The `Host` header names something other than the loopback address and the configured names.",
        "Use http://127.0.0.1:PORT, or add the name to the setting `allowed_hosts`.",
    ),
    "workflow-unknown": ProblemKind(
        404,
        "There is no such workflow",
        "Nothing is published under this namespace, name and version.",
        "List what is published with `segue workflows list`.",
    ),
    "run-unknown": ProblemKind(
        404,
        "There is no such run",
        "No run has this id.",
        "List the runs with `segue runs list`.",
    ),
    "task-unknown": ProblemKind(
        404,
        "There is no such task",
        "The run has started no task with this number.",
        "List the tasks of the run.",
    ),
    "connection-unknown": ProblemKind(
        404,
        "There is no such connection",
        "No connection has this name.",
        "List the connections with `segue connections list`.",
    ),
    "exception-unknown": ProblemKind(
        404,
        "There is no such exception",
        "The exception inbox has no entry with this number, or no open one of this group.",
        "List them with `segue exceptions list`.",
    ),
    "identity-unknown": ProblemKind(
        404,
        "There is no such person or account",
        "Nobody has this kind and name.",
        "List them with `segue users list`.",
    ),
    "token-unknown": ProblemKind(
        404,
        "There is no such token",
        "No token has this id.",
        "List them with `segue tokens list`.",
    ),
    "scim-unknown": ProblemKind(
        404,
        "There is no such resource",
        "No person or group that a directory provisioned has this id, or they were removed.",
        "Look it up with a filter.",
    ),
    "policy-unknown": ProblemKind(
        404,
        "There is no such policy file",
        "No policy file has this name.",
        "List them with `segue policy list`.",
    ),
    "human-task-unknown": ProblemKind(
        404,
        "There is no such task for people",
        "No human task has this number.",
        "List them with `segue tasks list --state all`.",
    ),
    "profile-unknown": ProblemKind(
        404,
        "There is no such profile",
        "Nobody with this id has a profile.",
        "List them with `segue people list`.",
    ),
    "switch-unknown": ProblemKind(
        404,
        "It is not stopped",
        "Nothing of this kind and name is stopped.",
        "List what is with `segue switches`.",
    ),
    "adjustment-unknown": ProblemKind(
        404,
        "There is no such change of values",
        "No adjustment has this number.",
        "List them with `segue adjustments list`.",
    ),
    "consent-unknown": ProblemKind(
        404,
        "There is no such consent",
        "No use of a connection that has an owner has this number.",
        "List them with `segue consents list`.",
    ),
    "publication-unknown": ProblemKind(
        404,
        "There is no such publication",
        "No publication has this number.",
        "List them with `segue publications list --state all`.",
    ),
    "effect-unknown": ProblemKind(
        404,
        "There is no such act",
        "The effect ledger has no act with this key.",
        "List them with `segue effects list`.",
    ),
    "event-unknown": ProblemKind(
        404,
        "The run has had no such event",
        "The history of the run has fewer events.",
        "`segue runs history` prints them.",
    ),
    "control-unknown": ProblemKind(
        404,
        "There is no such control",
        "No control has this id, or no framework this name.",
        "List them with `segue controls list`.",
    ),
    "control-period-refused": ProblemKind(
        400,
        "The period cannot be reported on",
        "It ends before it begins, or has not ended yet.",
        "Give a period that is over.",
    ),
    "control-changed": ProblemKind(
        409,
        "Something else is found than what was seen",
        "Evidence or exceptions of the control changed since the report was made that the review names.",
        "Make the report again, look at it, and review it with its digest.",
    ),
    "pdf-unavailable": ProblemKind(
        501,
        "No PDF can be made here",
        "The package that writes PDF files is not installed.",
        "Install Segue with the extra `pdf`, or take the report as HTML and print it.",
    ),
    "audit-unknown": ProblemKind(
        404,
        "There is no such record",
        "The audit chain has no record with this number; it may have been pruned.",
        "List them with `segue audit list`.",
    ),
    "history-folded": ProblemKind(
        410,
        "That part of the history was folded",
        "The run has had more events than it keeps, and what was asked for needs older ones.",
        "Ask for what is kept, as `segue runs show` says. To keep more, see the setting `history_max_events`.",
    ),
    "secret-unknown": ProblemKind(
        404,
        "There is no such secret",
        "The data folder keeps no secret of this name; those of the environment and of files are not listed.",
        "List them with `segue secrets list`.",
    ),
    "subject-unknown": ProblemKind(
        404,
        "Nothing is about this data subject",
        "No run that is kept says that it is about this subject.",
        "Documents say whom a run is about in `document.metadata.segue.subject`.",
    ),
    "route-unknown": ProblemKind(
        404,
        "There is nothing at this address",
        "The path is no route of the API.",
        "Read /api/v1/openapi.json for the routes there are.",
    ),
    "sso-off": ProblemKind(
        404,
        "There is no single sign-on here",
        "The settings name no OpenID provider.",
        "Sign in with a password, or let an administrator add `[oidc]` to the settings.",
    ),
    "method-refused": ProblemKind(
        405,
        "This method is not for this address",
        "The path is a route of the API, but not with this method.",
        "Read /api/v1/openapi.json for the methods of this route.",
    ),
    "body-too-slow": ProblemKind(
        408,
        "The body did not arrive in time",
        "The body of the request took longer than a minute to arrive.",
        "Send it again over a better line, or send less.",
    ),
    "version-taken": ProblemKind(
        409,
        "This version is published with other content",
        "A definition is immutable: the same namespace, name and version exists with another digest.",
        "Raise `document.version` and publish again.",
    ),
    "connection-taken": ProblemKind(
        409,
        "A connection of this name exists",
        "A connection is never overwritten silently.",
        "Choose another name, or remove the other connection first.",
    ),
    "switch-thrown": ProblemKind(
        409,
        "It is stopped already",
        "Something of this kind and name was stopped and not released.",
        "`segue switches` says by whom and why.",
    ),
    "adjustment-decided": ProblemKind(
        409,
        "The change of values is decided",
        "Somebody approved or refused it, or it needed no approval; the first decision counts.",
        "Change the values anew, if they should be something else.",
    ),
    "publication-decided": ProblemKind(
        409,
        "The publication is decided",
        "Somebody approved or refused it; the first decision counts.",
        "Publish the document again, if it should be decided anew.",
    ),
    "identity-taken": ProblemKind(
        409,
        "The name belongs to somebody",
        "A person or account of this name exists, or existed: records name it.",
        "Choose another name.",
    ),
    "scim-taken": ProblemKind(
        409,
        "Somebody else has it",
        "Another provisioned person or group has this name or external id, or had it and was removed here by hand.",
        "Look the other one up with a filter, or let an administrator decide.",
    ),
    "run-closed": ProblemKind(
        409,
        "The run has ended",
        "A run that completed, faulted or was cancelled takes no more controls.",
        "Start a new run.",
    ),
    "run-open": ProblemKind(
        409,
        "A run has not ended",
        "A data subject is erased only when no run about it is under way.",
        "Wait for the runs, or cancel them, and ask again.",
    ),
    "exception-closed": ProblemKind(
        409,
        "The exception is resolved",
        "Somebody decided about it, or it was settled otherwise, or the decision did not hold for long.",
        "`segue exceptions show` says what became of it.",
    ),
    "human-task-closed": ProblemKind(
        409,
        "The task is closed",
        "It was decided, it expired, or its run went on without it; the first decision that counts is the result.",
        "`segue tasks show` tells who decided what.",
    ),
    "human-task-changed": ProblemKind(
        409,
        "The task is not as it was when it was read",
        "Somebody changed its data or gave a voice, or the rules changed, since the page was read.",
        "Read it again, and decide about what it says now.",
    ),
    "place-refused": ProblemKind(
        409,
        "The run cannot be taken there",
        "The task is neither under way nor in a list that is; or a fork cannot begin with it.",
        "Do what the detail says; `segue runs show` shows where the run is.",
    ),
    "key-reused": ProblemKind(
        409,
        "The idempotency key belongs to another request",
        "The same `Idempotency-Key` was used to start a run with another workflow or input.",
        "Use a fresh key for each distinct request.",
    ),
    "backup-refused": ProblemKind(
        409,
        "The backup cannot be made or restored like this",
        "The file exists, does not verify, or the folder to restore to holds data.",
        "Do what the detail says; docs/operations.md tells more.",
    ),
    "data-erased": ProblemKind(
        410,
        "The data was erased",
        "It was about a data subject whose key was destroyed; nobody can read it any more.",
        "`segue runs show` tells what is left of the run.",
    ),
    "body-too-large": ProblemKind(
        413,
        "The body is too large",
        "The body of the request is larger than the server's limit.",
        "Send less, or raise the setting `max_body_bytes`.",
    ),
    "media-type-refused": ProblemKind(
        415,
        "This content type is not read here",
        "The route does not take a body of this content type.",
        "Use one of the content types that the detail names.",
    ),
    "definition-refused": ProblemKind(
        422,
        "The workflow document has errors",
        "Validation found at least one error; `findings` lists all of them with their places.",
        "Correct the findings; `segue validate FILE` shows them again.",
    ),
    "input-refused": ProblemKind(
        422,
        "The input does not fit the workflow",
        "The workflow has an input schema, and the input does not fit it. No run was started.",
        "Correct the part that the detail names.",
    ),
    "mask-refused": ProblemKind(
        422,
        "A mask is no value",
        "The value holds a mask (`$masked`), which stands for data that whoever asks may not see.",
        "Leave the value out where that keeps what is there, or let somebody correct it who may see it.",
    ),
    "choice-refused": ProblemKind(
        422,
        "This cannot be decided like this",
        "The choice is not offered for this exception, or lacks its reason, its output or its input.",
        "`segue exceptions show` names the choices.",
    ),
    "event-refused": ProblemKind(
        422,
        "This is no CloudEvent",
        "The event lacks a required attribute, or one of its attributes has the wrong form.",
        "Send specversion, id, source and type as text.",
    ),
    "connection-refused": ProblemKind(
        422,
        "The connection cannot be made like this",
        "The document of the connection cannot be read, or its credentials are not given by reference.",
        "Correct the part that the detail names.",
    ),
    "scim-changed": ProblemKind(
        412,
        "The resource has changed",
        "`If-Match` names another version of the person or group than there is now.",
        "Read it again, and decide anew.",
    ),
    "policy-refused": ProblemKind(
        422,
        "The policies cannot be like this",
        "A rule is no Cedar, names what there is not, has no id of its own, or would shut the owner out.",
        "Correct the part that the detail names; docs/permissions.md lists what rules can name.",
    ),
    "identity-refused": ProblemKind(
        422,
        "The person or account cannot be like this",
        "A name, role, scope or state that there is not, or a password where none belongs.",
        "Correct the part that the detail names.",
    ),
    "function-refused": ProblemKind(
        422,
        "The function cannot be registered",
        "A Python function was registered under a name that is not allowed or taken.",
        "Choose another name.",
    ),
    "adjustment-refused": ProblemKind(
        422,
        "The values cannot be changed so",
        "A value is not declared, does not fit what the document allows, or would not change.",
        "`segue workflows adjustable` shows the values and what they may be.",
    ),
    "setting-refused": ProblemKind(
        422,
        "A setting is wrong",
        "A setting in `segue.toml`, the environment or a flag is unknown or has a wrong value.",
        "See docs/settings.md for the settings there are.",
    ),
    "audit-key-refused": ProblemKind(
        422,
        "The key of the audit chain cannot be used",
        "The key that signs or verifies checkpoints is missing, unreadable, or not an Ed25519 key in PEM.",
        "Check the setting `audit_key_file` and the variable SEGUE_AUDIT_KEY.",
    ),
    "export-refused": ProblemKind(
        422,
        "The records cannot be exported there",
        "The target is no path and no address of a known kind, or the receiver does not take the records.",
        "Use a path, syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT or otlp+http://HOST:PORT/v1/logs.",
    ),
    "secret-refused": ProblemKind(
        422,
        "The secret cannot be kept",
        "Its name or its value is not acceptable.",
        "Name it with letters, digits and ._- and give a value that is not empty.",
    ),
    "keys-refused": ProblemKind(
        422,
        "The keys do not allow it",
        "The folder is not encrypted, is encrypted already, its keys are missing or wrong, or a legal hold is on.",
        "Do what the detail says; docs/privacy.md tells more.",
    ),
    "file-unreadable": ProblemKind(
        422,
        "A file cannot be read",
        "The command names a file that is missing, is a folder, is not text, or may not be read.",
        "Check the path and its permissions.",
    ),
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


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that validation found in a document.

    Attributes:
        severity: `error` refuses the document, `warning` does not.
        remedy: What to do about it.
        line, column: From 1; 0 where the place is unknown.
        pointer: JSON Pointer into the document.
    """

    rule: str
    severity: str
    message: str
    remedy: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    pointer: str = ""


class ServiceError(Exception):
    """A request that is refused. Whoever asked can act on it.

    Args:
        kind: A key of `PROBLEMS`.
        detail: What happened this time and where; never a secret.
        remedy: What to do next; the kind's own remedy where this is None.
        findings: All findings, where a document is refused.
        wait_s: Seconds after which to try again, where time is all that is lacking; 0 where it is not.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        remedy: str | None = None,
        findings: Sequence[Finding] = (),
        wait_s: int = 0,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.entry = PROBLEMS[kind]
        self.detail = detail
        self.remedy = remedy or self.entry.remedy
        self.findings = tuple(findings)
        self.wait_s = wait_s

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return self.entry.exit_code

    def __str__(self) -> str:
        """What happened and, where a document is refused, every finding with its place and remedy."""
        lines = [
            f"{f.file}:{f.line}:{f.column}: {f.severity}: {f.message} [{f.rule}]"
            + (f"; {f.remedy}" if f.remedy else "")
            for f in self.findings
        ]
        return "\n  ".join([self.detail, *lines])

    def as_problem(self, instance: str | None = None) -> dict[str, Any]:
        """The problem document of RFC 9457."""
        problem: dict[str, Any] = {
            "type": PROBLEM_BASE + self.kind,
            "title": self.entry.title,
            "status": self.entry.status,
            "detail": self.detail,
            "remedy": self.remedy,
        }
        if instance is not None:
            problem["instance"] = instance
        if self.findings:
            problem["findings"] = msgspec.to_builtins(self.findings)
        return problem


def error_of(problem: dict[str, Any]) -> ServiceError | None:
    """The error that a problem document of our own server stands for; None where it is somebody else's."""
    kind = str(problem.get("type", "")).removeprefix(PROBLEM_BASE)
    if kind not in PROBLEMS:
        return None
    findings = [msgspec.convert(item, Finding) for item in problem.get("findings", ())]
    return ServiceError(kind, str(problem.get("detail", "")), remedy=problem.get("remedy"), findings=findings)


def as_refusal(error: BaseException) -> ServiceError | None:
    """The refusal that an error of the rooms below stands for; None where it is a fault of the program."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, FolderInUse):
        return ServiceError("folder-busy", f"{error}.")
    if isinstance(error, FolderNotUsable):
        return ServiceError("folder-unusable", f"{error}.")
    if isinstance(error, BackupRefused):
        return ServiceError("backup-refused", f"{error}.")
    if isinstance(error, DiskLow):
        return ServiceError("disk-low", f"{error}.")
    if isinstance(error, ErasedData):
        return ServiceError("data-erased", f"{error}.")
    if isinstance(error, HostError):
        return ServiceError("not-ready", f"{error}.")
    return None


class RunFaulted(Exception):
    """A run that was waited for ended with a failure."""

    def __init__(self, run_id: str, failure: Failure) -> None:
        super().__init__(f"run {run_id} faulted: {failure.detail or failure.title or failure.type}")
        self.run_id = run_id
        self.failure = failure


class RunWasCancelled(Exception):
    """A run that was waited for was cancelled."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was cancelled")
        self.run_id = run_id
