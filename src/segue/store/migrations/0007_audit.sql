-- The audit chain (segue.types.audit). Appended by the commit that holds what a record speaks of; never changed.
-- hash, as hexadecimal, covers the hash before and every other column. principal: `kind:id`, or a blind index of it
-- where encryption is on. data: principal, reason and further facts in stored form.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    principal TEXT NOT NULL,
    verdict TEXT NOT NULL,
    data TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_by_resource ON audit (resource, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
