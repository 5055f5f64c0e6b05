//! What a decision reads of one rrset, in one piece of memory:
//!
//! ```text
//! block = rules × u16 pool, pools × pool, values × value, rdata
//! pool  = u32 first value, u32 number of values, u32 number of sites, u16 fallback (0xffff = none), two bytes of nothing
//! value = u32 slot, u32 weight, u32 end of its rdata, u8 status, u8 drained, two bytes of nothing
//! ```
//!
//! The record's own values stand last among the values, with weight 1. Integers are little-endian, which most machines read as they are.

use std::hint::black_box;

use super::health::Slot;
use super::steered::{Pool, StickyValue, Value};
use crate::ahead::{FETCHED_VALUES, LINE};
use crate::spec::{Rdata, Status, SteeringSpec, ValueId};

const NO_FALLBACK: u16 = u16::MAX;
const RULE_BYTES: usize = 2;
const POOL_BYTES: usize = 16;
const VALUE_BYTES: usize = 16;

/// Cache lines that are read ahead: `FETCHED_VALUES` and what stands before them, where there are not more rules and pools than usual.
const FETCHED_LINES: usize = FETCHED_VALUES * VALUE_BYTES / LINE;

/// The block, and where its parts begin.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Box<[u8]>,
    pools_at: u32,
    values_at: u32,
    rdata_at: u32,
    /// Number of the first own value.
    pub(super) own_first: u32,
}

impl Block {
    /// Lays out a checked spec. `sites` numbers the sites of each pool's values.
    pub(super) fn new(spec: &SteeringSpec, sites: &[Vec<StickyValue>], mut slot: impl FnMut(ValueId) -> Slot) -> Self {
        let mut bytes = Vec::new();
        for rule in &spec.rules {
            bytes.extend(rule.pool.to_le_bytes());
        }
        let pools_at = count(bytes.len());
        let mut first = 0_u32;
        for (pool, sites) in spec.pools.iter().zip(sites) {
            let values = count(pool.values.len());
            let sites = sites.iter().map(|value| value.site.saturating_add(1)).max().unwrap_or(0);
            for number in [first, values, sites] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(pool.fallback.unwrap_or(NO_FALLBACK).to_le_bytes());
            bytes.extend([0, 0]);
            first = first.saturating_add(values);
        }
        let values_at = count(bytes.len());
        let mut rdata = Vec::new();
        let mut put_value = |id, weight: u32, status: Status, drained: bool, octets: &Rdata| {
            rdata.extend_from_slice(octets);
            for number in [slot(id), weight, count(rdata.len())] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend([status as u8, drained.into(), 0, 0]);
        };
        for value in spec.pools.iter().flat_map(|pool| &pool.values) {
            put_value(value.id, value.weight, value.status, value.drained, &value.rdata);
        }
        for value in &spec.values {
            put_value(value.id, 1, Status::Obey, false, &value.rdata);
        }
        let rdata_at = count(bytes.len());
        bytes.extend_from_slice(&rdata);
        Self { bytes: bytes.into(), pools_at, values_at, rdata_at, own_first: first }
    }

    #[inline]
    fn read<const N: usize>(&self, start: u32, number: usize, size: usize) -> Option<&[u8; N]> {
        self.bytes.get((start as usize).wrapping_add(number.wrapping_mul(size))..)?.first_chunk()
    }

    /// Fetches the block (`ahead`).
    pub(super) fn fetch(&self) {
        for first in self.bytes.iter().step_by(LINE).take(FETCHED_LINES) {
            black_box(*first);
        }
    }

    pub(super) fn rule_pool(&self, rule: u16) -> Option<u16> {
        self.read(0, usize::from(rule), RULE_BYTES).map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(super) fn pool(&self, pool: u16) -> Option<Pool> {
        let [f0, f1, f2, f3, c0, c1, c2, c3, s0, s1, s2, s3, b0, b1, ..] =
            *self.read::<POOL_BYTES>(self.pools_at, usize::from(pool), POOL_BYTES)?;
        let fallback = u16::from_le_bytes([b0, b1]);
        Some(Pool {
            first: u32::from_le_bytes([f0, f1, f2, f3]),
            count: u32::from_le_bytes([c0, c1, c2, c3]),
            sites: u32::from_le_bytes([s0, s1, s2, s3]),
            fallback: (fallback != NO_FALLBACK).then_some(fallback),
        })
    }

    /// Values from number `first` on, at most `count` of them.
    #[inline]
    pub(super) fn values(&self, first: u32, count: u32) -> impl Iterator<Item = (u32, Value)> {
        let values = self.bytes.get(self.values_at as usize..self.rdata_at as usize).unwrap_or_default().as_chunks::<VALUE_BYTES>().0;
        let wanted = values.get(first as usize..).unwrap_or_default();
        let wanted = wanted.get(..count as usize).unwrap_or(wanted);
        (first..).zip(wanted.iter().map(read_value))
    }

    pub(super) fn rdata(&self, value: u32) -> Option<&[u8]> {
        let end = |number: u32| {
            let [.., e0, e1, e2, e3, _, _, _, _] = *self.read::<VALUE_BYTES>(self.values_at, number as usize, VALUE_BYTES)?;
            Some(u32::from_le_bytes([e0, e1, e2, e3]) as usize)
        };
        let start = value.checked_sub(1).map_or(Some(0), end)?;
        self.bytes.get(self.rdata_at as usize..)?.get(start..end(value)?)
    }
}

#[inline]
fn read_value(bytes: &[u8; VALUE_BYTES]) -> Value {
    let [s0, s1, s2, s3, w0, w1, w2, w3, _, _, _, _, status, drained, _, _] = *bytes;
    let status = match status {
        up if up == Status::Up as u8 => Status::Up,
        down if down == Status::Down as u8 => Status::Down,
        _ => Status::Obey,
    };
    Value { slot: u32::from_le_bytes([s0, s1, s2, s3]), weight: u32::from_le_bytes([w0, w1, w2, w3]), status, drained: drained != 0 }
}

/// Sizes fit: an item of the link has at most 32 MiB.
fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
