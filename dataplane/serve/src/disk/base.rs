//! The base: one whole state as an item stream between two checksums.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crc32fast::Hasher;
use geodns_engine::spec::Triple;
use geodns_link::Fault;
use geodns_link::bytes::{Reader, put_triple};

use super::{DiskFault, FORMAT};

const MAGIC: [u8; 8] = *b"GDNSBASE";

/// Magic, format, triple, items, bytes, checksum.
const HEADER_LEN: usize = 8 + 2 + 32 + 8 + 8 + 4;

/// What is read and written at once.
const PIECE: usize = 256 * 1024;

/// Writes a base piece by piece; until `finish` it has no valid header.
#[derive(Debug)]
pub struct BaseWriter {
    file: File,
    pending: Vec<u8>,
    crc: Hasher,
    items: u64,
    bytes: u64,
}

impl BaseWriter {
    /// Begins a base at `path`, replacing what is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(&[0; HEADER_LEN])?;
        Ok(Self { file, pending: Vec::with_capacity(PIECE), crc: Hasher::new(), items: 0, bytes: 0 })
    }

    /// The next bytes of the item stream.
    ///
    /// # Errors
    /// The kernel's.
    pub fn append(&mut self, stream: &[u8]) -> io::Result<()> {
        self.crc.update(stream);
        self.bytes += stream.len() as u64;
        self.pending.extend_from_slice(stream);
        if self.pending.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Tells how many items the bytes so far are.
    pub fn count(&mut self, items: u64) {
        self.items = items;
    }

    /// Writes what is left and the header. The file is whole then, but not yet synced.
    ///
    /// # Errors
    /// The kernel's.
    pub fn finish(mut self, triple: &Triple) -> io::Result<File> {
        self.flush()?;
        self.file.write_all(&self.crc.clone().finalize().to_be_bytes())?;
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT.to_be_bytes());
        put_triple(&mut header, triple);
        header.extend_from_slice(&self.items.to_be_bytes());
        header.extend_from_slice(&self.bytes.to_be_bytes());
        let crc = crc32fast::hash(&header);
        header.extend_from_slice(&crc.to_be_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        Ok(self.file)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

/// What the header of a base says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseHeader {
    pub triple: Triple,
    pub items: u64,
    pub bytes: u64,
}

/// Reads a base piece by piece.
#[derive(Debug)]
pub struct BaseReader {
    file: File,
    header: BaseHeader,
    left: u64,
    crc: Hasher,
    piece: Vec<u8>,
}

impl BaseReader {
    /// Opens the base at `path` and checks its header and its length.
    ///
    /// # Errors
    /// The kernel's, or what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, DiskFault> {
        let mut file = File::open(path)?;
        let mut bytes = [0; HEADER_LEN];
        file.read_exact(&mut bytes).map_err(short)?;
        let header = read_header(&bytes)?;
        let whole = (HEADER_LEN as u64).checked_add(header.bytes).and_then(|length| length.checked_add(4));
        if whole != Some(file.metadata()?.len()) {
            return Err(Fault::Short("the base").into());
        }
        Ok(Self { file, header, left: header.bytes, crc: Hasher::new(), piece: vec![0; PIECE] })
    }

    /// The header.
    pub const fn header(&self) -> BaseHeader {
        self.header
    }

    /// The next bytes of the item stream; `None` when it has ended and its checksum is right. What came before is to be used only then.
    ///
    /// # Errors
    /// The kernel's, or the checksum is not right.
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>, DiskFault> {
        if self.left == 0 {
            let mut crc = [0; 4];
            self.file.read_exact(&mut crc).map_err(short)?;
            return if u32::from_be_bytes(crc) == self.crc.clone().finalize() { Ok(None) } else { Err(DiskFault::Checksum) };
        }
        let length = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let piece = &mut self.piece[..length];
        self.file.read_exact(piece).map_err(short)?;
        self.crc.update(piece);
        self.left -= length as u64;
        Ok(Some(piece))
    }
}

fn short(error: io::Error) -> DiskFault {
    if error.kind() == io::ErrorKind::UnexpectedEof { Fault::Short("the base").into() } else { error.into() }
}

fn read_header(bytes: &[u8; HEADER_LEN]) -> Result<BaseHeader, DiskFault> {
    let mut reader = Reader::new(bytes, "the base");
    if reader.array()? != MAGIC {
        return Err(Fault::Malformed("it is not a base").into());
    }
    let format = reader.u16()?;
    if format != FORMAT {
        return Err(DiskFault::Format(format));
    }
    let header = BaseHeader { triple: reader.triple()?, items: reader.u64()?, bytes: reader.u64()? };
    if reader.u32()? != crc32fast::hash(&bytes[..HEADER_LEN - 4]) {
        return Err(DiskFault::Checksum);
    }
    Ok(header)
}
