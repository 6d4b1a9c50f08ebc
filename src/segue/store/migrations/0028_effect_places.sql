-- Where in the loops around it an act was done: task, and how often each loop had gone round, as text that sorts.
ALTER TABLE effect ADD COLUMN task TEXT;
ALTER TABLE effect ADD COLUMN place TEXT;

-- Acts of a run that goes on and that are gone from the ledger: of this task, up to this place.
CREATE TABLE effect_floor (
    run INTEGER NOT NULL,
    task TEXT NOT NULL,
    place TEXT NOT NULL,
    PRIMARY KEY (run, task)
) WITHOUT ROWID;
