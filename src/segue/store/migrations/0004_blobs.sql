-- Large values, once each by the SHA-256 of their JSON, and who uses them: a run by its seq, an event by minus its seq.
CREATE TABLE blob (
    hash BLOB PRIMARY KEY,
    data NOT NULL
);
CREATE TABLE blob_use (
    owner INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (owner, hash)
) WITHOUT ROWID;
CREATE INDEX blob_use_by_hash ON blob_use (hash);
