//! A reply as text, decoded strictly: every count must be true, every pointer must go back, nothing may follow the last record.

use geodns_wire::NameBuf;
use geodns_wire::reader::Reader;
use geodns_wire::rtype;

use super::{hex, name_text, rtype_name};

/// A decoded reply.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub id: u16,
    pub rcode: String,
    /// `aa`, `tc`, `rd`, `cd` as far as set.
    pub flags: Vec<&'static str>,
    pub question: Option<String>,
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
    pub opt: Option<Opt>,
}

/// The OPT record of a reply.
#[derive(Debug, Clone, Default)]
pub struct Opt {
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub options: Vec<(u16, Vec<u8>)>,
}

/// Decodes or says what is wrong.
pub fn decode(message: &[u8]) -> Reply {
    let mut reader = Reader::new(message);
    let mut word = || reader.u16().expect("header");
    let [id, bits, questions, answers, authorities, additionals] = [word(), word(), word(), word(), word(), word()];
    assert_eq!(bits & 0x8000, 0x8000, "QR");
    assert_eq!(bits & 0x0060, 0, "Z and AD");
    let flags = [("aa", 0x0400), ("tc", 0x0200), ("rd", 0x0100), ("cd", 0x0010)];
    let mut reply =
        Reply { id, flags: flags.iter().filter(|(_, bit)| bits & bit != 0).map(|(flag, _)| *flag).collect(), ..Reply::default() };
    for _ in 0..questions {
        let qname = read_name(&mut reader);
        let (qtype, qclass) = (reader.u16().expect("qtype"), reader.u16().expect("qclass"));
        reply.question = Some(format!("{qname} {} {qclass}", rtype_name(qtype)));
    }
    let mut high = 0;
    reply.answer = (0..answers).map(|_| read_record(&mut reader, None).0).collect();
    reply.authority = (0..authorities).map(|_| read_record(&mut reader, None).0).collect();
    for _ in 0..additionals {
        let (text, opt) = read_record(&mut reader, Some(&mut high));
        match opt {
            Some(opt) => assert!(reply.opt.replace(opt).is_none(), "two OPT records"),
            None => reply.additional.push(text),
        }
    }
    assert!(reader.is_empty(), "octets after the last record");
    reply.rcode = rcode_name((u16::from(high) << 4) | (bits & 0x000f));
    reply
}

fn rcode_name(rcode: u16) -> String {
    let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "", "", "NOTAUTH"];
    let name = names.get(usize::from(rcode)).copied().filter(|name| !name.is_empty());
    name.map_or_else(|| if rcode == 16 { "BADVERS".to_owned() } else { format!("RCODE{rcode}") }, str::to_owned)
}

fn read_name(reader: &mut Reader<'_>) -> String {
    let mut name = NameBuf::root();
    name.read_compressed(reader).expect("name");
    name_text(&name)
}

fn read_record(reader: &mut Reader<'_>, high: Option<&mut u8>) -> (String, Option<Opt>) {
    let owner = read_name(reader);
    let rtype = reader.u16().expect("type");
    let class = reader.u16().expect("class");
    let ttl = reader.u32().expect("ttl");
    let length = usize::from(reader.u16().expect("length"));
    let end = reader.position() + length;
    if rtype == rtype::OPT {
        let [upper, version, flags, _] = ttl.to_be_bytes();
        *high.expect("OPT outside the additional section") = upper;
        let mut opt = Opt { payload: class, version, dnssec_ok: flags & 0x80 != 0, options: Vec::new() };
        while reader.position() < end {
            let code = reader.u16().expect("option code");
            let length = reader.u16().expect("option length");
            opt.options.push((code, reader.take(usize::from(length)).expect("option data").to_vec()));
        }
        assert_eq!(reader.position(), end);
        return (String::new(), Some(opt));
    }
    let data = read_rdata(reader, rtype, end);
    assert_eq!(reader.position(), end, "rdata length of {owner} {}", rtype_name(rtype));
    (format!("{owner} {ttl} {} {data}", rtype_name(rtype)), None)
}

fn read_rdata(reader: &mut Reader<'_>, rtype: u16, end: usize) -> String {
    let octets = |reader: &mut Reader<'_>, length| reader.take(length).expect("rdata").to_vec();
    match rtype {
        rtype::A => octets(reader, 4).iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        rtype::AAAA => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(octets(reader, 16)).unwrap()).to_string(),
        rtype::NS | rtype::CNAME | rtype::DNAME | rtype::PTR => read_name(reader),
        rtype::SOA => {
            let names = format!("{} {}", read_name(reader), read_name(reader));
            (0..5).fold(names, |text, _| format!("{text} {}", reader.u32().expect("SOA")))
        }
        rtype::MX => format!("{} {}", reader.u16().expect("MX"), read_name(reader)),
        rtype::SRV => {
            let numbers = (0..3).map(|_| reader.u16().expect("SRV").to_string()).collect::<Vec<_>>().join(" ");
            format!("{numbers} {}", read_name(reader))
        }
        _ => hex(&octets(reader, end - reader.position())),
    }
}
