//! The way from a question to its answer, told step by step for `explain`. The packet path passes `NoTrace`, which the compiler removes.

use geodns_wire::Name;

use crate::steer::{NoTrace, Trace};

/// A step on the way; names are lower-case.
#[derive(Debug, Clone, Copy)]
pub enum PathStep<'a> {
    /// The name that is looked for, and the zone that it lies in; `None` when that is none of ours.
    Search { name: Name<'a>, zone: Option<Name<'a>> },
    /// The name is there; without rrsets it is an empty non-terminal.
    Exact { rrsets: u8 },
    /// The name does not exist, and a wildcard stands for it.
    Wildcard { rrsets: u8 },
    /// The name does not exist.
    Absent,
    /// Authority ends at `cut`.
    Delegation { cut: Name<'a> },
    /// A name above is redirected.
    Dname { owner: Name<'a> },
    /// An rrset without steering goes into the answer.
    Static { rtype: u16, ttl: u32 },
    /// A steered rrset is decided next; `Trace` tells how.
    Steered { rtype: u16 },
    /// The name exists and the type does not, or a decision was for NODATA.
    NoData,
    /// The chain comes back to a name that it passed, or is too long.
    Loop,
}

/// Listens to the way and to the decisions on it.
pub trait PathTrace: Trace {
    /// A step was taken.
    fn step(&mut self, _step: PathStep<'_>) {}
}

impl PathTrace for NoTrace {}
