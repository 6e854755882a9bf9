-- What the federation knows. Instants are milliseconds since 1970, ids and digests are lower-case text.
-- Only what PostgreSQL runs too; a blob is BYTEA there, and here nothing but a name.

CREATE TABLE instance (
    instance_id TEXT   NOT NULL PRIMARY KEY,
    revision    BIGINT NOT NULL CHECK (revision > 0),
    -- The columns a listing filters by, as the body has them.
    state       TEXT   NOT NULL,
    platform    TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    tier        TEXT   NOT NULL,
    provider    TEXT,
    body        TEXT   NOT NULL
);
CREATE INDEX instance_by_state ON instance (state, instance_id);
CREATE INDEX instance_by_platform ON instance (platform, instance_id);

-- One row, absent until something was decided.
CREATE TABLE world (
    world_id BIGINT NOT NULL PRIMARY KEY CHECK (world_id = 1),
    revision BIGINT NOT NULL CHECK (revision > 0),
    body     TEXT   NOT NULL
);

-- The ledger's entries; positions start at 0 and have no gaps.
CREATE TABLE entry (
    position BIGINT NOT NULL PRIMARY KEY CHECK (position >= 0),
    body     BYTEA  NOT NULL
);

-- What others have yet to hear of: per commit the position of its first entry, and how many follow from there.
CREATE TABLE outbox (
    topic    TEXT   NOT NULL,
    position BIGINT NOT NULL REFERENCES entry (position),
    entries  BIGINT NOT NULL CHECK (entries > 0),
    PRIMARY KEY (topic, position)
);

-- Nonces spent (HS-6).
CREATE TABLE nonce (
    key_id  TEXT   NOT NULL,
    nonce   TEXT   NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (key_id, nonce)
);
CREATE INDEX nonce_by_expires ON nonce (expires);

-- Rights to register (HS-1); `used` is null until somebody did.
CREATE TABLE enrolment (
    digest  TEXT   NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL,
    body    TEXT   NOT NULL,
    used    TEXT
);

-- Signed documents, as received.
CREATE TABLE document (
    kind  TEXT  NOT NULL,
    name  TEXT  NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (kind, name)
);
