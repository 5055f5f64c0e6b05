//! Values with every field in use, for the tests of the codec.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geodns_engine::refused::RefusalCode;
use geodns_engine::spec::{
    AllDown, Change, Coordinates, HealthEntry, LastResort, Override, PoolSpec, Prefix, RrsetData, RrsetSpec, RuleOrigin, RuleSpec, Select,
    Status, SteeringSpec, Triple, TtlRange, ValueSpec,
};
use geodns_link::LINK_VERSION;
use geodns_link::frame::{Begin, End, Frame, Health, Hello, Kind, Ownership, Refuse, Role};

pub const APEX: &[u8] = b"\x07example\x03com\x00";
pub const WWW: &[u8] = b"\x03www\x07example\x03com\x00";

pub fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Prefix {
    Prefix { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
}

pub fn documentation_v6() -> Prefix {
    Prefix { addr: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)), length: 32 }
}

pub fn steering() -> SteeringSpec {
    let value = |id: u32, last: u8| ValueSpec {
        id,
        weight: 3,
        status: Status::Obey,
        drained: id.is_multiple_of(2),
        site: if id == 1 { "fra1".to_owned() } else { String::new() },
        coordinates: (id == 1).then_some(Coordinates { latitude: 50_100_000, longitude: -8_700_000 }),
        rdata: Box::new([192, 0, 2, last]),
    };
    SteeringSpec {
        answers: Some(2),
        select: Select::Sticky,
        all_down: AllDown::ServeAll,
        min_up: 500_000,
        ttl: Some(TtlRange { min: 5, max: 30 }),
        values: vec![LastResort { id: 9, rdata: Box::new([192, 0, 2, 9]) }],
        pools: vec![
            PoolSpec { name: "eu".to_owned(), fallback: Some(1), values: vec![value(1, 1), value(2, 2)] },
            PoolSpec { name: "us".to_owned(), fallback: None, values: vec![value(3, 3)] },
        ],
        rules: vec![
            RuleSpec {
                origin: RuleOrigin::Own,
                pool: 1,
                geos: vec![],
                subnets: vec![v4(198, 51, 100, 0, 24), documentation_v6()],
                asns: vec![64_500, 64_501],
                lists: vec!["office".to_owned()],
            },
            RuleSpec {
                origin: RuleOrigin::Dynamic,
                pool: 0,
                geos: vec!["EU".to_owned(), "NA-US-CA".to_owned()],
                subnets: vec![],
                asns: vec![],
                lists: vec![],
            },
            RuleSpec { origin: RuleOrigin::Dynamic, pool: 1, geos: vec![], subnets: vec![], asns: vec![], lists: vec![] },
        ],
    }
}

pub fn changes() -> Vec<Change> {
    vec![
        Change::DropList { name: "old".to_owned() },
        Change::DropZone { apex: b"\x03old\x00".as_slice().into() },
        Change::PutZone { apex: APEX.into() },
        Change::PutList { name: "office".to_owned(), prefixes: vec![v4(203, 0, 113, 0, 25), v4(0, 0, 0, 0, 0), documentation_v6()] },
        Change::PutOwner {
            apex: APEX.into(),
            owner: WWW.into(),
            rrsets: vec![
                RrsetSpec { rtype: 1, ttl: 30, data: RrsetData::Steered(Box::new(steering())) },
                RrsetSpec { rtype: 16, ttl: 300, data: RrsetData::Static(vec![b"\x02hi".as_slice().into(), b"\x00".as_slice().into()]) },
            ],
        },
        Change::PutOwner { apex: APEX.into(), owner: APEX.into(), rrsets: vec![] },
    ]
}

pub fn triple() -> Triple {
    Triple { lineage: [7; 16], revision: 41, tag: 0xfeed_face_cafe_beef }
}

pub fn health_entries() -> Vec<(u32, HealthEntry)> {
    vec![
        (1, HealthEntry::default()),
        (2, HealthEntry { down: true, operator: Override::Drain, factor: 0, ttl_bound: Some(4), since_ms: 1_700_000_000_000 }),
        (u32::MAX, HealthEntry { down: false, operator: Override::Up, factor: 250, ttl_bound: Some(0), since_ms: 1 }),
    ]
}

pub fn frames() -> Vec<Frame<'static>> {
    vec![
        Frame::Hello(Hello {
            link_version: LINK_VERSION,
            ownership: Ownership::Standalone,
            pid: 4711,
            served: Some(triple()),
            health_epoch: 12,
            settings_digest: [0xab; 32],
        }),
        Frame::Attach { link_version: LINK_VERSION, role: Role::Observer },
        Frame::Begin(Begin { kind: Kind::Delta, triple: triple(), base_revision: 40, base_tag: 3, ancestors: vec![[1; 16], [2; 16]] }),
        Frame::Begin(Begin { kind: Kind::Full, triple: triple(), base_revision: 0, base_tag: 0, ancestors: vec![] }),
        Frame::Chunk(b"some bytes"),
        Frame::End(End { items: 2, bytes: 10, crc: 0x1234_5678 }),
        Frame::Abort,
        Frame::Health(Health { epoch: 13, first: true, last: false, entries: health_entries() }),
        Frame::Config(b"{}"),
        Frame::Ack(triple()),
        Frame::Refuse(Refuse { revision: 41, code: RefusalCode::Base, reason: "the base is not served".to_owned() }),
        Frame::Status { last: true, json: b"{}" },
        Frame::StatusRequest,
        Frame::Explain { id: 5, json: b"{}" },
        Frame::Explained { id: 5, last: false, json: b"{" },
    ]
}
