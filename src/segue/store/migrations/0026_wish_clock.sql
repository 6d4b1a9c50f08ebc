-- What waits for somebody's approval has a clock: who is asked, reminded, asked besides, and when it lapses (decision 0146).

-- kind: publication, adjustment, consent, account. wanted_at: of the wish that the clock belongs to.
-- clock: JSON, as `segue.people.agenda_of` reads it; NULL for what the settings say when it begins.
-- began_at: when people were first asked. steps: how much of its agenda has happened. next_at: NULL when it is over.
CREATE TABLE wish_clock (
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    wanted_at INTEGER NOT NULL,
    clock TEXT,
    began_at INTEGER,
    steps INTEGER NOT NULL,
    next_at INTEGER,
    PRIMARY KEY (kind, number)
) WITHOUT ROWID;
CREATE INDEX wish_clock_next ON wish_clock (next_at) WHERE next_at IS NOT NULL;

-- What waits already begins anew, except that who was asked is not asked once more.
INSERT INTO wish_clock SELECT 'publication', number, wanted_at, NULL, NULL, told, 0 FROM publication WHERE state = 'waiting';
INSERT INTO wish_clock SELECT 'adjustment', number, at, NULL, NULL, told, 0 FROM adjustment WHERE state = 'waiting';
INSERT INTO wish_clock SELECT 'consent', number, wanted_at, NULL, NULL, told, 0 FROM consent WHERE state = 'waiting';
INSERT INTO wish_clock SELECT 'account', number, wanted_at, NULL, NULL, told, 0 FROM account_change WHERE state = 'waiting';

-- The first step of the clock says who has been told.
DROP INDEX publication_untold;
DROP INDEX adjustment_untold;
DROP INDEX consent_untold;
DROP INDEX account_change_untold;
ALTER TABLE publication DROP COLUMN told;
ALTER TABLE adjustment DROP COLUMN told;
ALTER TABLE consent DROP COLUMN told;
ALTER TABLE account_change DROP COLUMN told;
