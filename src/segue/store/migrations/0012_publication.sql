-- Publications that wait for somebody's approval, and those that were decided. state: waiting, approved, refused.
CREATE TABLE publication (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    source TEXT NOT NULL,
    approver TEXT NOT NULL,
    wanted_at INTEGER NOT NULL,
    wanted_by TEXT NOT NULL,
    state TEXT NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    reason TEXT
);
CREATE UNIQUE INDEX publication_waiting ON publication (digest) WHERE state = 'waiting';
