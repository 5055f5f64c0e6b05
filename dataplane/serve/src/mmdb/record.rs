//! A record of a location database, whatever its schema: keys that we know are read, everything else is passed over, and a known key with a value of another shape counts as absent.

use std::fmt;

use geodns_engine::location::{Continent, Country, Location, MAX_SUBDIVISIONS, Subdivision};
use geodns_engine::spec::Coordinates;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// DB-IP's code for "we do not know", which no country has.
const UNKNOWN_COUNTRY: &str = "ZZ";

/// Millionths in a degree.
const MILLIONTHS: f64 = 1e6;

/// What a record says, by its keys.
#[derive(Debug, Default)]
pub struct Record {
    country: Option<Country>,
    country_code: Option<Country>,
    registered_country: Option<Country>,
    continent: Option<Continent>,
    subdivisions: [Option<Subdivision>; MAX_SUBDIVISIONS],
    latitude: Option<f64>,
    longitude: Option<f64>,
    asn: Option<u32>,
}

impl Record {
    /// The facts; the registered country stands in for a missing one.
    pub fn location(&self) -> Location {
        Location {
            country: self.country.or(self.country_code).or(self.registered_country),
            continent: self.continent,
            subdivisions: self.subdivisions,
            asn: self.asn,
            coordinates: self.coordinates(),
        }
    }

    fn coordinates(&self) -> Option<Coordinates> {
        #[allow(clippy::cast_possible_truncation)] // saturates, and is then off the globe
        let millionths = |degrees: f64| (degrees * MILLIONTHS).round() as i32;
        let (latitude, longitude) =
            (self.latitude.filter(|degrees| degrees.is_finite())?, self.longitude.filter(|degrees| degrees.is_finite())?);
        Some(Coordinates { latitude: millionths(latitude), longitude: millionths(longitude) }).filter(|point| point.is_on_globe())
    }

    fn take(&mut self, key: &str, loose: &Loose<'_>) {
        match key {
            "country" => self.country = loose.code().and_then(country),
            "country_code" => self.country_code = loose.code().and_then(country),
            "registered_country" => self.registered_country = loose.code().and_then(country),
            "continent" | "continent_code" => self.continent = self.continent.or(loose.code().and_then(Continent::from_code)),
            "subdivisions" => self.subdivisions = loose.subdivisions(),
            "region_code" => self.subdivisions[0] = self.subdivisions[0].or(loose.code().and_then(Subdivision::from_code)),
            "location" => (self.latitude, self.longitude) = (loose.map.latitude, loose.map.longitude),
            "latitude" | "lat" => self.latitude = self.latitude.or(loose.number()),
            "longitude" | "lng" => self.longitude = self.longitude.or(loose.number()),
            "asn" | "autonomous_system_number" => self.asn = self.asn.or(loose.system()),
            "traits" => self.asn = self.asn.or(loose.map.asn),
            _ => {}
        }
    }
}

fn country(code: &str) -> Option<Country> {
    Country::from_code(code).filter(|_| code != UNKNOWN_COUNTRY)
}

/// A value of any shape, as far as some key could want it.
#[derive(Debug, Default)]
struct Loose<'de> {
    text: Option<&'de str>,
    number: Option<f64>,
    unsigned: Option<u64>,
    map: LooseMap<'de>,
    codes: [Option<&'de str>; MAX_SUBDIVISIONS],
}

/// A map one level down.
#[derive(Debug, Default)]
struct LooseMap<'de> {
    code: Option<&'de str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    asn: Option<u32>,
}

impl<'de> Loose<'de> {
    /// A code by itself, or the code of a place.
    fn code(&self) -> Option<&'de str> {
        self.text.or(self.map.code)
    }

    fn number(&self) -> Option<f64> {
        self.number.or_else(|| self.text?.parse().ok())
    }

    /// 174, "AS174" or "174".
    fn system(&self) -> Option<u32> {
        let text = self.text.map(|text| text.strip_prefix("AS").unwrap_or(text));
        let number = self.unsigned.and_then(|number| u32::try_from(number).ok());
        number.or_else(|| text?.parse().ok()).filter(|asn| *asn != 0)
    }

    fn subdivisions(&self) -> [Option<Subdivision>; MAX_SUBDIVISIONS] {
        self.codes.map(|code| code.and_then(Subdivision::from_code))
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record that is a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Record, M::Error> {
        let mut record = Record::default();
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "country"
                | "country_code"
                | "registered_country"
                | "continent"
                | "continent_code"
                | "subdivisions"
                | "region_code"
                | "location"
                | "latitude"
                | "lat"
                | "longitude"
                | "lng"
                | "asn"
                | "autonomous_system_number"
                | "traits" => record.take(key, &map.next_value_seed(Depth::Key)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }
}

/// How deep a value stands below the record. Reading goes no deeper than a record is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// The value of a key of the record: a list or a map is entered.
    Key,
    /// An element of a list: a map is entered.
    Element,
    /// The value of a key of a map: nothing is entered.
    Leaf,
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Loose<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose { text: Some(text), ..Loose::default() })
    }

    fn visit_u64<E>(self, unsigned: u64) -> Result<Loose<'de>, E> {
        #[allow(clippy::cast_precision_loss)] // a coordinate given as an integer
        Ok(Loose { number: Some(unsigned as f64), unsigned: Some(unsigned), ..Loose::default() })
    }

    fn visit_i64<E>(self, signed: i64) -> Result<Loose<'de>, E> {
        #[allow(clippy::cast_precision_loss)] // a coordinate given as an integer
        Ok(Loose { number: Some(signed as f64), unsigned: u64::try_from(signed).ok(), ..Loose::default() })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
        Ok(Loose { number: Some(number), ..Loose::default() })
    }

    fn visit_u128<E>(self, _: u128) -> Result<Loose<'de>, E> {
        Ok(Loose::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Loose<'de>, E> {
        Ok(Loose::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Loose<'de>, M::Error> {
        let mut known = LooseMap::default();
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "iso_code" | "code" if self < Self::Leaf => known.code = map.next_value_seed(Self::Leaf)?.text,
                "latitude" if self < Self::Leaf => known.latitude = map.next_value_seed(Self::Leaf)?.number(),
                "longitude" if self < Self::Leaf => known.longitude = map.next_value_seed(Self::Leaf)?.number(),
                "autonomous_system_number" if self < Self::Leaf => known.asn = map.next_value_seed(Self::Leaf)?.system(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Loose { map: known, ..Loose::default() })
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Loose<'de>, S::Error> {
        let mut codes = [None; MAX_SUBDIVISIONS];
        if self == Self::Key {
            for code in &mut codes {
                let Some(element) = seq.next_element_seed(Self::Element)? else { break };
                *code = element.code();
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose { codes, ..Loose::default() })
    }
}
