//! The question as a packet, and the reply as text: explaining goes through the same door as every resolver.

use std::net::IpAddr;

use geodns_wire::reader::{Malformed, Reader};
use geodns_wire::rtype;

use super::text::{name_buffer, show_rdata, show_type};
use super::{Asker, Record};

/// RFC 7871 §6.
const OPTION_CLIENT_SUBNET: u16 = 8;

/// A query with EDNS, and with a client subnet when that is who asks.
pub(super) fn write_query(qname: &[u8], qtype: u16, asker: &Asker) -> Vec<u8> {
    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend_from_slice(qname);
    query.extend(qtype.to_be_bytes());
    query.extend([0, 1]);
    query.push(0);
    query.extend(rtype::OPT.to_be_bytes());
    query.extend(u16::MAX.to_be_bytes());
    query.extend([0, 0, 0, 0]);
    let option = match *asker {
        Asker::Sender(_) => Vec::new(),
        Asker::Subnet(addr, length) => write_client_subnet(addr, length),
    };
    query.extend(u16::try_from(option.len()).unwrap_or(0).to_be_bytes());
    query.extend(option);
    query
}

fn write_client_subnet(addr: IpAddr, length: u8) -> Vec<u8> {
    let (family, octets): (u16, Vec<u8>) = match addr {
        IpAddr::V4(addr) => (1, addr.octets().into()),
        IpAddr::V6(addr) => (2, addr.octets().into()),
    };
    let sent = usize::from(length.div_ceil(8)).min(octets.len());
    let mut option = Vec::new();
    option.extend(OPTION_CLIENT_SUBNET.to_be_bytes());
    option.extend(u16::try_from(sent.saturating_add(4)).unwrap_or(0).to_be_bytes());
    option.extend(family.to_be_bytes());
    option.extend([length, 0]);
    option.extend(octets.into_iter().take(sent));
    option
}

/// What a reply says, beside its rcode.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub authoritative: bool,
    pub answer: Vec<Record>,
    pub authority: Vec<Record>,
    /// Scope of the client subnet in the reply; `None` when the reply has none.
    pub scope: Option<u8>,
}

/// Reads a reply that this program wrote.
pub(super) fn read_reply(message: &[u8]) -> Result<Reply, Malformed> {
    let mut reader = Reader::new(message);
    reader.u16()?;
    let flags = reader.u16()?;
    let [questions, answers, authorities, additionals] = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let mut name = name_buffer();
    for _ in 0..questions {
        name.read_compressed(&mut reader)?;
        reader.u32()?;
    }
    let mut reply = Reply { authoritative: flags & 0x0400 != 0, ..Reply::default() };
    for _ in 0..answers {
        reply.answer.push(read_record(&mut reader)?.0);
    }
    for _ in 0..authorities {
        reply.authority.push(read_record(&mut reader)?.0);
    }
    for _ in 0..additionals {
        let (record, rdata) = read_record(&mut reader)?;
        if record.rtype == "TYPE41" {
            reply.scope = find_scope(rdata)?;
        }
    }
    Ok(reply)
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Result<(Record, &'a [u8]), Malformed> {
    let mut owner = name_buffer();
    owner.read_compressed(reader)?;
    let number = reader.u16()?;
    reader.u16()?;
    let ttl = reader.u32()?;
    let length = usize::from(reader.u16()?);
    let mut inside = *reader;
    let rdata = reader.take(length)?;
    let data = match number {
        rtype::CNAME | rtype::NS | rtype::PTR => read_name(&mut inside)?,
        rtype::SOA => read_soa(&mut inside)?,
        _ => show_rdata(number, rdata),
    };
    Ok((Record { name: owner.as_name().to_string(), rtype: show_type(number), ttl, data }, rdata))
}

fn read_name(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let mut name = name_buffer();
    name.read_compressed(reader)?;
    Ok(name.as_name().to_string())
}

/// RFC 1035 §3.3.13: two names, which may be compressed, and five numbers.
fn read_soa(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let (mname, rname) = (read_name(reader)?, read_name(reader)?);
    let [serial, refresh, retry, expire, minimum] = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
    Ok(format!("{mname} {rname} {serial} {refresh} {retry} {expire} {minimum}"))
}

fn find_scope(options: &[u8]) -> Result<Option<u8>, Malformed> {
    let mut reader = Reader::new(options);
    while !reader.is_empty() {
        let code = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let data = reader.take(length)?;
        if code == OPTION_CLIENT_SUBNET {
            return Ok(data.get(3).copied());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_soa_is_shown_as_text() {
        let mut message = b"\0\0\x84\0\0\0\0\0\0\x01\0\0".to_vec();
        // The owner stands at offset 12; both names of the rdata end in a pointer to it.
        message.extend(b"\x07example\0\0\x06\0\x01\0\0\0\x3c\0\x27\x03ns1\xc0\x0c\x0ahostmaster\xc0\x0c");
        message.extend([7_u32, 3600, 600, 604_800, 60].into_iter().flat_map(u32::to_be_bytes));
        let reply = read_reply(&message).unwrap();
        assert_eq!(reply.authority[0].data, "ns1.example. hostmaster.example. 7 3600 600 604800 60");
    }
}
