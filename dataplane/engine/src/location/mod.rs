//! Where a client is, and which rule that makes it match: location tables, rule maps, and the scope a decision is valid for.
//!
//! Everything a query needs is flattened beforehand into sorted ranges of addresses, so that a lookup is a search and decodes nothing. Files are
//! read elsewhere (`serve::mmdb`); this module knows bytes in memory only. Scopes are those of RFC 7871 §7.2.1.

/// The location databases in force, in order of precedence.
#[derive(Debug, Default)]
pub struct LocationSet {}
