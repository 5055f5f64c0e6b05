//! What the threads count. Each has cells of its own on its own cache lines, written by it alone and read by whoever sums up: nothing on the query
//! path waits for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use geodns_engine::answer::{CookieState, DropReason, Facts, Transport};
use geodns_engine::refused::RefusalCode;
use geodns_wire::{Rcode, rtype};
use serde_json::{Map, Value};

/// What is counted. The order is that of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    QueriesUdp4,
    QueriesUdp6,
    QueriesTcp4,
    QueriesTcp6,
    TypeA,
    TypeAaaa,
    TypeAny,
    TypeCaa,
    TypeCname,
    TypeDnskey,
    TypeDs,
    TypeHttps,
    TypeMx,
    TypeNaptr,
    TypeNs,
    TypePtr,
    TypeSoa,
    TypeSrv,
    TypeSvcb,
    TypeTxt,
    TypeNone,
    TypeOther,
    NoError,
    FormErr,
    ServFail,
    NxDomain,
    NotImp,
    Refused,
    YxDomain,
    NotAuth,
    BadVers,
    Truncated,
    Edns,
    ClientSubnets,
    CookiesUnproven,
    CookiesValid,
    SteeredAnswered,
    SteeredServFail,
    RateSlipped,
    RateWouldDrop,
    RateWouldSlip,
    DroppedShort,
    DroppedResponse,
    DroppedSourcePort,
    DroppedNoBuffer,
    DroppedTooLong,
    DroppedPanic,
    DroppedRate,
    Panics,
    Unsent,
    ReceiveErrors,
    TcpAccepted,
    TcpEvicted,
    TcpIdleClosed,
    TcpOpen,
    RefusedBase,
    RefusedLineage,
    RefusedChecksum,
    RefusedMalformed,
    RefusedLimit,
    RefusedStale,
    RefusedVersion,
    RefusedRole,
    RefusedState,
}

/// Each counter with its name in STATUS, and its label where several stand under one name.
const NAMES: [(Counter, &str, &str); 64] = [
    (Counter::QueriesUdp4, "queries", "udp4"),
    (Counter::QueriesUdp6, "queries", "udp6"),
    (Counter::QueriesTcp4, "queries", "tcp4"),
    (Counter::QueriesTcp6, "queries", "tcp6"),
    (Counter::TypeA, "queries_by_type", "A"),
    (Counter::TypeAaaa, "queries_by_type", "AAAA"),
    (Counter::TypeAny, "queries_by_type", "ANY"),
    (Counter::TypeCaa, "queries_by_type", "CAA"),
    (Counter::TypeCname, "queries_by_type", "CNAME"),
    (Counter::TypeDnskey, "queries_by_type", "DNSKEY"),
    (Counter::TypeDs, "queries_by_type", "DS"),
    (Counter::TypeHttps, "queries_by_type", "HTTPS"),
    (Counter::TypeMx, "queries_by_type", "MX"),
    (Counter::TypeNaptr, "queries_by_type", "NAPTR"),
    (Counter::TypeNs, "queries_by_type", "NS"),
    (Counter::TypePtr, "queries_by_type", "PTR"),
    (Counter::TypeSoa, "queries_by_type", "SOA"),
    (Counter::TypeSrv, "queries_by_type", "SRV"),
    (Counter::TypeSvcb, "queries_by_type", "SVCB"),
    (Counter::TypeTxt, "queries_by_type", "TXT"),
    (Counter::TypeNone, "queries_by_type", "none"),
    (Counter::TypeOther, "queries_by_type", "other"),
    (Counter::NoError, "responses", "NOERROR"),
    (Counter::FormErr, "responses", "FORMERR"),
    (Counter::ServFail, "responses", "SERVFAIL"),
    (Counter::NxDomain, "responses", "NXDOMAIN"),
    (Counter::NotImp, "responses", "NOTIMP"),
    (Counter::Refused, "responses", "REFUSED"),
    (Counter::YxDomain, "responses", "YXDOMAIN"),
    (Counter::NotAuth, "responses", "NOTAUTH"),
    (Counter::BadVers, "responses", "BADVERS"),
    (Counter::Truncated, "truncated", ""),
    (Counter::Edns, "edns", ""),
    (Counter::ClientSubnets, "client_subnets", ""),
    (Counter::CookiesUnproven, "cookies", "unproven"),
    (Counter::CookiesValid, "cookies", "valid"),
    (Counter::SteeredAnswered, "steered", "answered"),
    (Counter::SteeredServFail, "steered", "servfail"),
    (Counter::RateSlipped, "rate_limited", "slipped"),
    (Counter::RateWouldDrop, "rate_limited", "would_drop"),
    (Counter::RateWouldSlip, "rate_limited", "would_slip"),
    (Counter::DroppedShort, "dropped", "short"),
    (Counter::DroppedResponse, "dropped", "response"),
    (Counter::DroppedSourcePort, "dropped", "source_port_zero"),
    (Counter::DroppedNoBuffer, "dropped", "no_buffer"),
    (Counter::DroppedTooLong, "dropped", "too_long"),
    (Counter::DroppedPanic, "dropped", "panic"),
    (Counter::DroppedRate, "dropped", "rrl"),
    (Counter::Panics, "panics", ""),
    (Counter::Unsent, "unsent", ""),
    (Counter::ReceiveErrors, "receive_errors", ""),
    (Counter::TcpAccepted, "tcp_connections", "accepted"),
    (Counter::TcpEvicted, "tcp_connections", "evicted"),
    (Counter::TcpIdleClosed, "tcp_connections", "idle_closed"),
    (Counter::TcpOpen, "tcp_open", ""),
    (Counter::RefusedBase, "refused", "base"),
    (Counter::RefusedLineage, "refused", "lineage"),
    (Counter::RefusedChecksum, "refused", "checksum"),
    (Counter::RefusedMalformed, "refused", "malformed"),
    (Counter::RefusedLimit, "refused", "limit"),
    (Counter::RefusedStale, "refused", "stale"),
    (Counter::RefusedVersion, "refused", "version"),
    (Counter::RefusedRole, "refused", "role"),
    (Counter::RefusedState, "refused", "state"),
];

const CELLS: usize = NAMES.len();

/// One thread's cells. Two cache lines are the unit that processors fetch.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCounters {
    cells: [AtomicU64; CELLS],
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self { cells: [const { AtomicU64::new(0) }; CELLS] }
    }
}

impl WorkerCounters {
    /// Only the thread that owns the cells may call this: the sum is a load and a store, not one step.
    pub fn add(&self, counter: Counter, count: u64) {
        let cell = &self.cells[counter as usize];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// For what is not a total but a present number.
    pub fn set(&self, counter: Counter, number: u64) {
        self.cells[counter as usize].store(number, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.cells[counter as usize].load(Ordering::Relaxed)
    }

    /// A query that came.
    pub fn query(&self, transport: Transport, is_ipv4: bool) {
        self.add(
            match (transport, is_ipv4) {
                (Transport::Udp, true) => Counter::QueriesUdp4,
                (Transport::Udp, false) => Counter::QueriesUdp6,
                (Transport::Tcp, true) => Counter::QueriesTcp4,
                (Transport::Tcp, false) => Counter::QueriesTcp6,
            },
            1,
        );
    }

    /// A query that gets no answer.
    pub fn dropped(&self, reason: DropReason) {
        self.add(
            match reason {
                DropReason::Short => Counter::DroppedShort,
                DropReason::Response => Counter::DroppedResponse,
                DropReason::SourcePortZero => Counter::DroppedSourcePort,
                DropReason::NoBuffer => Counter::DroppedNoBuffer,
            },
            1,
        );
    }

    /// What was asked, whether the answer is sent or not.
    pub fn asked(&self, facts: &Facts) {
        self.add(of_type(facts.qtype), 1);
        if facts.edns {
            self.add(Counter::Edns, 1);
        }
        if facts.client_subnet {
            self.add(Counter::ClientSubnets, 1);
        }
        match facts.cookie {
            CookieState::Absent => {}
            CookieState::Unproven => self.add(Counter::CookiesUnproven, 1),
            CookieState::Valid => self.add(Counter::CookiesValid, 1),
        }
    }

    /// An answer that is sent.
    pub fn answered(&self, facts: &Facts) {
        self.add(of_rcode(facts.rcode), 1);
        if facts.truncated {
            self.add(Counter::Truncated, 1);
        }
        if facts.steered {
            self.add(if facts.rcode == Rcode::ServFail { Counter::SteeredServFail } else { Counter::SteeredAnswered }, 1);
        }
    }

    /// A transfer or a frame of the link that was not taken.
    pub fn refused(&self, code: RefusalCode) {
        self.add(
            match code {
                RefusalCode::Base => Counter::RefusedBase,
                RefusalCode::Lineage => Counter::RefusedLineage,
                RefusalCode::Checksum => Counter::RefusedChecksum,
                RefusalCode::Malformed => Counter::RefusedMalformed,
                RefusalCode::Limit => Counter::RefusedLimit,
                RefusalCode::Stale => Counter::RefusedStale,
                RefusalCode::Version => Counter::RefusedVersion,
                RefusalCode::Role => Counter::RefusedRole,
                RefusalCode::State => Counter::RefusedState,
            },
            1,
        );
    }
}

const fn of_type(qtype: u16) -> Counter {
    match qtype {
        0 => Counter::TypeNone,
        rtype::A => Counter::TypeA,
        rtype::AAAA => Counter::TypeAaaa,
        rtype::ANY => Counter::TypeAny,
        rtype::CAA => Counter::TypeCaa,
        rtype::CNAME => Counter::TypeCname,
        rtype::DNSKEY => Counter::TypeDnskey,
        rtype::DS => Counter::TypeDs,
        rtype::HTTPS => Counter::TypeHttps,
        rtype::MX => Counter::TypeMx,
        rtype::NAPTR => Counter::TypeNaptr,
        rtype::NS => Counter::TypeNs,
        rtype::PTR => Counter::TypePtr,
        rtype::SOA => Counter::TypeSoa,
        rtype::SRV => Counter::TypeSrv,
        rtype::SVCB => Counter::TypeSvcb,
        rtype::TXT => Counter::TypeTxt,
        _ => Counter::TypeOther,
    }
}

const fn of_rcode(rcode: Rcode) -> Counter {
    match rcode {
        Rcode::NoError => Counter::NoError,
        Rcode::FormErr => Counter::FormErr,
        Rcode::ServFail => Counter::ServFail,
        Rcode::NxDomain => Counter::NxDomain,
        Rcode::NotImp => Counter::NotImp,
        Rcode::Refused => Counter::Refused,
        Rcode::YxDomain => Counter::YxDomain,
        Rcode::NotAuth => Counter::NotAuth,
        Rcode::BadVers => Counter::BadVers,
    }
}

/// The sums over all threads, as STATUS shows them: name → total, or name → {label: total}.
pub fn sum(threads: &[Arc<WorkerCounters>]) -> Map<String, Value> {
    let mut totals = Map::new();
    for (counter, name, label) in NAMES {
        let total: u64 = threads.iter().map(|cells| cells.get(counter)).sum();
        if label.is_empty() {
            totals.insert(name.into(), total.into());
        } else if let Value::Object(labels) = totals.entry(name).or_insert_with(|| Map::new().into()) {
            labels.insert(label.into(), total.into());
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_own_cell_and_a_name() {
        for (index, (counter, _, _)) in NAMES.iter().enumerate() {
            assert_eq!(*counter as usize, index);
        }
    }

    #[test]
    fn totals_are_summed_over_threads() {
        let threads = [Arc::new(WorkerCounters::default()), Arc::new(WorkerCounters::default())];
        threads[0].add(Counter::Truncated, 2);
        threads[1].add(Counter::Truncated, 3);
        threads[1].query(Transport::Tcp, false);
        let totals = sum(&threads);
        assert_eq!(totals["truncated"], 5);
        assert_eq!(totals["queries"]["tcp6"], 1);
        assert_eq!(totals["queries"]["udp4"], 0);
    }
}
