//! Any bytes as a compiled location table: what is read as one has these bytes as its only encoding, and knows every address.
//!
//! The first byte says whether the checksum is put right, so that what lies behind it is reached; the rest is the file.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geodns_engine::location::LocationTable;
use libfuzzer_sys::fuzz_target;

/// Where the digest of the .mmdb stands: behind magic and format.
const DIGEST: std::ops::Range<usize> = 10..42;

fuzz_target!(|data: &[u8]| {
    let Some((&knob, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if knob & 1 == 0
        && let Some((body, crc)) = bytes.split_last_chunk_mut::<4>()
    {
        *crc = crc32fast::hash(body).to_be_bytes();
    }
    let digest = bytes.get(DIGEST).and_then(|digest| digest.try_into().ok()).unwrap_or([0; 32]);
    let Ok(table) = LocationTable::decode(&bytes, &digest) else { return };
    assert_eq!(table.encode(&digest), bytes, "a table has one encoding");
    for addr in addresses(&bytes) {
        let found = table.look_up(addr).expect("ranges cover all addresses");
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        assert!(found.network <= longest, "{addr}: /{}", found.network);
        assert_eq!(found.direction.is_some(), found.location.coordinates.is_some());
    }
});

/// The ends of both families, and whatever addresses the file itself may mean.
fn addresses(bytes: &[u8]) -> impl Iterator<Item = IpAddr> {
    let ends = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::from(u128::MAX)),
    ];
    let v4 = bytes.windows(4).filter_map(|four| <[u8; 4]>::try_from(four).ok()).map(IpAddr::from);
    let v6 = bytes.windows(16).filter_map(|sixteen| <[u8; 16]>::try_from(sixteen).ok()).map(IpAddr::from);
    ends.into_iter().chain(v4).chain(v6)
}
