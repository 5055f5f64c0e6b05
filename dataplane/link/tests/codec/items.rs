//! Items: what goes in comes out, and nothing that a stranger sends does harm.

use super::samples;

use geodns_engine::refused::RefusalCode;
use geodns_engine::spec::{Change, Prefix, RrsetData, RrsetSpec};
use geodns_link::Fault;
use geodns_link::item::{ItemBuffer, Items, put_item};

fn encoded(change: &Change) -> Vec<u8> {
    let mut out = Vec::new();
    put_item(&mut out, change).expect("a sample fits its item");
    out
}

fn decoded(stream: &[u8]) -> Result<Vec<Change>, Fault> {
    Items::new(stream).collect()
}

/// Whatever is accepted must mean exactly its bytes, so that one state has one form on the wire and on disk.
fn check_means_its_bytes(stream: &[u8]) {
    if let Ok(changes) = decoded(stream) {
        assert_eq!(changes.iter().flat_map(encoded).collect::<Vec<u8>>(), stream);
    }
}

#[test]
fn every_item_comes_back_as_it_went() {
    let stream: Vec<u8> = samples::changes().iter().flat_map(encoded).collect();
    assert_eq!(decoded(&stream), Ok(samples::changes()));
}

#[test]
fn the_buffer_reads_the_same_items_from_chunks_of_any_size() {
    let stream: Vec<u8> = samples::changes().iter().flat_map(encoded).collect();
    for step in [1, 2, 5, 31, 100, stream.len()] {
        let mut buffer = ItemBuffer::default();
        let mut seen = Vec::new();
        for chunk in stream.chunks(step) {
            buffer.push(chunk);
            while let Some(change) = buffer.pull().unwrap() {
                seen.push(change);
            }
        }
        assert_eq!(seen, samples::changes());
        assert!(buffer.is_between_items());
    }
}

#[test]
fn an_item_cut_at_any_byte_is_refused() {
    for change in samples::changes() {
        let bytes = encoded(&change);
        for length in 1..bytes.len() {
            assert!(decoded(&bytes[..length]).is_err());
            let mut buffer = ItemBuffer::default();
            buffer.push(&bytes[..length]);
            assert_eq!(buffer.pull(), Ok(None));
            assert!(!buffer.is_between_items());
        }
    }
}

#[test]
fn an_item_with_any_byte_changed_is_refused_or_means_exactly_its_bytes() {
    for change in samples::changes() {
        let bytes = encoded(&change);
        for at in 0..bytes.len() {
            for flip in 1..=255_u8 {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                check_means_its_bytes(&changed);
            }
        }
    }
}

#[test]
fn an_item_over_the_limit_is_refused_before_its_bytes_arrive() {
    let mut buffer = ItemBuffer::default();
    buffer.push(&[3, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(buffer.pull().map_err(Fault::code), Err(RefusalCode::Limit));
}

#[test]
fn fields_out_of_their_range_are_refused() {
    let a = |ttl: u32, data: RrsetData| Change::PutOwner {
        apex: samples::APEX.into(),
        owner: samples::WWW.into(),
        rrsets: vec![RrsetSpec { rtype: 1, ttl, data }],
    };
    let steered = |change: fn(&mut geodns_engine::spec::SteeringSpec)| {
        let mut spec = samples::steering();
        change(&mut spec);
        a(30, RrsetData::Steered(Box::new(spec)))
    };
    let list = |prefix: Prefix| Change::PutList { name: "l".to_owned(), prefixes: vec![prefix] };
    let cases = [
        ("a ttl over 2^31 - 1", a(0x8000_0000, RrsetData::Static(vec![Box::new([192, 0, 2, 1])]))),
        ("an rrset without rdata", a(30, RrsetData::Static(vec![]))),
        ("rdata of over 65,535 bytes", a(30, RrsetData::Static(vec![vec![0; 40_000].into(), vec![0; 40_000].into()]))),
        ("min_up over the whole", steered(|spec| spec.min_up = 1_000_001)),
        ("no values", steered(|spec| spec.values.clear())),
        ("no pools", steered(|spec| spec.pools.clear())),
        ("no rules", steered(|spec| spec.rules.clear())),
        ("a fallback that is not there", steered(|spec| spec.pools[0].fallback = Some(2))),
        ("a rule's pool that is not there", steered(|spec| spec.rules[0].pool = 2)),
        ("value id 0", steered(|spec| spec.pools[0].values[0].id = 0)),
        ("weight 0", steered(|spec| spec.pools[0].values[0].weight = 0)),
        ("an empty geo", steered(|spec| spec.rules[1].geos[0].clear())),
        ("a latitude beyond the pole", steered(|spec| spec.pools[0].values[0].coordinates.as_mut().unwrap().latitude = -90_000_001)),
        ("a ttl range upside down", steered(|spec| spec.ttl.as_mut().unwrap().min = 31)),
        ("a list without a name", Change::DropList { name: String::new() }),
        ("host bits, IPv4", list(samples::v4(192, 0, 2, 1, 24))),
        ("host bits of a /0", list(samples::v4(128, 0, 0, 0, 0))),
        ("a prefix longer than its address", list(samples::v4(192, 0, 2, 1, 33))),
        ("host bits, IPv6", list(Prefix { length: 20, ..samples::documentation_v6() })),
        ("an upper-case name", Change::PutZone { apex: b"\x01A\x00".as_slice().into() }),
        ("a compressed name", Change::PutZone { apex: b"\xc0\x00".as_slice().into() }),
        ("a name without its root label", Change::PutZone { apex: b"\x01a".as_slice().into() }),
        ("a name over 255 bytes", Change::PutZone { apex: [b"\x3f".repeat(256).as_slice(), b"\x00"].concat().into() }),
    ];
    for (claim, change) in cases {
        assert!(decoded(&encoded(&change)).is_err(), "{claim}");
    }
}

#[test]
fn names_of_255_bytes_and_of_the_root_are_taken() {
    let label = [b"\x3f".as_slice(), &[b'a'; 63]].concat();
    let longest = [label.repeat(3).as_slice(), b"\x3d", &[b'a'; 61], b"\x00"].concat();
    assert_eq!(longest.len(), 255);
    for apex in [longest, b"\x00".to_vec()] {
        let change = Change::PutZone { apex: apex.into() };
        assert_eq!(decoded(&encoded(&change)), Ok(vec![change]));
    }
}

#[test]
fn only_addresses_and_cname_can_be_steered() {
    for (rtype, taken) in [(1_u16, true), (5, true), (28, true), (2, false), (6, false), (16, false), (0, false)] {
        let data = RrsetData::Steered(Box::new(samples::steering()));
        let change =
            Change::PutOwner { apex: samples::APEX.into(), owner: samples::WWW.into(), rrsets: vec![RrsetSpec { rtype, ttl: 1, data }] };
        assert_eq!(decoded(&encoded(&change)).is_ok(), taken, "rtype {rtype}");
    }
}

#[test]
fn what_does_not_fit_its_field_is_not_written() {
    let mut out = b"before".to_vec();
    assert!(put_item(&mut out, &Change::DropList { name: "x".repeat(256) }).is_err());
    assert_eq!(out, b"before");
}
