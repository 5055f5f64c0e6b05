//! The STATUS document (`docs/link-protocol.md` section 5).

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use geodns_engine::spec::Triple;
use serde_json::{Value, json};

use crate::adopter::Adopter;
use crate::counters::{self, Counter, WorkerCounters};
use crate::locations::Locations;

/// What STATUS is made from, beside the adopter.
#[derive(Debug)]
pub struct Status {
    pub started: Instant,
    pub version: &'static str,
    pub listen: Vec<SocketAddr>,
    pub workers: usize,
    /// Of every thread.
    pub counters: Vec<Arc<WorkerCounters>>,
}

impl Status {
    /// The document as of now.
    pub fn document(&self, adopter: &Adopter, locations: &Locations) -> Value {
        let panics: u64 = self.counters.iter().map(|cells| cells.get(Counter::Panics)).sum();
        let disk = adopter.disk();
        let (zones, owners) = adopter.size();
        json!({
            "served": adopter.served().map(|triple| triple_text(&triple)),
            "zones": zones,
            "owners": owners,
            "counters": counters::sum(&self.counters),
            "geo": locations.report(),
            "workers": {
                "listen": self.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "threads": self.workers,
                "panics": panics,
            },
            "disk": {
                "base_bytes": disk.base_bytes(),
                "journal_bytes": disk.journal_bytes(),
                "last_error": disk.last_error(),
            },
            "health_epoch": adopter.health_epoch(),
            "uptime_s": self.started.elapsed().as_secs(),
            "version": self.version,
        })
    }
}

/// `lineage/revision/tag`, the lineage as a UUID is written.
pub fn triple_text(triple: &Triple) -> String {
    let mut text = String::with_capacity(36 + 1 + 20 + 1 + 16);
    for (index, octet) in triple.lineage.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    let _ = write!(text, "/{}/{:016x}", triple.revision, triple.tag);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triple_is_written_as_control_writes_it() {
        let triple = Triple { lineage: core::array::from_fn(|octet| u8::try_from(octet).unwrap()), revision: 7, tag: 0xab };
        assert_eq!(triple_text(&triple), "00010203-0405-0607-0809-0a0b0c0d0e0f/7/00000000000000ab");
    }
}
