"""Requests that cannot be read, and those who may not make them."""

from __future__ import annotations

from typing import Final

from segue.service.problems.kind import ProblemKind

ASKING: Final[dict[str, ProblemKind]] = {
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
}
