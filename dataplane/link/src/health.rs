//! Health entries, in HEALTH frames and in the `health` file alike (`docs/link-protocol.md` section 4).

use geodns_engine::spec::{HealthEntry, Override, ValueId};

use crate::Fault;
use crate::bytes::Reader;

/// Bytes of one entry.
pub const ENTRY_LEN: usize = 4 + 1 + 2 + 4 + 8;

/// The weight factor of a value in full service.
const MAX_FACTOR: u16 = 1000;

/// In place of a ttl bound: there is none.
const NO_BOUND: u32 = u32::MAX;

const DOWN: u8 = 0b001;
const OVERRIDE_SHIFT: u8 = 1;
const KNOWN_BITS: u8 = 0b111;

/// One entry off the front of `reader`.
///
/// # Errors
/// The bytes end early, or a field is out of its range.
pub fn read_entry(reader: &mut Reader<'_>) -> Result<(ValueId, HealthEntry), Fault> {
    let id = reader.u32()?;
    let state = reader.u8()?;
    let factor = reader.u16()?;
    let bound = reader.u32()?;
    let since_ms = reader.u64()?;
    if id == 0 {
        return Err(Fault::Malformed("value id 0 is not used"));
    }
    if state & !KNOWN_BITS != 0 {
        return Err(Fault::Malformed("a health state has unknown bits"));
    }
    if factor > MAX_FACTOR {
        return Err(Fault::Malformed("a weight factor is over 1000"));
    }
    let operator = match state >> OVERRIDE_SHIFT {
        0 => Override::None,
        1 => Override::Up,
        2 => Override::Down,
        _ => Override::Drain,
    };
    let ttl_bound = if bound == NO_BOUND { None } else { Some(bound) };
    Ok((id, HealthEntry { down: state & DOWN != 0, operator, factor, ttl_bound, since_ms }))
}

/// One entry behind what `out` holds.
pub fn put_entry(out: &mut Vec<u8>, id: ValueId, entry: &HealthEntry) {
    let operator: u8 = match entry.operator {
        Override::None => 0,
        Override::Up => 1,
        Override::Down => 2,
        Override::Drain => 3,
    };
    out.extend_from_slice(&id.to_be_bytes());
    out.push(u8::from(entry.down) | (operator << OVERRIDE_SHIFT));
    out.extend_from_slice(&entry.factor.to_be_bytes());
    out.extend_from_slice(&entry.ttl_bound.unwrap_or(NO_BOUND).to_be_bytes());
    out.extend_from_slice(&entry.since_ms.to_be_bytes());
}
