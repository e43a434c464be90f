-- Payloads with a durable copy beside which is not yet written what is said about them. The number tells a change that
-- came while that was being written.
CREATE TABLE stale_archives (
    id     BLOB    PRIMARY KEY REFERENCES payloads (id) ON DELETE CASCADE,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO stale_archives (id, number)
    SELECT id, 1 FROM payloads WHERE copies & 24 <> 0 AND (
        EXISTS (SELECT 1 FROM metadata WHERE metadata.id = payloads.id)
        OR EXISTS (SELECT 1 FROM metadata_events WHERE metadata_events.id = payloads.id)
        OR EXISTS (SELECT 1 FROM lineage WHERE lineage.child = payloads.id));
