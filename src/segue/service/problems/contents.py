"""What is sent cannot be taken."""

from __future__ import annotations

from typing import Final

from segue.service.problems.kind import ProblemKind

CONTENTS: Final[dict[str, ProblemKind]] = {
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
        "The value holds a mask (`$masked`), which stands for data that whoever asks may not see, or `$omitted`,"
        " which stands for a large value.",
        "Leave the value out where that keeps what is there, or let somebody correct it who may see it.",
    ),
    "choice-refused": ProblemKind(
        422,
        "This cannot be decided like this",
        "The choice is not offered for this task or exception, or lacks its reason, its output or its input;"
        " or a profile holds what it cannot.",
        "Correct what the detail names; `segue tasks show` and `segue exceptions show` name the choices.",
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
    "workspace-refused": ProblemKind(
        422,
        "The workspace cannot be made",
        "Its name is not one that a workspace may have, or is taken.",
        "Use up to 63 letters in lower case and digits, with single hyphens between them.",
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
}
