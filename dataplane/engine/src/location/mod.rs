//! Where a client is, and which rule that makes it match: location tables, rule maps, and the scope a decision is valid for.
//!
//! Everything a query needs is flattened beforehand into sorted ranges of addresses, so that a lookup is a search and decodes nothing. Files are
//! read elsewhere (`serve::mmdb`); this module knows bytes in memory only. Scopes are those of RFC 7871 §7.2.1.

pub mod address;
mod address_map;
mod codec;
mod direction;
mod matcher;
mod place;
mod range_map;
mod rules;
mod set;
mod table;

pub use address_map::{AddressMap, Family, Membership, PrefixSet};
pub use codec::DecodeFault;
pub use direction::{Direction, NOWHERE};
pub use matcher::{Matched, Matcher};
pub use place::{Continent, Country, Geo, Subdivision};
pub use range_map::RangeFault;
pub use rules::{PlaceRules, Predicates, RuleSet};
pub use set::{Bearing, Facts, LocationSet, NamedTable, Stretch};
pub use table::{Found, Location, LocationTable, LocationTableBuilder, MAX_SUBDIVISIONS, Provides, TableFault, TableOrigin};
