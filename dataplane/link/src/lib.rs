//! Frames and items of the link (`docs/link-protocol.md`): bytes to checked values and back. No sockets, no files.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]
