-- Secrets of an encrypted data folder, sealed (store/sealing.py); the values are never shown.
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    data NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
