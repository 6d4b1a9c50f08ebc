-- What is about a data subject is found when its run is gone, or the beginning of its history is folded.

-- A label outlives its task and its run. Blind where encryption is on, as that of the run.
ALTER TABLE label ADD COLUMN subject TEXT;
UPDATE label SET subject = (
    SELECT run.subject FROM human_task JOIN run ON run.seq = human_task.run WHERE human_task.id = label.task
);
CREATE INDEX label_by_subject ON label (subject) WHERE subject IS NOT NULL;

-- Events that runs about a data subject took, once what says so in their histories is folded.
CREATE TABLE event_of (
    run INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (run, event)
) WITHOUT ROWID;
