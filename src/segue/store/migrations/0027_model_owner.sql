-- Whom models belong to: their consent is needed for new uses (decision 0147). owner: person:ann, group:risk.
CREATE TABLE model_owner (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) WITHOUT ROWID;
