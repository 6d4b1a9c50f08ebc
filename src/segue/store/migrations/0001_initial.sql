-- Version 1 of a data folder. Times are milliseconds since the Unix epoch, UTC. Columns that hold JSON are TEXT
-- when plain and BLOB when packed (store/codec.py).

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Published workflows. Rows are never changed.
CREATE TABLE definition (
    digest TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    UNIQUE (namespace, name, version)
);

-- residence: live (in the host's memory), parked (on disk only), closed, quarantined (a bug stopped it).
-- seq is the order in which runs came into being; the host counts it.
CREATE TABLE run (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    residence TEXT NOT NULL,
    hidden INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    parent INTEGER,
    parent_command INTEGER,
    cause TEXT,
    output,
    failure,
    reason TEXT
);
CREATE INDEX run_by_workflow ON run (namespace, name, seq);
CREATE INDEX run_by_status ON run (status, seq);
CREATE INDEX run_hidden ON run (status) WHERE hidden = 1;
CREATE INDEX run_by_start ON run (started_at, seq);
CREATE INDEX run_by_parent ON run (parent, seq) WHERE parent IS NOT NULL;
-- SQLite uses a partial index only where a query holds the same condition literally.
CREATE INDEX run_live ON run (seq) WHERE residence = 'live';
CREATE INDEX run_quarantined ON run (seq) WHERE residence = 'quarantined';

-- The only source of a run's state. Appended in the order in which events happened, all runs together: a commit
-- then touches a few pages at the end of the table instead of one page for each run (decision 0010).
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    data NOT NULL
);
CREATE INDEX history_by_run ON history (run);

-- CloudEvents, received and emitted.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    run INTEGER,
    envelope NOT NULL,
    UNIQUE (source, id)
);
CREATE INDEX event_by_type ON event (type, received_at);
CREATE INDEX event_by_time ON event (received_at);

-- Timers and waits of parked runs only; those of live runs follow from history.
CREATE TABLE timer (
    run INTEGER NOT NULL,
    command INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (run, command)
) WITHOUT ROWID;
CREATE INDEX timer_by_due ON timer (due_at);

-- One row for each event type that can match; type '' where any can.
CREATE TABLE wait (
    run INTEGER NOT NULL,
    command INTEGER NOT NULL,
    type TEXT NOT NULL,
    PRIMARY KEY (run, command, type)
) WITHOUT ROWID;
CREATE INDEX wait_by_type ON wait (type, run);

-- Events on their way to a run that is parked: the answer of a child, an operator's control.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    data NOT NULL
);
CREATE INDEX inbox_by_run ON inbox (run);

-- Acts that must not simply be repeated. state: intent, done, failed, unknown.
CREATE TABLE effect (
    run INTEGER NOT NULL,
    command INTEGER NOT NULL,
    key TEXT NOT NULL,
    handler TEXT NOT NULL,
    pointer TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    intended_at INTEGER NOT NULL,
    settled_at INTEGER,
    receipt,
    PRIMARY KEY (run, command)
) WITHOUT ROWID;
CREATE INDEX effect_by_key ON effect (key);
CREATE INDEX effect_by_state ON effect (state, intended_at);

-- One row for each workflow that starts by itself. kind: every, cron, after, on.
CREATE TABLE schedule (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    due_at INTEGER,
    run_id TEXT,
    activated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) WITHOUT ROWID;

CREATE TABLE connection (
    name TEXT PRIMARY KEY,
    data NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
