//! Any bytes as the files of the state: a start reads them without a panic and serves the base or what an entry of the journal leads to; a second
//! start after it serves the same; and what is appended then is there at the third.
//!
//! `u8 knob, u16 length of the base, u16 length of the journal, base, journal, health`. With an odd knob these are whole files as they lie on disk; else
//! they are what such files hold (items, entries of `u8 revision, u8 length, items`, health without its checksum), to which headers and checksums are
//! added, so that what lies behind those is reached.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use geodns_engine::spec::{Change, Triple};
use geodns_link::item::ItemBuffer;
use geodns_serve::disk::base::BaseWriter;
use geodns_serve::disk::deathmark::DeathMark;
use geodns_serve::disk::journal::{Entry, Journal, ReadJournal};
use geodns_serve::disk::recovery::{Recovered, recover};
use geodns_serve::disk::state::Paths;
use libfuzzer_sys::fuzz_target;

/// A directory in memory where there is one: each run writes files.
const MEMORY: &str = "/dev/shm";

struct Bench {
    directory: PathBuf,
    mark: DeathMark,
}

impl Bench {
    fn new() -> Self {
        let parent = if Path::new(MEMORY).is_dir() { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        let directory = parent.join(format!("geodns-fuzz-state-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let mark = DeathMark::open(&directory.join("adopted")).expect("a mark");
        Self { directory, mark }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

fuzz_target!(|data: &[u8]| {
    let Some((&[knob, b0, b1, j0, j1], rest)) = data.split_first_chunk() else { return };
    let (base, rest) = rest.split_at(rest.len().min(u16::from_be_bytes([b0, b1]).into()));
    let (journal, health) = rest.split_at(rest.len().min(u16::from_be_bytes([j0, j1]).into()));
    BENCH.with_borrow_mut(|bench| {
        let paths = Paths::new(&bench.directory);
        remove_all(&paths);
        if knob & 1 == 1 {
            for (path, bytes) in [(&paths.base, base), (&paths.journal, journal), (&paths.health, health)] {
                fs::write(path, bytes).expect("a file");
            }
        } else {
            write_contents(&paths, base, journal, health);
        }
        check(&paths, &mut bench.mark);
    });
});

fn remove_all(paths: &Paths) {
    let files = [&paths.base, &paths.base_previous, &paths.base_refused, &paths.journal, &paths.health];
    let refused = [paths.journal.with_extension("refused"), paths.health.with_extension("refused")];
    for path in files.into_iter().chain(&refused) {
        let _ = fs::remove_file(path);
    }
}

fn check(paths: &Paths, mark: &mut DeathMark) {
    let offered = offered(paths);
    let first = recover(paths, 7, mark);
    let Some(served) = first.served else { return };
    assert!(offered.contains(&served), "{served:?} was in no file");
    let (zones, health) = (changes(&first), first.health.clone());
    drop(first);

    let second = recover(paths, 7, mark);
    assert_eq!((second.served, changes(&second), &second.health), (Some(served), zones.clone(), &health), "the second start");
    let Some(revision) = served.revision.checked_add(1) else { return };
    let next = Triple { revision, ..served };
    let entry = Entry { triple: next, base_revision: served.revision, base_tag: served.tag, items: &[] };
    second.journal.expect("a journal to go on with").append(&entry).expect("room on the disk");

    let third = recover(paths, 7, mark);
    assert_eq!((third.served, changes(&third)), (Some(next), zones), "the third start");
}

/// The states that the files name, whether they are whole or not.
fn offered(paths: &Paths) -> Vec<Triple> {
    let base = geodns_serve::disk::base::BaseReader::open(&paths.base).map(|base| base.header().triple);
    let journal = ReadJournal::open(&paths.journal);
    base.into_iter().chain(journal.iter().flat_map(ReadJournal::entries).map(|entry| entry.triple)).collect()
}

fn changes(recovered: &Recovered) -> Vec<Change> {
    recovered.zones.changes().collect()
}

fn triple(revision: u8) -> Triple {
    Triple { lineage: [9; 16], revision: revision.into(), tag: u64::from(revision) ^ 0xabcd }
}

fn write_contents(paths: &Paths, base: &[u8], journal: &[u8], health: &[u8]) {
    let mut served = triple(1);
    let mut writer = BaseWriter::create(&paths.base).expect("a base");
    writer.append(base).expect("room on the disk");
    writer.count(count_items(base));
    writer.finish(&served).expect("room on the disk");

    let mut log = Journal::create(&paths.journal, &served).expect("a journal");
    let mut rest = journal;
    while let Some((&[revision, length], after)) = rest.split_first_chunk() {
        let (items, after) = after.split_at(after.len().min(length.into()));
        let next = triple(revision);
        let entry = Entry { triple: next, base_revision: served.revision, base_tag: served.tag, items };
        log.append(&entry).expect("room on the disk");
        (served, rest) = (next, after);
    }

    let mut bytes = health.to_vec();
    bytes.extend(crc32fast::hash(health).to_be_bytes());
    fs::write(&paths.health, bytes).expect("a file");
}

fn count_items(bytes: &[u8]) -> u64 {
    let mut items = ItemBuffer::default();
    items.push(bytes);
    (0..).take_while(|_| matches!(items.pull(), Ok(Some(_)))).count() as u64
}
