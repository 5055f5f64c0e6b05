//! Writes small .mmdb files for tests: just enough of `MaxMind` DB format 2.0 to say anything that a reader has to cope with.

use std::net::IpAddr;

/// A value of the data section.
#[derive(Debug, Clone)]
pub enum Data {
    Text(&'static str),
    Double(f64),
    U16(u16),
    U32(u32),
    U64(u64),
    Bool(bool),
    Map(Vec<(&'static str, Data)>),
    List(Vec<Data>),
}

/// A map from literal pairs.
pub fn map<const N: usize>(pairs: [(&'static str, Data); N]) -> Data {
    Data::Map(pairs.into())
}

impl Data {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                put_control(out, 2, text.len());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Double(number) => {
                put_control(out, 3, 8);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::U16(number) => {
                put_control(out, 5, 2);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::U32(number) => {
                put_control(out, 6, 4);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::U64(number) => {
                put_control(out, 9, 8);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Bool(word) => put_control(out, 14, usize::from(*word)),
            Self::Map(pairs) => {
                put_control(out, 7, pairs.len());
                for (key, value) in pairs {
                    Self::Text(key).put(out);
                    value.put(out);
                }
            }
            Self::List(items) => {
                put_control(out, 11, items.len());
                for item in items {
                    item.put(out);
                }
            }
        }
    }
}

/// Types past 7 stand in a second byte; sizes past 28 in a third.
fn put_control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let low = u8::try_from(size.min(29)).unwrap();
    if kind <= 7 {
        out.push(kind << 5 | low);
    } else {
        out.extend([low, kind - 7]);
    }
    if size >= 29 {
        out.push(u8::try_from(size - 29).expect("the writer knows sizes up to 284"));
    }
}

/// Where a branch of the search tree leads.
#[derive(Debug, Clone, Copy)]
enum Branch {
    Nowhere,
    Node(usize),
    Record(usize),
}

/// A database under construction.
#[derive(Debug)]
pub struct Writer {
    ip_version: u16,
    record_size: u16,
    nodes: Vec<[Branch; 2]>,
    data: Vec<u8>,
}

impl Writer {
    /// `record_size` is 24, 28 or 32.
    pub fn new(ip_version: u16, record_size: u16) -> Self {
        Self { ip_version, record_size, nodes: vec![[Branch::Nowhere; 2]], data: Vec::new() }
    }

    /// Writes a record and gives its offset.
    pub fn record(&mut self, data: &Data) -> usize {
        let offset = self.data.len();
        data.put(&mut self.data);
        offset
    }

    /// Leads a network to a record. Networks do not overlap.
    pub fn insert(&mut self, network: &str, record: usize) {
        let (addr, length) = network.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        let (bits, length) = match addr.parse().unwrap() {
            IpAddr::V4(addr) if self.ip_version == 4 => (u128::from(u32::from(addr)) << 96, length),
            IpAddr::V4(addr) => (u128::from(u32::from(addr)), length + 96),
            IpAddr::V6(addr) => (u128::from(addr), length),
        };
        let side = |depth: u32| usize::from(bits >> (127 - depth) & 1 == 1);
        let mut node = 0;
        for depth in 0..length - 1 {
            node = match self.nodes[node][side(depth)] {
                Branch::Node(next) => next,
                Branch::Nowhere | Branch::Record(_) => {
                    self.nodes.push([Branch::Nowhere; 2]);
                    self.nodes[node][side(depth)] = Branch::Node(self.nodes.len() - 1);
                    self.nodes.len() - 1
                }
            };
        }
        self.nodes[node][side(length - 1)] = Branch::Record(record);
    }

    /// The same with a record of its own.
    pub fn put(&mut self, network: &str, data: &Data) {
        let record = self.record(data);
        self.insert(network, record);
    }

    /// The file.
    pub fn finish(self, database_type: &'static str) -> Vec<u8> {
        let mut out = Vec::new();
        for [left, right] in &self.nodes {
            self.put_node(&mut out, self.number(*left), self.number(*right));
        }
        out.extend([0; 16]);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        let node_count = u32::try_from(self.nodes.len()).unwrap();
        map([
            ("binary_format_major_version", Data::U16(2)),
            ("binary_format_minor_version", Data::U16(0)),
            ("build_epoch", Data::U64(1_700_000_000)),
            ("database_type", Data::Text(database_type)),
            ("description", map([("en", Data::Text("made by a test"))])),
            ("ip_version", Data::U16(self.ip_version)),
            ("languages", Data::List(vec![Data::Text("en")])),
            ("node_count", Data::U32(node_count)),
            ("record_size", Data::U16(self.record_size)),
        ])
        .put(&mut out);
        out
    }

    fn number(&self, branch: Branch) -> u32 {
        let number = match branch {
            Branch::Nowhere => self.nodes.len(),
            Branch::Node(node) => node,
            Branch::Record(offset) => self.nodes.len() + 16 + offset,
        };
        u32::try_from(number).unwrap()
    }

    fn put_node(&self, out: &mut Vec<u8>, left: u32, right: u32) {
        let (l, r) = (left.to_be_bytes(), right.to_be_bytes());
        match self.record_size {
            24 => out.extend([l[1], l[2], l[3], r[1], r[2], r[3]]),
            28 => out.extend([l[1], l[2], l[3], l[0] << 4 | r[0] & 0x0f, r[1], r[2], r[3]]),
            _ => out.extend([l, r].concat()),
        }
    }
}
