-- Streams whose archived log is behind the one here, also those that are deleted and whose archived log is still there:
-- no reference, for the name outlives the stream. The number tells a change that came while the log was being written.
CREATE TABLE stale_logs (
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

INSERT INTO stale_logs (namespace, name, number)
    SELECT namespace, name, 1 FROM streams WHERE namespace IS NOT NULL;
