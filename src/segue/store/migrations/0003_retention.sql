-- What retention looks for: closed runs of a workflow by the time of their end, and children that keep their parent.
CREATE INDEX run_by_end ON run (namespace, name, ended_at) WHERE residence = 'closed';
CREATE INDEX run_open_child ON run (parent) WHERE parent IS NOT NULL AND ended_at IS NULL;
