//! The body of a steered rrset (`docs/link-protocol.md` section 3).

use geodns_engine::spec::{
    AllDown, Coordinates, LastResort, PoolSpec, Rdata, RuleOrigin, RuleSpec, Select, Status, SteeringSpec, TtlRange, ValueId, ValueSpec,
};

use crate::Fault;
use crate::bytes::{Reader, put_count16, put_rdata, put_text8};
use crate::item::{put_prefixes, read_prefixes};

/// The form of the body that this program reads and writes.
const VERSION: u8 = 1;

/// The whole weight of a pool, in the unit of `min_up`.
const WHOLE: u32 = 1_000_000;

/// In place of a fallback's index: there is none.
const NO_FALLBACK: u16 = u16::MAX;

/// Degrees are sent in millionths.
const MAX_LATITUDE: i32 = 90_000_000;
const MAX_LONGITUDE: i32 = 180_000_000;

pub(crate) fn read_steered(reader: &mut Reader<'_>) -> Result<SteeringSpec, Fault> {
    if reader.u8()? != VERSION {
        return Err(Fault::Malformed("a steered body is not of version 1"));
    }
    let answers = match reader.u16()? {
        0 => None,
        count => Some(count),
    };
    let select = match reader.u8()? {
        0 => Select::Weighted,
        1 => Select::Sticky,
        2 => Select::Nearest,
        _ => return Err(Fault::Malformed("an unknown way to select")),
    };
    let all_down = match reader.u8()? {
        0 => AllDown::Values,
        1 => AllDown::ServeAll,
        2 => AllDown::NoData,
        3 => AllDown::ServFail,
        _ => return Err(Fault::Malformed("an unknown behaviour when all is down")),
    };
    let min_up = reader.u32()?;
    if min_up > WHOLE {
        return Err(Fault::Malformed("min_up is over 1,000,000 millionths"));
    }
    let ttl = read_ttl_range(reader)?;
    let values = read_list(reader, "a steered rrset has no values", read_last_resort)?;
    let pools: Vec<PoolSpec> = read_list(reader, "a steered rrset has no pools", read_pool)?;
    let rules: Vec<RuleSpec> = read_list(reader, "a steered rrset has no rules", read_rule)?;
    let exists = |index: u16| usize::from(index) < pools.len();
    if !pools.iter().filter_map(|pool| pool.fallback).chain(rules.iter().map(|rule| rule.pool)).all(exists) {
        return Err(Fault::Malformed("a fallback or a rule names a pool that is not there"));
    }
    Ok(SteeringSpec { answers, select, all_down, min_up, ttl, values, pools, rules })
}

/// `u16 count (≥ 1), count × element`.
fn read_list<T>(
    reader: &mut Reader<'_>,
    when_empty: &'static str,
    element: fn(&mut Reader<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let count = reader.u16()?;
    if count == 0 {
        return Err(Fault::Malformed(when_empty));
    }
    (0..count).map(|_| element(reader)).collect()
}

fn read_ttl_range(reader: &mut Reader<'_>) -> Result<Option<TtlRange>, Fault> {
    let present = reader.flag()?;
    let range = TtlRange { min: reader.u32()?, max: reader.u32()? };
    match (present, range) {
        (false, TtlRange { min: 0, max: 0 }) => Ok(None),
        (false, _) => Err(Fault::Malformed("a ttl range that is absent is not zero")),
        (true, TtlRange { min, max }) if min > max || max > i32::MAX.cast_unsigned() => Err(Fault::Malformed("a ttl range is not ordered")),
        (true, range) => Ok(Some(range)),
    }
}

fn read_value_id(reader: &mut Reader<'_>) -> Result<ValueId, Fault> {
    match reader.u32()? {
        0 => Err(Fault::Malformed("value id 0 is not used")),
        id => Ok(id),
    }
}

fn read_rdata(reader: &mut Reader<'_>) -> Result<Rdata, Fault> {
    let length = reader.u16()?;
    Ok(reader.take(usize::from(length))?.into())
}

fn read_last_resort(reader: &mut Reader<'_>) -> Result<LastResort, Fault> {
    Ok(LastResort { id: read_value_id(reader)?, rdata: read_rdata(reader)? })
}

fn read_pool(reader: &mut Reader<'_>) -> Result<PoolSpec, Fault> {
    let name = reader.text8()?.to_owned();
    let fallback = match reader.u16()? {
        NO_FALLBACK => None,
        index => Some(index),
    };
    let count = reader.u16()?;
    let values = (0..count).map(|_| read_value(reader)).collect::<Result<_, _>>()?;
    Ok(PoolSpec { name, fallback, values })
}

fn read_value(reader: &mut Reader<'_>) -> Result<ValueSpec, Fault> {
    let id = read_value_id(reader)?;
    let weight = reader.u32()?;
    if weight == 0 {
        return Err(Fault::Malformed("a value has weight 0"));
    }
    let status = match reader.u8()? {
        0 => Status::Obey,
        1 => Status::Up,
        2 => Status::Down,
        _ => return Err(Fault::Malformed("a value has an unknown status")),
    };
    let drained = reader.flag()?;
    let site = reader.text8()?.to_owned();
    let coordinates = read_coordinates(reader)?;
    Ok(ValueSpec { id, weight, status, drained, site, coordinates, rdata: read_rdata(reader)? })
}

fn read_coordinates(reader: &mut Reader<'_>) -> Result<Option<Coordinates>, Fault> {
    let present = reader.flag()?;
    let coordinates = Coordinates { latitude: reader.i32()?, longitude: reader.i32()? };
    match (present, coordinates) {
        (false, Coordinates { latitude: 0, longitude: 0 }) => Ok(None),
        (false, _) => Err(Fault::Malformed("coordinates that are absent are not zero")),
        (true, Coordinates { latitude, longitude })
            if latitude.unsigned_abs() > MAX_LATITUDE.unsigned_abs() || longitude.unsigned_abs() > MAX_LONGITUDE.unsigned_abs() =>
        {
            Err(Fault::Malformed("coordinates are not on the globe"))
        }
        (true, coordinates) => Ok(Some(coordinates)),
    }
}

fn read_rule(reader: &mut Reader<'_>) -> Result<RuleSpec, Fault> {
    let origin = if reader.flag()? { RuleOrigin::Own } else { RuleOrigin::Dynamic };
    let pool = reader.u16()?;
    let geos = read_texts(reader)?;
    let subnets = read_prefixes(reader)?;
    let count = reader.u16()?;
    let asns = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
    let lists = read_texts(reader)?;
    Ok(RuleSpec { origin, pool, geos, subnets, asns, lists })
}

/// `u16 count, count × text8`, none of them empty.
fn read_texts(reader: &mut Reader<'_>) -> Result<Vec<String>, Fault> {
    let count = reader.u16()?;
    (0..count)
        .map(|_| match reader.text8()? {
            "" => Err(Fault::Malformed("a rule names an empty geo or list")),
            text => Ok(text.to_owned()),
        })
        .collect()
}

pub(crate) fn put_steered(out: &mut Vec<u8>, steering: &SteeringSpec) -> Result<(), Fault> {
    out.push(VERSION);
    out.extend_from_slice(&steering.answers.unwrap_or(0).to_be_bytes());
    out.push(match steering.select {
        Select::Weighted => 0,
        Select::Sticky => 1,
        Select::Nearest => 2,
    });
    out.push(match steering.all_down {
        AllDown::Values => 0,
        AllDown::ServeAll => 1,
        AllDown::NoData => 2,
        AllDown::ServFail => 3,
    });
    out.extend_from_slice(&steering.min_up.to_be_bytes());
    let ttl = steering.ttl.unwrap_or(TtlRange { min: 0, max: 0 });
    out.push(u8::from(steering.ttl.is_some()));
    out.extend_from_slice(&ttl.min.to_be_bytes());
    out.extend_from_slice(&ttl.max.to_be_bytes());
    put_count16(out, steering.values.len())?;
    for value in &steering.values {
        out.extend_from_slice(&value.id.to_be_bytes());
        put_rdata(out, &value.rdata)?;
    }
    put_count16(out, steering.pools.len())?;
    for pool in &steering.pools {
        put_pool(out, pool)?;
    }
    put_count16(out, steering.rules.len())?;
    for rule in &steering.rules {
        put_rule(out, rule)?;
    }
    Ok(())
}

fn put_pool(out: &mut Vec<u8>, pool: &PoolSpec) -> Result<(), Fault> {
    put_text8(out, &pool.name)?;
    out.extend_from_slice(&pool.fallback.unwrap_or(NO_FALLBACK).to_be_bytes());
    put_count16(out, pool.values.len())?;
    for value in &pool.values {
        out.extend_from_slice(&value.id.to_be_bytes());
        out.extend_from_slice(&value.weight.to_be_bytes());
        out.push(match value.status {
            Status::Obey => 0,
            Status::Up => 1,
            Status::Down => 2,
        });
        out.push(u8::from(value.drained));
        put_text8(out, &value.site)?;
        let coordinates = value.coordinates.unwrap_or(Coordinates { latitude: 0, longitude: 0 });
        out.push(u8::from(value.coordinates.is_some()));
        out.extend_from_slice(&coordinates.latitude.to_be_bytes());
        out.extend_from_slice(&coordinates.longitude.to_be_bytes());
        put_rdata(out, &value.rdata)?;
    }
    Ok(())
}

fn put_rule(out: &mut Vec<u8>, rule: &RuleSpec) -> Result<(), Fault> {
    out.push(match rule.origin {
        RuleOrigin::Dynamic => 0,
        RuleOrigin::Own => 1,
    });
    out.extend_from_slice(&rule.pool.to_be_bytes());
    put_texts(out, &rule.geos)?;
    put_prefixes(out, &rule.subnets)?;
    put_count16(out, rule.asns.len())?;
    rule.asns.iter().for_each(|asn| out.extend_from_slice(&asn.to_be_bytes()));
    put_texts(out, &rule.lists)
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) -> Result<(), Fault> {
    put_count16(out, texts.len())?;
    texts.iter().try_for_each(|text| put_text8(out, text))
}
