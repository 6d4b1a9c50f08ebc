-- kind: task, or approval of an act that rules or limits leave to people.
ALTER TABLE human_task ADD COLUMN kind TEXT NOT NULL DEFAULT 'task';

-- Acts that count for operational limits, for a day; amount is a JSON number.
CREATE TABLE limit_taken (
    limit_name TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    amount NOT NULL,
    PRIMARY KEY (limit_name, key)
) WITHOUT ROWID;
CREATE INDEX limit_taken_by_time ON limit_taken (at);
