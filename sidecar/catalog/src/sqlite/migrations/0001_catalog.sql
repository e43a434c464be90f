-- The catalog as of version 1. Numbers of states, tiers, policies and protections are those of the vocabulary crate;
-- times are milliseconds since 1970; 64-bit numbers without sign are stored bit for bit.

CREATE TABLE catalog (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    instance BLOB    NOT NULL CHECK (length(instance) = 16),
    -- Counts the batches that must be synced: each of them changes something.
    barrier  INTEGER NOT NULL DEFAULT 0,
    -- Counts the starts of the daemon.
    starts   INTEGER NOT NULL DEFAULT 0
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

-- What users say about a payload: the last word, and a history.
CREATE TABLE metadata (
    id      BLOB    NOT NULL PRIMARY KEY REFERENCES payloads (id) ON DELETE CASCADE,
    data    BLOB    NOT NULL,
    schema  TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

CREATE TABLE metadata_events (
    id      BLOB    NOT NULL REFERENCES payloads (id) ON DELETE CASCADE,
    -- From 0, by 1, for each payload.
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    data    BLOB    NOT NULL,
    schema  TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    version TEXT    NOT NULL,
    PRIMARY KEY (id, number)
) STRICT;

-- An edge goes with its child; its parent may be gone. Never a circle.
CREATE TABLE lineage (
    -- Grows in the order in which edges are added.
    edge       INTEGER PRIMARY KEY,
    child      BLOB NOT NULL REFERENCES payloads (id) ON DELETE CASCADE,
    parent     BLOB NOT NULL CHECK (length(parent) = 16),
    operation  TEXT NOT NULL,
    role       TEXT NOT NULL,
    parameters BLOB NOT NULL,
    -- XXH3-64 of what stands between it and child: finds an edge that is there already. Those are long for an index.
    digest     INTEGER NOT NULL
) STRICT;

CREATE INDEX lineage_by_child ON lineage (child);
CREATE INDEX lineage_by_parent ON lineage (parent);
CREATE INDEX lineage_by_digest ON lineage (child, digest);

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
    id           INTEGER PRIMARY KEY,
    -- Both NULL once it is deleted, until its entries are swept away.
    namespace    TEXT,
    name         TEXT,
    max_entries  INTEGER NOT NULL,
    max_age_sec  INTEGER NOT NULL,
    -- The oldest kept offset, and the one the next entry gets: what lies between is every entry. Neither goes back.
    first_offset INTEGER NOT NULL DEFAULT 0,
    next_offset  INTEGER NOT NULL DEFAULT 0,
    created      INTEGER NOT NULL,
    UNIQUE (namespace, name),
    CHECK ((namespace IS NULL) = (name IS NULL))
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

CREATE TABLE consumer_groups (
    stream   INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    name     TEXT    NOT NULL,
    "offset" INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (stream, name)
) STRICT, WITHOUT ROWID;
