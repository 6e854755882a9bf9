-- One row: when a server last noted that it lives (CO-7).
CREATE TABLE pulse (
    pulse_id BIGINT NOT NULL PRIMARY KEY CHECK (pulse_id = 1),
    at       BIGINT NOT NULL
);
