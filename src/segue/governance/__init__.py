"""Governance: who may do what, and how what was done is proven.

`actions.py` lists everything that can be allowed, `policies/` the rules that ship, `policy.py` compiles and asks
them, `guard.py` is what both doors ask. `secrets.py` holds secret sources and the redactor of revealed values.
`checkpoints.py`, `verification.py` and `export.py` sign, verify and send on the audit chain.
Nothing here performs an effect or knows a transport; other rooms hand values in and get answers.
Open `actions.py` first, then `guard.py`.
"""

from segue.governance.actions import (
    ACTIONS,
    GROUPS,
    PRINCIPALS,
    ROLES,
    attributes_of,
    context_of,
    schema_text,
)
from segue.governance.analysis import PolicyFinding, findings
from segue.governance.checkpoints import AuditKey, Checkpoint, PublicKey, append_checkpoint, read_checkpoints
from segue.governance.clocks import ApprovalClock, WishClocks
from segue.governance.consents import CONSENT_RULE, MODEL, Access, Consents, named_owned
from segue.governance.door import ActDoor
from segue.governance.export import export_records
from segue.governance.guard import SWITCH_RULE, Guard, PolicyDenied, in_scope, told
from segue.governance.keyring import (
    ERASED,
    KEY_VARIABLE,
    KEYS_NAME,
    KeyEncryption,
    KeyRing,
    KeyService,
    KeysRefused,
    LocalKey,
    WrappedKey,
    find_key,
    new_key_file,
    new_wrapped_key,
    open_ring,
)
from segue.governance.kms import AwsKms, KmsSettings, VaultTransit, service_of
from segue.governance.limits import DAY_MS, HOUR_MS, ActLimit, ActLimits, Taken, Used
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
    "CONSENT_RULE",
    "DAY_MS",
    "ERASED",
    "GROUPS",
    "HOUR_MS",
    "KEYS_NAME",
    "KEY_VARIABLE",
    "MASK",
    "MODEL",
    "PRINCIPALS",
    "ROLES",
    "SWITCH_KINDS",
    "SWITCH_RULE",
    "Access",
    "ActDoor",
    "ActLimit",
    "ActLimits",
    "ApprovalClock",
    "AuditKey",
    "AwsKms",
    "ChainCheck",
    "ChainedSecrets",
    "Checkpoint",
    "Consents",
    "EnvironmentSecrets",
    "FileSecrets",
    "Guard",
    "KeyEncryption",
    "KeyRing",
    "KeyService",
    "KeysRefused",
    "KmsSettings",
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
    "Taken",
    "Thrown",
    "Used",
    "VaultTransit",
    "Verdict",
    "WishClocks",
    "WrappedKey",
    "append_checkpoint",
    "as_markdown",
    "attributes_of",
    "classes_as_markdown",
    "context_of",
    "export_records",
    "find_key",
    "findings",
    "groups_as_markdown",
    "in_scope",
    "mentions_secret",
    "named_owned",
    "new_key_file",
    "new_wrapped_key",
    "open_ring",
    "read_checkpoints",
    "roles_for",
    "schema_text",
    "service_of",
    "shipped",
    "table",
    "told",
]
