//! What the tests of the engine share: zones written as text, questions and replies as text, and one door to the answer function.
//! It is no master-file parser: one record a line, `owner ttl type rdata`, all names absolute.
#![allow(dead_code)] // each test binary uses a part of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod cases;
pub mod decode;
pub mod steering;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use geodns_engine::answer::{Arrival, Outcome, Scratch, Transport, answer};
use geodns_engine::refused::Refused;
use geodns_engine::rng::FastRng;
use geodns_engine::spec::{Change, RrsetData, RrsetSpec, WireName};
use geodns_engine::steer::SteeringEditor;
use geodns_engine::view::{Options, View};
use geodns_engine::zones::ZoneSet;
use geodns_wire::{NameBuf, rtype};

/// The moment at which every test asks.
pub const NOW_S: u32 = 1_700_000_000;

/// A name in wire form from presentation form: absolute, with the escapes of RFC 1035 §5.1.
pub fn name(text: &str) -> Box<[u8]> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' if label.is_empty() => {}
            b'.' => {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.append(&mut label);
            }
            b'\\' => {
                let next = octets.next().unwrap();
                if next.is_ascii_digit() {
                    let digits = [next, octets.next().unwrap(), octets.next().unwrap()];
                    label.push(std::str::from_utf8(&digits).unwrap().parse().unwrap());
                } else {
                    label.push(next);
                }
            }
            plain => label.push(plain),
        }
    }
    assert!(label.is_empty(), "{text} is not absolute");
    wire.push(0);
    wire.into_boxed_slice()
}

const TYPES: &[(&str, u16)] = &[
    ("A", rtype::A),
    ("AAAA", rtype::AAAA),
    ("NS", rtype::NS),
    ("CNAME", rtype::CNAME),
    ("DNAME", rtype::DNAME),
    ("SOA", rtype::SOA),
    ("MX", rtype::MX),
    ("TXT", rtype::TXT),
    ("SRV", rtype::SRV),
    ("DS", rtype::DS),
    ("PTR", rtype::PTR),
    ("HTTPS", rtype::HTTPS),
    ("HINFO", rtype::HINFO),
    ("RRSIG", rtype::RRSIG),
    ("AXFR", rtype::AXFR),
    ("IXFR", rtype::IXFR),
    ("TSIG", rtype::TSIG),
    ("ANY", rtype::ANY),
];

/// The number of a type by name, or of `TYPEn`.
pub fn rtype_number(text: &str) -> u16 {
    let known = TYPES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    known.unwrap_or_else(|| text.strip_prefix("TYPE").and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("type {text}")))
}

/// The name of a type.
pub fn rtype_name(number: u16) -> String {
    TYPES.iter().find(|(_, known)| *known == number).map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned())
}

/// Rdata from presentation form.
pub fn rdata(rtype: u16, text: &str) -> Box<[u8]> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut wire = Vec::new();
    match (rtype, words.as_slice()) {
        (_, ["\\#", _length, hex @ ..]) => wire.extend(hex_octets(&hex.concat())),
        (rtype::A, [addr]) => wire.extend(addr.parse::<Ipv4Addr>().unwrap().octets()),
        (rtype::AAAA, [addr]) => wire.extend(addr.parse::<Ipv6Addr>().unwrap().octets()),
        (rtype::NS | rtype::CNAME | rtype::DNAME | rtype::PTR, [target]) => wire.extend(name(target)),
        (rtype::SOA, [mname, rname, numbers @ ..]) => {
            wire.extend(name(mname));
            wire.extend(name(rname));
            wire.extend(numbers.iter().flat_map(|number| number.parse::<u32>().unwrap().to_be_bytes()));
        }
        (rtype::MX | rtype::SRV | rtype::HTTPS, [numbers @ .., target]) => {
            wire.extend(numbers.iter().flat_map(|number| number.parse::<u16>().unwrap().to_be_bytes()));
            wire.extend(name(target));
        }
        (rtype::TXT | rtype::HINFO, strings) => {
            for string in strings {
                let string = string.trim_matches('"');
                wire.push(u8::try_from(string.len()).unwrap());
                wire.extend(string.bytes());
            }
        }
        (rtype::DS, [tag, algorithm, digest, hex]) => {
            wire.extend(tag.parse::<u16>().unwrap().to_be_bytes());
            wire.extend([algorithm.parse::<u8>().unwrap(), digest.parse().unwrap()]);
            wire.extend(hex_octets(hex));
        }
        _ => panic!("rdata {text} of type {rtype}"),
    }
    wire.into_boxed_slice()
}

fn hex_octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The items of zones written as text. A line `zone example.com.` begins a zone; the others are records of it.
pub fn changes(text: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut apex: Box<[u8]> = Box::default();
    let mut owners: BTreeMap<(WireName, WireName), Vec<RrsetSpec>> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';')) {
        let (owner, rest) = next_word(line);
        if owner == "zone" {
            apex = name(rest);
            changes.push(Change::PutZone { apex: apex.clone() });
            continue;
        }
        let (ttl, rest) = next_word(rest);
        let (rtype, data) = next_word(rest);
        let rtype = rtype_number(rtype);
        let rrsets = owners.entry((apex.clone(), name(owner))).or_default();
        if let Some(values) = data.strip_prefix("steered ") {
            rrsets.push(RrsetSpec { rtype, ttl: ttl.parse().unwrap(), data: RrsetData::Steered(Box::new(steering::spec(rtype, values))) });
            continue;
        }
        let data = rdata(rtype, data);
        match rrsets.iter_mut().find(|rrset| rrset.rtype == rtype) {
            Some(RrsetSpec { data: RrsetData::Static(rdatas), .. }) => rdatas.push(data),
            _ => rrsets.push(RrsetSpec { rtype, ttl: ttl.parse().unwrap(), data: RrsetData::Static(vec![data]) }),
        }
    }
    changes.extend(owners.into_iter().map(|((apex, owner), rrsets)| Change::PutOwner { apex, owner, rrsets }));
    changes
}

fn next_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// A server that answers in this process.
pub struct Server {
    pub zones: Arc<ZoneSet>,
    pub steering: SteeringEditor,
    pub options: Options,
    rng: FastRng,
    scratch: Scratch,
}

impl Server {
    /// Serves these zones with default options.
    pub fn new(zones: &str) -> Self {
        let options = Options { cookie_secrets: vec![[7; 16]], nsid: Box::from(*b"node-1"), tcp_keepalive: 100, ..Options::default() };
        let mut server = Self {
            zones: Arc::new(ZoneSet::new(99)),
            steering: SteeringEditor::new(),
            options,
            rng: FastRng::from_seed(1),
            scratch: Scratch::new(),
        };
        server.apply(changes(zones)).unwrap();
        server
    }

    /// Adopts a delta.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<(), Refused> {
        let mut editor = self.zones.edit();
        for change in changes {
            editor.apply(change, &mut self.steering)?;
        }
        self.zones = Arc::new(editor.finish()?);
        Ok(())
    }

    /// What workers read.
    pub fn view(&mut self) -> View {
        let (tables, health) = self.steering.tables();
        View { zones: Arc::clone(&self.zones), tables, health, options: Arc::new(self.options.clone()), triple: None }
    }

    /// Sends a request and returns the reply, or `None` when there is none.
    pub fn send(&mut self, request: &[u8], source: &str, transport: Transport) -> Option<Vec<u8>> {
        let view = self.view();
        let arrival = Arrival { source: source.parse().unwrap(), transport, now_s: NOW_S };
        let mut reply = vec![0; 65_535];
        match answer(&view, request, &arrival, &mut self.rng, &mut self.scratch, &mut reply) {
            Outcome::Reply { length, .. } => {
                reply.truncate(length);
                Some(reply)
            }
            Outcome::Drop(_) => None,
        }
    }
}

/// Steered names of `many_names`.
pub const MANY_STEERED: usize = 100;

/// A zone whose queries are read ahead: `n0.many.example.` to `n8999` with an address, and `s0` to `s99` steered among ten.
pub fn many_names() -> String {
    let mut zone =
        String::from("zone many.example.\nmany.example. 300 SOA ns1.example.com. hostmaster.example.com. 1 3600 600 604800 60\n");
    for number in 0..9000 {
        let _ = writeln!(zone, "n{number}.many.example. 300 A 10.1.{}.{}", number / 256, number % 256);
    }
    for number in 0..MANY_STEERED {
        let _ = write!(zone, "s{number}.many.example. 300 A steered");
        for value in 0..10 {
            let _ = write!(zone, " 10.2.{number}.{value}");
        }
        zone.push('\n');
    }
    zone
}

/// A request for one question, with RD as `dig +norec` does not set it.
pub fn request(qname: &str, qtype: &str) -> Vec<u8> {
    let mut request = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    request.extend(name(qname));
    request.extend(rtype_number(qtype).to_be_bytes());
    request.extend([0, 1]);
    request
}

/// Appends an OPT record with these options.
pub fn add_opt(request: &mut Vec<u8>, payload: u16, ttl: u32, options: &[(u16, &[u8])]) {
    let mut data = Vec::new();
    for (code, octets) in options {
        data.extend(code.to_be_bytes());
        data.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
        data.extend_from_slice(octets);
    }
    request.extend([0, 0, 41]);
    request.extend(payload.to_be_bytes());
    request.extend(ttl.to_be_bytes());
    request.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    request.extend(data);
    request[11] += 1;
}

/// Octets as hex.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A possibly compressed name of a message, as text.
pub fn name_text(buffer: &NameBuf) -> String {
    buffer.as_name().to_string()
}
