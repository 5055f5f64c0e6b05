//! Domain names in wire form (RFC 1035 §3.1): checked slices, owned buffers, and the reading of compressed names (§4.1.4).
//! Presentation form is written for reasons and traces only; it is never parsed here. Hashing and folding for lookups are in `key`.

use std::fmt;
use std::sync::Arc;

use crate::reader::{Malformed, Reader};

/// Octets of the longest name, root label included (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;
/// Octets of the longest label (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;
/// Labels of the longest name, root label not counted: 127 labels of one octet fill 254 octets.
pub const MAX_LABELS: usize = 127;

/// A checked, uncompressed name with its root label.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    wire: &'a [u8],
}

impl<'a> Name<'a> {
    /// The root.
    pub const ROOT: Name<'static> = Name { wire: &[0] };

    /// The name that fills `wire` wholly.
    ///
    /// # Errors
    /// When `wire` is anything but one uncompressed name.
    pub fn from_wire(wire: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(wire);
        let name = Self::read(&mut reader)?;
        if reader.is_empty() { Ok(name) } else { Err(Malformed) }
    }

    /// A suffix of whole labels of a name that was checked before.
    pub(crate) fn from_checked(wire: &'a [u8]) -> Self {
        Self { wire }
    }

    /// The uncompressed name at the reader. A compression pointer is refused: in a question it could only point into the header, and in
    /// stored rdata there is nothing to point at.
    ///
    /// # Errors
    /// When the labels run out of the bytes, past 255 octets, or are no plain labels.
    #[inline]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let bytes = reader.message().get(reader.position()..).ok_or(Malformed)?;
        let mut length = 0_usize;
        loop {
            let label = usize::from(*bytes.get(length).ok_or(Malformed)?);
            length = length.wrapping_add(label).wrapping_add(1); // both small: label <= 255, and length <= 255 is checked below
            if label > MAX_LABEL || length > MAX_NAME {
                return Err(Malformed);
            }
            if label == 0 {
                return Ok(Self { wire: reader.take(length)? });
            }
        }
    }

    /// The octets, root label included.
    pub fn wire(&self) -> &'a [u8] {
        self.wire
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.wire.len() <= 1
    }

    /// The labels from the left, without the root label.
    pub fn labels(&self) -> Labels<'a> {
        Labels { rest: self.wire }
    }

    /// Without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Name<'a>> {
        let first = usize::from(*self.wire.first()?);
        let rest = self.wire.get(first.checked_add(1)?..)?;
        (first != 0).then_some(Name { wire: rest })
    }

    /// Whether the name is `other` or below it. Case is not folded: stored names are lower-case.
    pub fn is_at_or_below(&self, other: Name<'_>) -> bool {
        let mut candidate = Some(*self);
        while let Some(name) = candidate {
            if name.wire.len() <= other.wire.len() {
                return name.wire == other.wire;
            }
            candidate = name.parent();
        }
        false
    }

    /// Whether it holds no upper-case letter.
    pub fn is_lower_case(&self) -> bool {
        // Length octets are at most 63 and never look like a letter.
        !self.wire.iter().any(u8::is_ascii_uppercase)
    }
}

impl fmt::Display for Name<'_> {
    /// Presentation form with the escapes of RFC 1035 §5.1 and a final dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => write!(f, "\\{}", char::from(byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// A checked name that is shared between copies of what holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedName(Arc<[u8]>);

impl SharedName {
    /// The name as a checked slice.
    #[inline]
    pub fn as_name(&self) -> Name<'_> {
        Name { wire: &self.0 }
    }
}

impl From<Name<'_>> for SharedName {
    fn from(name: Name<'_>) -> Self {
        Self(Arc::from(name.wire))
    }
}

impl fmt::Debug for SharedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_name().fmt(f)
    }
}

/// Iterator over the labels of a checked name.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, after) = self.rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = after.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(label)
    }
}

/// An owned name of fixed size, so that names can be made without allocation.
#[derive(Clone)]
pub struct NameBuf {
    bytes: [u8; MAX_NAME],
    length: usize,
}

/// The name would exceed 255 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl NameBuf {
    /// The root.
    pub const fn root() -> Self {
        Self { bytes: [0; MAX_NAME], length: 1 }
    }

    /// The name as a checked slice.
    pub fn as_name(&self) -> Name<'_> {
        self.bytes.get(..self.length).map_or(Name::ROOT, |wire| Name { wire })
    }

    /// Takes over `name`.
    pub fn set(&mut self, name: Name<'_>) {
        // A checked name always fits.
        let _ = self.join(&[], name);
    }

    /// Becomes `prefix`, which is whole labels, followed by `suffix`.
    ///
    /// # Errors
    /// When that exceeds 255 octets; the buffer is then unchanged.
    pub fn join(&mut self, prefix: &[u8], suffix: Name<'_>) -> Result<(), TooLong> {
        let length = prefix.len().checked_add(suffix.wire.len()).ok_or(TooLong)?;
        let (head, tail) = self.bytes.get_mut(..length).ok_or(TooLong)?.split_at_mut(prefix.len());
        head.copy_from_slice(prefix);
        tail.copy_from_slice(suffix.wire);
        self.length = length;
        Ok(())
    }

    /// Reads a possibly compressed name (RFC 1035 §4.1.4) and leaves the reader behind it. Every pointer must go further back than where
    /// the labels before it began, so that a loop cannot be written.
    ///
    /// # Errors
    /// When the name is malformed or points forward.
    pub fn read_compressed(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let mut length = 0_usize;
        let mut source = *reader;
        let mut began = reader.position();
        let mut jumped = false;
        loop {
            let first = source.u8()?;
            match first {
                0 => break,
                1..=63 => {
                    let label = source.take(usize::from(first))?;
                    let end = length.checked_add(label.len()).and_then(|end| end.checked_add(1)).ok_or(Malformed)?;
                    // Room for the root label must remain.
                    if end >= MAX_NAME {
                        return Err(Malformed);
                    }
                    let (head, tail) = self.bytes.get_mut(length..end).and_then(<[u8]>::split_first_mut).ok_or(Malformed)?;
                    *head = first;
                    tail.copy_from_slice(label);
                    length = end;
                }
                0xc0..=0xff => {
                    let target = usize::from(u16::from_be_bytes([first & 0x3f, source.u8()?]));
                    if target >= began {
                        return Err(Malformed);
                    }
                    if !jumped {
                        *reader = source;
                        jumped = true;
                    }
                    began = target;
                    source = Reader::at(source.message(), target);
                }
                64..=191 => return Err(Malformed), // RFC 6891 §5: extended label types are gone
            }
        }
        if !jumped {
            *reader = source;
        }
        *self.bytes.get_mut(length).ok_or(Malformed)? = 0;
        self.length = length.checked_add(1).ok_or(Malformed)?;
        Ok(())
    }
}

/// Steps over a possibly compressed name without following its pointer.
///
/// # Errors
/// When the labels run out of the message or are of no known kind.
pub fn skip_compressed(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let began = reader.position();
    loop {
        let first = reader.u8()?;
        match first {
            0 => return Ok(()),
            1..=63 => {
                reader.take(usize::from(first))?;
            }
            0xc0..=0xff => {
                let target = usize::from(u16::from_be_bytes([first & 0x3f, reader.u8()?]));
                return if target < began { Ok(()) } else { Err(Malformed) };
            }
            64..=191 => return Err(Malformed),
        }
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_name().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(labels: &[&[u8]]) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }

    #[test]
    fn name_of_255_octets_is_read_and_of_256_is_not() {
        let longest = wire(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]]);
        assert_eq!(longest.len(), 255);
        assert!(Name::from_wire(&longest).is_ok());
        let too_long = wire(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 62]]);
        assert_eq!(Name::from_wire(&too_long), Err(Malformed));
    }

    #[test]
    fn label_types_other_than_plain_are_refused_in_uncompressed_names() {
        for first in [0x40_u8, 0x80, 0xc0, 0xff] {
            let bytes = [first, 0, 0, 0];
            assert_eq!(Name::from_wire(&bytes), Err(Malformed));
        }
    }

    #[test]
    fn names_are_shown_with_escapes() {
        let bytes = wire(&[b"a.b", &[0, 0xff], b"Example"]);
        assert_eq!(Name::from_wire(&bytes).unwrap().to_string(), "a\\.b.\\000\\255.Example.");
        assert_eq!(Name::ROOT.to_string(), ".");
    }

    #[test]
    fn at_or_below_compares_whole_labels() {
        let (apex, below, beside) = (wire(&[b"ample", b"com"]), wire(&[b"www", b"ample", b"com"]), wire(&[b"example", b"com"]));
        let (apex, below, beside) = (Name::from_wire(&apex).unwrap(), Name::from_wire(&below).unwrap(), Name::from_wire(&beside).unwrap());
        assert!(below.is_at_or_below(apex));
        assert!(apex.is_at_or_below(apex));
        assert!(apex.is_at_or_below(Name::ROOT));
        assert!(!beside.is_at_or_below(apex));
        assert!(!apex.is_at_or_below(below));
    }

    #[test]
    fn compressed_name_is_expanded_and_the_reader_stands_behind_the_pointer() {
        // offset 0: example. ; offset 9: www -> 0 ; then a marker
        let mut bytes = wire(&[b"example"]);
        bytes.extend_from_slice(&[3, b'w', b'w', b'w', 0xc0, 0, 0x77]);
        let mut reader = Reader::at(&bytes, 9);
        let mut name = NameBuf::root();
        name.read_compressed(&mut reader).unwrap();
        assert_eq!(name.as_name().to_string(), "www.example.");
        assert_eq!(reader.u8(), Ok(0x77));
    }

    #[test]
    fn pointers_forward_or_to_themselves_are_refused() {
        for bytes in [&[0xc0_u8, 0][..], &[0, 0xc0, 1], &[0xc0, 2, 0], &[1, b'a', 0xc0, 0]] {
            let start = usize::from(bytes[0] == 0);
            assert_eq!(NameBuf::root().read_compressed(&mut Reader::at(bytes, start)), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn joining_past_255_octets_leaves_the_buffer_alone() {
        let suffix = wire(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63]]);
        let mut name = NameBuf::root();
        assert_eq!(name.join(&[b'x'; 64], Name::from_wire(&suffix).unwrap()), Err(TooLong));
        assert!(name.as_name().is_root());
    }
}
