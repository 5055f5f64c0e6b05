//! The `adopted` file: whether the state in force has killed the process, and which state must not come back because it did.
//!
//! ```text
//! adopted = u8 deaths (an ASCII digit), triple in force, triple set aside     ; zeros = none
//! ```
//!
//! The digit is written by the handler of fatal signals (`sys::watch_for_death`) while a state is younger than a minute. Being killed from outside
//! (SIGKILL, SIGTERM) leaves no mark: that is somebody's wish and says nothing about the state.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use geodns_engine::spec::Triple;
use geodns_link::bytes::{Reader, put_triple};

use crate::sys;

/// How long a new state is under suspicion: link.md section 4.
const PROBATION: Duration = Duration::from_secs(60);

/// Deaths after which a state is set aside.
const TOO_MANY_DEATHS: u8 = 2;

const LENGTH: usize = 1 + 32 + 32;

/// The mark of the state in force.
#[derive(Debug)]
pub struct DeathMark {
    file: File,
    deaths: u8,
    served: Option<Triple>,
    refused: Option<Triple>,
    until: Option<Instant>,
}

impl DeathMark {
    /// Opens the mark at `path`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (deaths, served, refused) = read(&bytes).unwrap_or((0, None, None));
        Ok(Self { file, deaths, served, refused, until: None })
    }

    /// Watches for fatal signals from now on. Once in a process: the handlers keep their descriptor.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self) -> io::Result<()> {
        sys::watch_for_death(self.file.try_clone()?)
    }

    /// Whether the state that was in force last has killed the process too often; that state, if it is known.
    pub fn has_killed(&self) -> bool {
        self.deaths >= TOO_MANY_DEATHS
    }

    /// The state that was set aside for what it did, which must not be adopted again.
    pub const fn refused(&self) -> Option<Triple> {
        self.refused
    }

    /// The state in force has been set aside.
    pub fn set_aside(&mut self) {
        self.refused = self.served;
        self.served = None;
        self.deaths = 0;
        self.write();
    }

    /// The state that was in force last is about to be read from disk, which may already kill the process.
    pub fn resume_probation(&mut self, now: Instant) {
        self.begin_probation(self.served, false, now);
    }

    /// A state is in force: from now on it is on probation. `fresh` when it owes nothing to the one before.
    pub fn begin_probation(&mut self, served: Option<Triple>, fresh: bool, now: Instant) {
        if fresh {
            self.deaths = 0;
        }
        if fresh || served != self.served {
            self.served = served;
            self.write();
        }
        self.until = Some(now + PROBATION);
        sys::arm_death_mark(self.deaths + 1);
    }

    /// To be called now and then: ends the probation when its time is over.
    pub fn tick(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            sys::disarm_death_mark();
            if self.deaths > 0 {
                self.deaths = 0;
                self.write();
            }
        }
    }

    /// A mark that cannot be written is only missed when the process dies of its state.
    fn write(&self) {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(b'0' + self.deaths.min(9));
        put_triple(&mut bytes, &self.served.unwrap_or_default());
        put_triple(&mut bytes, &self.refused.unwrap_or_default());
        let _ = self.file.write_all_at(&bytes, 0);
    }
}

/// Deaths, the state in force and the one set aside; `None` for anything that this program has not written.
fn read(bytes: &[u8]) -> Option<(u8, Option<Triple>, Option<Triple>)> {
    let mut reader = Reader::new(bytes, "the adopted file");
    let deaths = reader.u8().ok()?.checked_sub(b'0').filter(|deaths| *deaths <= 9)?;
    let served = reader.triple().ok()?;
    let refused = reader.triple().ok()?;
    reader.end().ok()?;
    let known = |triple: Triple| (triple != Triple::default()).then_some(triple);
    Some((deaths, known(served), known(refused)))
}
