-- Human tasks: what waits for people, who was told, and what their corrections teach.

-- One row for each offer, written with the events that change it; what is asked stands in the run's history.
-- state: offered, claimed, sent-back, decided, expired, withdrawn. priority: 0 low to 3 urgent.
-- task: id of the offer in its run. event: events of the history up to and with the offer.
CREATE TABLE human_task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    task INTEGER NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    pointer TEXT NOT NULL,
    title TEXT NOT NULL,
    priority INTEGER NOT NULL,
    owner TEXT NOT NULL,
    audience TEXT NOT NULL,
    requester TEXT,
    level INTEGER NOT NULL,
    votes INTEGER NOT NULL,
    offered_at INTEGER NOT NULL,
    due_at INTEGER,
    claimed_at INTEGER,
    changed_at INTEGER NOT NULL,
    closed_at INTEGER,
    outcome TEXT,
    by TEXT,
    edited INTEGER NOT NULL DEFAULT 0,
    model TEXT,
    model_version TEXT,
    event INTEGER NOT NULL,
    UNIQUE (run, task)
);
CREATE INDEX human_task_open ON human_task (open, id);
CREATE INDEX human_task_by_owner ON human_task (owner, open, id);
CREATE INDEX human_task_by_workflow ON human_task (namespace, name, id);
CREATE INDEX human_task_by_close ON human_task (closed_at) WHERE closed_at IS NOT NULL;

-- Who may decide, one row for each name. kind: people, roles, groups, agents, manager.
CREATE TABLE human_task_audience (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    task INTEGER NOT NULL,
    PRIMARY KEY (kind, name, task)
) WITHOUT ROWID;
CREATE INDEX human_task_audience_of ON human_task_audience (task);

-- What happened to it, in order. told: the people whom it concerns have their notices.
CREATE TABLE human_task_change (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL,
    at INTEGER NOT NULL,
    change TEXT NOT NULL,
    by TEXT NOT NULL,
    owner TEXT NOT NULL,
    level INTEGER NOT NULL,
    told INTEGER NOT NULL
);
CREATE INDEX human_task_change_of ON human_task_change (task, id);
CREATE INDEX human_task_change_untold ON human_task_change (id) WHERE told = 0;

-- One row for each person, change and channel: it is made once, and delivered at most once.
-- channel: app, email, chat. state: due, sending, sent, failed, unknown (the process died while it was sent), void.
CREATE TABLE notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL,
    change INTEGER NOT NULL,
    person TEXT NOT NULL,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    sent_at INTEGER,
    read_at INTEGER,
    receipt TEXT,
    UNIQUE (change, person, channel)
);
CREATE INDEX notice_due ON notice (due_at) WHERE state = 'due';
CREATE INDEX notice_sending ON notice (id) WHERE state = 'sending';
CREATE INDEX notice_of_person ON notice (person, id);
CREATE INDEX notice_of_task ON notice (task);

-- What a person's decision says about a model's answer; kept when the run is gone. Values are JSON, packed if long.
-- agreed: 1 where the answer was approved as it was, 0 where it was changed or refused, empty while undecided.
CREATE TABLE label (
    task INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    confidence REAL,
    input,
    proposed,
    decided,
    outcome TEXT,
    agreed INTEGER,
    by TEXT,
    at INTEGER
);
CREATE INDEX label_by_model ON label (model, version, task) WHERE agreed IS NOT NULL;

-- One-time codes: only what a code hashes to, bound to one task and one person.
CREATE TABLE task_code (
    hash TEXT PRIMARY KEY,
    task INTEGER NOT NULL,
    person TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX task_code_by_task ON task_code (task);

-- How people can be reached, when they work, who stands in for them.
CREATE TABLE profile (
    id TEXT PRIMARY KEY,
    data TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
