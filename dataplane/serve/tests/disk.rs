//! Files of the state with every kind of damage: never a panic, never a state that was not acknowledged, and the older one where the newer is
//! unusable.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use geodns_engine::spec::{Change, HealthEntry, Prefix, RrsetData, RrsetSpec, Triple};
use geodns_link::item::put_item;
use geodns_serve::disk::base::BaseWriter;
use geodns_serve::disk::deathmark::DeathMark;
use geodns_serve::disk::health::HealthVector;
use geodns_serve::disk::journal::{Entry, Journal, ReadJournal};
use geodns_serve::disk::recovery::{Recovered, recover};
use geodns_serve::disk::state::Paths;

const APEX: &[u8] = b"\x07example\x03com\x00";
const WWW: &[u8] = b"\x03www\x07example\x03com\x00";

/// The revision of the base; each journal entry adds one.
const BASE: u64 = 100;
const ENTRIES: u64 = 3;
const LAST: u64 = BASE + ENTRIES;

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("geodns-disk-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn paths(&self) -> Paths {
        Paths::new(&self.0)
    }

    fn recover(&self) -> Recovered {
        let paths = self.paths();
        let mut mark = DeathMark::open(&paths.adopted).unwrap();
        recover(&paths, 7, &mut mark)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn triple(revision: u64) -> Triple {
    Triple { lineage: [9; 16], revision, tag: revision ^ 0xabcd }
}

fn put(owner: &[u8], rtype: u16, rdata: Vec<u8>) -> Change {
    let rrset = RrsetSpec { rtype, ttl: 30, data: RrsetData::Static(vec![rdata.into()]) };
    Change::PutOwner { apex: APEX.into(), owner: owner.into(), rrsets: vec![rrset] }
}

fn address(revision: u64) -> Change {
    put(WWW, 1, vec![192, 0, 2, u8::try_from(revision).unwrap()])
}

fn soa() -> Change {
    put(APEX, 6, [APEX, APEX, &[0; 20]].concat())
}

fn list() -> Change {
    let office = Prefix { addr: "192.0.2.0".parse().unwrap(), length: 24 };
    Change::PutList { name: "office".into(), prefixes: vec![office] }
}

fn encode(changes: &[Change]) -> Vec<u8> {
    let mut stream = Vec::new();
    for change in changes {
        put_item(&mut stream, change).unwrap();
    }
    stream
}

/// A base of revision `BASE` with `www` at 192.0.2.100.
fn write_base(path: &Path) {
    let changes = [list(), Change::PutZone { apex: APEX.into() }, soa(), address(BASE)];
    let mut writer = BaseWriter::create(path).unwrap();
    writer.append(&encode(&changes)).unwrap();
    writer.count(changes.len() as u64);
    writer.finish(&triple(BASE)).unwrap();
}

fn append(journal: &mut Journal, base: u64, revision: u64, change: &Change) {
    let items = encode(std::slice::from_ref(change));
    let base = triple(base);
    let entry = Entry { triple: triple(revision), base_revision: base.revision, base_tag: base.tag, items: &items };
    journal.append(&entry).unwrap();
}

/// A journal of entries from `first` on, each of which moves `www`.
fn write_journal(path: &Path, first: u64, count: u64) {
    let mut journal = Journal::create(path, &triple(first - 1)).unwrap();
    for revision in first..first + count {
        append(&mut journal, revision - 1, revision, &address(revision));
    }
}

fn state() -> Directory {
    let directory = Directory::new();
    write_base(&directory.paths().base);
    write_journal(&directory.paths().journal, BASE + 1, ENTRIES);
    directory
}

/// The state must be one that was in force: that of its revision, wholly.
fn check_was_in_force(recovered: &Recovered, revisions: RangeInclusive<u64>, what: &str) {
    let served = recovered.served.unwrap_or_else(|| panic!("{what}: nothing is served"));
    assert_eq!(served, triple(served.revision), "{what}");
    assert!(revisions.contains(&served.revision), "{what}: revision {}", served.revision);
    let changes: Vec<Change> = recovered.zones.changes().collect();
    assert!(changes.contains(&address(served.revision)) && changes.contains(&soa()), "{what}: {changes:?}");
}

#[test]
fn base_and_journal_make_the_last_revision() {
    let recovered = state().recover();
    check_was_in_force(&recovered, LAST..=LAST, "undamaged");
    assert_eq!(recovered.steering.lists().count(), 1);
    assert!(!recovered.wants_new_base);
    assert!(recovered.journal.is_some());
}

#[test]
fn an_empty_directory_serves_nothing() {
    let recovered = Directory::new().recover();
    assert_eq!(recovered.served, None);
    assert_eq!(recovered.zones.zones(), 0);
}

#[test]
fn a_base_with_any_byte_changed_or_cut_off_is_not_used() {
    let original = state();
    let base = fs::read(original.paths().base).unwrap();
    let cuts = (0..base.len()).map(|length| (format!("cut to {length}"), base[..length].to_vec()));
    let flips = (0..base.len()).map(|at| {
        let mut changed = base.clone();
        changed[at] ^= 1 << (at % 8);
        (format!("byte {at} changed"), changed)
    });
    let longer = std::iter::once(("longer".to_owned(), [base.as_slice(), &[0]].concat()));
    for (what, bytes) in cuts.chain(flips).chain(longer) {
        let directory = state();
        let paths = directory.paths();
        fs::copy(&paths.base, &paths.base_previous).unwrap();
        fs::write(&paths.base, bytes).unwrap();
        let recovered = directory.recover();
        // The previous base is the same here, and the journal leads on from it.
        check_was_in_force(&recovered, LAST..=LAST, &what);
        assert!(paths.base_refused.exists(), "{what}");
        assert!(recovered.wants_new_base, "{what}");
    }
}

#[test]
fn a_damaged_base_without_a_previous_one_serves_nothing_and_is_kept() {
    let directory = state();
    fs::write(directory.paths().base, b"").unwrap();
    assert_eq!(directory.recover().served, None);
    assert!(directory.paths().base_refused.exists());
}

#[test]
fn a_journal_with_any_byte_changed_yields_a_state_that_was_in_force() {
    let original = state();
    let journal = fs::read(original.paths().journal).unwrap();
    for at in 0..journal.len() {
        let directory = state();
        let mut changed = journal.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(directory.paths().journal, changed).unwrap();
        check_was_in_force(&directory.recover(), BASE..=LAST - 1, &format!("byte {at} changed"));
    }
}

#[test]
fn a_journal_cut_anywhere_yields_the_whole_entries_before_and_goes_on_from_there() {
    let original = state();
    let journal = fs::read(original.paths().journal).unwrap();
    for length in 0..journal.len() {
        let directory = state();
        fs::write(directory.paths().journal, &journal[..length]).unwrap();
        let recovered = directory.recover();
        check_was_in_force(&recovered, BASE..=LAST - 1, &format!("cut to {length}"));
        // What is appended now is there after the next start.
        let served = recovered.served.unwrap().revision;
        let next = BASE + 50;
        append(&mut recovered.journal.unwrap(), served, next, &address(next));
        check_was_in_force(&directory.recover(), next..=next, &format!("cut to {length} and gone on with"));
    }
}

#[test]
fn journals_chain_whatever_step_of_a_compaction_a_crash_fell_into() {
    // A compaction of BASE + 3 while BASE + 4 and BASE + 5 are adopted.
    let last = BASE + 5;
    let sealed = |paths: &Paths| {
        write_journal(&paths.journal_sealed, BASE + 1, 3);
        write_journal(&paths.journal, BASE + 4, 2);
    };
    let check = |what: &str, prepare: &dyn Fn(&Paths)| {
        let directory = Directory::new();
        prepare(&directory.paths());
        check_was_in_force(&directory.recover(), last..=last, what);
    };
    check("the journal is sealed", &|paths| {
        write_base(&paths.base);
        sealed(paths);
    });
    check("the base has been moved away", &|paths| {
        write_base(&paths.base_previous);
        sealed(paths);
    });
    check("the compaction before had failed", &|paths| {
        write_base(&paths.base);
        write_journal(&paths.journal_sealed, BASE + 1, 1);
        write_journal(&paths.journal, BASE + 2, 4);
    });
    check("an older journal is still there", &|paths| {
        write_base(&paths.base);
        write_journal(&paths.journal_previous, BASE - 3, 4);
        sealed(paths);
    });
    check("the journals stand in another order", &|paths| {
        write_base(&paths.base);
        write_journal(&paths.journal_previous, BASE + 4, 2);
        write_journal(&paths.journal_sealed, BASE + 1, 3);
    });
}

#[test]
fn a_journal_that_does_not_lead_on_is_passed_over_and_begun_anew() {
    let directory = state();
    let paths = directory.paths();
    write_journal(&paths.journal, BASE + 2, 2);
    check_was_in_force(&directory.recover(), BASE..=BASE, "a gap");
    assert!(ReadJournal::open(&paths.journal).unwrap().is_empty());
}

#[test]
fn a_whole_entry_that_makes_no_sense_is_cut_off_with_what_follows() {
    let directory = state();
    let mut journal = Journal::create(&directory.paths().journal, &triple(BASE)).unwrap();
    append(&mut journal, BASE, BASE + 1, &address(BASE + 1));
    append(&mut journal, BASE + 1, BASE + 2, &Change::DropZone { apex: b"\x01A\x00".as_slice().into() });
    append(&mut journal, BASE + 2, BASE + 3, &address(BASE + 3));
    let recovered = directory.recover();
    check_was_in_force(&recovered, BASE + 1..=BASE + 1, "an entry without sense");
    append(&mut recovered.journal.unwrap(), BASE + 1, BASE + 4, &address(BASE + 4));
    check_was_in_force(&directory.recover(), BASE + 4..=BASE + 4, "gone on with");
}

#[test]
fn a_health_file_with_any_byte_changed_or_cut_off_is_not_used() {
    let down = HealthEntry { down: true, ..HealthEntry::default() };
    let vector = HealthVector { lineage: triple(BASE).lineage, epoch: 5, entries: vec![(1, down), (7, HealthEntry::default())] };
    let bytes = vector.encode().unwrap();
    let directory = state();
    fs::write(directory.paths().health, &bytes).unwrap();
    assert_eq!(directory.recover().health, vector);
    for at in 0..bytes.len() {
        assert!(HealthVector::decode(&bytes[..at]).is_err());
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(HealthVector::decode(&changed).is_err(), "byte {at}");
        }
    }
    fs::write(directory.paths().health, &bytes[..bytes.len() - 1]).unwrap();
    let recovered = directory.recover();
    assert_eq!(recovered.health, HealthVector::default());
    check_was_in_force(&recovered, LAST..=LAST, "a damaged health file");
}

#[test]
fn health_of_another_history_is_not_used() {
    let vector = HealthVector { lineage: [1; 16], epoch: 5, entries: vec![(1, HealthEntry::default())] };
    let directory = state();
    fs::write(directory.paths().health, vector.encode().unwrap()).unwrap();
    assert_eq!(directory.recover().health, HealthVector::default());
}

#[test]
fn files_of_a_later_format_are_set_aside() {
    let later = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[9] = 2;
        fs::write(path, bytes).unwrap();
    };
    let directory = state();
    later(&directory.paths().base);
    assert_eq!(directory.recover().served, None);
    assert!(directory.paths().base_refused.exists());

    let directory = state();
    later(&directory.paths().journal);
    check_was_in_force(&directory.recover(), BASE..=BASE, "a journal of another format");
    assert!(directory.0.join("journal.refused").exists());
}
