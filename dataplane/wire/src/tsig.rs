//! TSIG as far as an unkeyed server needs it (RFC 8945): the record is recognised in a request, and answered unsigned with BADKEY.
//! No signature is checked or made: no keys exist yet.

use crate::name::NameBuf;
use crate::reader::{Malformed, Reader};

/// TSIG error 17 (RFC 8945 §5.2.1): the key is not known.
pub const BADKEY: u16 = 17;

/// What of a request's TSIG record goes back in the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tsig<'a> {
    message: &'a [u8],
    key_at: usize,
    algorithm_at: usize,
    /// 48 bits of unix seconds, as sent.
    pub time_signed: [u8; 6],
    pub fudge: u16,
    pub original_id: u16,
}

impl<'a> Tsig<'a> {
    /// Reads the record whose owner name stands at `key_at` and whose rdata the reader is at (RFC 8945 §4.2) up to `end`.
    ///
    /// # Errors
    /// When a field runs out or octets are left over.
    pub fn read(key_at: usize, reader: &mut Reader<'a>, end: usize) -> Result<Self, Malformed> {
        let message = reader.message();
        NameBuf::root().read_compressed(&mut Reader::at(message, key_at))?;
        let algorithm_at = reader.position();
        NameBuf::root().read_compressed(reader)?;
        let time_signed = reader.array()?;
        let fudge = reader.u16()?;
        let mac_size = reader.u16()?;
        reader.take(usize::from(mac_size))?;
        let original_id = reader.u16()?;
        let _error = reader.u16()?;
        let other_length = reader.u16()?;
        reader.take(usize::from(other_length))?;
        if reader.position() == end { Ok(Self { message, key_at, algorithm_at, time_signed, fudge, original_id }) } else { Err(Malformed) }
    }

    /// The key's name.
    pub fn key(&self) -> NameBuf {
        self.expand(self.key_at)
    }

    /// The algorithm's name.
    pub fn algorithm(&self) -> NameBuf {
        self.expand(self.algorithm_at)
    }

    fn expand(&self, at: usize) -> NameBuf {
        let mut name = NameBuf::root();
        // `read` has walked both names already.
        let _ = name.read_compressed(&mut Reader::at(self.message, at));
        name
    }
}
