-- Snapshots of long runs (store/snapshots.py): the state after so many events. refs: hashes, in hex, of the large
-- values that stand in `blob`. host: what the host remembers beside the state.
CREATE TABLE snapshot (
    run INTEGER NOT NULL,
    event INTEGER NOT NULL,
    data NOT NULL,
    refs TEXT NOT NULL,
    host TEXT NOT NULL,
    UNIQUE (run, event)
);
-- How many of a run's first events were folded: they are in a snapshot, and no longer in `history`.
ALTER TABLE run ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
-- What a run that is read back must know of its acts, however many it has performed.
CREATE INDEX effect_unsettled ON effect (run) WHERE state IN ('intent', 'unknown');
