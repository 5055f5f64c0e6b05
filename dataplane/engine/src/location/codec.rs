//! A compiled location table as bytes, for `location/<digest>.table` in the dataplane's directory: a start neither reads nor verifies an .mmdb again.
//!
//! ```text
//! table    = "GDNSLOCT", u16 format (1), digest[32] of the .mmdb, u64 build epoch, u64 networks, text8 database type,
//!            u32 count, count × location, ranges of IPv4, ranges of IPv6, u32 CRC-32 of all before
//! location = u16 country (0xffff = none), u8 continent (0xff = none), 4 × subdivision[3] (zeros = none),
//!            u8 has_asn, u32 asn, u8 has_coordinates, i32 latitude, i32 longitude
//! ranges   = u32 count, count × start (4 or 16 bytes), count × u32 index of a location
//! ```
//!
//! Integers are big-endian. Bytes in, bytes out; what is read is judged as if a stranger had written it.

use super::address_map::AddressMap;
use super::place::{Continent, Country, Subdivision};
use super::range_map::RangeMap;
use super::table::{Location, LocationTable, MAX_SUBDIVISIONS, TableFault, TableOrigin};
use crate::spec::Coordinates;

const MAGIC: &[u8; 8] = b"GDNSLOCT";
const FORMAT: u16 = 1;
const NO_COUNTRY: u16 = u16::MAX;
const NO_CONTINENT: u8 = u8::MAX;

/// The length of a location in bytes.
const LOCATION_BYTES: usize = 29;

/// Why bytes are no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeFault {
    /// Not a table, or of another format.
    Format,
    /// Made from another .mmdb.
    Digest,
    /// Cut off, too long, or a field that is never written.
    Malformed,
    /// The bytes are not those that were written.
    Checksum,
    /// The parts do not fit together.
    Table(TableFault),
}

impl LocationTable {
    /// The table as bytes, with the digest of the .mmdb from which it was made.
    pub fn encode(&self, digest: &[u8; 32]) -> Vec<u8> {
        let origin = self.origin();
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(digest);
        out.extend_from_slice(&origin.build_epoch.to_be_bytes());
        out.extend_from_slice(&origin.networks.to_be_bytes());
        let database_type = origin.database_type.as_bytes();
        let length = u8::try_from(database_type.len()).unwrap_or(u8::MAX);
        out.push(length);
        out.extend(database_type.iter().take(usize::from(length)));
        put_count(&mut out, self.classes().len());
        for location in self.classes() {
            put_location(&mut out, location);
        }
        put_ranges(&mut out, &self.ranges().v4, u32::to_be_bytes);
        put_ranges(&mut out, &self.ranges().v6, u128::to_be_bytes);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// The table that `encode` wrote for the .mmdb of that digest.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8], digest: &[u8; 32]) -> Result<Self, DecodeFault> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(DecodeFault::Malformed)?;
        let mut reader = Reader { rest: body };
        if reader.take(MAGIC.len())? != MAGIC || reader.take_u16()? != FORMAT {
            return Err(DecodeFault::Format);
        }
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return Err(DecodeFault::Checksum);
        }
        if reader.take(digest.len())? != digest {
            return Err(DecodeFault::Digest);
        }
        let build_epoch = reader.take_u64()?;
        let networks = reader.take_u64()?;
        let length = usize::from(reader.take_u8()?);
        let database_type = std::str::from_utf8(reader.take(length)?).map_err(|_| DecodeFault::Malformed)?.to_owned();
        let count = reader.take_count()?;
        let classes = reader.take_items(count)?.iter().map(read_location).collect::<Option<Vec<_>>>().ok_or(DecodeFault::Malformed)?;
        let v4 = reader.take_ranges(|start| u32::from_be_bytes(*start))?;
        let v6 = reader.take_ranges(|start| u128::from_be_bytes(*start))?;
        if !reader.rest.is_empty() {
            return Err(DecodeFault::Malformed);
        }
        let origin = TableOrigin { database_type, build_epoch, networks };
        Self::from_parts(origin, classes, AddressMap { v4, v6 }).map_err(DecodeFault::Table)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // `RangeMap` and the builder hold no more than 32 bits can count.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn put_location(out: &mut Vec<u8>, location: &Location) {
    out.extend_from_slice(&location.country.map_or(NO_COUNTRY, Country::number).to_be_bytes());
    out.push(location.continent.map_or(NO_CONTINENT, |continent| continent as u8));
    for subdivision in location.subdivisions {
        out.extend_from_slice(&subdivision.map_or([0; 3], Subdivision::bytes));
    }
    out.push(location.asn.is_some().into());
    out.extend_from_slice(&location.asn.unwrap_or(0).to_be_bytes());
    let point = location.coordinates.unwrap_or(Coordinates { latitude: 0, longitude: 0 });
    out.push(location.coordinates.is_some().into());
    out.extend_from_slice(&point.latitude.to_be_bytes());
    out.extend_from_slice(&point.longitude.to_be_bytes());
}

fn put_ranges<A: super::address::Address, const N: usize>(out: &mut Vec<u8>, ranges: &RangeMap<A, u32>, to_bytes: impl Fn(A) -> [u8; N]) {
    put_count(out, ranges.len());
    out.extend(ranges.starts().iter().flat_map(|&start| to_bytes(start)));
    out.extend(ranges.values().iter().flat_map(|class| class.to_be_bytes()));
}

/// Bytes that are left to read. Counts are checked against them before anything is reserved.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeFault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeFault::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeFault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeFault::Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take_u8(&mut self) -> Result<u8, DecodeFault> {
        Ok(u8::from_be_bytes(self.take_array()?))
    }

    fn take_u16(&mut self) -> Result<u16, DecodeFault> {
        Ok(u16::from_be_bytes(self.take_array()?))
    }

    fn take_u64(&mut self) -> Result<u64, DecodeFault> {
        Ok(u64::from_be_bytes(self.take_array()?))
    }

    fn take_count(&mut self) -> Result<usize, DecodeFault> {
        usize::try_from(u32::from_be_bytes(self.take_array()?)).map_err(|_| DecodeFault::Malformed)
    }

    fn take_items<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], DecodeFault> {
        let bytes = self.take(count.checked_mul(N).ok_or(DecodeFault::Malformed)?)?;
        Ok(bytes.as_chunks().0)
    }

    fn take_ranges<A: super::address::Address, const N: usize>(
        &mut self,
        to_start: impl Fn(&[u8; N]) -> A,
    ) -> Result<RangeMap<A, u32>, DecodeFault> {
        let count = self.take_count()?;
        let starts = self.take_items(count)?.iter().map(to_start).collect();
        let classes = self.take_items(count)?.iter().map(|class| u32::from_be_bytes(*class)).collect();
        RangeMap::new(starts, classes).map_err(|fault| DecodeFault::Table(TableFault::Ranges(fault)))
    }
}

fn read_location(bytes: &[u8; LOCATION_BYTES]) -> Option<Location> {
    let mut reader = Reader { rest: bytes };
    let country = match reader.take_u16().ok()? {
        NO_COUNTRY => None,
        number => Some(Country::from_number(number)?),
    };
    let continent = match reader.take_u8().ok()? {
        NO_CONTINENT => None,
        number => Some(*Continent::ALL.get(usize::from(number))?),
    };
    let mut subdivisions = [None; MAX_SUBDIVISIONS];
    for subdivision in &mut subdivisions {
        let code: [u8; 3] = reader.take_array().ok()?;
        *subdivision = if code == [0; 3] { None } else { Some(Subdivision::from_bytes(code)?) };
    }
    let has_asn = read_flag(&mut reader)?;
    let asn = u32::from_be_bytes(reader.take_array().ok()?);
    let has_coordinates = read_flag(&mut reader)?;
    let latitude = i32::from_be_bytes(reader.take_array().ok()?);
    let longitude = i32::from_be_bytes(reader.take_array().ok()?);
    let point = Coordinates { latitude, longitude };
    let absent_are_zero = (has_asn || asn == 0) && (has_coordinates || (latitude, longitude) == (0, 0));
    if !absent_are_zero || !point.is_on_globe() {
        return None;
    }
    let coordinates = has_coordinates.then_some(point);
    Some(Location { country, continent, subdivisions, asn: has_asn.then_some(asn), coordinates })
}

fn read_flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.take_u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::table::tests::{location, table};

    const DIGEST: [u8; 32] = [7; 32];

    fn sample() -> LocationTable {
        let berlin =
            Location { coordinates: Some(Coordinates { latitude: 52_520_000, longitude: 13_405_000 }), ..location("DE", "EU", &["BE"], 0) };
        table(
            &[
                ("192.0.2.0/25", berlin),
                ("192.0.2.128/25", location("US", "", &["CA", "NV"], 64500)),
                ("198.51.100.0/24", location("", "AS", &[], u32::MAX)),
                ("2001:db8::/48", berlin),
                ("2001:db8::/48", berlin),
            ][..4],
        )
    }

    #[test]
    fn a_table_survives_the_disk() {
        for table in [sample(), table(&[])] {
            assert_eq!(LocationTable::decode(&table.encode(&DIGEST), &DIGEST), Ok(table));
        }
    }

    #[test]
    fn each_flipped_byte_is_noticed() {
        let bytes = sample().encode(&DIGEST);
        for place in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= flip;
                assert!(LocationTable::decode(&damaged, &DIGEST).is_err(), "byte {place}");
            }
        }
    }

    #[test]
    fn each_flipped_byte_under_a_right_checksum_is_refused_or_a_table() {
        let bytes = sample().encode(&DIGEST);
        for place in 0..bytes.len() - 4 {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut forged = bytes[..bytes.len() - 4].to_vec();
                forged[place] ^= flip;
                let crc = crc32fast::hash(&forged);
                forged.extend_from_slice(&crc.to_be_bytes());
                if let Ok(table) = LocationTable::decode(&forged, &DIGEST) {
                    assert_eq!(table.encode(&DIGEST), forged, "byte {place}");
                }
            }
        }
    }

    #[test]
    fn each_truncation_is_refused() {
        let bytes = sample().encode(&DIGEST);
        for length in 0..bytes.len() {
            assert!(LocationTable::decode(&bytes[..length], &DIGEST).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_table_of_another_file_is_refused() {
        assert_eq!(LocationTable::decode(&sample().encode(&DIGEST), &[8; 32]), Err(DecodeFault::Digest));
    }
}
