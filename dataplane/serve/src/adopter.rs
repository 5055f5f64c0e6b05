//! Takes over what control publishes: transfers, health, configuration. Builds the next view beside the one in force, checks it wholly, swaps, writes it
//! down, and only then says so. Owned by one thread; it knows no sockets, and workers know nothing of it but `Published`.

use std::sync::Arc;
use std::time::Instant;

use crc32fast::Hasher;
use geodns_engine::location::LocationSet;
use geodns_engine::refused::{RefusalCode, Refused};
use geodns_engine::spec::{Change, HealthEntry, Prefix, Triple, ValueId};
use geodns_engine::steer::{HealthUpdate, SteeringEditor};
use geodns_engine::view::{Options, View};
use geodns_engine::zones::{ZoneEditor, ZoneSet};
use geodns_link::frame::{Begin, End, Health, Kind};
use geodns_link::item::ItemBuffer;

use crate::disk::deathmark::DeathMark;
use crate::disk::health::HealthVector;
use crate::disk::journal::Entry;
use crate::disk::recovery::Recovered;
use crate::disk::state::StateDisk;
use crate::log;
use crate::merger::Merger;
use crate::published::Published;
use crate::reaper::Reaper;

/// The most bytes of a FULL: ten million names.
const MAX_FULL_BYTES: u64 = 1024 * 1024 * 1024;

/// The most bytes of a DELTA, which is held in memory until it is in the journal. Half a million owner names; more is better sent as a FULL.
const MAX_DELTA_BYTES: u64 = 64 * 1024 * 1024;

/// The most entries of a health vector: ten times what the design asks for.
const MAX_HEALTH_ENTRIES: usize = 1_000_000;

/// Deltas after which steering lets go of what no rrset uses any more. It looks at everything, so it is not done each time.
const DELTAS_BETWEEN_CLEANING: u32 = 1000;

/// What is served and how it changes.
#[derive(Debug)]
pub struct Adopter {
    published: Arc<Published>,
    threads: Threads,
    disk: StateDisk,
    mark: DeathMark,
    zones: Arc<ZoneSet>,
    /// Keys the hashes of names, so that nobody outside can make them collide.
    seed: u64,
    steering: SteeringEditor,
    locations: Arc<LocationSet>,
    options: Arc<Options>,
    sticky_prefix: (u8, u8),
    served: Option<Triple>,
    /// Of the vector in force.
    health_epoch: u64,
    /// What this publisher has said last; older is ignored.
    least_epoch: u64,
    vector: Option<PartialVector>,
    transfer: Transfer,
    deltas: u32,
}

/// Who does for the adopter what takes long.
#[derive(Debug)]
pub struct Threads {
    /// Frees what is no longer served.
    pub reaper: Reaper,
    /// Makes merged maps of what is served.
    pub merger: Merger,
}

/// A whole health vector that is arriving.
#[derive(Debug)]
struct PartialVector {
    epoch: u64,
    entries: Vec<(ValueId, HealthEntry)>,
}

/// What the publisher is in the middle of.
#[derive(Debug)]
enum Transfer {
    /// Nothing.
    Idle,
    /// A transfer that has been refused and whose rest is still arriving.
    Refused,
    Arriving(Box<Arriving>),
}

/// A transfer under way.
#[derive(Debug)]
struct Arriving {
    begin: Begin,
    buffer: ItemBuffer,
    crc: Hasher,
    items: u64,
    bytes: u64,
    zones: ZoneEditor,
    kind: ArrivingKind,
}

#[derive(Debug)]
enum ArrivingKind {
    /// Built wholly beside what is served; its bytes are on disk already, as far as the disk took them.
    Full(Box<SteeringEditor>),
    /// Bytes for the journal. From the first list on, changes wait for the end: a list is shared with what is served.
    Delta { stream: Vec<u8>, waiting: Vec<Change> },
}

impl Adopter {
    /// Begins with what was found on disk and publishes it.
    pub fn new(recovered: Recovered, seed: u64, mark: DeathMark, disk: StateDisk, published: Arc<Published>, threads: Threads) -> Self {
        let mut adopter = Self {
            published,
            threads,
            disk,
            mark,
            zones: Arc::new(recovered.zones),
            seed,
            steering: recovered.steering,
            locations: Arc::default(),
            options: Arc::default(),
            sticky_prefix: crate::config::DEFAULT_STICKY_PREFIX,
            served: recovered.served,
            health_epoch: recovered.health.epoch,
            least_epoch: 0,
            vector: None,
            transfer: Transfer::Idle,
            deltas: 0,
        };
        adopter.steering.set_health(HealthUpdate::Whole(recovered.health.entries));
        adopter.publish();
        adopter
    }

    /// The state in force.
    pub const fn served(&self) -> Option<Triple> {
        self.served
    }

    /// The epoch of the health vector in force.
    pub const fn health_epoch(&self) -> u64 {
        self.health_epoch
    }

    /// The health vector in force.
    pub fn health(&self) -> Vec<(ValueId, HealthEntry)> {
        self.steering.health()
    }

    /// What is on disk, and what is wrong with it.
    pub const fn disk(&self) -> &StateDisk {
        &self.disk
    }

    /// Zones and owner names served.
    pub fn size(&self) -> (usize, usize) {
        (self.zones.zones(), self.zones.owners())
    }

    /// A view of what is in force, for explaining.
    pub fn view(&mut self) -> Arc<View> {
        let (tables, health) = self.steering.tables();
        Arc::new(View { zones: Arc::clone(&self.zones), tables, health, options: Arc::clone(&self.options), triple: self.served })
    }

    fn publish(&mut self) {
        let view = self.view();
        self.threads.reaper.retire(self.published.swap(view));
        self.begin_merging();
    }

    fn begin_merging(&mut self) {
        if !self.threads.merger.is_busy()
            && let Some(job) = self.steering.next_merge()
        {
            self.threads.merger.begin(job);
        }
    }

    /// Puts a map in force that was made beside what is served.
    pub fn take_merged(&mut self) {
        let Some(merged) = self.threads.merger.take() else { return };
        if self.steering.put_merged(merged) {
            self.publish();
        } else {
            self.begin_merging();
        }
    }

    /// Forgets the transfer under way, if any.
    pub fn abort(&mut self) {
        if matches!(&self.transfer, Transfer::Arriving(arriving) if matches!(arriving.kind, ArrivingKind::Full(_))) {
            self.disk.forget_incoming();
        }
        self.transfer = Transfer::Idle;
    }

    /// BEGIN.
    ///
    /// # Errors
    /// The transfer will not be adopted; what follows of it is passed over.
    pub fn begin(&mut self, begin: Begin) -> Result<(), Refused> {
        let in_order = matches!(self.transfer, Transfer::Idle | Transfer::Refused);
        self.abort();
        self.transfer = Transfer::Refused;
        if !in_order {
            return Err(Refused::new(RefusalCode::State, "a transfer begins before the last one has ended"));
        }
        self.judge(&begin)?;
        let (zones, kind) = match begin.kind {
            Kind::Full => {
                let mut steering = SteeringEditor::new();
                steering.set_locations(Arc::clone(&self.locations));
                steering.set_sticky_prefix(self.sticky_prefix.0, self.sticky_prefix.1);
                self.disk.begin_incoming();
                (ZoneSet::new(self.seed).edit(), ArrivingKind::Full(Box::new(steering)))
            }
            Kind::Delta => (self.zones.edit(), ArrivingKind::Delta { stream: Vec::new(), waiting: Vec::new() }),
        };
        self.transfer = Transfer::Arriving(Box::new(Arriving {
            begin,
            buffer: ItemBuffer::default(),
            crc: Hasher::new(),
            items: 0,
            bytes: 0,
            zones,
            kind,
        }));
        Ok(())
    }

    /// Older never replaces newer, and another history never replaces this one (`docs/link-protocol.md` section 1, "Adoption").
    ///
    /// | offered | served | verdict |
    /// |---|---|---|
    /// | any | killed the process | STATE |
    /// | FULL | none | take |
    /// | FULL | of a lineage among its ancestors | take |
    /// | FULL | of another lineage | LINEAGE |
    /// | FULL | older than it, or the very same | take |
    /// | FULL | newer than it, or of the same revision with another tag | STALE |
    /// | DELTA | none, or not its base | BASE |
    /// | DELTA | of another lineage | LINEAGE |
    /// | DELTA | its base, and it goes forward | take |
    fn judge(&self, begin: &Begin) -> Result<(), Refused> {
        let offered = begin.triple;
        if self.mark.refused() == Some(offered) {
            return Err(Refused::new(RefusalCode::State, format!("revision {} has killed this process twice", offered.revision)));
        }
        let Some(served) = self.served else {
            return match begin.kind {
                Kind::Full => Ok(()),
                Kind::Delta => Err(Refused::new(RefusalCode::Base, "nothing is served yet")),
            };
        };
        if begin.kind == Kind::Full && begin.ancestors.contains(&served.lineage) && offered.lineage != served.lineage {
            return Ok(());
        }
        if offered.lineage != served.lineage {
            return Err(Refused::new(RefusalCode::Lineage, "another history is served"));
        }
        match begin.kind {
            Kind::Full if offered == served || offered.revision > served.revision => Ok(()),
            Kind::Full => Err(Refused::new(RefusalCode::Stale, format!("revision {} is served", served.revision))),
            Kind::Delta if (begin.base_revision, begin.base_tag) != (served.revision, served.tag) => {
                Err(Refused::new(RefusalCode::Base, format!("revision {} is served, not the base", served.revision)))
            }
            Kind::Delta if offered.revision <= served.revision => {
                Err(Refused::new(RefusalCode::Stale, format!("revision {} is served", served.revision)))
            }
            Kind::Delta => Ok(()),
        }
    }

    /// CHUNK.
    ///
    /// # Errors
    /// The transfer is refused whole; what follows of it is passed over.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        match &mut self.transfer {
            Transfer::Refused => Ok(()),
            Transfer::Idle => {
                self.transfer = Transfer::Refused;
                Err(Refused::new(RefusalCode::State, "a chunk without a transfer"))
            }
            Transfer::Arriving(arriving) => {
                let is_full = matches!(arriving.kind, ArrivingKind::Full(_));
                let taken = arriving.take(bytes, &mut self.steering);
                match taken {
                    Ok(()) if is_full => self.disk.append_incoming(bytes),
                    Ok(()) => {}
                    Err(_) => {
                        self.abort();
                        self.transfer = Transfer::Refused;
                    }
                }
                taken
            }
        }
    }

    /// The revision that the transfer under way is to bring, for a refusal.
    pub fn arriving_revision(&self) -> u64 {
        match &self.transfer {
            Transfer::Arriving(arriving) => arriving.begin.triple.revision,
            Transfer::Idle | Transfer::Refused => 0,
        }
    }

    /// END: `None` at the end of what was refused before.
    ///
    /// # Errors
    /// The transfer is refused whole, and what was served is served on.
    pub fn end(&mut self, end: End) -> Result<Option<Triple>, Refused> {
        let arriving = match std::mem::replace(&mut self.transfer, Transfer::Idle) {
            Transfer::Refused => return Ok(None),
            Transfer::Idle => return Err(Refused::new(RefusalCode::State, "the end of no transfer")),
            Transfer::Arriving(arriving) => *arriving,
        };
        arriving.check_end(&end).inspect_err(|_| self.disk.forget_incoming())?;
        let triple = arriving.begin.triple;
        match arriving.kind {
            ArrivingKind::Full(steering) => self.adopt_full(triple, arriving.zones, *steering, end.items)?,
            ArrivingKind::Delta { stream, waiting } => self.adopt_delta(&arriving.begin, arriving.zones, &stream, waiting)?,
        }
        Ok(Some(triple))
    }

    fn adopt_full(&mut self, triple: Triple, zones: ZoneEditor, mut steering: SteeringEditor, items: u64) -> Result<(), Refused> {
        let zones = zones.finish().inspect_err(|_| self.disk.forget_incoming())?;
        // Health that came between the chunks is in the editor that is served so far.
        steering.set_health(HealthUpdate::Whole(self.steering.health()));
        self.zones = Arc::new(zones);
        self.steering = steering;
        self.served = Some(triple);
        self.deltas = 0;
        self.mark.begin_probation(self.served, true, Instant::now());
        self.publish();
        self.disk.commit_incoming(&triple, items);
        let (zones, owners) = self.size();
        log::info("adopted a whole state", &[("revision", &triple.revision), ("zones", &zones), ("owners", &owners)]);
        Ok(())
    }

    fn adopt_delta(&mut self, begin: &Begin, mut zones: ZoneEditor, stream: &[u8], waiting: Vec<Change>) -> Result<(), Refused> {
        let mut undo: Vec<(String, Option<Vec<Prefix>>)> = Vec::new();
        let applied = waiting.into_iter().try_for_each(|change| {
            if let Change::PutList { name, .. } | Change::DropList { name } = &change {
                let before = self.steering.lists().find(|(known, _)| known == name).map(|(_, prefixes)| prefixes.to_vec());
                undo.push((name.clone(), before));
            }
            zones.apply(change, &mut self.steering)
        });
        match applied.and_then(|()| zones.finish()) {
            Ok(zones) => self.zones = Arc::new(zones),
            Err(refused) => {
                for (name, before) in undo.into_iter().rev() {
                    match before {
                        Some(prefixes) => self.steering.put_list(name, prefixes)?,
                        None => self.steering.drop_list(&name),
                    }
                }
                return Err(refused);
            }
        }
        self.served = Some(begin.triple);
        self.deltas += 1;
        if self.deltas >= DELTAS_BETWEEN_CLEANING {
            self.deltas = 0;
            self.steering.forget_unused();
        }
        self.mark.begin_probation(self.served, false, Instant::now());
        self.publish();
        let entry = Entry { triple: begin.triple, base_revision: begin.base_revision, base_tag: begin.base_tag, items: stream };
        self.disk.append(&entry);
        Ok(())
    }

    /// Another publisher takes over: what the last one left unfinished is forgotten, and epochs may begin anew.
    pub fn change_publisher(&mut self) {
        self.abort();
        self.vector = None;
        self.least_epoch = 0;
    }

    /// HEALTH.
    ///
    /// # Errors
    /// More entries than the dataplane takes, or the end of a vector that did not begin.
    pub fn health_frame(&mut self, health: Health) -> Result<(), Refused> {
        if health.epoch < self.least_epoch {
            return Ok(());
        }
        if health.first {
            self.vector = Some(PartialVector { epoch: health.epoch, entries: Vec::new() });
        }
        let epoch = health.epoch;
        let update = match &mut self.vector {
            Some(vector) if vector.epoch == epoch => {
                if vector.entries.len() + health.entries.len() > MAX_HEALTH_ENTRIES {
                    self.vector = None;
                    return Err(Refused::limit("a health vector has over a million entries"));
                }
                vector.entries.extend(health.entries);
                if !health.last {
                    return Ok(());
                }
                self.vector.take().map(|vector| HealthUpdate::Whole(vector.entries))
            }
            _ if health.last => return Err(Refused::new(RefusalCode::State, "the end of a health vector that did not begin")),
            _ => Some(HealthUpdate::Changes(health.entries)),
        };
        self.health_epoch = epoch;
        self.least_epoch = epoch;
        if update.is_some_and(|update| self.steering.set_health(update)) {
            self.publish();
            self.disk.health_changed();
        }
        Ok(())
    }

    /// Puts options in force.
    pub fn set_options(&mut self, options: Options, sticky_prefix: (u8, u8)) {
        self.options = Arc::new(options);
        self.sticky_prefix = sticky_prefix;
        self.steering.set_sticky_prefix(sticky_prefix.0, sticky_prefix.1);
        self.publish();
    }

    /// Puts location databases in force. A FULL that is arriving gets them too.
    pub fn set_locations(&mut self, locations: Arc<LocationSet>) {
        self.locations = Arc::clone(&locations);
        if let Transfer::Arriving(arriving) = &mut self.transfer
            && let ArrivingKind::Full(steering) = &mut arriving.kind
        {
            steering.set_locations(Arc::clone(&locations));
        }
        self.steering.set_locations(locations);
        self.publish();
    }

    /// What a CONFIG was, to be kept for a start alone.
    pub fn keep_config(&mut self, json: &[u8]) {
        self.disk.keep_config(json);
    }

    /// What is due from time to time: syncing, the health file, compaction, the end of a probation.
    pub fn tick(&mut self, now: Instant) {
        self.mark.tick(now);
        let vector = || health_vector(self.served, self.health_epoch, &self.steering);
        self.disk.write_health(vector);
        self.disk.sync(now);
        if let Some(served) = self.served
            && self.disk.wants_compaction(now)
        {
            let lists =
                self.steering.lists().map(|(name, prefixes)| Change::PutList { name: name.to_owned(), prefixes: prefixes.to_vec() });
            self.disk.compact(served, lists.collect(), Arc::clone(&self.zones));
        }
    }

    /// Takes what the threads of the disk have to tell.
    pub fn take_disk_news(&mut self) {
        self.disk.take_news();
    }

    /// The end: what is in memory and not yet on disk.
    pub fn shut_down(&mut self) {
        self.abort();
        self.disk.shut_down(&health_vector(self.served, self.health_epoch, &self.steering));
    }
}

fn health_vector(served: Option<Triple>, epoch: u64, steering: &SteeringEditor) -> HealthVector {
    HealthVector { lineage: served.map_or([0; 16], |triple| triple.lineage), epoch, entries: steering.health() }
}

impl Arriving {
    fn take(&mut self, bytes: &[u8], served: &mut SteeringEditor) -> Result<(), Refused> {
        let limit = match self.begin.kind {
            Kind::Full => MAX_FULL_BYTES,
            Kind::Delta => MAX_DELTA_BYTES,
        };
        self.bytes += bytes.len() as u64;
        if self.bytes > limit {
            return Err(Refused::limit(format!("a transfer of over {limit} bytes")));
        }
        self.crc.update(bytes);
        self.buffer.push(bytes);
        if let ArrivingKind::Delta { stream, .. } = &mut self.kind {
            stream.extend_from_slice(bytes);
        }
        while let Some(change) = self.buffer.pull()? {
            self.items += 1;
            match &mut self.kind {
                ArrivingKind::Full(steering) => {
                    if matches!(change, Change::DropZone { .. } | Change::DropList { .. }) {
                        return Err(Refused::malformed("a FULL drops something"));
                    }
                    self.zones.apply(change, steering)?;
                }
                ArrivingKind::Delta { waiting, .. } => {
                    if !waiting.is_empty() || matches!(change, Change::PutList { .. } | Change::DropList { .. }) {
                        waiting.push(change);
                    } else {
                        self.zones.apply(change, served)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_end(&self, end: &End) -> Result<(), Refused> {
        if !self.buffer.is_between_items() {
            return Err(Refused::malformed("a transfer ends inside an item"));
        }
        if (self.items, self.bytes) != (end.items, end.bytes) {
            return Err(Refused::new(
                RefusalCode::Checksum,
                format!("{} items in {} bytes arrived, {} in {} were sent", self.items, self.bytes, end.items, end.bytes),
            ));
        }
        if self.crc.clone().finalize() != end.crc {
            return Err(Refused::new(RefusalCode::Checksum, "the checksum of the transfer does not match"));
        }
        Ok(())
    }
}
