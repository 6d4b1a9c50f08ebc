-- People are told of publications, changes of values, consents and changes of people that wait for them, as of tasks.

-- about: kind and number, such as consent:3, where a notice is about none of tasks and exceptions; title: its title.
ALTER TABLE notice ADD COLUMN about TEXT;
ALTER TABLE notice ADD COLUMN title TEXT;
CREATE INDEX notice_waiting_about ON notice (about) WHERE state = 'due' AND about IS NOT NULL;

-- told: those who may decide have their notices. What waited before nobody is told of late.
ALTER TABLE publication ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE adjustment ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE consent ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account_change ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE publication SET told = 1;
UPDATE adjustment SET told = 1;
UPDATE consent SET told = 1;
UPDATE account_change SET told = 1;
CREATE INDEX publication_untold ON publication (number) WHERE state = 'waiting' AND told = 0;
CREATE INDEX adjustment_untold ON adjustment (number) WHERE state = 'waiting' AND told = 0;
CREATE INDEX consent_untold ON consent (number) WHERE state = 'waiting' AND told = 0;
CREATE INDEX account_change_untold ON account_change (number) WHERE state = 'waiting' AND told = 0;
