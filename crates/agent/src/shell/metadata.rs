//! A refresh of TUF metadata over HTTP and files (§5): carries out what `proof::tuf` asks for.
//!
//! The agent's own updates and the subcommand `tuf` both go through here.

use client::Public;
use governance::Timestamp;
use proof::tuf::{Fetched, Persist, Profile, Role, Stored, Trusted, Updater};

use super::{Folder, ShellError};

/// Where the metadata comes from, and where it is kept.
pub(super) struct Metadata<'a> {
    pub(super) folder: &'a Folder,
    /// What names in the folder begin with.
    pub(super) within: &'a str,
    pub(super) public: &'a Public,
    /// What paths at the repository begin with.
    pub(super) at: &'a str,
}

impl Metadata<'_> {
    /// What is kept of a role.
    pub(super) fn read(&self, role: Role) -> Result<Option<Vec<u8>>, ShellError> {
        self.folder.read(&self.kept(role.file_name()))
    }

    /// A file of the repository; nothing when it has none of that name.
    pub(super) async fn fetch(&self, path: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, ShellError> {
        // One byte more than allowed tells endless data from a file that just fits.
        Ok(self.public.file(&format!("{}{path}", self.at), max_bytes.saturating_add(1)).await?)
    }

    /// The name under which a file is kept.
    pub(super) fn kept(&self, name: &str) -> String {
        format!("{}{name}", self.within)
    }

    /// A whole refresh from this root and what is kept beside it. What passed before a failure stays kept.
    pub(super) async fn refresh(
        &self,
        profile: Profile,
        root: Vec<u8>,
        now: Timestamp,
    ) -> Result<Trusted, ShellError> {
        let stored = Stored {
            root,
            timestamp: self.read(Role::Timestamp)?,
            snapshot: self.read(Role::Snapshot)?,
            targets: self.read(Role::Targets)?,
        };
        let untrusted = |why: &dyn std::fmt::Display| ShellError::untrusted("the TUF metadata")(why);
        let mut updater = Updater::of(profile, stored, now).map_err(|error| untrusted(&error))?;
        while let Some(want) = updater.want().map_err(|error| untrusted(&error))? {
            let bytes = self.fetch(&want.path, want.max_bytes).await?;
            let fetched = bytes.as_deref().map_or(Fetched::NotFound, Fetched::Bytes);
            for act in updater.give(fetched) {
                match act {
                    Persist::Write { role, bytes } => {
                        self.folder.write(&self.kept(role.file_name()), &bytes)?;
                    }
                    Persist::Delete(role) => self.folder.remove(&self.kept(role.file_name()))?,
                }
            }
        }
        updater.finish().map_err(|error| untrusted(&error))
    }
}
