-- The catalog as of version 1. Numbers of states, tiers, policies and protections are those of the vocabulary crate;
-- times are milliseconds since 1970; 64-bit numbers without sign are stored bit for bit.

CREATE TABLE catalog (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    instance BLOB    NOT NULL CHECK (length(instance) = 16),
    -- Counts the batches that must be synced: each of them changes something.
    barrier  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE payloads (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    size       INTEGER NOT NULL,
    phase      INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    preferred  INTEGER NOT NULL,
    -- A set of tiers: bit n is the tier numbered n.
    copies     INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER,
    reclaim_at INTEGER,
    policy     INTEGER NOT NULL,
    no_evict   INTEGER NOT NULL CHECK (no_evict IN (0, 1)),
    protection INTEGER NOT NULL,
    checksum   BLOB    CHECK (length(checksum) = 16),
    -- pinned without pin_until: until somebody unpins.
    pinned     INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    pin_until  INTEGER,
    dataset    TEXT    NOT NULL,
    producer   TEXT    NOT NULL,
    -- A JSON object of strings; NULL if there are none.
    tags       TEXT
) STRICT, WITHOUT ROWID;

-- Files to be removed. No reference to payloads: they outlive their row.
CREATE TABLE doomed (
    id               BLOB    NOT NULL CHECK (length(id) = 16),
    tier             INTEGER NOT NULL,
    block_index      INTEGER NOT NULL,
    block_generation INTEGER NOT NULL,
    size             INTEGER NOT NULL,
    PRIMARY KEY (id, tier)
) STRICT, WITHOUT ROWID;

CREATE TABLE streams (
    id          INTEGER PRIMARY KEY,
    namespace   TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    max_entries INTEGER NOT NULL,
    max_age_sec INTEGER NOT NULL,
    -- The offset the next entry gets; never goes back.
    next_offset INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    UNIQUE (namespace, name)
) STRICT;

-- No reference to payloads: an entry outlives what it names.
CREATE TABLE entries (
    stream        INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    "offset"      INTEGER NOT NULL,
    append_time   INTEGER NOT NULL,
    payload       BLOB    NOT NULL CHECK (length(payload) = 16),
    event_seconds INTEGER,
    event_nanos   INTEGER,
    duration_ns   INTEGER NOT NULL,
    -- A JSON object of strings; NULL if there are none.
    tags          TEXT,
    PRIMARY KEY (stream, "offset")
) STRICT, WITHOUT ROWID;
