-- Runs of workflows that limit how many of them may be under way: one row from their start to their end. Those of other
-- workflows have none. waiting: 1 until their turn comes.
CREATE TABLE place (
    run INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    waiting INTEGER NOT NULL
);
CREATE INDEX place_by_workflow ON place (namespace, name, waiting, run);
