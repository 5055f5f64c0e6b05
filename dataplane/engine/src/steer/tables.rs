//! What decisions read beside the rrset itself: rule maps and locations. Immutable; a change makes a new one that shares what stayed.

/// Rule maps, locations and the client prefix of `sticky`.
#[derive(Debug, Default)]
pub struct SteeringTables {}
