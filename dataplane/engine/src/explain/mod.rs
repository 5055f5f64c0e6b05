//! Why a client gets its answer: the answer function is run on a real query, and what it tells on the way becomes a document (`docs/explain.md`).
//!
//! Nothing here decides anything. Where the packet path does not need a reason (why a rule did *not* match), the reason is looked up afterwards with the
//! predicates themselves; which rule, pool and values it was is always the packet path's own word.

mod chance;
mod decision;
mod message;
mod recorder;
mod rules;
pub(crate) mod text;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;

pub(crate) use chance::MAX_EXACT;
pub(crate) use decision::find_chances;
pub use decision::{CandidateReport, Choice, DecisionReport, PoolReport, ScopeReport, TtlBoundReport, TtlReport, ValueReport};
pub use recorder::Step;
pub use rules::{DatabaseReport, FactSources, LocationReport, RuleReport, RuleVerdict};

use crate::acl::NetworkSet;
use crate::answer::{Arrival, Outcome, Scratch, Transport, answer_traced};
use crate::location::address::Address;
use crate::rng::Rng;
use crate::view::{ClientSubnets, Options, View};
use message::{Reply, read_reply, write_query};
use recorder::Recorder;

/// Where the question seems to come from when a client subnet asks; no port is 0.
const ASKING_PORT: u16 = 53_000;

/// Whom an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A query from this address, without client subnet.
    Sender(IpAddr),
    /// A query with this client subnet, from a resolver that is believed.
    Subnet(IpAddr, u8),
}

impl Asker {
    /// `ADDR` is a sender, `ADDR/LEN` a client subnet whose bits beyond the prefix are cut off, as a resolver does.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((addr, length)) = text.split_once('/') else { return text.parse().ok().map(Self::Sender) };
        let length: u8 = length.parse().ok()?;
        match addr.parse().ok()? {
            IpAddr::V4(addr) if length <= 32 => Some(Self::Subnet(IpAddr::V4(u32::from(addr).network(length).into()), length)),
            IpAddr::V6(addr) if length <= 128 => Some(Self::Subnet(IpAddr::V6(u128::from(addr).network(length).into()), length)),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }
}

/// Why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExplainFault {
    /// No domain name.
    Name,
    /// No type of records.
    Type,
    /// No address and no network.
    Client,
    /// The answer function stays silent to such a query, or its reply cannot be read: a mistake of ours.
    NoReply,
}

impl std::fmt::Display for ExplainFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "this is no domain name",
            Self::Type => "this is no type of records",
            Self::Client => "the client is neither an address nor a network",
            Self::NoReply => "such a query gets no reply",
        })
    }
}

/// The whole document.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub question: QuestionReport,
    pub client: ClientReport,
    /// The way from the question to the answer, with every decision in its place.
    pub path: Vec<Step>,
    pub answer: AnswerReport,
}

/// What was asked.
#[derive(Debug, Serialize)]
pub struct QuestionReport {
    pub name: String,
    #[serde(rename = "type")]
    pub rtype: String,
}

/// The client as seen.
#[derive(Debug, Serialize)]
pub struct ClientReport {
    pub address: String,
    /// Length of the client subnet, or of the whole address.
    pub prefix: u8,
    /// `sender`, `client subnet`, or `client subnet, ignored by policy` when the setting `ecs` is false: then the address is that of a sender.
    pub seen_as: &'static str,
    pub location: LocationReport,
}

/// A possible answer.
#[derive(Debug, Serialize)]
pub struct AnswerReport {
    pub rcode: &'static str,
    pub authoritative: bool,
    /// Whether any step of the way was decided for this client.
    pub steered: bool,
    /// Scope prefix of the client subnet in the reply; null when the reply has none.
    pub scope: Option<u8>,
    pub answer: Vec<Record>,
    pub authority: Vec<Record>,
}

/// A record as text.
#[derive(Debug, Serialize)]
pub struct Record {
    pub name: String,
    #[serde(rename = "type")]
    pub rtype: String,
    pub ttl: u32,
    pub data: String,
}

/// Asks the answer function. `name` and `rtype` are text, absolute; `client` as `Asker::parse` takes it.
///
/// # Errors
/// When the question cannot be asked.
pub fn explain(view: &View, name: &str, rtype: &str, client: &str, rng: &mut impl Rng) -> Result<Explanation, ExplainFault> {
    let qname = text::parse_name(name).ok_or(ExplainFault::Name)?;
    let qtype = text::parse_type(rtype).ok_or(ExplainFault::Type)?;
    let asker = Asker::parse(client).ok_or(ExplainFault::Client)?;
    let (view, asker, seen_as) = admit(view, asker);
    let query = write_query(&qname, qtype, &asker);
    let (source, client) = match asker {
        Asker::Sender(addr) => (addr, ClientReport::new(&view, addr, if addr.is_ipv4() { 32 } else { 128 }, seen_as)),
        Asker::Subnet(addr, length) => (IpAddr::V4(Ipv4Addr::LOCALHOST), ClientReport::new(&view, addr, length, seen_as)),
    };
    let arrival = Arrival { source: SocketAddr::new(source, ASKING_PORT), transport: Transport::Tcp, now_s: 0 };
    let mut recorder = Recorder::default();
    let mut reply = vec![0; usize::from(u16::MAX)];
    let outcome = answer_traced(&view, &query, &arrival, rng, &mut Scratch::new(), &mut reply, &mut recorder);
    let Outcome::Reply { length, facts } = outcome else { return Err(ExplainFault::NoReply) };
    let told = reply.get(..length).and_then(|reply| read_reply(reply).ok()).ok_or(ExplainFault::NoReply)?;
    let Reply { authoritative, answer, authority, scope } = told;
    let rcode = show_rcode(facts.rcode);
    Ok(Explanation {
        question: QuestionReport { name: text::show_name(&qname), rtype: text::show_type(qtype) },
        client,
        path: recorder.into_steps(),
        answer: AnswerReport { rcode, authoritative, steered: facts.steered, scope, answer, authority },
    })
}

/// A client subnet is explained as a resolver that is believed and allowed would send it; without such resolvers it is explained as a sender's address.
fn admit(view: &View, asker: Asker) -> (View, Asker, &'static str) {
    let view = view.clone();
    match asker {
        Asker::Sender(_) => (view, asker, "sender"),
        Asker::Subnet(addr, _) if view.options.client_subnets == ClientSubnets::FromNobody => {
            (view, Asker::Sender(addr), "client subnet, ignored by policy")
        }
        Asker::Subnet(..) => {
            let options = Options {
                client_subnets: ClientSubnets::FromAll,
                allow: NetworkSet::default(),
                deny: NetworkSet::default(),
                ..Options::clone(&view.options)
            };
            (View { options: Arc::new(options), ..view }, asker, "client subnet")
        }
    }
}

impl ClientReport {
    fn new(view: &View, addr: IpAddr, prefix: u8, seen_as: &'static str) -> Self {
        let (addr, prefix) = match addr {
            IpAddr::V6(mapped) => match mapped.to_ipv4_mapped() {
                Some(addr) if prefix >= 96 => (IpAddr::V4(addr), prefix.saturating_sub(96)),
                _ => (IpAddr::V6(mapped), prefix),
            },
            IpAddr::V4(_) => (addr, prefix),
        };
        Self { address: addr.to_string(), prefix, seen_as, location: LocationReport::new(view.tables.locations(), addr) }
    }
}

fn show_rcode(rcode: geodns_wire::Rcode) -> &'static str {
    use geodns_wire::Rcode;
    match rcode {
        Rcode::NoError => "NOERROR",
        Rcode::FormErr => "FORMERR",
        Rcode::ServFail => "SERVFAIL",
        Rcode::NxDomain => "NXDOMAIN",
        Rcode::NotImp => "NOTIMP",
        Rcode::Refused => "REFUSED",
        Rcode::YxDomain => "YXDOMAIN",
        Rcode::NotAuth => "NOTAUTH",
        Rcode::BadVers => "BADVERS",
    }
}

#[cfg(test)]
mod tests;
