//! The numbered steps of the schema, the same for every engine, and what of them a database must have.
//!
//! Where an engine cannot take a step as it is written, or needs more, it has a file of its own under the same number,
//! with its name behind the step's: that one is run instead.

use governance::Digest;

use crate::OpenError;

/// A step of the schema.
pub(crate) struct Migration {
    pub(crate) number: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../migrations/", $name, ".sql")),
        }),+]
    };
}

/// Every migration, oldest first. One that was released never changes: its checksum stands in every database.
pub(crate) const SQLITE: &[Migration] = migrations![
    1 "0001_federation",
    2 "0002_pulse",
    3 "0003_re_enrolment",
    4 "0004_decisions",
    5 "0005_servers",
];

/// The same for PostgreSQL.
pub(crate) const POSTGRES: &[Migration] = migrations![
    1 "0001_federation",
    2 "0002_pulse",
    3 "0003_re_enrolment",
    4 "0004_decisions.postgres",
    5 "0005_servers.postgres",
];

/// A migration as the database remembers it: number, name, checksum.
pub(crate) type Applied = (i64, String, String);

/// What was applied must be the beginning of what is known, text for text.
pub(crate) fn check(applied: &[Applied], known: &[Migration]) -> Result<(), OpenError> {
    let newest = known.last().map_or(0, |migration| migration.number);
    if let Some((number, name, _)) = applied.last().filter(|(number, ..)| *number > newest) {
        return Err(OpenError::SchemaNewer { found: *number, name: name.clone(), known: newest });
    }
    for ((number, name, checksum_found), migration) in applied.iter().zip(known) {
        if *number != migration.number || *checksum_found != checksum(migration) {
            return Err(OpenError::SchemaDiffers { number: *number, name: name.clone() });
        }
    }
    Ok(())
}

/// Whoever only reads needs all that is known, too.
pub(crate) fn check_known(applied: &[Applied], known: &[Migration]) -> Result<(), OpenError> {
    check(applied, known)?;
    if applied.len() < known.len() {
        return Err(OpenError::SchemaOlder { found: applied.len(), known: known.len() });
    }
    Ok(())
}

pub(crate) fn checksum(migration: &Migration) -> String {
    Digest::of(migration.sql.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_numbers_rise_from_one_and_the_names_carry_them() {
        for engine in [SQLITE, POSTGRES] {
            for (index, migration) in engine.iter().enumerate() {
                assert_eq!(migration.number, i64::try_from(index).unwrap() + 1);
                assert!(
                    migration.name.starts_with(&format!("{:04}_", migration.number)),
                    "{}",
                    migration.name
                );
            }
        }
    }

    #[test]
    fn every_engine_takes_the_same_steps_and_every_file_is_somebodys() {
        let step = |migration: &Migration| migration.name.split('.').next().unwrap().to_owned();
        let steps = |engine: &[Migration]| engine.iter().map(step).collect::<Vec<_>>();
        assert_eq!(steps(SQLITE), steps(POSTGRES));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
        let listed = SQLITE.iter().chain(POSTGRES).map(|migration| format!("{}.sql", migration.name));
        assert_eq!(files, listed.collect());
    }
}
