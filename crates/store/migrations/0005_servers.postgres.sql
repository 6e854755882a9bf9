-- When an instance was last heard: apart from its row, which a check-in that changes nothing never writes.
CREATE TABLE seen (
    instance_id TEXT   NOT NULL PRIMARY KEY,
    at          BIGINT NOT NULL
);

-- What one server at a time may do, and which does.
CREATE TABLE lease (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    fence  BIGINT NOT NULL,
    beat   BIGINT NOT NULL
);

-- The server that closed the gate: until it is open again, nobody else commits anything. Null: it is open.
ALTER TABLE world ADD COLUMN gate TEXT;

-- One row, which every commit of every server passes last: the ledger's size. Whoever holds it gives the next positions, and
-- finds the world as it is until he lets go.
CREATE TABLE head (
    head_id BIGINT NOT NULL PRIMARY KEY CHECK (head_id = 1),
    size    BIGINT NOT NULL CHECK (size >= 0)
);
INSERT INTO head (head_id, size) SELECT 1, COALESCE(MAX(position) + 1, 0) FROM entry;

-- The same statement writes an entry and the word of it: no need to look at each of them again.
ALTER TABLE outbox DROP CONSTRAINT outbox_position_fkey;
