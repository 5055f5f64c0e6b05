//! What stands in the rdata of the known types: enough to check stored rdata once, on the way in, and to find the names in it. Unknown types are
//! opaque (RFC 3597 §3). Presentation form and semantic rules (is that MX target an address?) are the control plane's business.

use crate::name::Name;
use crate::reader::{Malformed, Reader};
use crate::rtype;

/// A part of rdata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// That many octets.
    Octets(usize),
    /// An uncompressed name.
    Name,
    /// A character string (RFC 1035 §3.3), or anything else with a length octet before it.
    Text,
    /// The same, not empty.
    Tag,
    /// One character string or more, to the end.
    Texts,
    /// A type bitmap, to the end (RFC 4034 §4.1.2).
    Bitmap,
    /// Service parameters, to the end (RFC 9460 §2.2).
    Params,
    /// Anything, to the end.
    Rest,
}

use Field::{Bitmap, Name as Domain, Octets, Params, Rest, Tag, Text, Texts};

/// One arm a type or family of types; that two families happen to look alike does not make them one.
#[allow(clippy::match_same_arms)]
fn layout(rtype: u16) -> &'static [Field] {
    match rtype {
        rtype::A => &[Octets(4)],
        rtype::NS | rtype::MD | rtype::MF | rtype::CNAME | rtype::MB | rtype::MG | rtype::MR | rtype::PTR | rtype::DNAME => &[Domain],
        rtype::SOA => &[Domain, Domain, Octets(20)],
        rtype::WKS => &[Octets(5), Rest],
        rtype::HINFO => &[Text, Text],
        rtype::MINFO | rtype::RP => &[Domain, Domain],
        rtype::MX | rtype::AFSDB | rtype::RT | rtype::KX | rtype::LP => &[Octets(2), Domain],
        rtype::TXT | rtype::SPF | rtype::ISDN => &[Texts],
        rtype::X25 => &[Text],
        rtype::SIG | rtype::RRSIG => &[Octets(18), Domain, Rest],
        rtype::KEY | rtype::DNSKEY | rtype::CDNSKEY | rtype::DS | rtype::CDS | rtype::DLV => &[Octets(4), Rest],
        rtype::PX => &[Octets(2), Domain, Domain],
        rtype::AAAA | rtype::LOC => &[Octets(16)],
        rtype::NXT => &[Domain, Rest],
        rtype::SRV => &[Octets(6), Domain],
        rtype::NAPTR => &[Octets(4), Text, Text, Text, Domain],
        rtype::CERT => &[Octets(5), Rest],
        rtype::SSHFP => &[Octets(2), Rest],
        rtype::NSEC => &[Domain, Bitmap],
        rtype::NSEC3 => &[Octets(4), Text, Text, Bitmap],
        rtype::NSEC3PARAM => &[Octets(4), Text],
        rtype::TLSA | rtype::SMIMEA => &[Octets(3), Rest],
        rtype::CSYNC => &[Octets(6), Bitmap],
        rtype::ZONEMD => &[Octets(6), Rest],
        rtype::SVCB | rtype::HTTPS => &[Octets(2), Domain, Params],
        rtype::NID | rtype::L64 => &[Octets(10)],
        rtype::L32 | rtype::EUI48 => &[Octets(6)],
        rtype::EUI64 => &[Octets(8)],
        rtype::URI => &[Octets(4), Rest],
        rtype::CAA => &[Octets(1), Tag, Rest],
        _ => &[Rest],
    }
}

/// Checks rdata of any type.
///
/// # Errors
/// When a field runs out, a name is no uncompressed name, or octets are left over.
pub fn check(rtype: u16, rdata: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(rdata);
    for field in layout(rtype) {
        check_field(*field, &mut reader, rdata.len())?;
    }
    if reader.is_empty() { Ok(()) } else { Err(Malformed) }
}

fn check_field(field: Field, reader: &mut Reader<'_>, length: usize) -> Result<(), Malformed> {
    match field {
        Octets(count) => reader.take(count).map(|_| ()),
        Domain => Name::read(reader).map(|_| ()),
        Text => take_text(reader).map(|_| ()),
        Tag => take_text(reader).and_then(|tag| if tag.is_empty() { Err(Malformed) } else { Ok(()) }),
        Texts => check_texts(reader),
        Bitmap => check_bitmap(reader),
        Params => check_params(reader),
        Rest => reader.take(length.saturating_sub(reader.position())).map(|_| ()),
    }
}

fn take_text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let length = reader.u8()?;
    reader.take(usize::from(length))
}

fn check_texts(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    take_text(reader)?;
    while !reader.is_empty() {
        take_text(reader)?;
    }
    Ok(())
}

fn check_bitmap(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let mut previous = None;
    while !reader.is_empty() {
        let window = Some(reader.u8()?);
        let length = reader.u8()?;
        if window <= previous || !(1..=32).contains(&length) {
            return Err(Malformed);
        }
        reader.take(usize::from(length))?;
        previous = window;
    }
    Ok(())
}

fn check_params(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let mut previous = None;
    while !reader.is_empty() {
        let key = Some(reader.u16()?);
        let length = reader.u16()?;
        reader.take(usize::from(length))?;
        if key <= previous {
            return Err(Malformed); // RFC 9460 §2.2: strictly increasing
        }
        previous = key;
    }
    Ok(())
}

/// Names in rdata that may be compressed: those of the types of RFC 1035 and no others (RFC 3597 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressibleNames {
    pub octets_before: usize,
    pub count: u8,
}

/// Which names of the type's rdata may be compressed; they follow each other.
#[inline]
pub fn compressible_names(rtype: u16) -> Option<CompressibleNames> {
    let (octets_before, count) = match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::MD | rtype::MF | rtype::MB | rtype::MG | rtype::MR => (0, 1),
        rtype::SOA | rtype::MINFO => (0, 2),
        rtype::MX => (2, 1),
        _ => return None,
    };
    Some(CompressibleNames { octets_before, count })
}

/// Where a name stands in rdata that is never compressed itself, and that names behind it are likely to share: a CNAME made from a DNAME does
/// wholly, and so do the owners of additional addresses.
#[inline]
pub fn name_to_point_at(rtype: u16) -> Option<usize> {
    match rtype {
        rtype::DNAME => Some(0),
        rtype::SVCB | rtype::HTTPS => Some(2),
        rtype::SRV => Some(6),
        _ => None,
    }
}

/// The host whose addresses belong into the additional section: NS and MX (RFC 1035 §3.3), SRV (RFC 2782), SVCB and HTTPS (RFC 9460 §4.1), where
/// the root stands for the owner name or for no service and asks for nothing.
pub fn additional_target(rtype: u16, rdata: &[u8]) -> Option<Name<'_>> {
    let octets_before = match rtype {
        rtype::NS => 0,
        rtype::MX | rtype::SVCB | rtype::HTTPS => 2,
        rtype::SRV => 6,
        _ => return None,
    };
    Name::read(&mut Reader::at(rdata, octets_before)).ok().filter(|name| !name.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdata_cases() {
        let cases: &[(&str, u16, &[u8], bool)] = &[
            ("A", rtype::A, &[192, 0, 2, 1], true),
            ("A of three octets", rtype::A, &[192, 0, 2], false),
            ("A of five octets", rtype::A, &[192, 0, 2, 1, 1], false),
            ("AAAA of four octets", rtype::AAAA, &[192, 0, 2, 1], false),
            ("NS", rtype::NS, b"\x02ns\x00", true),
            ("NS with a pointer", rtype::NS, b"\x02ns\xc0\x0c", false),
            ("NS with octets left over", rtype::NS, b"\x02ns\x00\x00", false),
            ("SOA", rtype::SOA, b"\x00\x00\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05", true),
            ("SOA cut short", rtype::SOA, b"\x00\x00\0\0\0\x01", false),
            ("MX", rtype::MX, b"\x00\x0a\x02mx\x00", true),
            ("TXT", rtype::TXT, b"\x00\x03abc", true),
            ("TXT without a string", rtype::TXT, b"", false),
            ("TXT cut short", rtype::TXT, b"\x04abc", false),
            ("CAA", rtype::CAA, b"\x00\x05issueca.example", true),
            ("CAA without a tag", rtype::CAA, b"\x00\x00ca.example", false),
            ("SVCB", rtype::SVCB, b"\x00\x01\x00\x00\x01\x00\x03\x02h2\x00\x03\x00\x02\x01\xbb", true),
            ("SVCB with keys out of order", rtype::SVCB, b"\x00\x01\x00\x00\x03\x00\x00\x00\x01\x00\x00", false),
            ("NSEC", rtype::NSEC, b"\x00\x00\x01\x40", true),
            ("NSEC with an empty window", rtype::NSEC, b"\x00\x00\x00", false),
            ("unknown", 65400, b"\xde\xad", true),
            ("unknown and empty", 65400, b"", true),
        ];
        for (case, rtype, rdata, good) in cases {
            assert_eq!(check(*rtype, rdata).is_ok(), *good, "{case}");
        }
    }
}
