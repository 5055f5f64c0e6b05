//! What is answered: zones, lookup, steering, location tables. Owns no socket, clock or randomness; the caller passes them.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod acl;
pub mod additional;
pub mod admit;
mod ahead;
pub mod answer;
mod client;
pub mod cookie;
pub mod explain;
pub mod location;
pub mod lookup;
pub mod path;
mod prepared;
pub mod refused;
pub mod resolve;
pub mod rng;
pub mod rrl;
pub mod simulate;
pub mod spec;
pub mod steer;
pub mod view;
pub mod zones;
