-- Whom or what a run is about, as its document says (metadata.segue.subject): a customer, an order. Where encryption is
-- on it is a blind stand-in, and what belongs to the run is sealed with that subject's key.
ALTER TABLE run ADD COLUMN subject TEXT;
CREATE INDEX run_by_subject ON run (subject, seq) WHERE subject IS NOT NULL;
