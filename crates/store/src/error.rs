//! Why a store cannot be opened: what is found there is not what it must be, or it is not there.

use std::io;

/// Why a file or a database cannot serve as the store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be made or read.
    #[error("cannot open {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A database of another program.
    #[error(
        "{path} belongs to another program (application id {found:#010x}): name a file that is ours, or a new one"
    )]
    Foreign {
        /// Which.
        path: String,
        /// Whose.
        found: i32,
    },
    /// Written by a newer program.
    #[error(
        "the store is at schema {found} ({name}), this program knows {known}: start the newer program, or restore a backup"
    )]
    SchemaNewer {
        /// The newest migration in it.
        found: i64,
        /// Its name.
        name: String,
        /// The newest migration known here.
        known: i64,
    },
    /// A migration in it is not the one this program carries under that number.
    #[error(
        "migration {number} ({name}) in the store differs from this program's: it was made by another build"
    )]
    SchemaDiffers {
        /// Which.
        number: i64,
        /// Its name there.
        name: String,
    },
    /// Written by an older program, and opened to be read alone.
    #[error(
        "the store is at schema {found}, this program knows {known}: start this version's server on it once"
    )]
    SchemaOlder {
        /// The migrations in it.
        found: usize,
        /// The migrations known here.
        known: usize,
    },
    /// No database can be at this place, or not be spoken to like this.
    #[error("{0}")]
    Place(String),
    /// The database does not answer.
    #[error("{place}: {why}")]
    Away {
        /// Host and database.
        place: String,
        /// Why not.
        why: String,
    },
    /// A database with tables of another program.
    #[error(
        "{place} holds {tables} tables of another program: name a database that is ours, or an empty one"
    )]
    Occupied {
        /// Host and database.
        place: String,
        /// How many.
        tables: i64,
    },
    /// The database refuses.
    #[error("the database refuses: {0}")]
    Database(String),
}
