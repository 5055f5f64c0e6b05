//! What can be wrong with bytes from the link or from disk, and the code that a peer is told.

use geodns_engine::refused::{RefusalCode, Refused};
use thiserror::Error;

/// Why bytes were not taken. Faults are values, never panics: a stranger may have written them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The bytes end inside a field.
    #[error("{0} ends early")]
    Short(&'static str),
    /// Bytes are left over behind the last field.
    #[error("{0} has bytes behind its end")]
    Trailing(&'static str),
    /// A field holds what it must not hold.
    #[error("{0}")]
    Malformed(&'static str),
    /// A length or a count is over its limit.
    #[error("{0} is over its limit")]
    Limit(&'static str),
    /// A frame that this version does not have.
    #[error("frame type {0:#04x} is not known in link version 1")]
    UnknownFrame(u8),
    /// The peer speaks another version.
    #[error("link version {0} is not spoken here, only 1")]
    Version(u16),
}

/// The refusal code that a frame carried.
///
/// # Errors
/// A number that version 1 does not have.
pub const fn refusal_code(number: u16) -> Result<RefusalCode, Fault> {
    Ok(match number {
        1 => RefusalCode::Base,
        2 => RefusalCode::Lineage,
        3 => RefusalCode::Checksum,
        4 => RefusalCode::Malformed,
        5 => RefusalCode::Limit,
        6 => RefusalCode::Stale,
        7 => RefusalCode::Version,
        8 => RefusalCode::Role,
        9 => RefusalCode::State,
        _ => return Err(Fault::Malformed("the refusal code is not one of 1 to 9")),
    })
}

impl Fault {
    /// The refusal that the peer who sent these bytes is told.
    pub const fn code(self) -> RefusalCode {
        match self {
            Self::Short(_) | Self::Trailing(_) | Self::Malformed(_) => RefusalCode::Malformed,
            Self::Limit(_) => RefusalCode::Limit,
            Self::UnknownFrame(_) | Self::Version(_) => RefusalCode::Version,
        }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code(), fault.to_string())
    }
}
