-- Who may do what: identities and their credentials, policies, switches. Credentials are kept as digests only.

CREATE TABLE identity (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Tokens and sessions. digest: SHA-256 of what the bearer holds.
CREATE TABLE credential (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    identity_kind TEXT NOT NULL,
    identity_id TEXT NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX credential_by_identity ON credential (identity_kind, identity_id);

-- Every change of a policy file; the newest row of a name counts. A row without text goes back to what ships.
CREATE TABLE policy_change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    text TEXT,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    reason TEXT NOT NULL
);

-- What is stopped, and what was. kind: agent, model, connection, workflow, workspace.
CREATE TABLE switch (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    released_at INTEGER,
    released_by TEXT,
    released_reason TEXT
);
CREATE UNIQUE INDEX switch_thrown ON switch (kind, name) WHERE released_at IS NULL;
