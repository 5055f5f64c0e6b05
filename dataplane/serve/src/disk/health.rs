//! The `health` file: the vector in force, so that a start alone does not send clients to what was down.

use std::path::Path;

use geodns_engine::spec::{HealthEntry, ValueId};
use geodns_link::Fault;
use geodns_link::bytes::{Reader, put_count32};
use geodns_link::health::{ENTRY_LEN, put_entry, read_entry};

use super::{DiskFault, FORMAT};

const MAGIC: [u8; 8] = *b"GDNSHLTH";

/// A health vector and whose it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HealthVector {
    /// Zeros when no state was served yet.
    pub lineage: [u8; 16],
    pub epoch: u64,
    pub entries: Vec<(ValueId, HealthEntry)>,
}

impl HealthVector {
    /// The bytes of the file.
    ///
    /// # Errors
    /// More entries than the count can say; the link's limit is far below.
    pub fn encode(&self) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(MAGIC.len() + 2 + 16 + 8 + 4 + self.entries.len() * ENTRY_LEN + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(&self.lineage);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        put_count32(&mut out, self.entries.len())?;
        for (id, entry) in &self.entries {
            put_entry(&mut out, *id, entry);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        Ok(out)
    }

    /// What the bytes of a file say.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DiskFault> {
        let (checked, crc) = bytes.split_last_chunk::<4>().ok_or(Fault::Short("the health file"))?;
        let mut reader = Reader::new(checked, "the health file");
        if reader.array()? != MAGIC {
            return Err(Fault::Malformed("it is not a health file").into());
        }
        let format = reader.u16()?;
        if format != FORMAT {
            return Err(DiskFault::Format(format));
        }
        if u32::from_be_bytes(*crc) != crc32fast::hash(checked) {
            return Err(DiskFault::Checksum);
        }
        let (lineage, epoch, count) = (reader.array()?, reader.u64()?, reader.u32()?);
        let entries = (0..count).map(|_| read_entry(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { lineage, epoch, entries })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The kernel's, or what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, DiskFault> {
        Self::decode(&std::fs::read(path)?)
    }
}
