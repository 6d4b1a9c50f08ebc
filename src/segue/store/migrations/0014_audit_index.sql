-- Records of everyday work are found by what they are about: an index of their actions would cost every run its share.
DROP INDEX audit_by_action;
CREATE INDEX audit_by_action ON audit (action, seq)
WHERE action NOT IN ('run.start', 'effect.intend', 'effect.settle');
