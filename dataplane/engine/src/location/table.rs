//! One location database as ranges of addresses to interned locations. Networks are kept as the database cuts them, because `nearest` announces the database's
//! network; whoever wants fewer ranges merges them (`rule_map`).

use std::collections::HashMap;
use std::net::IpAddr;

use super::address::{Address, span};
use super::address_map::{AddressMap, Family};
use super::direction::Direction;
use super::place::{Continent, Country, Subdivision};
use super::range_map::{RangeFault, RangeMap};
use crate::spec::{Coordinates, Prefix};

/// Subdivisions a location can carry. Databases give at most two (England within GB has a county below it); more than four are not kept.
pub const MAX_SUBDIVISIONS: usize = 4;

/// What a database says of a network. An absent fact is `None`; a missing country was already replaced by the registered country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Location {
    pub country: Option<Country>,
    /// The database's own word; octoDNS's stands above it (`LocationSet`).
    pub continent: Option<Continent>,
    pub subdivisions: [Option<Subdivision>; MAX_SUBDIVISIONS],
    pub asn: Option<u32>,
    pub coordinates: Option<Coordinates>,
}

impl Location {
    /// True when the database says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The subdivisions that are there.
    pub fn subdivisions(&self) -> impl Iterator<Item = Subdivision> {
        self.subdivisions.iter().flatten().copied()
    }
}

/// Which facts occur anywhere in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Provides {
    /// Country, continent or subdivision: what geos ask for.
    pub places: bool,
    pub asns: bool,
    pub coordinates: bool,
}

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableOrigin {
    /// `database_type` of the metadata, at most 255 bytes.
    pub database_type: String,
    /// Unix seconds.
    pub build_epoch: u64,
    /// Networks that have a record.
    pub networks: u64,
}

/// One database, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationTable {
    origin: TableOrigin,
    /// Class 0 says nothing.
    classes: Box<[Location]>,
    directions: Box<[Direction]>,
    provides: Provides,
    ranges: AddressMap<u32>,
}

/// Why a table cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFault {
    /// A network is no network, or not above all before it.
    Network,
    /// A range names a class that is not there, or class 0 says something.
    Class,
    /// More ranges or classes than 32 bits can count, or no range at all.
    Ranges(RangeFault),
}

impl LocationTable {
    pub(super) fn from_parts(origin: TableOrigin, classes: Vec<Location>, ranges: AddressMap<u32>) -> Result<Self, TableFault> {
        let known = |class: &u32| usize::try_from(*class).is_ok_and(|class| class < classes.len());
        let all_known = ranges.v4.values().iter().all(known) && ranges.v6.values().iter().all(known);
        if !all_known || !classes.first().is_some_and(Location::is_empty) {
            return Err(TableFault::Class);
        }
        let provides = Provides {
            places: classes
                .iter()
                .any(|class| class.country.is_some() || class.continent.is_some() || class.subdivisions().next().is_some()),
            asns: classes.iter().any(|class| class.asn.is_some()),
            coordinates: classes.iter().any(|class| class.coordinates.is_some()),
        };
        // Databases without coordinates need no room for directions.
        let directions = if provides.coordinates {
            classes.iter().map(|class| class.coordinates.map(Direction::from_coordinates).unwrap_or_default()).collect()
        } else {
            Box::default()
        };
        Ok(Self { origin, classes: classes.into(), directions, provides, ranges })
    }

    /// What the database says of itself.
    pub fn origin(&self) -> &TableOrigin {
        &self.origin
    }

    /// Which facts occur anywhere.
    pub fn provides(&self) -> Provides {
        self.provides
    }

    /// Ranges of addresses to class numbers.
    pub(super) fn ranges(&self) -> &AddressMap<u32> {
        &self.ranges
    }

    /// The distinct locations, by class number.
    pub(super) fn classes(&self) -> &[Location] {
        &self.classes
    }

    /// The location of an address, its direction, and the length of its network.
    pub fn look_up(&self, addr: IpAddr) -> Option<Found<'_>> {
        let (class, network) = self.ranges.look_up(addr)?;
        let class = usize::try_from(class).ok()?;
        let location = self.classes.get(class)?;
        let direction = location.coordinates.and_then(|_| self.directions.get(class)).copied();
        Some(Found { location, direction, network })
    }

    /// The location of an address, and the last address up to which the database says so without a cut.
    pub(super) fn stretch<A: Family>(&self, addr: A) -> Option<(&Location, A)> {
        let (class, last) = A::ranges(&self.ranges).stretch(addr)?;
        Some((self.classes.get(usize::try_from(class).ok()?)?, last))
    }
}

/// A location found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    pub location: &'a Location,
    /// Where there are coordinates.
    pub direction: Option<Direction>,
    /// Length of the database's network around the address, or of the hole that it lies in.
    pub network: u8,
}

/// Collects networks in ascending order.
#[derive(Debug)]
pub struct LocationTableBuilder {
    classes: Vec<Location>,
    numbers: HashMap<Location, u32>,
    v4: FamilyBuilder<u32>,
    v6: FamilyBuilder<u128>,
    networks: u64,
}

impl Default for LocationTableBuilder {
    fn default() -> Self {
        let nothing = Location::default();
        Self {
            classes: vec![nothing],
            numbers: HashMap::from([(nothing, 0)]),
            v4: FamilyBuilder::default(),
            v6: FamilyBuilder::default(),
            networks: 0,
        }
    }
}

impl LocationTableBuilder {
    /// The class number of a location.
    pub fn intern(&mut self, location: Location) -> u32 {
        let next = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(location).or_insert_with(|| {
            self.classes.push(location);
            next
        })
    }

    /// A network of that class. Networks of one family come in ascending order and do not overlap.
    ///
    /// # Errors
    /// `TableFault::Network` when it is no network or out of order.
    pub fn put(&mut self, network: &Prefix, class: u32) -> Result<(), TableFault> {
        self.networks = self.networks.saturating_add(1);
        match network.addr {
            IpAddr::V4(_) => self.v4.put(span(network).ok_or(TableFault::Network)?, class),
            IpAddr::V6(_) => self.v6.put(span(network).ok_or(TableFault::Network)?, class),
        }
    }

    /// The table.
    ///
    /// # Errors
    /// When the classes that were put are not those that `intern` gave.
    pub fn finish(self, database_type: String, build_epoch: u64) -> Result<LocationTable, TableFault> {
        let origin = TableOrigin { database_type, build_epoch, networks: self.networks };
        let ranges = AddressMap { v4: self.v4.finish()?, v6: self.v6.finish()? };
        LocationTable::from_parts(origin, self.classes, ranges)
    }
}

/// Networks of one family, with the holes between them as ranges of class 0.
#[derive(Debug)]
struct FamilyBuilder<A> {
    starts: Vec<A>,
    classes: Vec<u32>,
    /// The first address that is not covered yet; `None` when the last one is.
    next: Option<A>,
}

impl<A: Address> Default for FamilyBuilder<A> {
    fn default() -> Self {
        Self { starts: Vec::new(), classes: Vec::new(), next: Some(A::default()) }
    }
}

impl<A: Address> FamilyBuilder<A> {
    fn put(&mut self, (first, last): (A, A), class: u32) -> Result<(), TableFault> {
        let next = self.next.filter(|&next| next <= first).ok_or(TableFault::Network)?;
        if next < first {
            self.starts.push(next);
            self.classes.push(0);
        }
        self.starts.push(first);
        self.classes.push(class);
        self.next = last.after();
        Ok(())
    }

    fn finish(mut self) -> Result<RangeMap<A, u32>, TableFault> {
        if let Some(next) = self.next {
            self.starts.push(next);
            self.classes.push(0);
        }
        RangeMap::new(self.starts, self.classes).map_err(TableFault::Ranges)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::location::address_map::tests::prefix;

    pub(crate) fn location(country: &str, continent: &str, subdivisions: &[&str], asn: u32) -> Location {
        let mut codes = [None; MAX_SUBDIVISIONS];
        for (code, text) in codes.iter_mut().zip(subdivisions) {
            *code = Subdivision::from_code(text);
        }
        Location {
            country: Country::from_code(country),
            continent: Continent::from_code(continent),
            subdivisions: codes,
            asn: (asn != 0).then_some(asn),
            coordinates: None,
        }
    }

    pub(crate) fn table(networks: &[(&str, Location)]) -> LocationTable {
        let mut builder = LocationTableBuilder::default();
        for (network, location) in networks {
            let class = builder.intern(*location);
            builder.put(&prefix(network), class).unwrap();
        }
        builder.finish("Test".into(), 1_700_000_000).unwrap()
    }

    #[test]
    fn networks_stay_as_the_database_cuts_them() {
        let germany = location("DE", "EU", &[], 0);
        let table = table(&[("192.0.2.0/25", germany), ("192.0.2.128/25", germany), ("2001:db8::/32", germany)]);
        for (addr, country, network) in
            [("192.0.2.1", "DE", 25), ("192.0.2.129", "DE", 25), ("192.0.3.0", "", 24), ("0.0.0.0", "", 1), ("2001:db8:ffff::", "DE", 32)]
        {
            let found = table.look_up(addr.parse().unwrap()).unwrap();
            let text = found.location.country.map(|country| country.to_string()).unwrap_or_default();
            assert_eq!((text.as_str(), found.network), (country, network), "{addr}");
        }
        assert_eq!(table.origin().networks, 3);
    }

    #[test]
    fn networks_out_of_order_are_refused() {
        for (first, second) in [("192.0.2.0/24", "192.0.2.0/24"), ("192.0.2.0/24", "10.0.0.0/8"), ("255.0.0.0/8", "10.0.0.0/8")] {
            let mut builder = LocationTableBuilder::default();
            builder.put(&prefix(first), 0).unwrap();
            assert_eq!(builder.put(&prefix(second), 0), Err(TableFault::Network), "{first} {second}");
        }
    }

    #[test]
    fn foreign_classes_are_refused() {
        let mut builder = LocationTableBuilder::default();
        builder.put(&prefix("192.0.2.0/24"), 3).unwrap();
        assert_eq!(builder.finish(String::new(), 0), Err(TableFault::Class));
    }
}
