-- A task may be held, decided about, and held again: it comes into the inbox once for each time.

DROP INDEX incident_held;
CREATE UNIQUE INDEX incident_held ON incident (run, task) WHERE kind = 'held' AND state = 'open';
