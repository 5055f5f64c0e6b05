//! The operating system's calls that the standard library lacks. All unsafe of the dataplane stands below this module; each block
//! names its invariant and who upholds it. Nothing here knows DNS.

// Sizes of C structures and small constants go into whatever integer C gave the field.
#![allow(clippy::cast_possible_truncation)]

mod batch;
mod process;
mod sockets;

pub use batch::{Answers, Batch, Datagram, Listening, MAX_REPLY, MAX_REQUEST, Outbox, Requests, Sent, WIDTH, Wait};
pub use process::{
    Account, arm_death_mark, become_account, bound_process, disarm_death_mark, find_account, keep_files_private, lock_exclusively,
    lower_priority, pin_to_core, raise_descriptor_limit, random_u64, return_large_blocks, watch_for_death,
};
pub use sockets::{Readiness, bind, count_backlog, listen, open_tcp, open_udp, peer_may_command};
