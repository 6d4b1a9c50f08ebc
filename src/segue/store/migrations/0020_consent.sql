-- Uses of connections that have an owner. access: read, write. state: waiting, granted, refused, revoked.
CREATE TABLE consent (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    connection TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    access TEXT NOT NULL,
    state TEXT NOT NULL,
    wanted_at INTEGER NOT NULL,
    wanted_by TEXT NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    reason TEXT
);
CREATE UNIQUE INDEX consent_of_use ON consent (connection, namespace, name, access);
