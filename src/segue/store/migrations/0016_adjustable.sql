-- Values of workflows that operations adjust. adjusted: what is set now, by workflow and value; value: JSON.
CREATE TABLE adjusted (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, key)
) WITHOUT ROWID;

-- Every change, also those that wait for approval or were refused. state: made, waiting, approved, refused.
-- changes: JSON, a list of name, old and new; without new it goes back to the default.
CREATE TABLE adjustment (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    changes TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    approver TEXT NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    decided_reason TEXT
);
CREATE INDEX adjustment_by_workflow ON adjustment (namespace, name, number);
