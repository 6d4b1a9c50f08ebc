-- What becomes of an exception whose deadline passes.

-- overdue: when its first deadline passed. level: how many owners have been told. escalates_at: when the next one is;
-- at level 0 that is its deadline.
ALTER TABLE incident ADD COLUMN overdue INTEGER;
ALTER TABLE incident ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN escalates_at INTEGER;
CREATE INDEX incident_due ON incident (deadline) WHERE state = 'open' AND level = 0 AND deadline IS NOT NULL;
CREATE INDEX incident_due_again ON incident (escalates_at) WHERE state = 'open' AND escalates_at IS NOT NULL;
