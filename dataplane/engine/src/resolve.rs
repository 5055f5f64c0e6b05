//! RFC 1034 §4.3.2 for one question: from the name asked to records in the sections. A CNAME, or one made from a DNAME, restarts the search with
//! its target: that is a loop on the *follow* state, bounded, and not a recursion.
//!
//! A chain that leads into another zone of ours is followed there for what it finds: records save the client a query. A denial or a referral of
//! that other zone is left to the client's own query for the target: the reply ends with the CNAME that leads out, as it does when the target is not ours.
//! Else serving a zone (the root, say) would change the rcode of answers from all others. NSD follows further, BIND and Knot less far.
//!
//! Positive answers carry no NS records in the authority section, and additional data only where the client will ask for it next: a small reply is the better service.

use geodns_wire::writer::{Fields, Full, Mark, NameAt, Section, Writer, Written};
use geodns_wire::{Name, NameBuf, NameKey, Rcode, rtype};

use crate::additional::Additional;
use crate::admit::Refusal;
use crate::lookup::{Match, match_name};
use crate::path::{PathStep, PathTrace};
use crate::prepared::Search;
use crate::rng::Rng;
use crate::steer::{self, Client, Decision, Picked, SteerOutcome, Steered};
use crate::view::View;
use crate::zones::{Node, NodeFlags, Rdatas, Rrset, RrsetView, Zone};

/// CNAME and DNAME steps in one answer. Resolvers give up at about as many; a chain that long is a mistake, and each step costs a lookup.
const MAX_STEPS: usize = 16;

/// RFC 8482 §4.2: the HINFO record that answers ANY, an hour like the RFC's example.
const ANY_HINFO: &[u8] = b"\x07RFC8482\x00";
const ANY_TTL: u32 = 3600;

/// Reused memory of a search.
#[derive(Debug)]
pub struct Workspace {
    /// A host of the additional section.
    pub target_key: NameKey,
    /// A name made from a DNAME.
    pub target: NameBuf,
    pub picked: Picked,
    /// Names looked for so far: a name met again is a loop.
    visited: Visited,
    /// The same of the DNAMEs that are in the answer.
    substituted: Visited,
}

impl Workspace {
    /// Memory for one search at a time.
    pub fn new() -> Self {
        Self {
            target_key: NameKey::new(),
            target: NameBuf::root(),
            picked: Picked::new(),
            visited: Visited::default(),
            substituted: Visited::default(),
        }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

/// What a search has found, beside the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub rcode: Rcode,
    pub authoritative: bool,
    pub truncated: bool,
    /// Of the client subnet option.
    pub scope: u8,
    pub steered: bool,
    /// Why there is no answer at all.
    pub refusal: Option<Refusal>,
}

/// Where the search goes on.
enum Step {
    /// Nothing more to do.
    Done(Rcode),
    /// The key is the target of a CNAME now.
    Follow,
}

/// One search.
pub struct Resolver<'s, 'b, R, T> {
    view: &'s View,
    /// The name that is looked for, first the question's.
    key: &'s mut NameKey,
    qtype: u16,
    client: Client,
    /// The zone that speaks for the question's name.
    first_zone: Option<&'s Zone>,
    rng: &'s mut R,
    trace: &'s mut T,
    work: &'s mut Workspace,
    writer: &'s mut Writer<'b>,
    /// Behind the CNAME with which the chain has led out of it, into another zone of ours.
    left_home: Option<Mark>,
    /// Where the name that is looked for stands in the reply.
    owner_at: Option<NameAt>,
    /// Behind the last whole rrset.
    complete: Mark,
    finding: Finding,
}

impl<'s, 'b, R: Rng, T: PathTrace> Resolver<'s, 'b, R, T> {
    /// A search, to be written behind what `writer` has.
    pub fn new(
        view: &'s View,
        search: Search<'s, 's>,
        rng: &'s mut R,
        trace: &'s mut T,
        work: &'s mut Workspace,
        writer: &'s mut Writer<'b>,
    ) -> Self {
        let Search { key, qtype, client, zone } = search;
        work.visited.count = 0;
        work.substituted.count = 0;
        let finding = Finding { rcode: Rcode::NoError, authoritative: false, truncated: false, scope: 0, steered: false, refusal: None };
        let complete = writer.mark();
        Self { complete, view, key, qtype, client, first_zone: zone, rng, trace, work, writer, left_home: None, owner_at: None, finding }
    }

    /// Searches; the question's name stands at `question_at`. An rrset that does not fit is left out wholly and the reply is marked TC: half an
    /// rrset is of no use to anybody (RFC 2181 §9), and the client comes back over TCP.
    pub fn resolve(&mut self, question_at: Option<NameAt>) -> Finding {
        self.owner_at = question_at;
        let start = self.writer.mark();
        match self.follow_chain() {
            Ok(rcode) => self.finding.rcode = rcode,
            Err(Full) => {
                self.writer.rewind(self.complete);
                self.finding.truncated = true;
            }
        }
        if self.finding.rcode == Rcode::ServFail {
            self.writer.rewind(start);
            self.finding.authoritative = false;
        }
        self.finding
    }

    fn follow_chain(&mut self) -> Result<Rcode, Full> {
        while self.work.visited.note(self.key.hash(self.key.labels())) {
            self.complete = self.writer.mark();
            match self.step()? {
                Step::Done(rcode) => return Ok(rcode),
                Step::Follow => {}
            }
        }
        // A loop or a chain past the limit: the client gets the CNAMEs so far and can see for itself.
        self.trace.step(PathStep::Loop);
        Ok(Rcode::NoError)
    }

    fn step(&mut self) -> Result<Step, Full> {
        let zone = self.find_zone();
        self.trace.step(PathStep::Search { name: self.key.name(), zone: zone.map(Zone::apex) });
        let Some(zone) = zone else { return Ok(self.leave_our_zones()) };
        if self.first_zone.is_some_and(|home| !std::ptr::eq(home, zone)) {
            self.left_home.get_or_insert(self.complete);
        }
        match match_name(zone, self.key, self.qtype) {
            Match::Exact(node) => {
                self.trace.step(PathStep::Exact { rrsets: node.rrset_count() });
                self.answer_from(zone, &node)
            }
            Match::Wildcard(node) => {
                self.trace.step(PathStep::Wildcard { rrsets: node.rrset_count() });
                self.answer_from(zone, &node)
            }
            Match::Cut { node, labels } => self.refer(zone, &node, labels),
            Match::Dname { node, labels } => self.substitute(&node, labels),
            Match::Absent => {
                self.trace.step(PathStep::Absent);
                self.deny(zone, Rcode::NxDomain, u32::MAX)
            }
        }
    }

    /// A CNAME's target is looked up where the chain has come to, for a DS too.
    fn find_zone(&self) -> Option<&'s Zone> {
        if self.is_at_question() { self.first_zone } else { self.view.zones.nearest(self.key, self.key.labels()) }
    }

    fn is_at_question(&self) -> bool {
        self.work.visited.count <= 1
    }

    /// The question lies in no zone of ours, or a CNAME has led out of them.
    fn leave_our_zones(&mut self) -> Step {
        self.finding.refusal = self.is_at_question().then_some(Refusal::NoZone);
        Step::Done(Rcode::NoError)
    }

    /// Step 3a and the end of 3c: the node of the name, or the wildcard that stands for it; the owner name is the name asked either way.
    fn answer_from(&mut self, zone: &Zone, node: &Node<'_>) -> Result<Step, Full> {
        self.finding.authoritative = true;
        if self.qtype == rtype::ANY && node.rrset_count() > 0 {
            return self.put_any();
        }
        match node.rrset(self.qtype) {
            Some(rrset) => self.put_answer(zone, &rrset),
            None if node.flags().has(NodeFlags::CNAME) && !stands_beside_cname(self.qtype) => match node.rrset(rtype::CNAME) {
                Some(rrset) => self.follow_cname(zone, &rrset),
                None => self.deny(zone, Rcode::NoError, u32::MAX),
            },
            None => self.deny(zone, Rcode::NoError, u32::MAX),
        }
    }

    /// RFC 8482 §4.2, instead of every rrset of the name.
    fn put_any(&mut self) -> Result<Step, Full> {
        self.put(Section::Answer, Fields::new(rtype::HINFO, ANY_TTL), ANY_HINFO)?;
        Ok(Step::Done(Rcode::NoError))
    }

    fn put_answer(&mut self, zone: &Zone, rrset: &Rrset<'_>) -> Result<Step, Full> {
        match rrset.data {
            RrsetView::Static(rdatas) => {
                self.trace.step(PathStep::Static { rtype: rrset.rtype, ttl: rrset.ttl });
                for rdata in rdatas {
                    self.put(Section::Answer, Fields::new(rrset.rtype, rrset.ttl), rdata)?;
                }
                self.put_additional(zone, rrset.rtype, rdatas);
                Ok(Step::Done(Rcode::NoError))
            }
            RrsetView::Steered(steered) => {
                self.put_steered(zone, rrset.rtype, steered).map(|step| step.unwrap_or(Step::Done(Rcode::NoError)))
            }
        }
    }

    /// Step 3a: "copy the CNAME RR into the answer section, change QNAME to the canonical name, and go back to step 1".
    fn follow_cname(&mut self, zone: &Zone, rrset: &Rrset<'_>) -> Result<Step, Full> {
        match rrset.data {
            RrsetView::Static(rdatas) => {
                let Some(rdata) = rdatas.into_iter().next() else { return self.deny(zone, Rcode::NoError, u32::MAX) };
                self.trace.step(PathStep::Static { rtype: rrset.rtype, ttl: rrset.ttl });
                let written = self.put(Section::Answer, Fields::new(rtype::CNAME, rrset.ttl), rdata)?;
                self.look_for(rdata, written.rdata_name);
                Ok(Step::Follow)
            }
            RrsetView::Steered(steered) => self.put_steered(zone, rtype::CNAME, steered).map(|step| step.unwrap_or(Step::Follow)),
        }
    }

    /// Writes what is decided for this client: `None` when records were written. For a CNAME the key is its target then.
    fn put_steered(&mut self, zone: &Zone, rtype: u16, steered: &Steered) -> Result<Option<Step>, Full> {
        self.trace.step(PathStep::Steered { rtype });
        let decision = self.decide(steered);
        match decision.outcome {
            SteerOutcome::NoData { negative_ttl } => return self.deny(zone, Rcode::NoError, negative_ttl).map(Some),
            SteerOutcome::ServFail => return Ok(Some(Step::Done(Rcode::ServFail))),
            SteerOutcome::Answer => {}
        }
        let mut target = None;
        for rdata in self.work.picked.rdatas(steered) {
            let owner = (self.key.name(), self.owner_at);
            let written = self.writer.put_record(Section::Answer, owner, Fields::new(rtype, decision.ttl), rdata)?;
            self.owner_at = written.owner;
            target = Name::from_wire(rdata).ok().filter(|_| rtype == rtype::CNAME).map(|name| (name, written.rdata_name));
        }
        if let Some((name, at)) = target {
            self.key.set(name, self.view.zones.seed());
            self.owner_at = at;
        }
        Ok(None)
    }

    fn decide(&mut self, steered: &Steered) -> Decision {
        let View { tables, health, .. } = self.view;
        let decision = steer::decide(tables, health, steered, &self.client, self.rng, &mut self.work.picked, self.trace);
        // Contract section 2.8: a chain takes the longest scope of its steps.
        self.finding.scope = self.finding.scope.max(decision.scope);
        self.finding.steered = true;
        decision
    }

    /// RFC 6672 §3.2: the DNAME, the CNAME made from it, and on with its target.
    fn substitute(&mut self, node: &Node<'_>, labels: usize) -> Result<Step, Full> {
        self.finding.authoritative = true;
        let Some(Rrset { ttl, data: RrsetView::Static(rdatas), .. }) = node.rrset(rtype::DNAME) else {
            return Ok(Step::Done(Rcode::ServFail));
        };
        let Some(rdata) = rdatas.into_iter().next() else { return Ok(Step::Done(Rcode::ServFail)) };
        let (key, Workspace { target, substituted, .. }) = (&mut *self.key, &mut *self.work);
        self.trace.step(PathStep::Dname { owner: key.suffix(labels) });
        // A chain may pass the same DNAME twice; a message holds a record once.
        if substituted.note(key.hash(labels)) {
            self.writer.put_record(Section::Answer, (key.suffix(labels), None), Fields::new(rtype::DNAME, ttl), rdata)?;
            self.complete = self.writer.mark();
        }
        let new_suffix = Name::from_wire(rdata).unwrap_or(Name::ROOT);
        if target.join(key.octets(0, key.start(labels)), new_suffix).is_err() {
            return Ok(Step::Done(Rcode::YxDomain));
        }
        let owner = (key.name(), self.owner_at);
        let written = self.writer.put_record(Section::Answer, owner, Fields::new(rtype::CNAME, ttl), target.as_name().wire())?;
        if self.qtype == rtype::CNAME {
            return Ok(Step::Done(Rcode::NoError)); // it was asked for the CNAME itself
        }
        key.set(target.as_name(), self.view.zones.seed());
        self.owner_at = written.rdata_name;
        Ok(Step::Follow)
    }

    /// Step 3b: a referral. Not authoritative, unless CNAMEs of ours lead here: AA speaks for the first owner name (RFC 1035 §4.1.1).
    fn refer(&mut self, zone: &Zone, cut: &Node<'_>, labels: usize) -> Result<Step, Full> {
        let Some(Rrset { ttl, data: RrsetView::Static(rdatas), .. }) = cut.rrset(rtype::NS) else { return Ok(Step::Done(Rcode::ServFail)) };
        self.trace.step(PathStep::Delegation { cut: self.key.suffix(labels) });
        if let Some(border) = self.left_home {
            self.writer.rewind(border);
            return Ok(Step::Done(Rcode::NoError));
        }
        let mut owner_at = self.suffix_at(labels);
        let (key, Workspace { target_key, .. }) = (&mut *self.key, &mut *self.work);
        for rdata in rdatas {
            let owner = (key.suffix(labels), owner_at);
            owner_at = self.writer.put_record(Section::Authority, owner, Fields::new(rtype::NS, ttl), rdata)?.owner;
        }
        let mut additional = Additional::new(zone, self.view.zones.seed(), target_key, self.writer);
        // RFC 9471 §3: without all glue in the child the client is stuck; without the rest it is only slower.
        self.finding.truncated = additional.put_required_glue(rdatas, key, labels).is_err();
        if !self.finding.truncated {
            additional.put_other_glue(rdatas, key, labels);
        }
        Ok(Step::Done(Rcode::NoError))
    }

    /// NXDOMAIN or NODATA with the SOA that says how long to remember it (RFC 2308 §3, §5).
    fn deny(&mut self, zone: &Zone, rcode: Rcode, negative_ttl: u32) -> Result<Step, Full> {
        if rcode == Rcode::NoError {
            self.trace.step(PathStep::NoData);
        }
        if let Some(border) = self.left_home {
            self.writer.rewind(border);
            return Ok(Step::Done(Rcode::NoError));
        }
        self.finding.authoritative = true;
        self.finding.rcode = rcode; // stands even when the SOA does not fit
        let Some(soa) = zone.soa() else { return Ok(Step::Done(rcode)) };
        let ttl = soa.negative_ttl().min(negative_ttl);
        match (self.suffix_at(zone.labels()), &soa.template) {
            (Some(at), Some(template)) => self.writer.put_soa(at, template, ttl)?,
            (at, _) => {
                let owner = (self.key.suffix(zone.labels()), at);
                self.writer.put_record(Section::Authority, owner, Fields::new(rtype::SOA, ttl), &soa.rdata)?;
            }
        }
        Ok(Step::Done(rcode))
    }

    /// Where the last `labels` labels of the name stand, while it is the question's.
    #[inline]
    fn suffix_at(&self, labels: usize) -> Option<NameAt> {
        if self.is_at_question() && labels > 0 { NameAt::in_question(self.key.start(labels)) } else { None }
    }

    #[inline]
    fn put(&mut self, section: Section, fields: Fields, rdata: &[u8]) -> Result<Written, Full> {
        let written = self.writer.put_record(section, (self.key.name(), self.owner_at), fields, rdata)?;
        self.owner_at = written.owner;
        Ok(written)
    }

    fn look_for(&mut self, target: &[u8], at: Option<NameAt>) {
        self.key.set(Name::from_wire(target).unwrap_or(Name::ROOT), self.view.zones.seed());
        self.owner_at = at;
    }

    fn put_additional(&mut self, zone: &Zone, rtype: u16, rdatas: Rdatas<'_>) {
        if matches!(rtype, rtype::NS | rtype::MX | rtype::SRV | rtype::SVCB | rtype::HTTPS) {
            let (key, Workspace { target_key, .. }) = (&mut *self.key, &mut *self.work);
            Additional::new(zone, self.view.zones.seed(), target_key, self.writer).put_hosts(rtype, rdatas, key);
        }
    }
}

/// Types that may stand beside a CNAME and speak of it (RFC 4035 §2.5): asked for them, it is not followed.
fn stands_beside_cname(qtype: u16) -> bool {
    matches!(qtype, rtype::RRSIG | rtype::NSEC)
}

/// Names met on the way, by their hashes.
#[derive(Debug, Default)]
struct Visited {
    hashes: [u64; MAX_STEPS + 1],
    count: usize,
}

impl Visited {
    /// Notes a name; false when it was there before or there were too many.
    fn note(&mut self, hash: u64) -> bool {
        let (before, after) = self.hashes.split_at_mut(self.count);
        let Some(slot) = after.first_mut() else { return false };
        *slot = hash;
        self.count = self.count.wrapping_add(1);
        !before.contains(&hash)
    }
}
