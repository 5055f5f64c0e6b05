//! The one answer function: a request's bytes in, a reply's bytes out, for UDP, TCP and `explain` alike. It has two steps, so that a batch of requests can take the first
//! together: `prepare` and `complete`. This file holds the frame of an answer: what is refused, EDNS, and what is done when a reply does not
//! fit. What the zones say is `resolve`'s business.
//!
//! ```text
//!   prepare:  Request::read_in_place -> admit -> find_zone
//!   complete: resolve (match_name, decide ...) -> OPT -> header
//! ```

use std::net::SocketAddr;

use geodns_wire::edns::{ClientSubnet, Edns};
use geodns_wire::request::{Question, Request};
use geodns_wire::writer::{Full, NameTable, OptReply, Outline, Writer};
use geodns_wire::{NameKey, Opcode, Rcode};

use crate::admit::Refusal;
use crate::client::{MAPPED_BITS, is_mapped, unmapped};
use crate::cookie::answer_cookie;
use crate::path::PathTrace;
use crate::prepared::Task;
use crate::resolve::{Finding, Resolver, Workspace};
use crate::rng::Rng;
use crate::steer::NoTrace;
use crate::view::{Options, View};

pub use crate::ahead::{MOST_READ_AHEAD, is_worth_it as is_worth_reading_ahead, read_ahead};
pub use crate::prepared::{DropReason, Prepared};

/// RFC 1035 §4.2.1: what every client takes over UDP.
const MIN_UDP_PAYLOAD: u16 = 512;
/// The length field of TCP (RFC 1035 §4.2.2).
const MAX_MESSAGE: usize = 65_535;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub source: SocketAddr,
    pub transport: Transport,
    /// Unix seconds, for cookies.
    pub now_s: u32,
}

/// The transports that we listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Send the first `length` octets of the reply buffer.
    Reply { length: usize, facts: Facts },
    /// Send nothing.
    Drop(DropReason),
}

/// What counters and the limiter of rates want to know of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent facts, a counter each
pub struct Facts {
    pub rcode: Rcode,
    /// 0 without a question.
    pub qtype: u16,
    pub truncated: bool,
    pub edns: bool,
    pub cookie: CookieState,
    /// A client subnet was believed.
    pub client_subnet: bool,
    /// The answer, or a step on the way to it, was decided for this client.
    pub steered: bool,
    pub refusal: Option<Refusal>,
    pub outline: Outline,
}

/// What a request's cookie showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CookieState {
    Absent,
    /// A client cookie alone, or a server cookie that is not ours or too old.
    Unproven,
    Valid,
}

/// A worker's memory for answering, made once: no query allocates.
#[derive(Debug)]
pub struct Scratch {
    /// One for each request that is prepared and not yet completed.
    pub keys: Box<[NameKey]>,
    pub desk: Desk,
}

/// What `complete` works with, for one query at a time.
#[derive(Debug)]
pub struct Desk {
    names: NameTable,
    work: Workspace,
}

impl Scratch {
    /// Room for a batch.
    pub fn new() -> Self {
        Self { keys: vec![NameKey::new(); MOST_READ_AHEAD].into_boxed_slice(), desk: Desk::new() }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Desk {
    /// Without room for choices, which `fit` makes.
    pub fn new() -> Self {
        Self { names: NameTable::new(), work: Workspace::new() }
    }

    /// Makes room for the largest choice that answers from `view` make. To be called when a worker takes a new view over, so that no query
    /// allocates.
    pub fn fit(&mut self, view: &View) {
        self.work.picked.reserve(view.tables.largest_choice());
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

/// Answers a request.
pub fn answer(view: &View, request: &[u8], arrival: &Arrival, rng: &mut impl Rng, scratch: &mut Scratch, reply: &mut [u8]) -> Outcome {
    answer_traced(view, request, arrival, rng, scratch, reply, &mut NoTrace)
}

/// The same, telling `trace` each step.
pub fn answer_traced<T: PathTrace>(
    view: &View,
    request: &[u8],
    arrival: &Arrival,
    rng: &mut impl Rng,
    scratch: &mut Scratch,
    reply: &mut [u8],
    trace: &mut T,
) -> Outcome {
    let Scratch { keys, desk } = scratch;
    let Some(key) = keys.first_mut() else { return Outcome::Drop(DropReason::NoBuffer) };
    let mut prepared = Prepared::empty();
    match prepared.prepare(view, request, arrival.source, key) {
        Ok(()) => complete(view, &mut prepared, arrival, rng, desk, reply, trace),
        Err(reason) => Outcome::Drop(reason),
    }
}

/// Writes the reply to a request that was prepared with the same view; once, because the search leaves its key elsewhere.
pub fn complete<T: PathTrace>(
    view: &View,
    prepared: &mut Prepared<'_, '_, '_>,
    arrival: &Arrival,
    rng: &mut impl Rng,
    desk: &mut Desk,
    reply: &mut [u8],
    trace: &mut T,
) -> Outcome {
    let Prepared { request, task, .. } = prepared;
    let edns = EdnsAnswer::new(&view.options, request.edns.as_ref(), prepared.subnet, arrival);
    let limit = reply_limit(&view.options, request.edns.as_ref(), arrival.transport);
    let mut draft = Draft::new(reply, limit, &mut desk.names, request, edns);
    match task {
        Task::Refuse(refusal) => draft.refuse(*refusal),
        Task::CookieOnly => {}
        Task::Search(search) => {
            let mut resolver = Resolver::new(view, search.borrowed(), rng, trace, &mut desk.work, &mut draft.writer);
            let finding = resolver.resolve(draft.question_at);
            draft.take_over(finding);
        }
    }
    draft.finish(request)
}

/// A reply as far as it is decided.
struct Draft<'r, 'e> {
    writer: Writer<'r>,
    edns: EdnsAnswer<'e>,
    question_at: Option<geodns_wire::writer::NameAt>,
    authoritative: bool,
    truncated: bool,
    rcode: Rcode,
    steered: bool,
    refusal: Option<Refusal>,
    outline: Outline,
}

impl<'r, 'e> Draft<'r, 'e> {
    fn new(reply: &'r mut [u8], limit: usize, names: &'r mut NameTable, request: &Request<'_>, edns: EdnsAnswer<'e>) -> Self {
        let mut writer = Writer::new(reply, limit, names);
        // What the first section means depends on the opcode (RFC 2136 §2.3), so one that we do not implement gets none back: a header says
        // NOTIMP alike to every client (RFC 8906 §8.1.4), and is well-formed whatever the sections would have to hold.
        let question = request.question.as_ref().filter(|_| request.header.opcode() == Opcode::Query);
        let question_at = question.and_then(|question| writer.put_question(question).ok().flatten());
        let question_end = writer.length();
        writer.reserve(edns.reply.as_ref().map_or(0, OptReply::length));
        Self {
            writer,
            edns,
            question_at,
            authoritative: false,
            truncated: false,
            rcode: Rcode::NoError,
            steered: false,
            refusal: None,
            outline: Outline { question_end, opt_start: question_end, opt_end: question_end },
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.rcode = refusal.rcode();
        self.refusal = Some(refusal);
    }

    fn take_over(&mut self, finding: Finding) {
        self.rcode = finding.rcode;
        self.authoritative = finding.authoritative;
        self.truncated = finding.truncated;
        self.steered = finding.steered;
        self.edns.set_scope(finding.scope);
        if let Some(refusal) = finding.refusal {
            self.refuse(refusal);
        }
    }

    fn finish(&mut self, request: &Request<'_>) -> Outcome {
        if let Some(opt) = &mut self.edns.reply {
            self.writer.release(opt.length());
            opt.extended_error = self.refusal.and_then(Refusal::extended_error);
            self.outline.opt_start = self.writer.length();
            self.outline.opt_end = self.outline.opt_start;
            match self.writer.put_opt(opt, self.rcode) {
                Ok(()) => self.outline.opt_end = self.writer.length(),
                Err(Full) => self.truncated = true,
            }
        }
        if let (Some(Refusal::UnknownKey), Some(tsig)) = (self.refusal, &request.tsig) {
            // RFC 8945 §5.3.1: TC tells the client to come back over TCP.
            let mark = self.writer.mark();
            if let Err(Full) = self.writer.put_badkey(tsig) {
                self.writer.rewind(mark);
                self.truncated = true;
            }
        }
        let facts = self.facts(request);
        match self.writer.finish(&request.header, self.authoritative, self.truncated, self.rcode) {
            0 => Outcome::Drop(DropReason::NoBuffer),
            length => Outcome::Reply { length, facts },
        }
    }

    fn facts(&self, request: &Request<'_>) -> Facts {
        Facts {
            rcode: self.rcode,
            qtype: request.question.map_or(0, |Question { qtype, .. }| qtype),
            truncated: self.truncated,
            edns: request.edns.is_some(),
            cookie: self.edns.cookie,
            client_subnet: self.edns.subnet.is_some(),
            steered: self.steered,
            refusal: self.refusal,
            outline: self.outline,
        }
    }
}

/// What EDNS adds to the reply.
struct EdnsAnswer<'e> {
    /// `None` when the request had no OPT record (RFC 6891 §6.1.1).
    reply: Option<OptReply<'e>>,
    /// The client subnet, when policy believes it.
    subnet: Option<ClientSubnet<'e>>,
    cookie: CookieState,
}

impl<'e> EdnsAnswer<'e> {
    fn new(options: &'e Options, edns: Option<&Edns<'e>>, subnet: Option<ClientSubnet<'e>>, arrival: &Arrival) -> Self {
        let Some(edns) = edns else { return Self { reply: None, subnet: None, cookie: CookieState::Absent } };
        let cookie =
            edns.cookie.and_then(|cookie| answer_cookie(&options.cookie_secrets, &cookie, unmapped(arrival.source.ip()), arrival.now_s));
        let keepalive = match arrival.transport {
            Transport::Tcp if edns.keepalive && options.tcp_keepalive > 0 => Some(options.tcp_keepalive),
            Transport::Tcp | Transport::Udp => None, // RFC 7828 §3.2.1: ignored over UDP
        };
        let reply = OptReply {
            payload: options.max_udp_payload,
            dnssec_ok: edns.dnssec_ok,
            nsid: Some(&*options.nsid).filter(|nsid| edns.nsid && !nsid.is_empty()),
            client_subnet: subnet.map(|subnet| (subnet, 0)),
            cookie: cookie.map(|cookie| cookie.reply),
            keepalive,
            extended_error: None,
        };
        let cookie = match (edns.cookie, cookie) {
            (None, _) => CookieState::Absent,
            (Some(_), Some(answer)) if answer.is_valid => CookieState::Valid,
            (Some(_), Some(_) | None) => CookieState::Unproven,
        };
        Self { reply: Some(reply), subnet, cookie }
    }

    /// The scope of a decision, as the reply's family counts it. Contract section 2.8: 0 for a source prefix of 0.
    fn set_scope(&mut self, scope: u8) {
        let mapped = self.subnet.is_some_and(|subnet| is_mapped(&subnet));
        let long_enough = self.subnet.is_some_and(|subnet| subnet.source >= MAPPED_BITS);
        let shift = if mapped && long_enough && scope > 0 { MAPPED_BITS } else { 0 };
        if let Some((subnet, slot)) = self.reply.as_mut().and_then(|reply| reply.client_subnet.as_mut()) {
            *slot = if subnet.source == 0 { 0 } else { scope.saturating_add(shift) };
        }
    }
}

/// Octets that the reply may have: RFC 1035 §4.2.1 without EDNS, RFC 6891 §6.2.5 with it, never more than we offer ourselves.
fn reply_limit(options: &Options, edns: Option<&Edns<'_>>, transport: Transport) -> usize {
    match transport {
        Transport::Tcp => MAX_MESSAGE,
        Transport::Udp => {
            let offered = edns.map_or(MIN_UDP_PAYLOAD, |edns| edns.payload.max(MIN_UDP_PAYLOAD));
            usize::from(offered.min(options.max_udp_payload.max(MIN_UDP_PAYLOAD)))
        }
    }
}
