//! DNS wire format: names, messages, EDNS. No sockets, clocks or allocation on the query path.
//!
//! ```text
//!   request bytes --> reader --> request (header, question, edns, tsig) --> [engine] --> writer (compression, edns) --> reply bytes
//! ```
//!
//! What a message *means* is the engine's business; here stands only what its bytes say, and every way in which they can be wrong has a name.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod edns;
pub mod header;
pub mod key;
pub mod name;
pub mod rdata;
pub mod reader;
pub mod request;
pub mod rtype;
pub mod tsig;
pub mod writer;

pub use header::{Header, Opcode, Rcode};
pub use key::NameKey;
pub use name::{Name, NameBuf, SharedName};
pub use request::{Question, Request};
pub use writer::Writer;
