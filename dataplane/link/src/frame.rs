//! Frames: `u32 length, u8 type, payload` (`docs/link-protocol.md` section 1).

use geodns_engine::refused::RefusalCode;
use geodns_engine::spec::{HealthEntry, Triple, ValueId};

use crate::bytes::{Reader, put_count16, put_text16, put_triple};
use crate::fault::refusal_code;
use crate::health::{ENTRY_LEN, put_entry, read_entry};
use crate::{Fault, LINK_VERSION};

/// The most that the length field may say: type and payload.
pub const MAX_FRAME: usize = 65_536;

/// The most bytes that one CHUNK, STATUS or EXPLAINED frame carries, with room for its own fields.
pub const MAX_PIECE: usize = MAX_FRAME - 16;

/// The most entries that one HEALTH frame holds.
pub const MAX_FRAME_ENTRIES: usize = (MAX_FRAME - 1 - 8 - 1 - 2) / ENTRY_LEN;

/// The longest reason of a REFUSE, so that it fits any frame and any log line.
const MAX_REASON: usize = 4096;

const LENGTH_LEN: usize = 4;
const MAGIC: [u8; 4] = *b"GDNS";

/// Who runs the dataplane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Control started it, may replace it and ends it.
    Supervised,
    /// Somebody else did; control only attaches.
    Standalone,
}

/// What the peer wants to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Publisher,
    Observer,
}

/// What a transfer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Full,
    Delta,
}

/// The dataplane's first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub link_version: u16,
    pub ownership: Ownership,
    pub pid: u32,
    pub served: Option<Triple>,
    pub health_epoch: u64,
    /// Of the start settings; control compares it with its own and never looks inside.
    pub settings_digest: [u8; 32],
}

/// The start of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    pub kind: Kind,
    pub triple: Triple,
    pub base_revision: u64,
    pub base_tag: u64,
    /// Lineages that the new one descends from.
    pub ancestors: Vec<[u8; 16]>,
}

/// The end of a transfer: what must have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub items: u64,
    pub bytes: u64,
    /// CRC-32 with the zlib polynomial over the whole item stream.
    pub crc: u32,
}

/// A piece of a health vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub epoch: u64,
    /// The first frame of a whole vector.
    pub first: bool,
    /// The last frame of a whole vector.
    pub last: bool,
    pub entries: Vec<(ValueId, HealthEntry)>,
}

/// A transfer or a frame that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuse {
    pub revision: u64,
    pub code: RefusalCode,
    pub reason: String,
}

/// One frame. JSON stays bytes here: its readers are elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame<'a> {
    Hello(Hello),
    Attach { link_version: u16, role: Role },
    Begin(Begin),
    Chunk(&'a [u8]),
    End(End),
    Abort,
    Health(Health),
    Config(&'a [u8]),
    Ack(Triple),
    Refuse(Refuse),
    Status { last: bool, json: &'a [u8] },
    StatusRequest,
    Explain { id: u32, json: &'a [u8] },
    Explained { id: u32, last: bool, json: &'a [u8] },
}

mod types {
    pub const HELLO: u8 = 0x01;
    pub const ATTACH: u8 = 0x02;
    pub const BEGIN: u8 = 0x10;
    pub const CHUNK: u8 = 0x11;
    pub const END: u8 = 0x12;
    pub const ABORT: u8 = 0x13;
    pub const HEALTH: u8 = 0x20;
    pub const CONFIG: u8 = 0x30;
    pub const ACK: u8 = 0x40;
    pub const REFUSE: u8 = 0x41;
    pub const STATUS: u8 = 0x50;
    pub const STATUS_REQUEST: u8 = 0x51;
    pub const EXPLAIN: u8 = 0x60;
    pub const EXPLAINED: u8 = 0x61;
}

impl<'a> Frame<'a> {
    /// The frame that `body` (type and payload, without the length) is.
    ///
    /// # Errors
    /// A type that version 1 does not have, or a payload that is not exactly that type's.
    pub fn decode(body: &'a [u8]) -> Result<Self, Fault> {
        let (&kind, payload) = body.split_first().ok_or(Fault::Short("a frame"))?;
        let mut reader = Reader::new(payload, frame_name(kind)?);
        let frame = match kind {
            types::HELLO => Self::Hello(read_hello(&mut reader)?),
            types::ATTACH => read_attach(&mut reader)?,
            types::BEGIN => Self::Begin(read_begin(&mut reader)?),
            types::CHUNK => return Ok(Self::Chunk(payload)),
            types::END => Self::End(End { items: reader.u64()?, bytes: reader.u64()?, crc: reader.u32()? }),
            types::ABORT => Self::Abort,
            types::HEALTH => Self::Health(read_health(&mut reader)?),
            types::CONFIG => return Ok(Self::Config(payload)),
            types::ACK => Self::Ack(reader.triple()?),
            types::REFUSE => {
                let revision = reader.u64()?;
                let code = refusal_code(reader.u16()?)?;
                Self::Refuse(Refuse { revision, code, reason: reader.text16()?.to_owned() })
            }
            types::STATUS => return Ok(Self::Status { last: reader.flag()?, json: reader.rest() }),
            types::STATUS_REQUEST => Self::StatusRequest,
            types::EXPLAIN => return Ok(Self::Explain { id: reader.u32()?, json: reader.rest() }),
            types::EXPLAINED => return Ok(Self::Explained { id: reader.u32()?, last: reader.flag()?, json: reader.rest() }),
            unknown => return Err(Fault::UnknownFrame(unknown)),
        };
        reader.end()?;
        Ok(frame)
    }

    /// Appends the whole frame, length included.
    ///
    /// # Errors
    /// A payload over the limit of a frame; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_LEN]);
        let written = self.put_body(out).and_then(|()| {
            let length = out.len().saturating_sub(start).saturating_sub(LENGTH_LEN);
            if length > MAX_FRAME {
                return Err(Fault::Limit("a frame of at most 65,536 bytes"));
            }
            u32::try_from(length).map_err(|_| Fault::Limit("a frame of at most 65,536 bytes"))
        });
        match written {
            Ok(length) => {
                if let Some(field) = out.get_mut(start..start.saturating_add(LENGTH_LEN)) {
                    field.copy_from_slice(&length.to_be_bytes());
                }
                Ok(())
            }
            Err(fault) => {
                out.truncate(start);
                Err(fault)
            }
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Hello(hello) => put_hello(out, hello),
            Self::Attach { link_version, role } => {
                out.push(types::ATTACH);
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&link_version.to_be_bytes());
                out.push(match role {
                    Role::Publisher => 0,
                    Role::Observer => 1,
                });
            }
            Self::Begin(begin) => put_begin(out, begin)?,
            Self::Chunk(bytes) => put_bytes(out, types::CHUNK, bytes),
            Self::End(end) => {
                out.push(types::END);
                out.extend_from_slice(&end.items.to_be_bytes());
                out.extend_from_slice(&end.bytes.to_be_bytes());
                out.extend_from_slice(&end.crc.to_be_bytes());
            }
            Self::Abort => out.push(types::ABORT),
            Self::Health(health) => put_health(out, health)?,
            Self::Config(json) => put_bytes(out, types::CONFIG, json),
            Self::Ack(triple) => {
                out.push(types::ACK);
                put_triple(out, triple);
            }
            Self::Refuse(refuse) => {
                out.push(types::REFUSE);
                out.extend_from_slice(&refuse.revision.to_be_bytes());
                out.extend_from_slice(&refuse.code.number().to_be_bytes());
                put_text16(out, clip(&refuse.reason, MAX_REASON))?;
            }
            Self::Status { last, json } => {
                out.extend_from_slice(&[types::STATUS, u8::from(*last)]);
                out.extend_from_slice(json);
            }
            Self::StatusRequest => out.push(types::STATUS_REQUEST),
            Self::Explain { id, json } => {
                out.push(types::EXPLAIN);
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(json);
            }
            Self::Explained { id, last, json } => {
                out.push(types::EXPLAINED);
                out.extend_from_slice(&id.to_be_bytes());
                out.push(u8::from(*last));
                out.extend_from_slice(json);
            }
        }
        Ok(())
    }
}

fn put_bytes(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// The text up to `limit` bytes, cut at a character.
fn clip(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// What faults call a frame of this type; also the list of types that version 1 takes.
const fn frame_name(kind: u8) -> Result<&'static str, Fault> {
    Ok(match kind {
        types::HELLO => "HELLO",
        types::ATTACH => "ATTACH",
        types::BEGIN => "BEGIN",
        types::CHUNK => "CHUNK",
        types::END => "END",
        types::ABORT => "ABORT",
        types::HEALTH => "HEALTH",
        types::CONFIG => "CONFIG",
        types::ACK => "ACK",
        types::REFUSE => "REFUSE",
        types::STATUS => "STATUS",
        types::STATUS_REQUEST => "STATUS_REQUEST",
        types::EXPLAIN => "EXPLAIN",
        types::EXPLAINED => "EXPLAINED",
        unknown => return Err(Fault::UnknownFrame(unknown)),
    })
}

fn read_magic(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.array()? == MAGIC { Ok(()) } else { Err(Fault::Malformed("the peer does not begin with GDNS")) }
}

fn read_hello(reader: &mut Reader<'_>) -> Result<Hello, Fault> {
    read_magic(reader)?;
    let link_version = reader.u16()?;
    if link_version != LINK_VERSION {
        return Err(Fault::Version(link_version));
    }
    let ownership = if reader.flag()? { Ownership::Standalone } else { Ownership::Supervised };
    let pid = reader.u32()?;
    let has_state = reader.flag()?;
    let triple = reader.triple()?;
    if !has_state && triple != Triple::default() {
        return Err(Fault::Malformed("HELLO names a state that it says it has not"));
    }
    let health_epoch = reader.u64()?;
    Ok(Hello { link_version, ownership, pid, served: has_state.then_some(triple), health_epoch, settings_digest: reader.array()? })
}

fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    out.push(types::HELLO);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&hello.link_version.to_be_bytes());
    out.push(match hello.ownership {
        Ownership::Supervised => 0,
        Ownership::Standalone => 1,
    });
    out.extend_from_slice(&hello.pid.to_be_bytes());
    out.push(u8::from(hello.served.is_some()));
    put_triple(out, &hello.served.unwrap_or_default());
    out.extend_from_slice(&hello.health_epoch.to_be_bytes());
    out.extend_from_slice(&hello.settings_digest);
}

fn read_attach<'a>(reader: &mut Reader<'_>) -> Result<Frame<'a>, Fault> {
    read_magic(reader)?;
    let link_version = reader.u16()?;
    // The version comes before everything else: what follows may mean something else in another one.
    if link_version != LINK_VERSION {
        return Err(Fault::Version(link_version));
    }
    let role = if reader.flag()? { Role::Observer } else { Role::Publisher };
    Ok(Frame::Attach { link_version, role })
}

fn read_begin(reader: &mut Reader<'_>) -> Result<Begin, Fault> {
    let kind = match reader.u8()? {
        1 => Kind::Full,
        2 => Kind::Delta,
        _ => return Err(Fault::Malformed("a transfer is neither FULL nor DELTA")),
    };
    let triple = reader.triple()?;
    let base_revision = reader.u64()?;
    let base_tag = reader.u64()?;
    if kind == Kind::Full && (base_revision, base_tag) != (0, 0) {
        return Err(Fault::Malformed("a FULL names a base"));
    }
    let count = reader.u8()?;
    let ancestors = (0..count).map(|_| reader.array()).collect::<Result<_, _>>()?;
    Ok(Begin { kind, triple, base_revision, base_tag, ancestors })
}

fn put_begin(out: &mut Vec<u8>, begin: &Begin) -> Result<(), Fault> {
    out.push(types::BEGIN);
    out.push(match begin.kind {
        Kind::Full => 1,
        Kind::Delta => 2,
    });
    put_triple(out, &begin.triple);
    out.extend_from_slice(&begin.base_revision.to_be_bytes());
    out.extend_from_slice(&begin.base_tag.to_be_bytes());
    out.push(u8::try_from(begin.ancestors.len()).map_err(|_| Fault::Limit("a list of at most 255 ancestors"))?);
    begin.ancestors.iter().for_each(|ancestor| out.extend_from_slice(ancestor));
    Ok(())
}

fn read_health(reader: &mut Reader<'_>) -> Result<Health, Fault> {
    let epoch = reader.u64()?;
    let flags = reader.u8()?;
    if flags & !0b11 != 0 {
        return Err(Fault::Malformed("HEALTH has unknown flags"));
    }
    let count = reader.u16()?;
    let entries = (0..count).map(|_| read_entry(reader)).collect::<Result<_, _>>()?;
    Ok(Health { epoch, first: flags & 0b01 != 0, last: flags & 0b10 != 0, entries })
}

fn put_health(out: &mut Vec<u8>, health: &Health) -> Result<(), Fault> {
    out.push(types::HEALTH);
    out.extend_from_slice(&health.epoch.to_be_bytes());
    out.push(u8::from(health.first) | (u8::from(health.last) << 1));
    put_count16(out, health.entries.len())?;
    health.entries.iter().for_each(|(id, entry)| put_entry(out, *id, entry));
    Ok(())
}

/// Cuts a byte stream into frame bodies. Holds at most one frame and what was pushed behind it.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl FrameBuffer {
    /// Takes what has arrived.
    pub fn push(&mut self, arrived: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.start = 0;
        }
        self.bytes.extend_from_slice(arrived);
    }

    /// The next whole frame body (type and payload), if it is there.
    ///
    /// # Errors
    /// A length of 0 or over the limit: the stream cannot be followed any further.
    pub fn pull(&mut self) -> Result<Option<&[u8]>, Fault> {
        let waiting = self.bytes.get(self.start..).unwrap_or_default();
        let Some((field, rest)) = waiting.split_first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*field)).map_err(|_| Fault::Limit("a frame"))?;
        if length == 0 {
            return Err(Fault::Malformed("a frame is empty"));
        }
        if length > MAX_FRAME {
            return Err(Fault::Limit("a frame of at most 65,536 bytes"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        self.start = self.start.saturating_add(LENGTH_LEN).saturating_add(length);
        Ok(Some(body))
    }

    /// Bytes that wait for the rest of their frame.
    pub fn waiting(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }
}

/// Appends a whole health vector as HEALTH frames of one epoch; an empty vector is one empty frame.
///
/// # Errors
/// None that these frames can reach; the signature is `encode`'s.
pub fn put_whole_health(out: &mut Vec<u8>, epoch: u64, entries: &[(ValueId, HealthEntry)]) -> Result<(), Fault> {
    let pieces = entries.len().div_ceil(MAX_FRAME_ENTRIES).max(1);
    for number in 0..pieces {
        let from = number.saturating_mul(MAX_FRAME_ENTRIES);
        let to = from.saturating_add(MAX_FRAME_ENTRIES).min(entries.len());
        let entries = entries.get(from..to).unwrap_or_default().to_vec();
        let last = number.saturating_add(1) == pieces;
        Frame::Health(Health { epoch, first: number == 0, last, entries }).encode(out)?;
    }
    Ok(())
}

/// Cuts a JSON document into pieces for STATUS or EXPLAINED frames; `true` marks the last, and an empty document is one piece.
pub fn pieces(json: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let count = json.len().div_ceil(MAX_PIECE).max(1);
    (0..count).map(move |number| {
        let from = number.saturating_mul(MAX_PIECE);
        let to = from.saturating_add(MAX_PIECE).min(json.len());
        (number.saturating_add(1) == count, json.get(from..to).unwrap_or_default())
    })
}
