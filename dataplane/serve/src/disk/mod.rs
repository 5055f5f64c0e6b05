//! The dataplane's own state on disk (`docs/link-protocol.md` section 6): what it serves when it starts alone.
//!
//! ```text
//! base, journal                    a whole state, and the deltas adopted since
//! journal.sealed                   the journal up to the compaction that is under way
//! base.previous, journal.previous  what was in force before the last compaction or FULL
//! health, config.json, location/   the overlay, the settings, the compiled location tables
//! adopted                          whether the state in force has killed the process (see `deathmark`)
//! base.refused, *.quarantined      set aside for whoever wants to know why
//! ```
//!
//! The store is the durable truth; this is a copy that must never be wrong and may be old. Every file says by checksum whether it is whole.
//! Journals are read as one chain: an entry is taken when its base is exactly what has been built so far, and passed over otherwise, so that
//! no order of renames and no crash between two of them can make a state that never was.

pub mod base;
pub mod deathmark;
pub mod health;
pub mod journal;
pub mod recovery;
pub mod state;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use geodns_link::Fault;
use thiserror::Error;

/// Why a file of the state cannot be used.
#[derive(Debug, Error)]
pub enum DiskFault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Bytes(#[from] Fault),
    #[error("its checksum does not match")]
    Checksum,
    #[error("its format is {0}, this program reads 1")]
    Format(u16),
    #[error("{0}")]
    Refused(#[from] geodns_engine::refused::Refused),
}

impl DiskFault {
    /// Whether there is simply no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The format of all files; a later one gets another number.
const FORMAT: u16 = 1;

/// Replaces `path` as a whole: a reader, or a start after a power cut, finds the old bytes or the new ones.
///
/// # Errors
/// The kernel's; `path` is then as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, path)?;
        sync_parent(path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes renames in the directory of `path` durable.
///
/// # Errors
/// The kernel's.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// `fs::rename` of a file that need not be there.
fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// `fs::remove_file` of a file that need not be there.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
