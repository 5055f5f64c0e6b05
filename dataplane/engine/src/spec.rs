//! Plain values of what control publishes, one to one with the items of `docs/link-protocol.md`: what the codec of the link
//! decodes and encodes, and what the builders of this crate take. They carry syntax only; `ZoneSet` and `Steered` judge sense.

use std::net::IpAddr;

/// An owner name or apex in lower-case uncompressed wire form with its root label (RFC 1035 §3.1), 1 to 255 bytes.
pub type WireName = Box<[u8]>;

/// Uncompressed rdata in wire form, at most 65,535 bytes.
pub type Rdata = Box<[u8]>;

/// One step of a state: the items of a FULL or a DELTA, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The zone exists.
    PutZone { apex: WireName },
    /// The zone and all its owner names vanish.
    DropZone { apex: WireName },
    /// Everything at that owner name from now on; no rrsets removes the owner name.
    PutOwner { apex: WireName, owner: WireName, rrsets: Vec<RrsetSpec> },
    /// A named CIDR list.
    PutList { name: String, prefixes: Vec<Prefix> },
    /// The named list vanishes.
    DropList { name: String },
}

/// One rrset as published.
#[derive(Debug, Clone, PartialEq)]
pub struct RrsetSpec {
    pub rtype: u16,
    /// Seconds, RFC 2181 §8: at most 2^31 - 1.
    pub ttl: u32,
    pub data: RrsetData,
}

/// Static rdata in stored order, or a steered rrset.
#[derive(Debug, Clone, PartialEq)]
pub enum RrsetData {
    Static(Vec<Rdata>),
    Steered(Box<SteeringSpec>),
}

/// A network: family, length and address with zero host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    pub addr: IpAddr,
    pub length: u8,
}

/// `octodns.geodns.select`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Select {
    Weighted,
    Sticky,
    Nearest,
}

/// `octodns.geodns.all_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AllDown {
    Values,
    ServeAll,
    NoData,
    ServFail,
}

/// octoDNS's status of a pool value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Obey,
    Up,
    Down,
}

/// Identifies a (record, pool, value) in a lineage; 0 is not used.
pub type ValueId = u32;

/// A steered A, AAAA or CNAME rrset.
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringSpec {
    /// Values an answer carries; `None` = all.
    pub answers: Option<u16>,
    pub select: Select,
    pub all_down: AllDown,
    /// Millionths of a pool's weight that must be up, 0 to 1,000,000.
    pub min_up: u32,
    /// Adaptive ttl, in seconds.
    pub ttl: Option<TtlRange>,
    /// The record's own values, the last resort.
    pub values: Vec<LastResort>,
    pub pools: Vec<PoolSpec>,
    /// In the order in which they are judged; the last is the catch-all.
    pub rules: Vec<RuleSpec>,
}

/// `octodns.geodns.ttl`, seconds, `min <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlRange {
    pub min: u32,
    pub max: u32,
}

/// One of the record's own values.
#[derive(Debug, Clone, PartialEq)]
pub struct LastResort {
    pub id: ValueId,
    pub rdata: Rdata,
}

/// A pool; `fallback` is an index into `SteeringSpec::pools`.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSpec {
    pub name: String,
    pub fallback: Option<u16>,
    pub values: Vec<ValueSpec>,
}

/// One value of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSpec {
    pub id: ValueId,
    pub weight: u32,
    pub status: Status,
    /// Weight 0 in `octodns.geodns.values`: checked, not drawn.
    pub drained: bool,
    /// Empty = none.
    pub site: String,
    pub coordinates: Option<Coordinates>,
    pub rdata: Rdata,
}

/// Millionths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coordinates {
    pub latitude: i32,
    pub longitude: i32,
}

impl Coordinates {
    /// Latitude within ±90 and longitude within ±180 degrees.
    pub fn is_on_globe(self) -> bool {
        self.latitude.unsigned_abs() <= 90_000_000 && self.longitude.unsigned_abs() <= 180_000_000
    }
}

/// Where a rule was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOrigin {
    Dynamic,
    Own,
}

/// One rule; without any predicate it is the catch-all. A rule matches when any of its predicates does.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    pub origin: RuleOrigin,
    /// Index into `SteeringSpec::pools`.
    pub pool: u16,
    pub geos: Vec<String>,
    pub subnets: Vec<Prefix>,
    pub asns: Vec<u32>,
    pub lists: Vec<String>,
}

/// Lineage, revision and tag: what a state is (`docs/link-protocol.md` section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Triple {
    pub lineage: [u8; 16],
    pub revision: u64,
    pub tag: u64,
}

/// What control says of one value, besides the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthEntry {
    /// The verdict is down.
    pub down: bool,
    pub operator: Override,
    /// Share of the weight in thousandths, 0 to 1000 (slow start).
    pub factor: u16,
    /// Seconds for which the value surely keeps its state; `None` = no bound.
    pub ttl_bound: Option<u32>,
    /// Unix milliseconds of the last transition; 0 = unknown.
    pub since_ms: u64,
}

/// The operator's word over a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Override {
    #[default]
    None,
    Up,
    Down,
    Drain,
}

impl Default for HealthEntry {
    /// An id without a state is up.
    fn default() -> Self {
        Self { down: false, operator: Override::None, factor: 1000, ttl_bound: None, since_ms: 0 }
    }
}
