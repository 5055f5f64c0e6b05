//! The files as the adopter's thread sees them: appended to before an acknowledgement, and handed to threads of their own for all that may wait
//! for a disk. Nothing here stops service: what cannot be written is said in `status` and in the log, and is tried again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use geodns_engine::spec::{Change, Triple};
use geodns_engine::zones::ZoneSet;
use geodns_link::item::put_item;
use mio::Waker;

use super::base::BaseWriter;
use super::health::HealthVector;
use super::journal::{Entry, Journal};
use super::{remove_if_there, rename_if_there, replace_file, sync_parent};
use crate::{log, sys};

/// The journal is compacted when it has this share of the base (link.md section 4) …
const COMPACTION_SHARE: u64 = 4;
/// … and is worth it: below this, replaying it takes a few milliseconds.
const COMPACTION_MINIMUM_BYTES: u64 = 256 * 1024;
/// After a failure, most likely a full disk.
const RETRY: Duration = Duration::from_secs(10);
/// The journal is synced, and the health file written, at most this often.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Items are written to a base in pieces of this.
const PIECE: usize = 64 * 1024;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Paths {
    pub base: PathBuf,
    pub base_previous: PathBuf,
    pub base_refused: PathBuf,
    pub base_quarantined: PathBuf,
    /// A FULL that is arriving.
    pub base_incoming: PathBuf,
    /// A compaction that is under way.
    pub base_compacted: PathBuf,
    pub journal: PathBuf,
    pub journal_previous: PathBuf,
    pub journal_sealed: PathBuf,
    pub journal_quarantined: PathBuf,
    pub journal_sealed_quarantined: PathBuf,
    pub health: PathBuf,
    pub config: PathBuf,
    pub adopted: PathBuf,
    pub lock: PathBuf,
    pub locations: PathBuf,
}

impl Paths {
    /// The files below `directory`.
    pub fn new(directory: &Path) -> Self {
        let at = |name: &str| directory.join(name);
        Self {
            base: at("base"),
            base_previous: at("base.previous"),
            base_refused: at("base.refused"),
            base_quarantined: at("base.quarantined"),
            base_incoming: at("base.incoming"),
            base_compacted: at("base.compacted"),
            journal: at("journal"),
            journal_previous: at("journal.previous"),
            journal_sealed: at("journal.sealed"),
            journal_quarantined: at("journal.quarantined"),
            journal_sealed_quarantined: at("journal.sealed.quarantined"),
            health: at("health"),
            config: at("config.json"),
            adopted: at("adopted"),
            lock: at("lock"),
            locations: at("location"),
        }
    }

    /// All journals that may lead on from a base; the last one is the one that is written.
    pub fn journals(&self) -> [&PathBuf; 3] {
        [&self.journal_previous, &self.journal_sealed, &self.journal]
    }
}

/// Makes the directory if need be and takes it for this process, for as long as the result is held.
///
/// # Errors
/// One sentence: it cannot be made or written, or another dataplane has it.
pub fn take_directory(directory: &Path) -> Result<File, String> {
    let fail = |what: &str, error: &io::Error| format!("the state directory {} {what}: {error}", directory.display());
    let paths = Paths::new(directory);
    fs::create_dir_all(&paths.locations).map_err(|error| fail("cannot be made", &error))?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&paths.lock);
    let lock = lock.map_err(|error| fail("cannot be written", &error))?;
    match sys::lock_exclusively(&lock) {
        Ok(true) => Ok(lock),
        Ok(false) => Err(format!("the state directory {} is in use by another dataplane", directory.display())),
        Err(error) => Err(fail("cannot be locked", &error)),
    }
}

/// What the thread of the disk is asked to do.
enum Job {
    /// fdatasync of the journal.
    Sync(File),
    /// A new base stands under its name: make it durable.
    SyncBase(File),
    Health(Vec<u8>),
    Config(Vec<u8>),
}

/// What the threads of the disk have done.
enum News {
    Failed(&'static str, io::Error),
    Compacted(Triple, io::Result<File>),
}

/// The files of a state in force.
#[derive(Debug)]
pub struct StateDisk {
    paths: Paths,
    journal: Option<Journal>,
    synced_at: Instant,
    base_bytes: u64,
    incoming: Option<BaseWriter>,
    health_changed: bool,
    config: Option<Vec<u8>>,
    /// What is on disk does not lead to what is served.
    wants_new_base: bool,
    /// A delta was not written since the compaction that runs has begun.
    has_gap: bool,
    compaction: Compaction,
    last_error: Option<String>,
    jobs: Option<Sender<Job>>,
    keeper: Option<JoinHandle<()>>,
    news: Receiver<News>,
    tell: Sender<News>,
    wake: Arc<Waker>,
    is_syncing: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Compaction {
    Resting {
        not_before: Instant,
    },
    /// To the state that it will hold. `None` when a FULL has made it pointless.
    Running(Option<Triple>, Option<JoinHandle<()>>),
}

impl StateDisk {
    /// Goes on with the files as recovery has left them.
    ///
    /// # Errors
    /// The kernel's, when there can be no thread.
    pub fn start(
        paths: Paths,
        journal: Option<Journal>,
        base_bytes: u64,
        wants_new_base: bool,
        config: Option<Vec<u8>>,
        wake: Arc<Waker>,
    ) -> io::Result<Self> {
        let (jobs, todo) = channel();
        let (tell, news) = channel();
        let is_syncing = Arc::new(AtomicBool::new(false));
        let keeper = {
            let (paths, tell, wake, is_syncing) = (paths.clone(), tell.clone(), Arc::clone(&wake), Arc::clone(&is_syncing));
            thread::Builder::new().name("disk".into()).spawn(move || keep(&paths, &todo, &tell, &wake, &is_syncing))?
        };
        Ok(Self {
            paths,
            journal,
            synced_at: Instant::now(),
            base_bytes,
            incoming: None,
            health_changed: false,
            config,
            wants_new_base,
            has_gap: false,
            compaction: Compaction::Resting { not_before: Instant::now() },
            last_error: None,
            jobs: Some(jobs),
            keeper: Some(keeper),
            news,
            tell,
            wake,
            is_syncing,
        })
    }

    /// Bytes of the journal.
    pub fn journal_bytes(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::length)
    }

    /// Bytes of the base.
    pub const fn base_bytes(&self) -> u64 {
        self.base_bytes
    }

    /// What went wrong last and has not gone right since.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    fn fail(&mut self, what: &'static str, error: &io::Error) {
        log::error("the state cannot be kept on disk; it is served all the same", &[("doing", &what), ("error", error)]);
        self.last_error = Some(format!("{what}: {error}"));
    }

    fn do_later(&self, job: Job) {
        // The thread ends only after this sender is gone.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }

    /// A FULL begins to arrive.
    pub fn begin_incoming(&mut self) {
        match BaseWriter::create(&self.paths.base_incoming) {
            Ok(writer) => self.incoming = Some(writer),
            Err(error) => self.fail("writing a new base", &error),
        }
    }

    /// The next bytes of a FULL, already taken.
    pub fn append_incoming(&mut self, stream: &[u8]) {
        if let Some(writer) = &mut self.incoming
            && let Err(error) = writer.append(stream)
        {
            self.fail("writing a new base", &error);
            self.forget_incoming();
        }
    }

    /// A FULL will not be adopted, or could not be written.
    pub fn forget_incoming(&mut self) {
        self.incoming = None;
        let _ = remove_if_there(&self.paths.base_incoming);
    }

    /// A FULL is in force: its bytes become the base. Not synced before the acknowledgement; after a power cut in that moment the previous base
    /// is used, and control sends the rest.
    pub fn commit_incoming(&mut self, triple: &Triple, items: u64) {
        if let Compaction::Running(target, _) = &mut self.compaction {
            *target = None;
        }
        self.journal = None;
        let committed = self.incoming.take().ok_or_else(|| io::Error::other("it could not be written")).and_then(|mut writer| {
            writer.count(items);
            let file = writer.finish(triple)?;
            let paths = &self.paths;
            rename_if_there(&paths.base, &paths.base_previous)?;
            // The journals that lead to the state before stay beside its base.
            rename_if_there(&paths.journal, &paths.journal_previous)?;
            fs::rename(&paths.base_incoming, &paths.base)?;
            self.base_bytes = file.metadata()?.len();
            self.journal = Some(Journal::create(&paths.journal, triple)?);
            Ok(file)
        });
        match committed {
            Ok(file) => {
                self.wants_new_base = false;
                self.last_error = None;
                self.do_later(Job::SyncBase(file));
            }
            Err(error) => {
                self.fail("putting a new base in place", &error);
                self.want_new_base_soon();
            }
        }
    }

    /// A delta is in force. In the journal before its acknowledgement, synced within a second: the store is the durable truth.
    pub fn append(&mut self, entry: &Entry<'_>) {
        let Some(journal) = &mut self.journal else {
            self.has_gap = true;
            return;
        };
        match journal.append(entry) {
            Ok(()) => {}
            Err(error) => {
                // What follows would not lead on from what is there, so nothing more is written until there is a new base.
                self.journal = None;
                self.has_gap = true;
                self.fail("writing the journal", &error);
                self.want_new_base_soon();
            }
        }
    }

    fn want_new_base_soon(&mut self) {
        self.wants_new_base = true;
        if let Compaction::Resting { not_before } = &mut self.compaction {
            *not_before = Instant::now() + RETRY;
        }
    }

    /// Syncs the journal, when something was appended since the last time.
    pub fn sync(&mut self, now: Instant) {
        if now.duration_since(self.synced_at) < SYNC_INTERVAL || self.is_syncing.load(Ordering::SeqCst) {
            return;
        }
        match self.journal.as_mut().and_then(Journal::unsynced) {
            Some(Ok(file)) => {
                self.synced_at = now;
                self.is_syncing.store(true, Ordering::SeqCst);
                self.do_later(Job::Sync(file));
            }
            Some(Err(error)) => self.fail("syncing the journal", &error),
            None => {}
        }
    }

    /// The health vector has changed since it was written.
    pub const fn health_changed(&mut self) {
        self.health_changed = true;
    }

    /// Writes the health vector, when it has changed. Called once a second.
    pub fn write_health(&mut self, vector: impl FnOnce() -> HealthVector) {
        if !std::mem::take(&mut self.health_changed) {
            return;
        }
        match vector().encode() {
            Ok(bytes) => self.do_later(Job::Health(bytes)),
            Err(fault) => self.fail("writing the health file", &io::Error::other(fault)),
        }
    }

    /// Keeps a CONFIG for a start alone, when it differs from what is kept.
    pub fn keep_config(&mut self, json: &[u8]) {
        if self.config.as_deref() != Some(json) {
            self.config = Some(json.to_vec());
            self.do_later(Job::Config(json.to_vec()));
        }
    }

    /// Whether a new base is due.
    pub fn wants_compaction(&self, now: Instant) -> bool {
        let Compaction::Resting { not_before } = self.compaction else { return false };
        let is_long = self.journal_bytes() >= (self.base_bytes / COMPACTION_SHARE).max(COMPACTION_MINIMUM_BYTES);
        now >= not_before && (self.wants_new_base || is_long)
    }

    /// Begins to write a new base of what is served. Deltas go to a new journal meanwhile, unless the last compaction has failed: then its sealed
    /// journal is still needed, and this one goes on.
    pub fn compact(&mut self, served: Triple, lists: Vec<Change>, zones: Arc<ZoneSet>) {
        if !self.paths.journal_sealed.exists() {
            let rotated = rename_if_there(&self.paths.journal, &self.paths.journal_sealed)
                .and_then(|()| Journal::create(&self.paths.journal, &served));
            match rotated {
                Ok(journal) => self.journal = Some(journal),
                Err(error) => {
                    self.journal = None;
                    self.fail("beginning a new journal", &error);
                }
            }
        }
        self.has_gap = false;
        let (path, tell, wake) = (self.paths.base_compacted.clone(), self.tell.clone(), Arc::clone(&self.wake));
        let thread = thread::Builder::new().name("compaction".into()).spawn(move || {
            let _ = sys::lower_priority();
            let written = write_base(&path, &served, lists, &zones);
            // Of two holders the other is the adopter or the reaper; whoever is last frees the memory, and neither answers queries.
            drop(zones);
            let _ = tell.send(News::Compacted(served, written));
            let _ = wake.wake();
        });
        match thread {
            Ok(thread) => self.compaction = Compaction::Running(Some(served), Some(thread)),
            Err(error) => {
                self.fail("starting a compaction", &error);
                self.want_new_base_soon();
            }
        }
    }

    /// Takes what the threads have to tell.
    pub fn take_news(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Failed(what, error) => self.fail(what, &error),
                News::Compacted(served, written) => self.finish_compaction(&served, written),
            }
        }
    }

    fn finish_compaction(&mut self, compacted: &Triple, written: io::Result<File>) {
        let Compaction::Running(target, thread) =
            std::mem::replace(&mut self.compaction, Compaction::Resting { not_before: Instant::now() })
        else {
            return;
        };
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        if target.as_ref() != Some(compacted) {
            let _ = remove_if_there(&self.paths.base_compacted);
            return;
        }
        let paths = &self.paths;
        let committed = written.and_then(|file| {
            rename_if_there(&paths.base, &paths.base_previous)?;
            fs::rename(&paths.base_compacted, &paths.base)?;
            rename_if_there(&paths.journal_sealed, &paths.journal_previous)?;
            Ok(file)
        });
        match committed.and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((bytes, file)) => {
                self.base_bytes = bytes;
                self.last_error = None;
                self.wants_new_base = false;
                if self.journal.is_none() {
                    self.journal = Journal::create(&self.paths.journal, compacted).ok();
                    // Deltas that were adopted meanwhile are in no file.
                    self.wants_new_base = self.journal.is_none() || self.has_gap;
                }
                self.has_gap = false;
                log::info("compacted the journal", &[("revision", &compacted.revision), ("bytes", &bytes)]);
                self.do_later(Job::SyncBase(file));
            }
            Err(error) => {
                let _ = remove_if_there(&self.paths.base_compacted);
                self.fail("compacting the journal", &error);
                self.want_new_base_soon();
            }
        }
    }

    /// The end: waits for what is under way and syncs the journal.
    pub fn shut_down(&mut self, health: &HealthVector) {
        if std::mem::take(&mut self.health_changed)
            && let Ok(bytes) = health.encode()
        {
            self.do_later(Job::Health(bytes));
        }
        if let Some(Ok(file)) = self.journal.as_mut().and_then(Journal::unsynced) {
            self.do_later(Job::Sync(file));
        }
        self.jobs = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        // A compaction is not waited for: what it has written so far is written again when the journal calls for it.
        let _ = remove_if_there(&self.paths.base_compacted);
    }
}

/// The thread that waits for the disk.
fn keep(paths: &Paths, jobs: &Receiver<Job>, tell: &Sender<News>, wake: &Waker, is_syncing: &AtomicBool) {
    let _ = sys::lower_priority();
    while let Ok(job) = jobs.recv() {
        let (what, done) = match job {
            Job::Sync(file) => {
                let done = file.sync_data();
                is_syncing.store(false, Ordering::SeqCst);
                ("syncing the journal", done)
            }
            Job::SyncBase(file) => ("syncing a new base", file.sync_all().and_then(|()| sync_parent(&paths.base))),
            Job::Health(bytes) => ("writing the health file", replace_file(&paths.health, &bytes)),
            Job::Config(bytes) => ("writing config.json", replace_file(&paths.config, &bytes)),
        };
        if let Err(error) = done {
            let _ = tell.send(News::Failed(what, error));
            let _ = wake.wake();
        }
    }
}

/// Writes everything that is served as a base, and syncs it.
fn write_base(path: &Path, served: &Triple, lists: Vec<Change>, zones: &ZoneSet) -> io::Result<File> {
    let mut writer = BaseWriter::create(path)?;
    let mut items = 0;
    let mut piece = Vec::with_capacity(2 * PIECE);
    for change in lists.into_iter().chain(zones.changes()) {
        put_item(&mut piece, &change).map_err(io::Error::other)?;
        items += 1;
        if piece.len() >= PIECE {
            writer.append(&piece)?;
            piece.clear();
        }
    }
    writer.append(&piece)?;
    writer.count(items);
    let file = writer.finish(served)?;
    file.sync_all()?;
    Ok(file)
}
