"""Governance: who may do what, and how what was done is proven.

Here live secret sources and the redactor that keeps revealed values out of results, errors and logs.
Nothing here performs an effect or knows a transport; other rooms hand values in and get answers.
Open `secrets.py` first.
"""

from segue.governance.secrets import (
    MASK,
    ChainedSecrets,
    EnvironmentSecrets,
    FileSecrets,
    Redactor,
    mentions_secret,
)

__all__ = [
    "MASK",
    "ChainedSecrets",
    "EnvironmentSecrets",
    "FileSecrets",
    "Redactor",
    "mentions_secret",
]
