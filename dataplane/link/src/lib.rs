//! Frames and items of the link (`docs/link-protocol.md`): bytes to checked values and back. No sockets, no files.
//!
//! Everything here takes its input for a stranger's: every length is checked before it is believed, nothing is reserved for a
//! count that the bytes at hand cannot hold, and what comes out carries the proof. What a state *means* (one SOA a zone, fallback
//! chains without loops) is judged by the builders of `geodns-engine`.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod bytes;
pub mod fault;
pub mod frame;
pub mod health;
pub mod item;
mod steered;

pub use fault::Fault;

/// The version of the link that this program speaks; both ends must have the same.
pub const LINK_VERSION: u16 = 1;
