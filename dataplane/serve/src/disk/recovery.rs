//! What is served after a start: the newest state that the files make, and why something newer was not used.
//!
//! | base | base.previous | what is built |
//! |---|---|---|
//! | whole | any | base, and the journals as far as they chain |
//! | damaged or absent | whole | the previous one, and the journals as far as they chain: nothing is lost when only the base is damaged |
//! | damaged or absent | damaged or absent | nothing: the first FULL fills it |
//!
//! A state that has killed the process twice is set aside beforehand, the journal first: the deltas are newer than the base.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use geodns_engine::spec::Triple;
use geodns_engine::steer::SteeringEditor;
use geodns_engine::zones::{ZoneEditor, ZoneSet};
use geodns_link::Fault;
use geodns_link::item::{ItemBuffer, Items};

use super::base::BaseReader;
use super::deathmark::DeathMark;
use super::health::HealthVector;
use super::journal::{Entry, Journal, ReadJournal};
use super::state::Paths;
use super::{DiskFault, remove_if_there, rename_if_there};
use crate::log;

/// What the files have yielded.
#[derive(Debug)]
pub struct Recovered {
    pub zones: ZoneSet,
    pub steering: SteeringEditor,
    pub served: Option<Triple>,
    pub health: HealthVector,
    /// The last CONFIG, unread.
    pub config: Option<Vec<u8>>,
    /// The journal to go on with, when it leads to `served`.
    pub journal: Option<Journal>,
    pub base_bytes: u64,
    /// Something was not as it should be; the next compaction puts it right.
    pub wants_new_base: bool,
}

/// Zones and steering while they are put together.
struct Building {
    zones: ZoneEditor,
    steering: SteeringEditor,
    served: Triple,
}

/// Reads what is at `paths`. Never fails: what cannot be used is said and set aside.
pub fn recover(paths: &Paths, seed: u64, mark: &mut DeathMark) -> Recovered {
    for leftover in [&paths.base_incoming, &paths.base_compacted] {
        let _ = remove_if_there(leftover);
    }
    if mark.has_killed() {
        quarantine(paths, mark);
    }
    mark.resume_probation(Instant::now());
    let health = read_health(&paths.health);
    let config = fs::read(&paths.config).ok();
    let mut recovered = Recovered {
        zones: ZoneSet::new(seed),
        steering: SteeringEditor::new(),
        served: None,
        health: HealthVector::default(),
        config,
        journal: None,
        base_bytes: 0,
        wants_new_base: false,
    };
    let read_base = || read_base(&paths.base, seed);
    if build(paths, &mut recovered, &read_base).is_none() {
        // A base that is damaged is out of the way by now: the previous one takes its place.
        recovered.wants_new_base = true;
        if rename_if_there(&paths.base_previous, &paths.base).is_ok() {
            let _ = build(paths, &mut recovered, &read_base);
        }
    }
    if recovered.served.is_some_and(|served| served.lineage == health.lineage) {
        recovered.health = health;
    }
    mark.begin_probation(recovered.served, false, Instant::now());
    recovered
}

/// Builds what the base, as `read_base` yields it, and the journals make; `None` when there is no usable base.
fn build(paths: &Paths, recovered: &mut Recovered, read_base: &impl Fn() -> Result<Building, DiskFault>) -> Option<()> {
    let journals = read_journals(paths);
    let mut limit = usize::MAX;
    loop {
        let Failed { fault, entries_taken } = match attempt(read_base, &journals, limit) {
            Ok(built) => {
                recovered.served = Some(built.served);
                recovered.zones = built.zones;
                recovered.steering = built.steering;
                recovered.base_bytes = fs::metadata(&paths.base).map_or(0, |metadata| metadata.len());
                recovered.wants_new_base |= limit != usize::MAX;
                resume_journal(paths, &journals, built.last, recovered);
                return Some(());
            }
            Err(failed) => failed,
        };
        match entries_taken {
            // The base was taken and an entry was not: once more, up to it.
            Some(taken) => {
                log::error("a delta in the journal cannot be used: it and what follows is cut off", &[("reason", &fault)]);
                limit = taken;
            }
            None => {
                set_aside(&paths.base, &paths.base_refused, &fault);
                return None;
            }
        }
    }
}

struct Built {
    zones: ZoneSet,
    steering: SteeringEditor,
    served: Triple,
    /// Which entry of which journal was taken last.
    last: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    journal: usize,
    entry: usize,
}

struct Failed {
    fault: DiskFault,
    /// Entries that were taken before; `None` when it is the base that failed.
    entries_taken: Option<usize>,
}

/// A file that was checked can still hold what this program does not take, or trips over: a newer program's, or a defect's. It must not keep the
/// process from starting. Each step is guarded by itself, so that what is set aside is what was at fault.
fn guarded<T>(step: impl FnOnce() -> Result<T, DiskFault>) -> Result<T, DiskFault> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Err(Fault::Malformed("it made the program panic").into()))
}

fn attempt(read_base: impl Fn() -> Result<Building, DiskFault>, journals: &[Option<ReadJournal>], limit: usize) -> Result<Built, Failed> {
    let mut building = guarded(read_base).map_err(|fault| Failed { fault, entries_taken: None })?;
    let mut last = None;
    let mut taken = 0;
    // Usually one round takes everything. The order of the files does not matter, only that each entry leads on from what has been built; but a
    // file is never gone back in, for `resume_journal` cuts off what lies behind the last entry.
    let mut next = vec![0; journals.len()];
    loop {
        let before = taken;
        for (journal, entries) in journals.iter().enumerate() {
            for (number, entry) in entries.iter().flat_map(ReadJournal::entries).enumerate().skip(next[journal]) {
                if taken < limit && leads_on(&entry, &building.served) {
                    guarded(|| building.apply(&entry)).map_err(|fault| Failed { fault, entries_taken: Some(taken) })?;
                    last = Some(Position { journal, entry: number });
                    next[journal] = number + 1;
                    taken += 1;
                }
            }
        }
        if taken == before {
            break;
        }
    }
    let Building { zones, steering, served } = building;
    match guarded(|| Ok(zones.finish()?)) {
        Ok(zones) => Ok(Built { zones, steering, served, last }),
        // Each delta was whole when it was adopted, so it is the last one that is not what it was.
        Err(fault) => Err(Failed { fault, entries_taken: taken.checked_sub(1) }),
    }
}

/// One thread does it all: a second one that decodes ahead costs more than it brings, because each would free what the other has allocated.
fn read_base(path: &Path, seed: u64) -> Result<Building, DiskFault> {
    let mut base = BaseReader::open(path)?;
    let header = base.header();
    let mut building = Building { zones: ZoneSet::new(seed).load(), steering: SteeringEditor::new(), served: header.triple };
    let mut buffer = ItemBuffer::default();
    let mut items = 0_u64;
    while let Some(piece) = base.next_piece()? {
        buffer.push(piece);
        while let Some(change) = buffer.pull()? {
            building.zones.apply(change, &mut building.steering)?;
            items += 1;
        }
    }
    if !buffer.is_between_items() || items != header.items {
        return Err(Fault::Short("the base").into());
    }
    building.zones.settle();
    Ok(building)
}

impl Building {
    fn apply(&mut self, entry: &Entry<'_>) -> Result<(), DiskFault> {
        for change in Items::new(entry.items) {
            self.zones.apply(change?, &mut self.steering)?;
        }
        self.served = entry.triple;
        Ok(())
    }
}

/// The journals that are there and whose header is right, in the order of `Paths::journals`.
fn read_journals(paths: &Paths) -> Vec<Option<ReadJournal>> {
    paths
        .journals()
        .iter()
        .map(|path| match ReadJournal::open(path) {
            Ok(journal) => {
                if journal.torn() > 0 {
                    log::warning("the end of a journal is torn and is cut off", &[("file", &path.display()), ("bytes", &journal.torn())]);
                }
                Some(journal)
            }
            Err(fault) if fault.is_absent() => None,
            Err(fault) => {
                set_aside(path, &path.with_extension("refused"), &fault);
                None
            }
        })
        .collect()
}

fn leads_on(entry: &Entry<'_>, served: &Triple) -> bool {
    entry.triple.lineage == served.lineage
        && (entry.base_revision, entry.base_tag) == (served.revision, served.tag)
        && entry.triple.revision > served.revision
}

/// Goes on with the current journal where it leads to what has been built; what lies behind that is cut off, and a journal that does not lead
/// there is begun anew.
fn resume_journal(paths: &Paths, journals: &[Option<ReadJournal>], last: Option<Position>, recovered: &mut Recovered) {
    let Some(served) = recovered.served else { return };
    let current = journals.len() - 1;
    let whole = match (&journals[current], last) {
        (Some(journal), Some(position)) if position.journal == current => Some(journal.end_of(position.entry + 1)),
        (Some(journal), _) if journal.is_empty() => Some(journal.end_of(0)),
        _ => None,
    };
    let opened = match whole {
        Some(length) => Journal::resume(&paths.journal, length as u64),
        None => Journal::create(&paths.journal, &served),
    };
    match opened {
        Ok(journal) => recovered.journal = Some(journal),
        Err(error) => {
            log::error("the journal cannot be written: changes are served and not kept on disk", &[("error", &error)]);
            recovered.wants_new_base = true;
        }
    }
}

fn read_health(path: &Path) -> HealthVector {
    match HealthVector::read(path) {
        Ok(vector) => vector,
        Err(fault) if fault.is_absent() => HealthVector::default(),
        Err(fault) => {
            set_aside(path, &path.with_extension("refused"), &fault);
            HealthVector::default()
        }
    }
}

/// Says why a file is not used and moves it out of the way, for whoever wants to look. A file that is absent is nothing to say.
fn set_aside(path: &Path, refused: &Path, fault: &DiskFault) {
    if fault.is_absent() {
        return;
    }
    log::error(
        "a file of the state is damaged and is set aside",
        &[("file", &path.display()), ("reason", fault), ("kept_as", &refused.display())],
    );
    if let Err(error) = fs::rename(path, refused) {
        log::error("a damaged file cannot be set aside", &[("file", &path.display()), ("error", &error)]);
    }
}

/// Sets aside the state that has killed the process: what the journals added to the base, or the base when they add nothing.
fn quarantine(paths: &Paths, mark: &mut DeathMark) {
    let has_entries = |path: &PathBuf| ReadJournal::open(path).is_ok_and(|journal| !journal.is_empty());
    let moves: Vec<(&Path, &Path)> = if [&paths.journal_sealed, &paths.journal].into_iter().any(has_entries) {
        vec![(&paths.journal_sealed, &paths.journal_sealed_quarantined), (&paths.journal, &paths.journal_quarantined)]
    } else {
        vec![(&paths.base, &paths.base_quarantined), (&paths.base_previous, &paths.base)]
    };
    log::error("the state has killed this process twice and is set aside: the one before it is served", &[]);
    for (from, to) in moves {
        if let Err(error) = rename_if_there(from, to) {
            log::error("a state cannot be set aside", &[("file", &from.display()), ("error", &error)]);
        }
    }
    mark.set_aside();
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn triple(revision: u64) -> Triple {
        Triple { lineage: [9; 16], revision, tag: revision }
    }

    /// A base, whatever it holds, and a journal of `entries` empty deltas on top of revision 100.
    fn write_state(paths: &Paths, entries: u64) {
        fs::write(&paths.base, "a base").unwrap();
        let mut journal = Journal::create(&paths.journal, &triple(100)).unwrap();
        for revision in 101..=100 + entries {
            let entry = Entry { triple: triple(revision), base_revision: revision - 1, base_tag: revision - 1, items: &[] };
            journal.append(&entry).unwrap();
        }
    }

    #[test]
    fn a_base_that_makes_the_program_panic_is_set_aside_at_once_and_the_journal_is_kept() {
        let directory = std::env::temp_dir().join(format!("geodns-recovery-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let paths = Paths::new(&directory);
        write_state(&paths, 5);
        let mut mark = DeathMark::open(&paths.adopted).unwrap();
        let mut recovered = recover(&Paths::new(&directory.join("nothing")), 7, &mut mark);

        let reads = Cell::new(0);
        let panics = || {
            reads.set(reads.get() + 1);
            panic!("as a defect in the decoder would")
        };
        assert!(build(&paths, &mut recovered, &panics).is_none());
        assert_eq!(reads.get(), 1);
        assert_eq!((recovered.served, paths.base.exists(), paths.base_refused.exists()), (None, false, true));

        let reads = || Ok(Building { zones: ZoneSet::new(7).load(), steering: SteeringEditor::new(), served: triple(100) });
        build(&paths, &mut recovered, &reads).expect("the journal is as it was");
        assert_eq!(recovered.served, Some(triple(105)));
        fs::remove_dir_all(&directory).unwrap();
    }
}
