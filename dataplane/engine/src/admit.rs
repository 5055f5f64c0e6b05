//! Which requests are taken to the zones at all: one decision, in the order in which the RFCs make it, before any name is looked up.

use std::net::IpAddr;

use geodns_wire::request::{Question, Request};
use geodns_wire::{Opcode, Rcode, rtype};

use crate::view::Options;

/// RFC 8914 §4.19: the client is not allowed.
pub const EDE_PROHIBITED: u16 = 18;
/// RFC 8914 §4.21: no zone of ours holds the name.
pub const EDE_NOT_AUTHORITATIVE: u16 = 20;
/// RFC 8914 §4.22: the operation is not supported.
pub const EDE_NOT_SUPPORTED: u16 = 21;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'a> {
    /// The zones are asked.
    Question(Question<'a>),
    /// No question, but a cookie to be made (RFC 7873 §5.4).
    CookieOnly,
    /// An error goes back.
    Refusal(Refusal),
}

/// Why the zones are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// `deny`, or not in `allow`.
    Client,
    /// The request cannot be read.
    Malformed,
    /// TSIG, and we have no keys (RFC 8945 §5.2.1).
    UnknownKey,
    /// NOTIFY, UPDATE and what nobody uses.
    Opcode,
    /// RFC 6891 §6.1.3.
    EdnsVersion,
    /// Another class than IN; CHAOS among them, whose names tell strangers about the server.
    Class,
    /// AXFR, IXFR.
    Transfer,
    /// A type that cannot be asked for: OPT, TSIG, TKEY and the like (RFC 6895 §3.1).
    MetaType,
    /// The name lies in no zone of ours. Found by the lookup, not here.
    NoZone,
}

impl Refusal {
    /// One match turns refusals into rcodes.
    pub fn rcode(self) -> Rcode {
        match self {
            Self::Client | Self::Class | Self::Transfer | Self::NoZone => Rcode::Refused,
            Self::Malformed | Self::MetaType => Rcode::FormErr,
            Self::UnknownKey => Rcode::NotAuth,
            Self::Opcode => Rcode::NotImp,
            Self::EdnsVersion => Rcode::BadVers,
        }
    }

    /// RFC 8914, where it tells more than the rcode does.
    pub fn extended_error(self) -> Option<u16> {
        match self {
            Self::Client => Some(EDE_PROHIBITED),
            Self::NoZone => Some(EDE_NOT_AUTHORITATIVE),
            Self::Opcode | Self::Transfer | Self::Class => Some(EDE_NOT_SUPPORTED),
            Self::Malformed | Self::UnknownKey | Self::EdnsVersion | Self::MetaType => None,
        }
    }
}

/// Decides. The version of EDNS is judged before the rest of what was read, because another version may change the meaning of everything
/// after it; a TSIG before the operation that it signs (RFC 8945 §5.1); the opcode before the question, whose form it determines.
pub fn admit<'a>(options: &Options, request: &Request<'a>, client: IpAddr) -> Admission<'a> {
    match find_refusal(options, request, client) {
        Some(refusal) => Admission::Refusal(refusal),
        None => request.question.map_or(Admission::CookieOnly, Admission::Question),
    }
}

fn find_refusal(options: &Options, request: &Request<'_>, client: IpAddr) -> Option<Refusal> {
    if !is_allowed(options, client) {
        return Some(Refusal::Client);
    }
    if request.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Some(Refusal::EdnsVersion);
    }
    if request.tsig.is_some() {
        return Some(Refusal::UnknownKey);
    }
    match request.header.opcode() {
        Opcode::Query => {}
        Opcode::Notify | Opcode::Update | Opcode::Other(_) => return Some(Refusal::Opcode),
    }
    if request.fault.is_some() {
        return Some(Refusal::Malformed);
    }
    request.question.as_ref().and_then(find_question_refusal)
}

fn is_allowed(options: &Options, client: IpAddr) -> bool {
    let is_denied = !options.deny.is_empty() && options.deny.contains(client);
    !is_denied && (options.allow.is_empty() || options.allow.contains(client))
}

fn find_question_refusal(question: &Question<'_>) -> Option<Refusal> {
    if question.qclass != rtype::CLASS_IN {
        return Some(Refusal::Class);
    }
    match question.qtype {
        rtype::AXFR | rtype::IXFR => Some(Refusal::Transfer),
        rtype::OPT | rtype::TSIG | rtype::TKEY => Some(Refusal::MetaType),
        _ => None,
    }
}
