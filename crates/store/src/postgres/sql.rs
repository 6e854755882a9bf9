//! The writer's statements, each over sets: arrays, one value per row.
//!
//! A guard that fails inside a flight must end its transaction before the COMMIT that flies behind it: it divides by zero. What
//! is locked is locked in one order: nonces, enrolments, leases, instances that are, instances to be, the head; and rows of one table
//! in the order of their keys. So no two transactions ever wait for each other.

/// Ends the transaction unless so many rows were there.
macro_rules! all_of {
    ($sql:literal, $count:literal) => {
        concat!(
            "WITH done AS (",
            $sql,
            ") SELECT 1 / (CASE WHEN COUNT(*) = ",
            $count,
            "::BIGINT THEN 1 ELSE 0 END) FROM done"
        )
    };
}

/// Nonces: key id, nonce, expiry.
macro_rules! nonces {
    () => {
        "INSERT INTO nonce (key_id, nonce, expires) SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[])"
    };
}
pub(super) const NONCES: &str = nonces!();
pub(super) const NONCES_CLAIM: &str =
    concat!(nonces!(), " ON CONFLICT (key_id, nonce) DO NOTHING RETURNING key_id, nonce");
pub(super) const NONCES_GIVE_BACK: &str =
    "DELETE FROM nonce WHERE (key_id, nonce) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))";

/// New enrolments: digest, expiry, body, use, instance.
macro_rules! enrolments {
    () => {
        "INSERT INTO enrolment (digest, expires, body, used, instance_id)
         SELECT * FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[])"
    };
}
pub(super) const ENROLMENTS: &str = enrolments!();
pub(super) const ENROLMENTS_CLAIM: &str =
    concat!(enrolments!(), " ON CONFLICT (digest) DO NOTHING RETURNING digest");
pub(super) const ENROLMENTS_GIVE_BACK: &str = "DELETE FROM enrolment WHERE digest = ANY($1::TEXT[])";

/// Approvals and uses: digest, who approves, the use; how many.
pub(super) const ENROLMENTS_CHANGE: &str = all_of!(
    "UPDATE enrolment AS kept
     SET approved = COALESCE(new.approved, kept.approved), used = COALESCE(new.used, kept.used)
     FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[]) AS new (digest, approved, used)
     WHERE kept.digest = new.digest AND kept.used IS NULL AND (new.approved IS NULL OR kept.approved IS NULL)
     RETURNING 1",
    "$4"
);
pub(super) const ENROLMENTS_LOCK: &str =
    "SELECT digest, used IS NOT NULL, approved IS NOT NULL FROM enrolment WHERE digest = ANY($1::TEXT[])
     ORDER BY digest FOR UPDATE";

/// Leases that must be as they were: name, fence; how many.
pub(super) const LEASES: &str = all_of!(
    "SELECT 1 FROM lease WHERE (name, fence) IN (SELECT * FROM UNNEST($1::TEXT[], $2::BIGINT[]))
     ORDER BY name FOR SHARE",
    "$3"
);
pub(super) const LEASES_LOCK: &str =
    "SELECT name, fence FROM lease WHERE name = ANY($1::TEXT[]) ORDER BY name FOR SHARE";

/// Instances: id, the revision decided on, state, platform, kind, tier, provider, when it leaves the list, body; how many.
pub(super) const INSTANCES_CHANGE: &str = all_of!(
    "UPDATE instance AS kept
     SET revision = kept.revision + 1, state = new.state, platform = new.platform, kind = new.kind,
         tier = new.tier, provider = new.provider, listed_until = new.listed_until, body = new.body
     FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BIGINT[],
                 $9::TEXT[])
         AS new (instance_id, revision, state, platform, kind, tier, provider, listed_until, body)
     WHERE kept.instance_id = new.instance_id AND kept.revision = new.revision
     RETURNING 1",
    "$10"
);
pub(super) const INSTANCES_LOCK: &str = "SELECT instance_id, revision FROM instance WHERE instance_id = ANY($1::TEXT[]) ORDER BY instance_id FOR UPDATE";
macro_rules! instances {
    () => {
        "INSERT INTO instance
             (instance_id, revision, state, platform, kind, tier, provider, listed_until, body)
         SELECT instance_id, revision + 1, state, platform, kind, tier, provider, listed_until, body
         FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[],
                     $8::BIGINT[], $9::TEXT[])
             AS new (instance_id, revision, state, platform, kind, tier, provider, listed_until, body)"
    };
}
pub(super) const INSTANCES: &str = instances!();
pub(super) const INSTANCES_CLAIM: &str =
    concat!(instances!(), " ON CONFLICT (instance_id) DO NOTHING RETURNING instance_id");
pub(super) const INSTANCES_GIVE_BACK: &str = "DELETE FROM instance WHERE instance_id = ANY($1::TEXT[])";

/// Takes the head and appends: how many entries, and of each its place among them, its bytes, the instance it is about.
/// Answers the first one's position.
pub(super) const ENTRIES: &str = "WITH place AS (
         UPDATE head SET size = size + $1::BIGINT WHERE head_id = 1 RETURNING size - $1::BIGINT AS first
     ), written AS (
         INSERT INTO entry (position, body, instance_id)
         SELECT place.first + new.at, new.body, new.instance_id
         FROM place, UNNEST($2::BIGINT[], $3::BYTEA[], $4::TEXT[]) AS new (at, body, instance_id)
     )
     SELECT first FROM place";
pub(super) const HEAD_LOCK: &str = "SELECT size FROM head WHERE head_id = 1 FOR UPDATE";

/// Word of what was appended: how many entries in all, and of each commit the place of its first and how many; the topic.
pub(super) const OUTBOX: &str = "INSERT INTO outbox (topic, position, entries)
     SELECT $4::TEXT, head.size - $1::BIGINT + new.at, new.entries
     FROM head, UNNEST($2::BIGINT[], $3::BIGINT[]) AS new (at, entries) WHERE head.head_id = 1";

/// Documents: kind, name, bytes.
pub(super) const DOCUMENTS: &str = "INSERT INTO document (kind, name, bytes)
     SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BYTEA[])
     ON CONFLICT (kind, name) DO UPDATE SET bytes = excluded.bytes";

/// The world must be at this revision: asked with the head in hand, so that it stays there.
pub(super) const WORLD_IS: &str =
    "SELECT 1 / (CASE WHEN COALESCE(MAX(revision), 0) = $1::BIGINT THEN 1 ELSE 0 END)
     FROM world WHERE world_id = 1";
pub(super) const WORLD: &str = "SELECT revision FROM world WHERE world_id = 1";
pub(super) const WORLD_FOUND: &str = "INSERT INTO world (world_id, revision, body) VALUES (1, 1, $1::TEXT)";
pub(super) const WORLD_CHANGE: &str = all_of!(
    "UPDATE world SET revision = revision + 1, body = $1::TEXT, gate = NULL
     WHERE world_id = 1 AND revision = $2::BIGINT RETURNING 1",
    "1"
);

/// Turns the gate with the head in hand, behind whatever is being committed: the revision it is turned on, who holds it from now on.
pub(super) const GATE_TURN: &str = "WITH place AS (
         UPDATE head SET size = size WHERE head_id = 1 RETURNING head_id
     )
     UPDATE world SET revision = world.revision + 1, gate = $2::TEXT FROM place
     WHERE world.world_id = place.head_id AND world.revision = $1::BIGINT";
