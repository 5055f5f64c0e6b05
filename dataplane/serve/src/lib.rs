//! Sockets, the link server, the state on disk and the threads of the dataplane.
//!
//! ```text
//!   control -> link -> adopter -> disk
//!                         |
//!                     Published            one pointer; workers compare a number after each receive
//!                         |
//!   resolvers -> udp, tcp -> responder -> engine::answer
//! ```
//!
//! This crate decides no answer: that is `geodns-engine`'s.

mod adopter;
mod config;
pub mod counters;
pub mod disk;
mod explain;
mod link;
mod locations;
mod log;
mod merger;
mod mmdb;
mod panics;
pub mod published;
mod reaper;
pub mod responder;
mod server;
pub mod simulate;
mod status;
pub mod sys;
pub mod tcp;
mod udp;

pub use geodns_link::frame::Ownership;
pub use server::{LONGEST_END, Server, Settings};
