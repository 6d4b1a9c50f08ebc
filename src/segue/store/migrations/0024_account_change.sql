-- Changes of people that wait for a second administrator. what: add, change, profile. state: waiting, approved, refused.
-- wish: JSON, a password only as its hash; emptied when it is decided. effect: what it would do, as JSON.
CREATE TABLE account_change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    effect TEXT NOT NULL,
    wish TEXT NOT NULL,
    wanted_at INTEGER NOT NULL,
    wanted_by TEXT NOT NULL,
    approver TEXT NOT NULL,
    state TEXT NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    reason TEXT
);
CREATE INDEX account_change_waiting ON account_change (number) WHERE state = 'waiting';
