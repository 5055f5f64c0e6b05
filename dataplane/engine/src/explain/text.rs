//! Names, types and rdata as text, as far as explaining needs them (RFC 1035 §5.1, RFC 3597 §5).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use geodns_wire::{Name, NameBuf, rtype};

/// Types that people ask for by name.
const TYPES: [(&str, u16); 21] = [
    ("A", rtype::A),
    ("NS", rtype::NS),
    ("CNAME", rtype::CNAME),
    ("SOA", rtype::SOA),
    ("PTR", rtype::PTR),
    ("HINFO", rtype::HINFO),
    ("MX", rtype::MX),
    ("TXT", rtype::TXT),
    ("AAAA", rtype::AAAA),
    ("LOC", rtype::LOC),
    ("SRV", rtype::SRV),
    ("NAPTR", rtype::NAPTR),
    ("DNAME", rtype::DNAME),
    ("DS", rtype::DS),
    ("SSHFP", rtype::SSHFP),
    ("TLSA", rtype::TLSA),
    ("SVCB", rtype::SVCB),
    ("HTTPS", rtype::HTTPS),
    ("SPF", rtype::SPF),
    ("ANY", 255),
    ("CAA", 257),
];

/// The number of a type: `A`, `TYPE65280`.
pub(super) fn parse_type(text: &str) -> Option<u16> {
    let upper = text.to_ascii_uppercase();
    let known = TYPES.iter().find(|(name, _)| *name == upper).map(|(_, number)| *number);
    known.or_else(|| upper.strip_prefix("TYPE")?.parse().ok())
}

/// The name of a type.
pub(crate) fn show_type(number: u16) -> String {
    let known = TYPES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned())
}

/// A name in presentation form, absolute whether or not it ends in a dot, as wire form.
pub(super) fn parse_name(text: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut bytes = text.strip_suffix('.').filter(|text| !text.ends_with('\\')).unwrap_or(text).bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => put_label(&mut wire, &mut label)?,
            b'\\' => label.push(parse_escape(&mut bytes)?),
            _ => label.push(byte),
        }
    }
    if !label.is_empty() {
        put_label(&mut wire, &mut label)?;
    } else if !wire.is_empty() {
        return None;
    }
    wire.push(0);
    Name::from_wire(&wire).is_ok().then_some(wire)
}

/// Wire form as text.
pub(crate) fn show_name(wire: &[u8]) -> String {
    Name::from_wire(wire).map(|name| name.to_string()).unwrap_or_default()
}

fn put_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Option<()> {
    wire.push(u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?);
    wire.append(label);
    Some(())
}

/// `\DDD` or a backslash before any other character.
fn parse_escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// Uncompressed rdata: an address, a name, or the generic form.
pub(crate) fn show_rdata(number: u16, rdata: &[u8]) -> String {
    let address = match number {
        rtype::A => <[u8; 4]>::try_from(rdata).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
        rtype::AAAA => <[u8; 16]>::try_from(rdata).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        rtype::CNAME | rtype::NS | rtype::PTR | rtype::DNAME => Name::from_wire(rdata).ok().map(|name| name.to_string()),
        _ => None,
    };
    address.unwrap_or_else(|| show_generic(rdata))
}

fn show_generic(rdata: &[u8]) -> String {
    rdata.iter().fold(format!("\\# {} ", rdata.len()), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Room for a name that is read from a message.
pub(super) fn name_buffer() -> NameBuf {
    NameBuf::root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for text in ["www.example.com.", ".", "*.example.com.", "a\\.b.example.", "a\\032b.example.", "\\\\.example."] {
            let wire = parse_name(text).unwrap();
            assert_eq!(Name::from_wire(&wire).unwrap().to_string(), text);
        }
        assert_eq!(parse_name("www.example.com"), parse_name("www.example.com."));
        assert_eq!(parse_name(""), parse_name("."));
    }

    #[test]
    fn names_that_are_none() {
        let long = "a".repeat(64);
        for text in ["a..b", ".a", "a\\", "a\\25", "a\\256", long.as_str()] {
            assert_eq!(parse_name(text), None, "{text}");
        }
    }

    #[test]
    fn types_by_name_and_number() {
        for (text, number) in
            [("A", Some(1)), ("aaaa", Some(28)), ("TYPE65280", Some(65280)), ("CAA", Some(257)), ("NOSUCH", None), ("TYPE", None)]
        {
            assert_eq!(parse_type(text), number, "{text}");
        }
        assert_eq!((show_type(28), show_type(65280)), ("AAAA".to_owned(), "TYPE65280".to_owned()));
    }

    #[test]
    fn rdata_is_shown() {
        for (number, rdata, text) in [
            (1, &[192, 0, 2, 1][..], "192.0.2.1"),
            (5, b"\x03www\x07example\x00", "www.example."),
            (16, b"\x02hi", "\\# 3 026869"),
            (1, &[1, 2], "\\# 2 0102"),
        ] {
            assert_eq!(show_rdata(number, rdata), text);
        }
    }
}
