//! Location databases: read, verified and compiled by a thread of their own, kept in compiled form on disk, and put in force by the adopter.
//!
//! A file that is missing or refused changes nothing: what it said before stays in force, and `status` and the log say so. Beside each compiled table the
//! digest of the .mmdb stands in its name, and `index.json` says which path it belongs to, so that a start needs no .mmdb at all and never answers
//! without geo what it answered with geo before.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use geodns_engine::location::{LocationSet, LocationTable, NamedTable};
use mio::Waker;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::disk::replace_file;
use crate::{log, mmdb, sys};

/// Of a whole .mmdb.
type Digest = [u8; 32];

const INDEX: &str = "index.json";

/// What became of a file when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judgement {
    Ok,
    Missing(String),
    Refused(String),
}

/// One database of the list, and what is in force of it.
#[derive(Debug, Clone)]
struct Database {
    path: PathBuf,
    judgement: Judgement,
    in_force: Option<(Digest, Arc<LocationTable>)>,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    paths: Vec<PathBuf>,
    generation: i64,
}

/// The location databases as the link's thread sees them.
#[derive(Debug)]
pub struct Locations {
    databases: Vec<Database>,
    wanted: Option<Wanted>,
    jobs: Sender<(Wanted, Vec<Database>)>,
    news: Receiver<Vec<Database>>,
    is_loading: bool,
    next: Option<Wanted>,
}

impl Locations {
    /// Takes the compiled tables of `paths` that lie in `directory`, without a look at any .mmdb, and starts the thread that does look.
    ///
    /// # Errors
    /// The kernel's, when there can be no thread.
    pub fn recover(directory: &Path, paths: &[PathBuf], wake: Arc<Waker>) -> io::Result<Self> {
        let (jobs, todo) = channel();
        let (tell, news) = channel();
        let loader = Loader { directory: directory.to_owned() };
        let databases = loader.recover(paths);
        thread::Builder::new().name("locations".into()).spawn(move || loader.run(&todo, &tell, &wake))?;
        Ok(Self { databases, wanted: None, jobs, news, is_loading: false, next: None })
    }

    /// Whether a database is listed of which nothing is in force.
    pub fn lacks_any(&self) -> bool {
        self.databases.iter().any(|database| database.in_force.is_none())
    }

    /// The databases in force.
    pub fn in_force(&self) -> Arc<LocationSet> {
        let named = self.databases.iter().filter_map(|database| {
            let (_, table) = database.in_force.as_ref()?;
            Some(NamedTable { name: database.path.display().to_string(), table: Arc::clone(table) })
        });
        Arc::new(LocationSet::new(named.collect()))
    }

    /// These files are to be in force; a new `generation` asks for another look at the same ones.
    pub fn want(&mut self, paths: Vec<PathBuf>, generation: i64) {
        let wanted = Wanted { paths, generation };
        if self.wanted.as_ref() == Some(&wanted) {
            return;
        }
        self.wanted = Some(wanted.clone());
        self.next = Some(wanted);
        self.begin_next();
    }

    /// One job at a time: what is asked meanwhile waits, and only the last of it counts.
    fn begin_next(&mut self) {
        if self.is_loading {
            return;
        }
        if let Some(wanted) = self.next.take() {
            self.is_loading = self.jobs.send((wanted, self.databases.clone())).is_ok();
        }
    }

    /// Takes what the thread has made; the databases to put in force, when any differs.
    pub fn take_news(&mut self) -> Option<Arc<LocationSet>> {
        let mut changed = false;
        while let Ok(databases) = self.news.try_recv() {
            let tables = |databases: &[Database]| -> Vec<_> {
                databases.iter().map(|database| (database.path.clone(), database.in_force.as_ref().map(|(digest, _)| *digest))).collect()
            };
            changed |= tables(&self.databases) != tables(&databases);
            self.databases = databases;
            self.is_loading = false;
            self.begin_next();
        }
        changed.then(|| self.in_force())
    }

    /// For STATUS: each database of the list.
    pub fn report(&self) -> Vec<Value> {
        self.databases
            .iter()
            .map(|database| {
                let (state, reason) = match &database.judgement {
                    Judgement::Ok => ("ok", None),
                    Judgement::Missing(reason) => ("missing", Some(reason)),
                    Judgement::Refused(reason) => ("refused", Some(reason)),
                };
                let origin = database.in_force.as_ref().map(|(_, table)| table.origin());
                json!({
                    "path": database.path.display().to_string(),
                    "state": state,
                    "reason": reason,
                    "in_force": origin.is_some(),
                    "type": origin.map(|origin| &origin.database_type),
                    "build_epoch": origin.map(|origin| origin.build_epoch),
                    "networks": origin.map(|origin| origin.networks),
                })
            })
            .collect()
    }
}

/// The databases of `paths` as the process that owns `directory` has them in force, or read from the file where it keeps none. Changes nothing.
///
/// # Errors
/// One sentence about a file that is neither kept nor sound; the owner answers without it, and so must we not answer as if it were right.
pub fn read_kept(directory: &Path, paths: &[PathBuf]) -> Result<LocationSet, String> {
    let loader = Loader { directory: directory.to_owned() };
    let index = loader.read_index();
    let mut tables = Vec::new();
    for path in paths {
        let digest = index.get(&path.display().to_string()).and_then(|text| unhex(text));
        let kept = digest.and_then(|digest| LocationTable::decode(&fs::read(loader.table_path(&digest)).ok()?, &digest).ok());
        let table = match kept {
            Some(table) => table,
            // What the owner has not in force does not count: a file that is missing matches nobody there either.
            None if digest.is_none() => continue,
            None => {
                let bytes = fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                mmdb::compile(&bytes).map_err(|fault| format!("{} is not used: {fault}", path.display()))?
            }
        };
        tables.push(NamedTable { name: path.display().to_string(), table: Arc::new(table) });
    }
    Ok(LocationSet::new(tables))
}

/// The thread that reads files.
#[derive(Debug)]
struct Loader {
    directory: PathBuf,
}

impl Loader {
    fn run(&self, jobs: &Receiver<(Wanted, Vec<Database>)>, tell: &Sender<Vec<Database>>, wake: &Waker) {
        let _ = sys::lower_priority();
        while let Ok((wanted, before)) = jobs.recv() {
            let databases: Vec<Database> = wanted.paths.iter().map(|path| self.look(path, &before)).collect();
            if let Err(error) = self.keep_index(&databases) {
                log::error("compiled location tables cannot be kept on disk", &[("error", &error)]);
            }
            let _ = tell.send(databases);
            let _ = wake.wake();
        }
    }

    /// One file: the same as before, compiled already, or compiled now.
    fn look(&self, path: &Path, before: &[Database]) -> Database {
        let in_force = before.iter().find(|database| database.path == path).and_then(|database| database.in_force.clone());
        let judged = match fs::read(path) {
            Err(error) => Err(Judgement::Missing(error.to_string())),
            Ok(bytes) => {
                let digest: Digest = Sha256::digest(&bytes).into();
                match &in_force {
                    Some((known, table)) if *known == digest => Ok((digest, Arc::clone(table))),
                    _ => self.load(&digest, &bytes).map(|table| (digest, Arc::new(table))).map_err(Judgement::Refused),
                }
            }
        };
        match judged {
            Ok((digest, table)) => {
                if in_force.as_ref().is_none_or(|(known, _)| *known != digest) {
                    let origin = table.origin();
                    log::info(
                        "a location database is in force",
                        &[("path", &path.display()), ("type", &origin.database_type), ("networks", &origin.networks)],
                    );
                }
                Database { path: path.to_owned(), judgement: Judgement::Ok, in_force: Some((digest, table)) }
            }
            Err(judgement) => {
                let (Judgement::Missing(reason) | Judgement::Refused(reason)) = &judgement else {
                    return Database { path: path.to_owned(), judgement, in_force };
                };
                log::error(
                    "a location database is not used",
                    &[("path", &path.display()), ("reason", reason), ("older_in_force", &in_force.is_some())],
                );
                Database { path: path.to_owned(), judgement, in_force }
            }
        }
    }

    /// The table of a file with that digest: from disk, or compiled and kept there.
    fn load(&self, digest: &Digest, bytes: &[u8]) -> Result<LocationTable, String> {
        if let Some(table) = self.read_table(digest) {
            return Ok(table);
        }
        // The reader checks everything; should a stranger's file still find a hole in it, that costs the file and not the process.
        let table = catch_unwind(AssertUnwindSafe(|| mmdb::compile(bytes)))
            .map_err(|_| "reading it made the program panic".to_owned())?
            .map_err(|fault| fault.to_string())?;
        if let Err(error) = replace_file(&self.table_path(digest), &table.encode(digest)) {
            log::error("a compiled location table cannot be kept on disk", &[("error", &error)]);
        }
        Ok(table)
    }

    fn table_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.table", hex(digest)))
    }

    fn read_table(&self, digest: &Digest) -> Option<LocationTable> {
        let path = self.table_path(digest);
        let bytes = fs::read(&path).ok()?;
        match LocationTable::decode(&bytes, digest) {
            Ok(table) => Some(table),
            Err(fault) => {
                log::error(
                    "a compiled location table is damaged and is removed",
                    &[("file", &path.display()), ("reason", &format!("{fault:?}"))],
                );
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Digests of the tables that are kept, by path of the .mmdb.
    fn read_index(&self) -> HashMap<String, String> {
        fs::read(self.directory.join(INDEX)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn recover(&self, paths: &[PathBuf]) -> Vec<Database> {
        let index = self.read_index();
        paths
            .iter()
            .map(|path| {
                let digest = index.get(&path.display().to_string()).and_then(|text| unhex(text));
                let in_force = digest.and_then(|digest| Some((digest, Arc::new(self.read_table(&digest)?))));
                let judgement = if in_force.is_some() { Judgement::Ok } else { Judgement::Missing("it has not been read yet".to_owned()) };
                Database { path: path.clone(), judgement, in_force }
            })
            .collect()
    }

    /// Writes which path each table belongs to, and removes the tables that belong to none.
    fn keep_index(&self, databases: &[Database]) -> io::Result<()> {
        let mut index = Map::new();
        for database in databases {
            if let Some((digest, _)) = &database.in_force {
                index.insert(database.path.display().to_string(), hex(digest).into());
            }
        }
        let named: Vec<PathBuf> = databases.iter().filter_map(|database| Some(self.table_path(&database.in_force.as_ref()?.0))).collect();
        replace_file(&self.directory.join(INDEX), Value::Object(index).to_string().as_bytes())?;
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "table") && !named.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn hex(digest: &Digest) -> String {
    digest.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (octet, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *octet = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use geodns_engine::location::Country;
    use mio::{Events, Poll, Token};

    use super::*;
    use crate::mmdb::writer::{Data, Writer, map};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A directory with a database file and a place for compiled tables.
    struct Bench {
        directory: PathBuf,
        poll: Poll,
        wake: Arc<Waker>,
    }

    impl Bench {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name = format!("geodns-locations-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let directory = std::env::temp_dir().join(name);
            fs::create_dir_all(directory.join("location")).unwrap();
            let poll = Poll::new().unwrap();
            let wake = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
            Self { directory, poll, wake }
        }

        fn file(&self) -> PathBuf {
            self.directory.join("country.mmdb")
        }

        /// 192.0.2.0/24 lies in `country`.
        fn write(&self, country: &'static str) {
            let mut writer = Writer::new(4, 24);
            writer.put("192.0.2.0/24", &map([("country_code", Data::Text(country))]));
            fs::write(self.file(), writer.finish("Test-Country")).unwrap();
        }

        fn recover(&self) -> Locations {
            Locations::recover(&self.directory.join("location"), &[self.file()], Arc::clone(&self.wake)).unwrap()
        }

        /// Asks for a look at the file and waits for what comes of it.
        fn look(&mut self, locations: &mut Locations, generation: i64) -> Option<Arc<LocationSet>> {
            locations.want(vec![self.file()], generation);
            self.poll.poll(&mut Events::with_capacity(1), Some(PATIENCE)).unwrap();
            let news = locations.take_news();
            assert!(!locations.is_loading, "the loader has told what it found");
            news
        }

        fn tables(&self) -> usize {
            let entries = fs::read_dir(self.directory.join("location")).unwrap();
            entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "table")).count()
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    fn country(locations: &LocationSet) -> Option<Country> {
        locations.locate("192.0.2.1".parse().unwrap()).country
    }

    fn state(locations: &Locations) -> (Value, Value) {
        let report = &locations.report()[0];
        (report["state"].clone(), report["in_force"].clone())
    }

    #[test]
    fn a_file_is_compiled_put_in_force_and_kept() {
        let mut bench = Bench::new();
        bench.write("DE");
        let mut locations = bench.recover();
        assert!(locations.lacks_any());
        let set = bench.look(&mut locations, 1).unwrap();
        assert_eq!(country(&set), Country::from_code("DE"));
        assert_eq!(state(&locations), ("ok".into(), true.into()));
        assert_eq!((&locations.report()[0]["type"], &locations.report()[0]["networks"]), (&"Test-Country".into(), &1.into()));
        assert_eq!(bench.tables(), 1);
    }

    #[test]
    fn a_start_needs_no_file() {
        let mut bench = Bench::new();
        bench.write("DE");
        let mut locations = bench.recover();
        bench.look(&mut locations, 1).unwrap();
        fs::remove_file(bench.file()).unwrap();
        let mut locations = bench.recover();
        assert_eq!(country(&locations.in_force()), Country::from_code("DE"));
        // The file is missed when somebody looks for it, and what it said stays in force.
        assert!(bench.look(&mut locations, 1).is_none());
        assert_eq!(state(&locations), ("missing".into(), true.into()));
        assert_eq!(country(&locations.in_force()), Country::from_code("DE"));
    }

    #[test]
    fn a_file_that_is_refused_leaves_the_old_one_in_force() {
        let mut bench = Bench::new();
        bench.write("DE");
        let mut locations = bench.recover();
        bench.look(&mut locations, 1).unwrap();
        let whole = fs::read(bench.file()).unwrap();
        for (generation, broken) in [(2, whole[..whole.len() / 2].to_vec()), (3, Vec::new()), (4, b"no database".to_vec())] {
            fs::write(bench.file(), broken).unwrap();
            assert!(bench.look(&mut locations, generation).is_none());
            assert_eq!(state(&locations), ("refused".into(), true.into()));
            assert_eq!(country(&locations.in_force()), Country::from_code("DE"));
        }
        bench.write("FR");
        assert_eq!(country(&bench.look(&mut locations, 5).unwrap()), Country::from_code("FR"));
        assert_eq!(bench.tables(), 1, "the table of the old file is gone");
    }

    #[test]
    fn the_same_file_again_changes_nothing() {
        let mut bench = Bench::new();
        bench.write("DE");
        let mut locations = bench.recover();
        bench.look(&mut locations, 1).unwrap();
        bench.write("DE");
        assert!(bench.look(&mut locations, 2).is_none());
        assert_eq!(state(&locations), ("ok".into(), true.into()));
    }

    #[test]
    fn a_damaged_table_is_removed_and_made_again() {
        let mut bench = Bench::new();
        bench.write("DE");
        let mut locations = bench.recover();
        bench.look(&mut locations, 1).unwrap();
        let digest: Digest = Sha256::digest(fs::read(bench.file()).unwrap()).into();
        let table = bench.directory.join("location").join(format!("{}.table", hex(&digest)));
        let mut bytes = fs::read(&table).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&table, bytes).unwrap();
        let mut locations = bench.recover();
        assert!(locations.lacks_any() && !table.exists());
        assert_eq!(country(&bench.look(&mut locations, 1).unwrap()), Country::from_code("DE"));
        assert!(table.exists());
    }

    #[test]
    fn digests_are_written_and_read_as_hex() {
        let digest: Digest = core::array::from_fn(|octet| u8::try_from(octet * 7).unwrap());
        assert_eq!(unhex(&hex(&digest)), Some(digest));
        assert_eq!(unhex(&"0".repeat(63)), None);
        assert_eq!(unhex(&"g".repeat(64)), None);
    }
}
