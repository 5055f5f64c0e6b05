//! What is answered: zones, lookup, steering, location tables. Owns no socket, clock or randomness; the caller passes them.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod location;
pub mod refused;
pub mod rng;
pub mod spec;
pub mod steer;
pub mod zones;
