//! The message header (RFC 1035 §4.1.1, RFC 6895 §2). Only the bits are read and written here; what they ask for is decided elsewhere.

use crate::reader::{Malformed, Reader};

/// Octets of the header.
pub const HEADER_LENGTH: usize = 12;

const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
pub(crate) const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const CD: u16 = 0x0010;

/// The kind of request (RFC 6895 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    Query,
    Notify,
    Update,
    /// IQUERY, STATUS, DSO and the unassigned ones.
    Other(u8),
}

impl Opcode {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Query,
            4 => Self::Notify,
            5 => Self::Update,
            other => Self::Other(other),
        }
    }
}

/// Response codes that we send (RFC 6895 §2.3); those above 15 need the upper bits in an OPT record (RFC 6891 §6.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    YxDomain = 6,
    NotAuth = 9,
    BadVers = 16,
}

impl Rcode {
    /// The code as RFC 6895 numbers it.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The four bits of the header.
    pub fn low_bits(self) -> u16 {
        self.number() & 0x000f
    }

    /// The eight bits that the OPT record carries.
    pub fn high_bits(self) -> u8 {
        self.number().to_be_bytes().last().map_or(0, |low| low >> 4)
    }
}

/// A request's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub id: u16,
    pub flags: u16,
    pub questions: u16,
    pub answers: u16,
    pub authorities: u16,
    pub additionals: u16,
}

impl Header {
    /// All zeros: a query of opcode 0 without a question.
    pub const EMPTY: Self = Self { id: 0, flags: 0, questions: 0, answers: 0, authorities: 0, additionals: 0 };

    /// Reads the twelve octets.
    ///
    /// # Errors
    /// When fewer are there.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let [i0, i1, f0, f1, q0, q1, an0, an1, ns0, ns1, ar0, ar1] = reader.array::<HEADER_LENGTH>()?;
        Ok(Self {
            id: u16::from_be_bytes([i0, i1]),
            flags: u16::from_be_bytes([f0, f1]),
            questions: u16::from_be_bytes([q0, q1]),
            answers: u16::from_be_bytes([an0, an1]),
            authorities: u16::from_be_bytes([ns0, ns1]),
            additionals: u16::from_be_bytes([ar0, ar1]),
        })
    }

    /// QR: the message claims to be a response.
    pub fn is_response(&self) -> bool {
        self.flags & QR != 0
    }

    /// The four bits after QR.
    pub fn opcode(&self) -> Opcode {
        let [high, _] = self.flags.to_be_bytes();
        Opcode::from_number((high >> 3) & 0x0f)
    }

    /// The reply's flags. Opcode and RD are copied (RFC 1035 §4.1.1), and so is CD (RFC 4035 §3.1.6 lets an authoritative server ignore it;
    /// RFC 8906 §8.1.3 accepts both). AD and the reserved bit are never set.
    pub fn reply_flags(&self, authoritative: bool, truncated: bool, rcode: Rcode) -> u16 {
        let kept = self.flags & (0x7800 | RD | CD);
        let authoritative = if authoritative { AA } else { 0 };
        let truncated = if truncated { TC } else { 0 };
        QR | kept | authoritative | truncated | rcode.low_bits()
    }
}
