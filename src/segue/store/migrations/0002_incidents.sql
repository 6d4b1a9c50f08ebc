-- The exception inbox, and what the effect ledger is listed by.

-- One row for each failure that somebody should know of, written with the event that caused it.
-- kind: held (the task waits for a person), faulted (the run ended), unknown (an act may have happened),
-- quarantined (a bug stopped the run). state: open, closed.
-- task: id of the held task, of the act, or 0 for the run as a whole. event: events of the run's history up to and
-- with the cause. effect: key of the act whose outcome is unknown. An empty fingerprint is filled in by the host.
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    task INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    event INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    pointer TEXT NOT NULL,
    failure TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    owner TEXT,
    deadline INTEGER,
    effect TEXT,
    action TEXT,
    by TEXT,
    reason TEXT,
    closed_at INTEGER
);
CREATE UNIQUE INDEX incident_held ON incident (run, task) WHERE kind = 'held';
CREATE UNIQUE INDEX incident_unknown ON incident (effect) WHERE kind = 'unknown' AND state = 'open';
CREATE INDEX incident_by_run ON incident (run, state);
CREATE INDEX incident_by_state ON incident (state, id);
CREATE INDEX incident_by_workflow ON incident (namespace, name, id);
CREATE INDEX incident_by_cause ON incident (state, fingerprint, id);
CREATE INDEX incident_unfinished ON incident (id) WHERE fingerprint = '';

-- What earlier releases left behind.
INSERT INTO incident (run, task, kind, state, at, event, namespace, name, pointer, failure, fingerprint, action,
                      closed_at)
SELECT seq, 0, 'faulted', 'closed', ended_at, 0, namespace, name, coalesce(failure->>'instance', ''), failure, '',
       'faulted', ended_at
FROM run WHERE status = 'faulted' AND failure IS NOT NULL AND hidden = 0 ORDER BY ended_at;
INSERT INTO incident (run, task, kind, state, at, event, namespace, name, pointer, failure, fingerprint)
SELECT seq, 0, 'quarantined', 'open', started_at, 0, namespace, name, '',
       json_object('type', 'https://open-workflow-specification.org/spec/1.0.0/errors/runtime', 'status', 500,
                   'title', 'Runtime error', 'detail', reason), ''
FROM run WHERE residence = 'quarantined' AND hidden = 0 ORDER BY seq;

ALTER TABLE effect ADD COLUMN connection TEXT;
CREATE INDEX effect_by_time ON effect (intended_at);
CREATE INDEX effect_by_handler ON effect (handler, intended_at);
CREATE INDEX effect_by_connection ON effect (connection, intended_at) WHERE connection IS NOT NULL;
