//! What one owner name may hold: checked on the way in, as if a stranger had sent it, so that answers need not doubt what is stored. The control
//! plane has told the author long before; here a single reason suffices.

use geodns_wire::{Name, rdata, rtype};

use crate::refused::Refused;
use crate::spec::{RrsetData, RrsetSpec, SteeringSpec};

/// RFC 2181 §8.
const MAX_TTL: u32 = 0x7fff_ffff;
/// A node counts its rrsets in one octet.
const MAX_RRSETS: usize = 255;
/// `docs/link-protocol.md` section 2: what no message could carry anyway.
const MAX_RRSET_OCTETS: usize = 65_535;

/// A name of the link: wire form, lower-case.
///
/// # Errors
/// Malformed otherwise.
pub(super) fn check_name<'a>(what: &str, wire: &'a [u8]) -> Result<Name<'a>, Refused> {
    let name = Name::from_wire(wire).map_err(|_| Refused::malformed(format!("{what} is no name in wire form")))?;
    if name.is_lower_case() { Ok(name) } else { Err(Refused::malformed(format!("{what} {name} is not lower-case"))) }
}

/// Everything at one owner name.
///
/// # Errors
/// With the first rule that is broken.
pub(super) fn check_owner(apex: Name<'_>, owner: Name<'_>, rrsets: &[RrsetSpec]) -> Result<(), Refused> {
    if !owner.is_at_or_below(apex) {
        return Err(Refused::malformed(format!("{owner} does not lie in zone {apex}")));
    }
    if rrsets.len() > MAX_RRSETS {
        return Err(Refused::limit(format!("{owner} has more than {MAX_RRSETS} rrsets")));
    }
    for (index, rrset) in rrsets.iter().enumerate() {
        check_rrset(owner, rrset)?;
        if rrsets.iter().take(index).any(|earlier| earlier.rtype == rrset.rtype) {
            return Err(Refused::malformed(format!("{owner} has two rrsets of type {}", rrset.rtype)));
        }
    }
    check_neighbours(apex, owner, rrsets)
}

fn check_rrset(owner: Name<'_>, rrset: &RrsetSpec) -> Result<(), Refused> {
    let fail = |what: &str| Err(Refused::malformed(format!("{owner} type {}: {what}", rrset.rtype)));
    if rtype::is_meta(rrset.rtype) {
        return fail("not a type of data");
    }
    if rrset.ttl > MAX_TTL {
        return fail("ttl above 2147483647");
    }
    match &rrset.data {
        RrsetData::Static(rdatas) if rdatas.is_empty() => fail("no rdata"),
        RrsetData::Static(rdatas) => check_rdatas(owner, rrset.rtype, rdatas.iter().map(|rdata| &**rdata)),
        RrsetData::Steered(_) if !matches!(rrset.rtype, rtype::A | rtype::AAAA | rtype::CNAME) => {
            fail("only A, AAAA and CNAME are steered")
        }
        RrsetData::Steered(spec) => check_rdatas(owner, rrset.rtype, steered_rdatas(spec)),
    }
}

fn steered_rdatas(spec: &SteeringSpec) -> impl Iterator<Item = &[u8]> {
    let own = spec.values.iter().map(|value| &*value.rdata);
    own.chain(spec.pools.iter().flat_map(|pool| pool.values.iter().map(|value| &*value.rdata)))
}

fn check_rdatas<'a>(owner: Name<'_>, rtype: u16, rdatas: impl Iterator<Item = &'a [u8]>) -> Result<(), Refused> {
    let (mut octets, mut count) = (0_usize, 0_usize);
    for rdata in rdatas {
        rdata::check(rtype, rdata).map_err(|_| Refused::malformed(format!("{owner} type {rtype}: malformed rdata")))?;
        octets = octets.saturating_add(rdata.len());
        count = count.saturating_add(1);
    }
    if octets > MAX_RRSET_OCTETS || count > MAX_RRSET_OCTETS {
        return Err(Refused::limit(format!("{owner} type {rtype}: more than {MAX_RRSET_OCTETS} octets of rdata")));
    }
    if count > 1 && matches!(rtype, rtype::SOA | rtype::DNAME) {
        return Err(Refused::malformed(format!("{owner} type {rtype}: more than one record"))); // RFC 1035 §5.2, RFC 6672 §2.4
    }
    Ok(())
}

/// Rules about types side by side.
fn check_neighbours(apex: Name<'_>, owner: Name<'_>, rrsets: &[RrsetSpec]) -> Result<(), Refused> {
    let fail = |what: &str| Err(Refused::malformed(format!("{owner}: {what}")));
    let cname = rrsets.iter().find(|rrset| rrset.rtype == rtype::CNAME);
    // RFC 2181 §10.1; RRSIG and NSEC are about the CNAME itself (RFC 4034 §3, §4), KEY by RFC 3007 §3.1.1.
    let beside_cname = |rtype| matches!(rtype, rtype::CNAME | rtype::RRSIG | rtype::NSEC | rtype::SIG | rtype::KEY | rtype::NXT);
    if cname.is_some() && !rrsets.iter().all(|rrset| beside_cname(rrset.rtype)) {
        return fail("CNAME beside other data");
    }
    if let Some(RrsetSpec { data: RrsetData::Static(rdatas), .. }) = cname
        && rdatas.len() > 1
    {
        return fail("more than one CNAME");
    }
    if owner != apex && rrsets.iter().any(|rrset| rrset.rtype == rtype::SOA) {
        return fail("SOA below the apex");
    }
    Ok(())
}
