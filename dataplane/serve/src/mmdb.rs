//! Reads a location database (`MaxMind` DB format 2.0) from memory into the engine's table. Does no I/O and keeps nothing of the file.
//!
//! One reader takes every schema in use, because their keys do not contradict each other:
//!
//! | maker | country | continent | subdivisions | place | system |
//! |---|---|---|---|---|---|
//! | `MaxMind`, DB-IP | `country.iso_code`, else `registered_country.iso_code` | `continent.code` | `subdivisions[].iso_code` | `location.latitude` … | `autonomous_system_number` |
//! | `IPinfo` | `country_code` | `continent_code` | `region_code` | `latitude` … | `asn`: "AS174" |
//! | older `IPinfo` | `country`, the code | `continent`, the code | | | `asn` |
//! | ip-location-db | `country_code` | | | `latitude` … | `autonomous_system_number` |
//!
//! A file is verified wholly before anything of it is used, each distinct record is decoded once, and the work is bounded by the file's size. Networks that a
//! database repeats under `2002::/16` and the other ways of writing an IPv4 address in IPv6 are not taken over: nobody asks from there.

mod record;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use geodns_engine::location::{LocationTable, LocationTableBuilder, Provides, TableFault};
use geodns_engine::spec::Prefix;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use record::Record;

/// Before the metadata, at its last place in the file.
const METADATA_MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The key `description` (a text of eleven bytes) with an empty map, and with `{"en": "none"}`.
const NO_DESCRIPTION: &[u8] = b"\x4bdescription\xe0";
const SOME_DESCRIPTION: &[u8] = b"\x4bdescription\xe1\x42en\x44none";

/// Bits of an IPv6 address above an IPv4 address (`::/96` in a database).
const IPV4_DEPTH: u8 = 96;

/// Why a file is no location database for us.
#[derive(Debug, thiserror::Error)]
pub enum MmdbFault {
    #[error("it is no sound MaxMind DB file: {0}")]
    Format(#[from] MaxMindDbError),
    #[error("its networks overlap or are out of order ({0:?})")]
    Networks(TableFault),
    #[error("none of its {networks} networks has a country, a continent, a subdivision, a place or an autonomous system")]
    NoFacts { networks: u64 },
}

/// The table of a whole .mmdb.
///
/// # Errors
/// Why the file is refused; nothing of it is used then.
pub fn compile(bytes: &[u8]) -> Result<LocationTable, MmdbFault> {
    let bytes = describe(bytes);
    let reader = Reader::from_source(&*bytes)?;
    reader.verify()?;
    let mut builder = LocationTableBuilder::default();
    let mut classes: HashMap<usize, u32> = HashMap::new();
    for found in reader.networks(WithinOptions::default())? {
        let found = found?;
        let Some(offset) = found.offset() else { continue };
        let class = match classes.get(&offset) {
            Some(class) => *class,
            None => {
                let record: Record = found.decode()?.unwrap_or_default();
                let class = builder.intern(record.location());
                classes.insert(offset, class);
                class
            }
        };
        let network = found.network()?;
        put(&mut builder, &Prefix { addr: network.ip(), length: network.prefix() }, class).map_err(MmdbFault::Networks)?;
    }
    let metadata = reader.metadata();
    // A compiled table has 255 bytes for it, and a character takes four at most.
    let database_type = metadata.database_type.chars().take(63).collect();
    let table = builder.finish(database_type, metadata.build_epoch).map_err(MmdbFault::Networks)?;
    if table.provides() == Provides::default() {
        return Err(MmdbFault::NoFacts { networks: table.origin().networks });
    }
    Ok(table)
}

/// The file with a description where it has an empty one, as those of ip-location-db: the reader's verification wants one, and nothing else in it depends on that.
/// Whatever a file becomes by it is verified wholly like any other.
fn describe(bytes: &[u8]) -> Cow<'_, [u8]> {
    let metadata = bytes.windows(METADATA_MARKER.len()).rposition(|window| window == METADATA_MARKER);
    let found = metadata.and_then(|start| {
        let empty = bytes[start..].windows(NO_DESCRIPTION.len()).position(|window| window == NO_DESCRIPTION)?;
        Some(start + empty)
    });
    match found {
        Some(start) => Cow::Owned([&bytes[..start], SOME_DESCRIPTION, &bytes[start + NO_DESCRIPTION.len()..]].concat()),
        None => Cow::Borrowed(bytes),
    }
}

/// A record above `::/96` in an IPv6 database holds for all of IPv4 too: that is what a lookup of an IPv4 address finds there.
fn put(builder: &mut LocationTableBuilder, network: &Prefix, class: u32) -> Result<(), TableFault> {
    if matches!(network.addr, IpAddr::V6(addr) if addr.is_unspecified()) && network.length <= IPV4_DEPTH {
        builder.put(&Prefix { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 }, class)?;
    }
    builder.put(network, class)
}
