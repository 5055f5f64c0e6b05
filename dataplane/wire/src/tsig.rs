//! TSIG as far as an unkeyed server needs it (RFC 8945): the record is recognised in a request, and answered unsigned with BADKEY.
//! No signature is checked or made: no keys exist yet.

use crate::name::NameBuf;
use crate::reader::{Malformed, Reader};

/// TSIG error 17 (RFC 8945 §5.2.1): the key is not known.
pub const BADKEY: u16 = 17;

/// A request's TSIG record: where it stands. Its fields are read when they are needed, which is seldom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tsig<'a> {
    message: &'a [u8],
    key_at: usize,
    rdata_at: usize,
}

/// What of a request's TSIG record goes back in the reply.
#[derive(Debug, Clone)]
pub struct TsigFields {
    pub key: NameBuf,
    pub algorithm: NameBuf,
    /// 48 bits of unix seconds, as sent.
    pub time_signed: [u8; 6],
    pub fudge: u16,
    pub original_id: u16,
}

impl<'a> Tsig<'a> {
    /// The record whose owner name stands at `key_at` and whose rdata (RFC 8945 §4.2) reaches from `rdata_at` to `end`.
    ///
    /// # Errors
    /// When a field runs out or octets are left over.
    pub fn read(message: &'a [u8], key_at: usize, rdata_at: usize, end: usize) -> Result<Self, Malformed> {
        let tsig = Self { message, key_at, rdata_at };
        let (_, behind) = tsig.read_fields()?;
        if behind == end { Ok(tsig) } else { Err(Malformed) }
    }

    /// The fields that go back.
    ///
    /// # Errors
    /// Never for a record that `read` has accepted.
    pub fn fields(&self) -> Result<TsigFields, Malformed> {
        self.read_fields().map(|(fields, _)| fields)
    }

    fn read_fields(&self) -> Result<(TsigFields, usize), Malformed> {
        let (mut key, mut algorithm) = (NameBuf::root(), NameBuf::root());
        key.read_compressed(&mut Reader::at(self.message, self.key_at))?;
        let mut reader = Reader::at(self.message, self.rdata_at);
        algorithm.read_compressed(&mut reader)?;
        let time_signed = reader.array()?;
        let fudge = reader.u16()?;
        let mac_size = reader.u16()?;
        reader.take(usize::from(mac_size))?;
        let original_id = reader.u16()?;
        let _error = reader.u16()?;
        let other_length = reader.u16()?;
        reader.take(usize::from(other_length))?;
        Ok((TsigFields { key, algorithm, time_signed, fudge, original_id }, reader.position()))
    }
}
