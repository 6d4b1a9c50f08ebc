"""Types: the words every room shares, as frozen structs and protocols.

Ids, events, commands, failures, secret references and the contracts between hosts, handlers and the store
live here. Nothing here imports another room, does I/O or decides anything.
Open `events.py` first, then `commands.py`.
"""

from segue.types.commands import (
    CLOSED,
    AwaitMessages,
    Cancel,
    Command,
    Emit,
    EndRun,
    Perform,
    RunStatus,
    StartTimer,
)
from segue.types.contracts import NOT_DONE, EffectContext, Handler, Recovery, SecretSource
from segue.types.events import (
    AttemptFailed,
    AttemptSucceeded,
    Event,
    FailureReleased,
    Json,
    MessageConsumed,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    TaskRestarted,
    TaskSkipped,
    TimerFired,
)
from segue.types.failures import (
    ERROR_BASE,
    Failure,
    FailureWord,
    TaskFailure,
    canonical_type,
    fail,
    failure,
)
from segue.types.identities import (
    DEFAULT_WORKSPACE,
    LOCAL_OWNER,
    SYSTEM,
    AuditSink,
    Identity,
    IdentityKind,
    acting,
    acting_as,
)
from segue.types.secrets import SecretText

__all__ = [
    "CLOSED",
    "DEFAULT_WORKSPACE",
    "ERROR_BASE",
    "LOCAL_OWNER",
    "NOT_DONE",
    "SYSTEM",
    "AttemptFailed",
    "AttemptSucceeded",
    "AuditSink",
    "AwaitMessages",
    "Cancel",
    "Command",
    "EffectContext",
    "Emit",
    "EndRun",
    "Event",
    "Failure",
    "FailureReleased",
    "FailureWord",
    "Handler",
    "Identity",
    "IdentityKind",
    "Json",
    "MessageConsumed",
    "Perform",
    "Recovery",
    "RunCancelled",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "RunStatus",
    "SecretSource",
    "SecretText",
    "StartTimer",
    "TaskFailure",
    "TaskRestarted",
    "TaskSkipped",
    "TimerFired",
    "acting",
    "acting_as",
    "canonical_type",
    "fail",
    "failure",
]
