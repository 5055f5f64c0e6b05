//! Reading and writing the primitive fields: big-endian integers, texts, names, triples.

use geodns_engine::spec::{Triple, WireName};

use crate::Fault;

/// The longest name in wire form, RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;

/// The longest label, RFC 1035 §2.3.4.
const MAX_LABEL: u8 = 63;

/// Takes fields off the front of a slice; `what` names the whole in faults.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    pub const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// Fewer are left; so it is with every method below.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Fault::Short(self.what))?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Fault::Short(self.what))?;
        self.rest = tail;
        Ok(*head)
    }

    /// # Errors
    /// Nothing is left.
    pub fn u8(&mut self) -> Result<u8, Fault> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// # Errors
    /// Fewer than two bytes are left.
    pub fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// Fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// Fewer than four bytes are left.
    pub fn i32(&mut self) -> Result<i32, Fault> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// Fewer than eight bytes are left.
    pub fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// Nothing is left, or another value.
    pub fn flag(&mut self) -> Result<bool, Fault> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Malformed("a flag is neither 0 nor 1")),
        }
    }

    /// `u8 length, UTF-8 bytes`.
    ///
    /// # Errors
    /// The bytes end early, or are not UTF-8.
    pub fn text8(&mut self) -> Result<&'a str, Fault> {
        let length = self.u8()?;
        utf8(self.take(usize::from(length))?)
    }

    /// `u16 length, UTF-8 bytes`.
    ///
    /// # Errors
    /// The bytes end early, or are not UTF-8.
    pub fn text16(&mut self) -> Result<&'a str, Fault> {
        let length = self.u16()?;
        utf8(self.take(usize::from(length))?)
    }

    /// A name in uncompressed lower-case wire form with its root label, RFC 1035 §3.1.
    ///
    /// # Errors
    /// The bytes end early, a label is over 63 bytes or a pointer, the name is over 255 bytes or has an upper-case letter.
    pub fn name(&mut self) -> Result<WireName, Fault> {
        let whole = self.rest;
        let mut length = 0_usize;
        loop {
            let label = self.u8()?;
            length = length.saturating_add(1).saturating_add(usize::from(label));
            if label > MAX_LABEL {
                return Err(Fault::Malformed("a label of a name is over 63 bytes, or compressed"));
            }
            if length > MAX_NAME {
                return Err(Fault::Malformed("a name is over 255 bytes"));
            }
            if label == 0 {
                break;
            }
            if self.take(usize::from(label))?.iter().any(u8::is_ascii_uppercase) {
                return Err(Fault::Malformed("a name is not in lower case"));
            }
        }
        Ok(whole.get(..length).ok_or(Fault::Short(self.what))?.into())
    }

    /// # Errors
    /// Fewer than 32 bytes are left.
    pub fn triple(&mut self) -> Result<Triple, Fault> {
        Ok(Triple { lineage: self.array()?, revision: self.u64()?, tag: self.u64()? })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Bytes are left over.
    pub const fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::Trailing(self.what)) }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    core::str::from_utf8(bytes).map_err(|_| Fault::Malformed("a text is not UTF-8"))
}

/// `text8`.
///
/// # Errors
/// Over 255 bytes.
pub fn put_text8(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    out.push(u8::try_from(text.len()).map_err(|_| Fault::Limit("a text of at most 255 bytes"))?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// `text16`.
///
/// # Errors
/// Over 65,535 bytes.
pub fn put_text16(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    put_count16(out, text.len())?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// A count or a length in two bytes.
///
/// # Errors
/// Over 65,535.
pub fn put_count16(out: &mut Vec<u8>, count: usize) -> Result<(), Fault> {
    out.extend_from_slice(&u16::try_from(count).map_err(|_| Fault::Limit("a count of at most 65,535"))?.to_be_bytes());
    Ok(())
}

/// A count or a length in four bytes.
///
/// # Errors
/// Over 2^32 - 1.
pub fn put_count32(out: &mut Vec<u8>, count: usize) -> Result<(), Fault> {
    out.extend_from_slice(&u32::try_from(count).map_err(|_| Fault::Limit("a count of at most 4,294,967,295"))?.to_be_bytes());
    Ok(())
}

/// `u16 length, rdata`.
///
/// # Errors
/// Over 65,535 bytes.
pub fn put_rdata(out: &mut Vec<u8>, rdata: &[u8]) -> Result<(), Fault> {
    put_count16(out, rdata.len())?;
    out.extend_from_slice(rdata);
    Ok(())
}

/// `lineage, u64 revision, u64 tag`.
pub fn put_triple(out: &mut Vec<u8>, triple: &Triple) {
    out.extend_from_slice(&triple.lineage);
    out.extend_from_slice(&triple.revision.to_be_bytes());
    out.extend_from_slice(&triple.tag.to_be_bytes());
}
