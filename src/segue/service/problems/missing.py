"""What is asked for is not there, or not any more."""

from __future__ import annotations

from typing import Final

from segue.service.problems.kind import ProblemKind

MISSING: Final[dict[str, ProblemKind]] = {
    "workflow-unknown": ProblemKind(
        404,
        "There is no such workflow",
        "Nothing is published under this namespace, name and version.",
        "List what is published with `segue workflows list`.",
    ),
    "workspace-unknown": ProblemKind(
        404,
        "There is no such workspace",
        "The folder of workspaces has none of this name.",
        "List them with `segue workspaces list`.",
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
    "account-change-unknown": ProblemKind(
        404,
        "There is no such change of a person",
        "No change that waits, or waited, for a second administrator has this number.",
        "List them with `segue users changes`.",
    ),
    "model-unknown": ProblemKind(
        404,
        "There is no such model",
        "No model of this name is registered.",
        "`segue models list` shows those there are.",
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
}
