-- Who may use a secret, wherever it is kept, and who did last. users: a JSON list; NULL for everybody.
CREATE TABLE secret_scope (
    name TEXT PRIMARY KEY,
    users TEXT,
    used_at INTEGER,
    used_by TEXT
) WITHOUT ROWID;
