//! The location databases in force. For each fact the first database that has it wins, so country, city and ASN files can stand side by side.

use std::net::IpAddr;
use std::sync::Arc;

use super::address_map::Family;
use super::direction::Direction;
use super::place::{Continent, Country, Subdivision};
use super::table::{Location, LocationTable, MAX_SUBDIVISIONS, Provides};
use crate::spec::Coordinates;

/// A database and the name by which the operator knows it.
#[derive(Debug, Clone)]
pub struct NamedTable {
    /// The path of the file, for explain.
    pub name: String,
    pub table: Arc<LocationTable>,
}

/// Databases in order of precedence.
#[derive(Debug, Clone, Default)]
pub struct LocationSet {
    tables: Vec<NamedTable>,
}

/// What is known of an address, of all databases together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    pub country: Option<Country>,
    /// octoDNS's continent of the country, else the first database's that names one.
    pub continent: Option<Continent>,
    /// Parts of `country`.
    pub subdivisions: [Option<Subdivision>; MAX_SUBDIVISIONS],
    pub asn: Option<u32>,
    pub coordinates: Option<Coordinates>,
}

impl Facts {
    /// Adds what a database of lower precedence says. A subdivision means something only within its country, so one that a database gives for another
    /// country is not taken over.
    pub fn add(&mut self, location: &Location) {
        self.country = self.country.or(location.country);
        self.continent = self.continent.or(location.continent);
        let same_country = location.country.is_none() || location.country == self.country;
        if same_country && self.subdivisions.iter().all(Option::is_none) {
            self.subdivisions = location.subdivisions;
        }
        self.asn = self.asn.or(location.asn);
        self.coordinates = self.coordinates.or(location.coordinates);
    }

    /// Puts octoDNS's continent above the databases' after the last `add`.
    pub fn settle(&mut self) {
        self.continent = self.country.and_then(Country::continent).or(self.continent);
    }
}

/// Addresses of which every database says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch<A> {
    pub facts: Facts,
    /// Some database says something of them.
    pub is_known: bool,
    /// The last of them.
    pub last: A,
}

/// Where a client is for `nearest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearing {
    /// `None` when no database has coordinates for the address.
    pub direction: Option<Direction>,
    /// Length of the shortest prefix that lies in the networks of all databases that had to be asked.
    pub network: u8,
}

impl LocationSet {
    /// Databases, the most believed first.
    pub fn new(tables: Vec<NamedTable>) -> Self {
        Self { tables }
    }

    /// True without any database: geos and ASNs then match nobody.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The databases in order.
    pub fn tables(&self) -> &[NamedTable] {
        &self.tables
    }

    /// The databases that can say something of what is wanted, in order.
    pub(super) fn that_provide(&self, wanted: Provides) -> impl Iterator<Item = &Arc<LocationTable>> {
        self.tables.iter().map(|named| &named.table).filter(move |table| {
            let provides = table.provides();
            (wanted.places && provides.places) || (wanted.asns && provides.asns) || (wanted.coordinates && provides.coordinates)
        })
    }

    /// Everything known of an address.
    pub fn locate(&self, addr: IpAddr) -> Facts {
        let mut facts = Facts::default();
        for named in &self.tables {
            if let Some(found) = named.table.look_up(addr) {
                facts.add(found.location);
            }
        }
        facts.settle();
        facts
    }

    /// Everything known of an address, and up to where it holds: for a walk over all networks.
    pub fn stretch<A: Family>(&self, addr: A) -> Stretch<A> {
        let mut stretch = Stretch { facts: Facts::default(), is_known: false, last: A::LAST };
        for named in &self.tables {
            if let Some((location, last)) = named.table.stretch(addr) {
                stretch.facts.add(location);
                stretch.is_known |= !location.is_empty();
                stretch.last = stretch.last.min(last);
            }
        }
        stretch.facts.settle();
        stretch
    }

    /// The direction of an address. Databases without any coordinates are not asked and do not narrow the network.
    pub fn take_bearing(&self, addr: IpAddr) -> Bearing {
        let mut bearing = Bearing { direction: None, network: 0 };
        for table in self.that_provide(Provides { coordinates: true, ..Provides::default() }) {
            if let Some(found) = table.look_up(addr) {
                bearing.network = bearing.network.max(found.network);
                bearing.direction = found.direction;
            }
            if bearing.direction.is_some() {
                break;
            }
        }
        bearing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::table::tests::{location, table};

    fn set(tables: Vec<LocationTable>) -> LocationSet {
        let named = |table| NamedTable { name: "test.mmdb".into(), table: Arc::new(table) };
        LocationSet::new(tables.into_iter().map(named).collect())
    }

    fn placed(country: &str, latitude: i32) -> Location {
        Location { coordinates: Some(Coordinates { latitude, longitude: 0 }), ..location(country, "", &[], 0) }
    }

    /// Columns: what the first and the second database say of the client, and what is believed.
    #[test]
    fn the_first_database_that_has_a_fact_wins() {
        let none = || location("", "", &[], 0);
        for (first, second, country, continent, subdivision, asn) in [
            (location("DE", "EU", &[], 0), location("FR", "EU", &[], 64500), "DE", "EU", "", 64500),
            (none(), location("FR", "EU", &[], 0), "FR", "EU", "", 0),
            (location("CY", "EU", &[], 0), none(), "CY", "AS", "", 0),
            (location("XK", "EU", &[], 0), none(), "XK", "EU", "", 0),
            (location("", "AF", &[], 0), location("DE", "EU", &[], 0), "DE", "EU", "", 0),
            (location("", "AF", &[], 0), none(), "", "AF", "", 0),
            (location("US", "NA", &[], 0), location("US", "NA", &["CA"], 0), "US", "NA", "CA", 0),
            (location("US", "NA", &[], 0), location("ES", "EU", &["CA"], 0), "US", "NA", "", 0),
            (location("US", "NA", &[], 0), location("", "", &["CA"], 0), "US", "NA", "CA", 0),
        ] {
            let case = format!("{first:?} {second:?}");
            let facts =
                set(vec![table(&[("192.0.2.0/24", first)]), table(&[("192.0.2.0/24", second)])]).locate("192.0.2.1".parse().unwrap());
            let subdivision_text = facts.subdivisions[0].map(|code| code.to_string()).unwrap_or_default();
            assert_eq!(facts.country.map(|code| code.to_string()).unwrap_or_default(), country, "{case}");
            assert_eq!(facts.continent.map_or("", Continent::code), continent, "{case}");
            assert_eq!((subdivision_text.as_str(), facts.asn.unwrap_or(0)), (subdivision, asn), "{case}");
        }
    }

    #[test]
    fn bearings_come_with_the_networks_of_those_who_were_asked() {
        let countries = table(&[("192.0.2.0/28", location("DE", "EU", &[], 0))]);
        let coarse = table(&[("192.0.2.0/26", placed("DE", 5))]);
        let fine = table(&[("192.0.2.0/30", placed("DE", 7)), ("192.0.3.0/30", placed("DE", 9))]);
        let set = set(vec![countries, coarse, fine]);
        let direction = |latitude| Some(Direction::from_coordinates(Coordinates { latitude, longitude: 0 }));
        for (addr, expected) in [("192.0.2.1", (direction(5), 26)), ("192.0.3.1", (direction(9), 30)), ("192.0.3.8", (None, 29))] {
            let bearing = set.take_bearing(addr.parse().unwrap());
            assert_eq!((bearing.direction, bearing.network), expected, "{addr}");
        }
    }
}
