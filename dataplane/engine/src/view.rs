//! All that a worker reads while it answers: one value, made whole by the adopter and published through one pointer, so that no answer mixes
//! two states.

use std::sync::Arc;

use crate::acl::NetworkSet;
use crate::cookie::Secret;
use crate::rrl::Limits;
use crate::spec::Triple;
use crate::steer::{HealthTable, SteeringTables};
use crate::zones::ZoneSet;

/// RFC 9715 §3.1 and the DNS flag day of 2020: no fragments on any path in use.
const DEFAULT_UDP_PAYLOAD: u16 = 1232;

/// What is served.
#[derive(Debug, Clone)]
pub struct View {
    pub zones: Arc<ZoneSet>,
    pub tables: Arc<SteeringTables>,
    pub health: Arc<HealthTable>,
    pub options: Arc<Options>,
    /// `None` before the first state was adopted.
    pub triple: Option<Triple>,
}

/// CONFIG as answers need it (`docs/link-protocol.md` section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Empty = none.
    pub nsid: Box<[u8]>,
    /// The first makes cookies, all are accepted; without any, cookies are not answered.
    pub cookie_secrets: Vec<Secret>,
    pub max_udp_payload: u16,
    pub client_subnets: ClientSubnets,
    /// Client networks that are answered; empty = all.
    pub allow: NetworkSet,
    /// Client networks that are refused, whatever `allow` says.
    pub deny: NetworkSet,
    /// Of UDP replies per client prefix; `None` = none.
    pub rate_limits: Option<Limits>,
    /// Units of 100 ms for RFC 7828, as TCP really keeps connections; 0 = not announced.
    pub tcp_keepalive: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nsid: Box::default(),
            cookie_secrets: Vec::new(),
            max_udp_payload: DEFAULT_UDP_PAYLOAD,
            client_subnets: ClientSubnets::FromAll,
            allow: NetworkSet::default(),
            deny: NetworkSet::default(),
            rate_limits: None,
            tcp_keepalive: 0,
        }
    }
}

/// Whose client subnets are believed (RFC 7871 §7.2, §11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientSubnets {
    FromAll,
    FromNobody,
    From(NetworkSet),
}
