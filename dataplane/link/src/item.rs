//! Items: what the bytes of a transfer, of the base and of a journal entry are (`docs/link-protocol.md` section 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geodns_engine::spec::{Change, Prefix, Rdata, RrsetData, RrsetSpec};

use crate::Fault;
use crate::bytes::{Reader, put_count16, put_count32, put_rdata, put_text8};
use crate::steered::{put_steered, read_steered};

/// The most bytes of one item: a CIDR list of some five million networks, or a thousand full rrsets at one owner name.
pub const MAX_ITEM: usize = 32 * 1024 * 1024;

/// `u8 kind, u32 length`.
const HEADER_LEN: usize = 5;

/// RFC 2181 §8: a ttl is at most 2^31 - 1.
const MAX_TTL: u32 = 0x7fff_ffff;

/// The most bytes of rdata in one rrset: more would never fit a message.
const MAX_RRSET_RDATA: usize = 65_535;

const RTYPE_A: u16 = 1;
const RTYPE_CNAME: u16 = 5;
const RTYPE_AAAA: u16 = 28;

mod kinds {
    pub const ZONE: u8 = 1;
    pub const ZONE_DROP: u8 = 2;
    pub const OWNER: u8 = 3;
    pub const LIST: u8 = 4;
    pub const LIST_DROP: u8 = 5;
}

/// Cuts the joined bytes of chunks into changes. Holds at most one unfinished item.
#[derive(Debug, Default)]
pub struct ItemBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl ItemBuffer {
    /// Takes the bytes of one chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.start = 0;
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// The next whole item, if it is there.
    ///
    /// # Errors
    /// Bytes that are no item: the stream cannot be followed any further.
    pub fn pull(&mut self) -> Result<Option<Change>, Fault> {
        let waiting = self.bytes.get(self.start..).unwrap_or_default();
        let Some(length) = item_length(waiting)? else { return Ok(None) };
        let Some(item) = waiting.get(..length) else { return Ok(None) };
        let change = read_item(item)?;
        self.start = self.start.saturating_add(length);
        Ok(Some(change))
    }

    /// Whether the stream may end here.
    pub fn is_between_items(&self) -> bool {
        self.start >= self.bytes.len()
    }
}

/// Reads the items of a whole stream that lies in memory.
#[derive(Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    /// The items of `stream`.
    pub const fn new(stream: &'a [u8]) -> Self {
        Self { rest: stream }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Change, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = item_length(self.rest).and_then(|length| {
            let length = length.ok_or(Fault::Short("an item"))?;
            let (item, rest) = self.rest.split_at_checked(length).ok_or(Fault::Short("an item"))?;
            Ok((read_item(item)?, rest))
        });
        Some(match read {
            Ok((change, rest)) => {
                self.rest = rest;
                Ok(change)
            }
            Err(fault) => {
                self.rest = &[];
                Err(fault)
            }
        })
    }
}

/// The whole length of the item that begins `bytes`, once its header is there.
fn item_length(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let mut reader = Reader::new(bytes, "an item");
    let (Ok(kind), Ok(length)) = (reader.u8(), reader.u32()) else { return Ok(None) };
    if !(kinds::ZONE..=kinds::LIST_DROP).contains(&kind) {
        return Err(Fault::Malformed("an item has an unknown kind"));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_ITEM {
        return Err(Fault::Limit("an item of at most 32 MiB"));
    }
    Ok(Some(length.saturating_add(HEADER_LEN)))
}

/// One whole item with its header.
fn read_item(item: &[u8]) -> Result<Change, Fault> {
    let mut reader = Reader::new(item, "an item");
    let kind = reader.u8()?;
    let _length = reader.u32()?;
    let change = match kind {
        kinds::ZONE => Change::PutZone { apex: reader.name()? },
        kinds::ZONE_DROP => Change::DropZone { apex: reader.name()? },
        kinds::OWNER => {
            let apex = reader.name()?;
            let owner = reader.name()?;
            let count = reader.u16()?;
            let rrsets = (0..count).map(|_| read_rrset(&mut reader)).collect::<Result<_, _>>()?;
            Change::PutOwner { apex, owner, rrsets }
        }
        kinds::LIST => {
            let name = read_list_name(&mut reader)?;
            let prefixes = read_prefixes(&mut reader)?;
            Change::PutList { name, prefixes }
        }
        kinds::LIST_DROP => Change::DropList { name: read_list_name(&mut reader)? },
        _ => return Err(Fault::Malformed("an item has an unknown kind")),
    };
    reader.end()?;
    Ok(change)
}

fn read_list_name(reader: &mut Reader<'_>) -> Result<String, Fault> {
    let name = reader.text8()?;
    if name.is_empty() { Err(Fault::Malformed("a list has no name")) } else { Ok(name.to_owned()) }
}

fn read_rrset(reader: &mut Reader<'_>) -> Result<RrsetSpec, Fault> {
    let rtype = reader.u16()?;
    let ttl = reader.u32()?;
    let form = reader.u8()?;
    let length = reader.u32()?;
    if ttl > MAX_TTL {
        return Err(Fault::Malformed("a ttl is over 2^31 - 1"));
    }
    let body = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut body = Reader::new(body, "the body of an rrset");
    let data = match form {
        0 => RrsetData::Static(read_rdatas(&mut body)?),
        1 if matches!(rtype, RTYPE_A | RTYPE_AAAA | RTYPE_CNAME) => RrsetData::Steered(Box::new(read_steered(&mut body)?)),
        1 => return Err(Fault::Malformed("only A, AAAA and CNAME can be steered")),
        _ => return Err(Fault::Malformed("an rrset has an unknown form")),
    };
    body.end()?;
    Ok(RrsetSpec { rtype, ttl, data })
}

fn read_rdatas(reader: &mut Reader<'_>) -> Result<Vec<Rdata>, Fault> {
    let count = reader.u16()?;
    if count == 0 {
        return Err(Fault::Malformed("an rrset has no rdata"));
    }
    let mut total = 0_usize;
    (0..count)
        .map(|_| {
            let length = usize::from(reader.u16()?);
            total = total.saturating_add(length);
            if total > MAX_RRSET_RDATA {
                return Err(Fault::Limit("the rdata of an rrset, 65,535 bytes,"));
            }
            Ok(reader.take(length)?.into())
        })
        .collect()
}

/// `u32 count, count × prefix`.
pub(crate) fn read_prefixes(reader: &mut Reader<'_>) -> Result<Vec<Prefix>, Fault> {
    let count = reader.u32()?;
    (0..count).map(|_| read_prefix(reader)).collect()
}

fn read_prefix(reader: &mut Reader<'_>) -> Result<Prefix, Fault> {
    let family = reader.u8()?;
    let length = reader.u8()?;
    let (addr, bits, host) = match family {
        4 => {
            let addr = Ipv4Addr::from(reader.array::<4>()?);
            (IpAddr::V4(addr), 32, addr.to_bits().checked_shl(u32::from(length)).unwrap_or(0) != 0)
        }
        6 => {
            let addr = Ipv6Addr::from(reader.array::<16>()?);
            (IpAddr::V6(addr), 128, addr.to_bits().checked_shl(u32::from(length)).unwrap_or(0) != 0)
        }
        _ => return Err(Fault::Malformed("a network is of neither family 4 nor 6")),
    };
    if length > bits {
        return Err(Fault::Malformed("a prefix is longer than its address"));
    }
    if host {
        return Err(Fault::Malformed("a network has host bits"));
    }
    Ok(Prefix { addr, length })
}

/// Appends one item.
///
/// # Errors
/// A length or a count that its field cannot hold, or an item over 32 MiB; `out` is then as it was.
pub fn put_item(out: &mut Vec<u8>, change: &Change) -> Result<(), Fault> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    let written = put_payload(out, change).and_then(|kind| {
        let length = out.len().saturating_sub(start).saturating_sub(HEADER_LEN);
        if length > MAX_ITEM {
            return Err(Fault::Limit("an item of at most 32 MiB"));
        }
        Ok((kind, u32::try_from(length).map_err(|_| Fault::Limit("an item of at most 32 MiB"))?))
    });
    match written {
        Ok((kind, length)) => {
            if let Some((first, rest)) = out.get_mut(start..).and_then(<[u8]>::split_first_mut) {
                *first = kind;
                if let Some((field, _)) = rest.split_first_chunk_mut::<4>() {
                    *field = length.to_be_bytes();
                }
            }
            Ok(())
        }
        Err(fault) => {
            out.truncate(start);
            Err(fault)
        }
    }
}

fn put_payload(out: &mut Vec<u8>, change: &Change) -> Result<u8, Fault> {
    Ok(match change {
        Change::PutZone { apex } => {
            out.extend_from_slice(apex);
            kinds::ZONE
        }
        Change::DropZone { apex } => {
            out.extend_from_slice(apex);
            kinds::ZONE_DROP
        }
        Change::PutOwner { apex, owner, rrsets } => {
            out.extend_from_slice(apex);
            out.extend_from_slice(owner);
            put_count16(out, rrsets.len())?;
            for rrset in rrsets {
                put_rrset(out, rrset)?;
            }
            kinds::OWNER
        }
        Change::PutList { name, prefixes } => {
            put_text8(out, name)?;
            put_prefixes(out, prefixes)?;
            kinds::LIST
        }
        Change::DropList { name } => {
            put_text8(out, name)?;
            kinds::LIST_DROP
        }
    })
}

fn put_rrset(out: &mut Vec<u8>, rrset: &RrsetSpec) -> Result<(), Fault> {
    out.extend_from_slice(&rrset.rtype.to_be_bytes());
    out.extend_from_slice(&rrset.ttl.to_be_bytes());
    let form: u8 = match rrset.data {
        RrsetData::Static(_) => 0,
        RrsetData::Steered(_) => 1,
    };
    out.push(form);
    let field = out.len();
    out.extend_from_slice(&[0; 4]);
    let body = out.len();
    match &rrset.data {
        RrsetData::Static(rdatas) => {
            put_count16(out, rdatas.len())?;
            for rdata in rdatas {
                put_rdata(out, rdata)?;
            }
        }
        RrsetData::Steered(steering) => put_steered(out, steering)?,
    }
    let length = u32::try_from(out.len().saturating_sub(body)).map_err(|_| Fault::Limit("the body of an rrset"))?;
    if let Some(field) = out.get_mut(field..body) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// `u32 count, count × prefix`.
pub(crate) fn put_prefixes(out: &mut Vec<u8>, prefixes: &[Prefix]) -> Result<(), Fault> {
    put_count32(out, prefixes.len())?;
    for prefix in prefixes {
        match prefix.addr {
            IpAddr::V4(addr) => {
                out.extend_from_slice(&[4, prefix.length]);
                out.extend_from_slice(&addr.octets());
            }
            IpAddr::V6(addr) => {
                out.extend_from_slice(&[6, prefix.length]);
                out.extend_from_slice(&addr.octets());
            }
        }
    }
    Ok(())
}
