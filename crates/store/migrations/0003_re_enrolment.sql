-- Enrolments of instances that exist already wait for a second person's approval (HS-1): `approved` is null until then.
ALTER TABLE enrolment ADD COLUMN instance_id TEXT;
ALTER TABLE enrolment ADD COLUMN approved TEXT;
CREATE INDEX enrolment_by_instance ON enrolment (expires) WHERE instance_id IS NOT NULL;

-- Until when certificates of the instance are on the revocation list; null: none is. Of those revoked before this column
-- was, nobody counted: whoever reads the list looks into the body.
ALTER TABLE instance ADD COLUMN listed_until BIGINT;
UPDATE instance SET listed_until = 9223372036854775807 WHERE state = 'revoked';
CREATE INDEX instance_by_listed ON instance (listed_until, instance_id) WHERE listed_until IS NOT NULL;
