-- What tells this installation from every other one, also of the same name (decision 0151). Backups take it along.
INSERT INTO meta (key, value) VALUES ('installation', lower(hex(randomblob(8))));
