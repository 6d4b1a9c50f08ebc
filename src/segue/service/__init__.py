"""The service: everything a person or program can do, one method for each use case.

`service.py` gathers them, `opening.py` wires them over a data folder, `run_document.py` runs a single document.
`errors.py` is the one table of refusals, `shapes.py` what is answered. What happened in a run is never stored twice:
`observe.py` and `lifecycle.py` tell it from its history. No transport and no rendering here.
Open `service.py` first, then `runs.py`.
"""

from segue.dsl import document_schema
from segue.service.audit import (
    AuditProblem,
    AuditPruned,
    AuditSigned,
    AuditVerification,
    AuditView,
    NewAuditPrune,
    NewAuditVerification,
    export_to,
)
from segue.service.backups import BackupView, NewBackup, backup_of_folder, restore_folder
from segue.service.connections import NewConnection
from segue.service.definitions import Definitions
from segue.service.errors import (
    EXIT_CANCELLED,
    EXIT_COMPLETED,
    EXIT_CRASHED,
    EXIT_FAULTED,
    EXIT_OF_STATUS,
    EXIT_REFUSED,
    PROBLEM_BASE,
    PROBLEMS,
    Finding,
    ProblemKind,
    RunFaulted,
    RunWasCancelled,
    ServiceError,
    as_refusal,
    error_of,
)
from segue.service.events import BATCH_MAX
from segue.service.exceptions import Exceptions
from segue.service.functions import load_functions, register
from segue.service.inbox import (
    Choice,
    EffectStateName,
    EffectView,
    ExceptionDetail,
    ExceptionGroup,
    ExceptionKind,
    ExceptionState,
    ExceptionView,
    GroupDecision,
    RunMoment,
)
from segue.service.lifecycle import LIFECYCLE_TYPES, Lifecycle, lifecycle_of
from segue.service.observe import Observation, observe
from segue.service.opening import open_checker, open_service
from segue.service.retention import NewPurge, PurgeView, RetentionView
from segue.service.run_document import ONE_RUN, run_document
from segue.service.runs import PAGE_MAX, Action, RunFilter, RunStatusName
from segue.service.service import Service
from segue.service.settings import DEFAULT_FOLDER, OutboundSettings, ProcessLimits, Settings, load_settings
from segue.service.shapes import (
    ConnectionDetail,
    ConnectionTest,
    ConnectionView,
    Decision,
    Health,
    Held,
    ModelView,
    OpenCommand,
    OperationView,
    Page,
    Published,
    RunDetail,
    RunReport,
    RunSummary,
    Sent,
    SentEvents,
    SkippedTask,
    TaskDetail,
    TaskView,
    Validation,
    WorkflowDetail,
    WorkflowRef,
    WorkflowSummary,
)
from segue.service.steering import Steering
from segue.service.workflows import parse_workflow
from segue.store import HostError

__all__ = [
    "BATCH_MAX",
    "DEFAULT_FOLDER",
    "EXIT_CANCELLED",
    "EXIT_COMPLETED",
    "EXIT_CRASHED",
    "EXIT_FAULTED",
    "EXIT_OF_STATUS",
    "EXIT_REFUSED",
    "LIFECYCLE_TYPES",
    "ONE_RUN",
    "PAGE_MAX",
    "PROBLEMS",
    "PROBLEM_BASE",
    "Action",
    "AuditProblem",
    "AuditPruned",
    "AuditSigned",
    "AuditVerification",
    "AuditView",
    "BackupView",
    "Choice",
    "ConnectionDetail",
    "ConnectionTest",
    "ConnectionView",
    "Decision",
    "Definitions",
    "EffectStateName",
    "EffectView",
    "ExceptionDetail",
    "ExceptionGroup",
    "ExceptionKind",
    "ExceptionState",
    "ExceptionView",
    "Exceptions",
    "Finding",
    "GroupDecision",
    "Health",
    "Held",
    "HostError",
    "Lifecycle",
    "ModelView",
    "NewAuditPrune",
    "NewAuditVerification",
    "NewBackup",
    "NewConnection",
    "NewPurge",
    "Observation",
    "OpenCommand",
    "OperationView",
    "OutboundSettings",
    "Page",
    "ProblemKind",
    "ProcessLimits",
    "Published",
    "PurgeView",
    "RetentionView",
    "RunDetail",
    "RunFaulted",
    "RunFilter",
    "RunMoment",
    "RunReport",
    "RunStatusName",
    "RunSummary",
    "RunWasCancelled",
    "Sent",
    "SentEvents",
    "Service",
    "ServiceError",
    "Settings",
    "SkippedTask",
    "Steering",
    "TaskDetail",
    "TaskView",
    "Validation",
    "WorkflowDetail",
    "WorkflowRef",
    "WorkflowSummary",
    "as_refusal",
    "backup_of_folder",
    "document_schema",
    "error_of",
    "export_to",
    "lifecycle_of",
    "load_functions",
    "load_settings",
    "observe",
    "open_checker",
    "open_service",
    "parse_workflow",
    "register",
    "restore_folder",
    "run_document",
]
