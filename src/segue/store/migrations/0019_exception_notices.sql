-- People are told of exceptions that were passed on to them, as of human tasks.

-- task is 0 where a notice is about an exception; its change is then made of the exception and the step, below 0.
ALTER TABLE notice ADD COLUMN incident INTEGER;
CREATE INDEX notice_of_incident ON notice (incident) WHERE incident IS NOT NULL;

-- told: the level whose owner has a notice.
ALTER TABLE incident ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE incident SET told = level;
CREATE INDEX incident_untold ON incident (id) WHERE state = 'open' AND level > told;
