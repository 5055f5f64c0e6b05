//! The additional section: glue of referrals (RFC 9471), addresses of the hosts that an answer names (RFC 1034 §4.3.2 step 6), and for SVCB and HTTPS the
//! targets' own rrsets of that type (RFC 9460 §4.1). Only what the same zone holds, each host once. Steered addresses are never additional data: they
//! depend on who asks, and their own query gets them with their own scope.

use geodns_wire::rdata::additional_target;
use geodns_wire::writer::{Fields, Full, Section, Writer};
use geodns_wire::{Name, NameKey, rtype};

use crate::lookup::{Match, find_wildcard, match_name};
use crate::zones::{Rdatas, RrsetView, Zone};

/// Records whose hosts get their addresses, as many as the root has name servers; an rrset of more gets none, for a client uses few of them and each costs
/// a lookup. BIND draws the same line. Glue has no such limit.
const MAX_HOSTS: usize = 13;

/// The additional section of one reply.
pub struct Additional<'s, 'b> {
    zone: &'s Zone,
    seed: u64,
    host: &'s mut NameKey,
    writer: &'s mut Writer<'b>,
    added: [u64; MAX_HOSTS],
    count: usize,
}

/// Where a name server's own name lies, seen from a zone cut (RFC 9471 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bailiwick {
    /// At or below the cut: without glue nobody finds it.
    InDomain,
    /// Elsewhere in our zone: sibling glue, or a host of ours.
    InZone,
    Outside,
}

/// What of a host helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Addresses,
    /// Addresses and the rrset of this type, SVCB or HTTPS, whatever the mode of the answer (RFC 9460 §4.1).
    Service(u16),
}

impl Wanted {
    fn takes(self, rtype: u16) -> bool {
        matches!(rtype, rtype::A | rtype::AAAA) || self == Self::Service(rtype)
    }
}

impl<'s, 'b> Additional<'s, 'b> {
    /// An additional section from `zone`; `host` is memory to work with.
    pub fn new(zone: &'s Zone, seed: u64, host: &'s mut NameKey, writer: &'s mut Writer<'b>) -> Self {
        Self { zone, seed, host, writer, added: [0; MAX_HOSTS], count: 0 }
    }

    /// The glue that a referral must have (RFC 9471 §3.1). `key` and `labels` name the cut.
    ///
    /// # Errors
    /// When not all of it fits; what fits is there.
    pub fn put_required_glue(&mut self, servers: Rdatas<'_>, key: &NameKey, labels: usize) -> Result<(), Full> {
        for name in servers.into_iter().filter_map(|rdata| additional_target(rtype::NS, rdata)) {
            if self.locate(name, key, labels) == Bailiwick::InDomain {
                self.put_host(name, Wanted::Addresses)?;
            }
        }
        Ok(())
    }

    /// The glue that helps (RFC 9471 §3.2); what does not fit is left out.
    pub fn put_other_glue(&mut self, servers: Rdatas<'_>, key: &NameKey, labels: usize) {
        for name in servers.into_iter().filter_map(|rdata| additional_target(rtype::NS, rdata)) {
            if self.locate(name, key, labels) == Bailiwick::InZone && self.put_host(name, Wanted::Addresses).is_err() {
                return;
            }
        }
    }

    /// What a client will ask next for the hosts in the answer of `owner`, as far as it fits. Below a zone cut it is not ours to give, but for name
    /// servers.
    pub fn put_hosts(&mut self, rtype: u16, rdatas: Rdatas<'_>, owner: &NameKey) {
        let wanted = match rtype {
            rtype::SVCB | rtype::HTTPS => Wanted::Service(rtype),
            _ => Wanted::Addresses,
        };
        if rdatas.into_iter().nth(MAX_HOSTS).is_some() {
            return;
        }
        for name in rdatas.into_iter().filter_map(|rdata| additional_target(rtype, rdata)) {
            self.host.set(name, self.seed);
            let is_ours = self.zone.holds(self.host) && (rtype == rtype::NS || self.is_authoritative());
            // A service that names itself: its rrset is the answer.
            let wanted = if self.host.hash(self.host.labels()) == owner.hash(owner.labels()) { Wanted::Addresses } else { wanted };
            if is_ours && self.is_new() && self.put_host(name, wanted).is_err() {
                return;
            }
        }
    }

    /// Whether the host in hand got nothing yet; from now on it counts as one that did.
    fn is_new(&mut self) -> bool {
        let hash = self.host.hash(self.host.labels());
        let is_known = self.added.iter().take(self.count).any(|added| *added == hash);
        match self.added.get_mut(self.count) {
            Some(slot) if !is_known => {
                *slot = hash;
                self.count = self.count.wrapping_add(1);
                true
            }
            _ => false,
        }
    }

    /// Whether the host in hand is answered from this zone and not from below a cut or a DNAME.
    fn is_authoritative(&self) -> bool {
        match match_name(self.zone, self.host, rtype::A) {
            Match::Exact(_) | Match::Wildcard(_) => true,
            Match::Cut { .. } | Match::Dname { .. } | Match::Absent => false,
        }
    }

    /// Makes `name` the host in hand.
    fn locate(&mut self, name: Name<'_>, key: &NameKey, labels: usize) -> Bailiwick {
        self.host.set(name, self.seed);
        let cut = key.suffix(labels);
        if self.host.labels() >= labels && self.host.suffix(labels) == cut {
            Bailiwick::InDomain
        } else if self.zone.holds(self.host) {
            Bailiwick::InZone
        } else {
            Bailiwick::Outside
        }
    }

    /// The wanted rrsets of the host in hand, up to the first that does not fit.
    fn put_host(&mut self, name: Name<'_>, wanted: Wanted) -> Result<(), Full> {
        let stored = self.zone.node(self.host, self.host.labels());
        let Some(node) = stored.or_else(|| find_wildcard(self.zone, self.host)) else { return Ok(()) };
        for rrset in node.rrsets().filter(|rrset| wanted.takes(rrset.rtype)) {
            match rrset.data {
                RrsetView::Static(rdatas) => self.put_rrset(name, Fields::new(rrset.rtype, rrset.ttl), rdatas)?,
                RrsetView::Steered(_) => {}
            }
        }
        Ok(())
    }

    /// The whole rrset or nothing of it.
    fn put_rrset(&mut self, name: Name<'_>, fields: Fields, rdatas: Rdatas<'_>) -> Result<(), Full> {
        let start = self.writer.mark();
        let mut owner_at = None;
        for rdata in rdatas {
            let Ok(written) = self.writer.put_record(Section::Additional, (name, owner_at), fields, rdata) else {
                self.writer.rewind(start);
                return Err(Full);
            };
            owner_at = written.owner;
        }
        Ok(())
    }
}
