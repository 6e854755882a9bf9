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
