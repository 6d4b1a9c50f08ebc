-- Groups that a directory tells of by SCIM, with the ids of their members.
CREATE TABLE directory_group (
    id TEXT PRIMARY KEY,
    data TEXT NOT NULL
) WITHOUT ROWID;
