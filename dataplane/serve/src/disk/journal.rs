//! The journal: the deltas adopted since the base, appended before each is acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use geodns_engine::spec::Triple;
use geodns_link::Fault;
use geodns_link::bytes::{Reader, put_count32, put_triple};

use super::{DiskFault, FORMAT};

const MAGIC: [u8; 8] = *b"GDNSJRNL";

/// Magic, format, triple of the base, checksum.
const HEADER_LEN: usize = 8 + 2 + 32 + 4;

/// Length and checksum before a body.
const ENTRY_HEADER_LEN: usize = 8;

/// Triple, base revision and base tag at the start of a body.
const ENTRY_FIXED_LEN: usize = 32 + 8 + 8;

/// One delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub triple: Triple,
    pub base_revision: u64,
    pub base_tag: u64,
    pub items: &'a [u8],
}

/// A journal that is written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Bytes of whole entries and the header; what lies behind is torn.
    length: u64,
    is_unsynced: bool,
}

impl Journal {
    /// Begins a journal on the state `base`, replacing what is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(path: &Path, base: &Triple) -> io::Result<Self> {
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT.to_be_bytes());
        put_triple(&mut header, base);
        let crc = crc32fast::hash(&header);
        header.extend_from_slice(&crc.to_be_bytes());
        let mut file = File::create(path)?;
        file.write_all(&header)?;
        Ok(Self { file, length: header.len() as u64, is_unsynced: false })
    }

    /// Goes on with the journal at `path`, of which `length` bytes are whole; what lies behind is cut off.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resume(path: &Path, length: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(Self { file, length, is_unsynced: false })
    }

    /// Appends one delta. What was written of it is taken back when it does not fit.
    ///
    /// # Errors
    /// The kernel's: a full disk, most likely.
    pub fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let mut body = Vec::with_capacity(ENTRY_FIXED_LEN + entry.items.len());
        put_triple(&mut body, &entry.triple);
        body.extend_from_slice(&entry.base_revision.to_be_bytes());
        body.extend_from_slice(&entry.base_tag.to_be_bytes());
        body.extend_from_slice(entry.items);
        let mut bytes = Vec::with_capacity(ENTRY_HEADER_LEN + body.len());
        put_count32(&mut bytes, body.len()).map_err(|fault| io::Error::new(io::ErrorKind::FileTooLarge, fault))?;
        bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        bytes.extend_from_slice(&body);
        let written = self.file.write_all(&bytes);
        match written {
            Ok(()) => {
                self.length += bytes.len() as u64;
                self.is_unsynced = true;
            }
            Err(_) => {
                // Failing that too, the torn entry is cut off at the next start.
                let _ = self.file.set_len(self.length);
                let _ = self.file.seek(SeekFrom::Start(self.length));
            }
        }
        written
    }

    /// Bytes of the journal.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// A second handle for the thread that syncs, when anything was appended since the last call.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unsynced(&mut self) -> Option<io::Result<File>> {
        std::mem::take(&mut self.is_unsynced).then(|| self.file.try_clone())
    }
}

/// What was read of a journal.
#[derive(Debug)]
pub struct ReadJournal {
    bytes: Vec<u8>,
    /// Where each whole entry begins, and where the last one ends.
    bounds: Vec<usize>,
}

impl ReadJournal {
    /// Reads the journal at `path` up to the first thing that is not whole.
    ///
    /// # Errors
    /// The kernel's, or the header is not right.
    pub fn open(path: &Path) -> Result<Self, DiskFault> {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        read_header(&bytes)?;
        let mut end = HEADER_LEN;
        let mut bounds = vec![end];
        while let Some(length) = whole_entry(&bytes[end..]) {
            end += length;
            bounds.push(end);
        }
        Ok(Self { bytes, bounds })
    }

    /// How many whole entries there are.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes behind the last whole entry.
    pub fn torn(&self) -> usize {
        self.bytes.len() - self.end_of(self.len())
    }

    /// Bytes of the header and the first `count` entries.
    pub fn end_of(&self, count: usize) -> usize {
        self.bounds.get(count).or(self.bounds.last()).copied().unwrap_or(HEADER_LEN)
    }

    /// The whole entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.bounds.windows(2).filter_map(|bound| read_entry(&self.bytes[bound[0]..bound[1]]))
    }
}

fn read_header(bytes: &[u8]) -> Result<Triple, DiskFault> {
    let mut reader = Reader::new(bytes, "the journal");
    if reader.array()? != MAGIC {
        return Err(Fault::Malformed("it is not a journal").into());
    }
    let format = reader.u16()?;
    if format != FORMAT {
        return Err(DiskFault::Format(format));
    }
    let triple = reader.triple()?;
    if reader.u32()? != crc32fast::hash(&bytes[..HEADER_LEN - 4]) {
        return Err(DiskFault::Checksum);
    }
    Ok(triple)
}

/// The length of the entry at the front of `bytes`; `None` when there is none that is whole.
fn whole_entry(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes, "the journal");
    let length = usize::try_from(reader.u32().ok()?).ok()?;
    let crc = reader.u32().ok()?;
    let body = reader.take(length).ok()?;
    (length >= ENTRY_FIXED_LEN && crc32fast::hash(body) == crc).then_some(ENTRY_HEADER_LEN + length)
}

/// What an entry that is whole says.
fn read_entry(bytes: &[u8]) -> Option<Entry<'_>> {
    let mut reader = Reader::new(bytes, "the journal");
    reader.take(ENTRY_HEADER_LEN).ok()?;
    let triple = reader.triple().ok()?;
    let base_revision = reader.u64().ok()?;
    let base_tag = reader.u64().ok()?;
    Some(Entry { triple, base_revision, base_tag, items: reader.rest() })
}
