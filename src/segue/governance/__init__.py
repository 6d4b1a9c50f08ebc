"""Governance: who may do what, and how what was done is proven.

`actions.py` lists everything that can be allowed, `policies/` the rules that ship, `policy.py` compiles and asks
them, `guard.py` is what both doors ask. `secrets.py` holds secret sources and the redactor of revealed values.
`checkpoints.py`, `verification.py` and `export.py` sign, verify and send on the audit chain.
Nothing here performs an effect or knows a transport; other rooms hand values in and get answers.
Open `actions.py` first, then `guard.py`.
"""

from segue.governance.actions import ACTIONS, GROUPS, PRINCIPALS, ROLES, schema_text
from segue.governance.analysis import PolicyFinding, findings
from segue.governance.checkpoints import AuditKey, Checkpoint, PublicKey, append_checkpoint, read_checkpoints
from segue.governance.door import ActDoor
from segue.governance.export import export_records
from segue.governance.guard import SWITCH_RULE, Guard, PolicyDenied, in_scope
from segue.governance.keyring import (
    ERASED,
    KEYS_NAME,
    KeyEncryption,
    KeyRing,
    KeysRefused,
    LocalKey,
    find_key,
    new_key_file,
)
from segue.governance.limits import HOUR_MS, ActLimit, ActLimits
from segue.governance.policy import Policies, PolicyRefused, Resource, Rule, Verdict, shipped
from segue.governance.secrets import (
    MASK,
    ChainedSecrets,
    EnvironmentSecrets,
    FileSecrets,
    Redactor,
    mentions_secret,
)
from segue.governance.switches import SWITCH_KINDS, Switches, SwitchKind, Thrown
from segue.governance.table import as_markdown, classes_as_markdown, groups_as_markdown, roles_for, table
from segue.governance.verification import ChainCheck, Problem

__all__ = [
    "ACTIONS",
    "ERASED",
    "GROUPS",
    "HOUR_MS",
    "KEYS_NAME",
    "MASK",
    "PRINCIPALS",
    "ROLES",
    "SWITCH_KINDS",
    "SWITCH_RULE",
    "ActDoor",
    "ActLimit",
    "ActLimits",
    "AuditKey",
    "ChainCheck",
    "ChainedSecrets",
    "Checkpoint",
    "EnvironmentSecrets",
    "FileSecrets",
    "Guard",
    "KeyEncryption",
    "KeyRing",
    "KeysRefused",
    "LocalKey",
    "Policies",
    "PolicyDenied",
    "PolicyFinding",
    "PolicyRefused",
    "Problem",
    "PublicKey",
    "Redactor",
    "Resource",
    "Rule",
    "SwitchKind",
    "Switches",
    "Thrown",
    "Verdict",
    "append_checkpoint",
    "as_markdown",
    "classes_as_markdown",
    "export_records",
    "find_key",
    "findings",
    "groups_as_markdown",
    "in_scope",
    "mentions_secret",
    "new_key_file",
    "read_checkpoints",
    "roles_for",
    "schema_text",
    "shipped",
    "table",
]
