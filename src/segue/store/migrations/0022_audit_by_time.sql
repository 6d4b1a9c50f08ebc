-- Records of a time are found without reading all others (decision 0118).
CREATE INDEX audit_by_time ON audit (at);
