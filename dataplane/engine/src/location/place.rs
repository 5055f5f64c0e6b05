//! Names of places as rules and databases use them: continent, country (ISO 3166-1 alpha-2), subdivision (the part of ISO 3166-2 after the country).
//!
//! Which continent a country belongs to is octoDNS's word (`geodns/model/continents.txt`), because a plan made there must mean the same here; databases disagree with it
//! on Cyprus, Turkey and others.

use std::fmt;
use std::sync::LazyLock;

/// One line a continent, `EU: AD AL …`; the control plane validates geos against the same file.
const CONTINENTS: &str = include_str!("../../../../geodns/model/continents.txt");

/// The continents of octoDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Continent {
    Africa,
    Antarctica,
    Asia,
    Europe,
    NorthAmerica,
    Oceania,
    SouthAmerica,
}

impl Continent {
    /// All, in the order of their codes.
    pub const ALL: [Self; 7] =
        [Self::Africa, Self::Antarctica, Self::Asia, Self::Europe, Self::NorthAmerica, Self::Oceania, Self::SouthAmerica];

    /// From a code in upper case.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|continent| continent.code() == code)
    }

    /// The two letters.
    pub fn code(self) -> &'static str {
        match self {
            Self::Africa => "AF",
            Self::Antarctica => "AN",
            Self::Asia => "AS",
            Self::Europe => "EU",
            Self::NorthAmerica => "NA",
            Self::Oceania => "OC",
            Self::SouthAmerica => "SA",
        }
    }
}

/// Number of two-letter codes.
pub const COUNTRY_CODES: usize = 26 * 26;

/// A country code: two letters A to Z, as their number in alphabetical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(u16);

impl Country {
    /// From two letters in upper case.
    pub fn from_code(code: &str) -> Option<Self> {
        match *code.as_bytes() {
            [first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => {
                let number = u16::from(first.saturating_sub(b'A')).saturating_mul(26);
                Some(Self(number.saturating_add(u16::from(second.saturating_sub(b'A')))))
            }
            _ => None,
        }
    }

    /// From the number that `number` gave.
    pub fn from_number(number: u16) -> Option<Self> {
        (usize::from(number) < COUNTRY_CODES).then_some(Self(number))
    }

    /// Below `COUNTRY_CODES`.
    pub fn number(self) -> u16 {
        self.0
    }

    /// octoDNS's continent for the country; `None` for codes that octoDNS lacks, such as XK.
    pub fn continent(self) -> Option<Continent> {
        CONTINENT_OF.get(usize::from(self.0)).copied().flatten()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |number: u16| char::from(b'A'.saturating_add(u8::try_from(number).unwrap_or(0)));
        write!(f, "{}{}", letter(self.0 / 26), letter(self.0 % 26))
    }
}

static CONTINENT_OF: LazyLock<[Option<Continent>; COUNTRY_CODES]> = LazyLock::new(|| {
    let mut table = [None; COUNTRY_CODES];
    for line in CONTINENTS.lines() {
        let Some((continent, countries)) = line.split_once(':') else { continue };
        for country in countries.split_whitespace().filter_map(Country::from_code) {
            if let Some(entry) = table.get_mut(usize::from(country.number())) {
                *entry = Continent::from_code(continent.trim());
            }
        }
    }
    table
});

/// A subdivision code: one to three letters or digits, padded with zero bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Subdivision([u8; 3]);

impl Subdivision {
    /// From one to three letters in upper case or digits (ISO 3166-2).
    pub fn from_code(code: &str) -> Option<Self> {
        let mut padded = [0; 3];
        let letters = code.as_bytes();
        padded.get_mut(..letters.len())?.copy_from_slice(letters);
        (!letters.is_empty() && letters.iter().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())).then_some(Self(padded))
    }

    /// From what `bytes` gave.
    pub fn from_bytes(bytes: [u8; 3]) -> Option<Self> {
        let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let code = std::str::from_utf8(bytes.get(..length)?).ok()?;
        Self::from_code(code).filter(|code| code.0 == bytes)
    }

    /// Three bytes, zero-padded.
    pub fn bytes(self) -> [u8; 3] {
        self.0
    }
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().filter(|&&byte| byte != 0).try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

/// What a rule's geo asks for: `EU`, `EU-DE`, `NA-US-CA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Geo {
    Continent(Continent),
    Country(Country),
    Province(Country, Subdivision),
}

impl Geo {
    /// `None` for what can match nobody: a form that octoDNS does not have, or a country that is not on that continent. Such a geo reaches us only
    /// through `lenient`, and one odd record must not keep a whole state from being adopted.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let continent = Continent::from_code(parts.next()?)?;
        let Some(country) = parts.next() else { return Some(Self::Continent(continent)) };
        let country = Country::from_code(country).filter(|country| country.continent() == Some(continent))?;
        let geo = match parts.next() {
            None => Self::Country(country),
            Some(province) => Self::Province(country, Subdivision::from_code(province)?),
        };
        parts.next().is_none().then_some(geo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_stand_on_the_continents_of_octodns() {
        for (country, continent) in
            [("RU", "EU"), ("TR", "AS"), ("CY", "AS"), ("GE", "AS"), ("MX", "NA"), ("GU", "OC"), ("AQ", "AN"), ("GS", "SA"), ("EG", "AF")]
        {
            assert_eq!(Country::from_code(country).unwrap().continent().map(Continent::code), Some(continent), "{country}");
        }
        assert_eq!(Country::from_code("XK").unwrap().continent(), None);
    }

    #[test]
    fn every_continent_has_as_many_countries_as_in_octodns() {
        let count = |continent| (0..676).filter_map(Country::from_number).filter(|country| country.continent() == Some(continent)).count();
        assert_eq!(Continent::ALL.map(count), [58, 4, 54, 51, 41, 26, 15]);
    }

    #[test]
    fn codes_round_trip() {
        for number in 0..676 {
            let country = Country::from_number(number).unwrap();
            assert_eq!(Country::from_code(&country.to_string()), Some(country));
        }
        for code in ["CA", "9", "ENG"] {
            let subdivision = Subdivision::from_code(code).unwrap();
            assert_eq!((subdivision.to_string().as_str(), Subdivision::from_bytes(subdivision.bytes())), (code, Some(subdivision)));
        }
    }

    #[test]
    fn codes_that_are_none() {
        for code in ["", "D", "de", "DEU", "D1", "Ä"] {
            assert_eq!(Country::from_code(code), None, "{code}");
        }
        for code in ["", "ca", "ABCD", "A-"] {
            assert_eq!(Subdivision::from_code(code), None, "{code}");
        }
        for bytes in [[0, 0, 0], [b'A', 0, b'B'], [b'a', 0, 0]] {
            assert_eq!(Subdivision::from_bytes(bytes), None);
        }
    }

    #[test]
    fn geos() {
        let country = |code| Country::from_code(code).unwrap();
        for (text, geo) in [
            ("EU", Some(Geo::Continent(Continent::Europe))),
            ("EU-DE", Some(Geo::Country(country("DE")))),
            ("NA-US-CA", Some(Geo::Province(country("US"), Subdivision::from_code("CA").unwrap()))),
            ("AS-DE", None),
            ("EU-XK", None),
            ("eu", None),
            ("NA-US-CA-X", None),
            ("NA-US-", None),
            ("", None),
        ] {
            assert_eq!(Geo::parse(text), geo, "{text}");
        }
    }
}
