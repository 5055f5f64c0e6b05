//! Why a published state is not adopted: the refusal codes of `docs/link-protocol.md` section 1, with a reason for people.
//! Nothing here decides anything; zones, steering and the link share the type so that one REFUSE frame fits all of them.

use std::fmt;

/// The number that a REFUSE frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RefusalCode {
    /// The delta's base is not what is served.
    Base = 1,
    /// Another history.
    Lineage = 2,
    /// The bytes are not those that were sent.
    Checksum = 3,
    /// A field that no publisher may send.
    Malformed = 4,
    /// Well-formed, and larger than the dataplane takes.
    Limit = 5,
    /// Older than what is served, or the same revision with another tag.
    Stale = 6,
    /// A version or frame type of another protocol version.
    Version = 7,
    /// The role of the connection does not allow the frame.
    Role = 8,
    /// A frame out of order.
    State = 9,
}

impl RefusalCode {
    /// The code as it goes on the link.
    pub fn number(self) -> u16 {
        self as u16
    }
}

/// A refusal: nothing of what was offered is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: RefusalCode,
    /// One sentence that names the zone, owner name or field.
    pub reason: String,
}

impl Refused {
    /// A refusal with the given code.
    pub fn new(code: RefusalCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The commonest refusal: a field that no publisher may send.
    pub fn malformed(reason: impl Into<String>) -> Self {
        Self::new(RefusalCode::Malformed, reason)
    }

    /// Well-formed, and larger than the dataplane takes.
    pub fn limit(reason: impl Into<String>) -> Self {
        Self::new(RefusalCode::Limit, reason)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.reason, self.code.number())
    }
}

impl std::error::Error for Refused {}
