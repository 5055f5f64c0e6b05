//! One thread's means of answering: the view that it holds, its randomness, its scratch memory and its counters. UDP and TCP answer through it alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use geodns_engine::answer::{Arrival, CookieState, Facts, Outcome, Scratch, Transport, answer};
use geodns_engine::rng::FastRng;
use geodns_engine::rrl::{Limits, RateTable, Verdict};
use geodns_wire::writer;

use crate::counters::{Counter, WorkerCounters};
use crate::published::{Published, Subscription};
use crate::sys;

/// The budgets of rate limiting, and the clock that they are kept by: one for all threads.
#[derive(Debug)]
pub struct RateClock {
    table: RateTable,
    began: Instant,
}

impl RateClock {
    /// Budgets that nobody has used, at a place in the table that nobody can guess.
    ///
    /// # Errors
    /// The kernel has no randomness yet.
    pub fn start() -> std::io::Result<Self> {
        Ok(Self::seeded(sys::random_u64()?))
    }

    /// The same at a place in the table that follows from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { table: RateTable::new(seed), began: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Answers queries for one thread.
#[derive(Debug)]
pub struct Responder {
    subscription: Subscription,
    rng: FastRng,
    scratch: Scratch,
    counters: Arc<WorkerCounters>,
    rates: Arc<RateClock>,
    now_s: u32,
    /// On the clock of `rates`; stands still while nothing is limited.
    now_ms: u64,
}

impl Responder {
    /// Begins with what is in force.
    ///
    /// # Errors
    /// The kernel has no randomness yet.
    pub fn new(published: Arc<Published>, rates: Arc<RateClock>, counters: Arc<WorkerCounters>) -> std::io::Result<Self> {
        Ok(Self::seeded(published, rates, counters, sys::random_u64()?))
    }

    /// The same with choices that follow from `seed`: for whoever wants two runs to be alike.
    pub fn seeded(published: Arc<Published>, rates: Arc<RateClock>, counters: Arc<WorkerCounters>, seed: u64) -> Self {
        let rng = FastRng::from_seed(seed);
        let subscription = Subscription::new(published);
        let mut responder = Self { subscription, rng, scratch: Scratch::new(), counters, rates, now_s: 0, now_ms: 0 };
        responder.scratch.fit(responder.subscription.view());
        responder
    }

    /// Takes what is in force now. To be called when there was nothing to answer, so that an old view is let go of.
    pub fn refresh(&mut self) {
        if self.subscription.refresh() {
            self.scratch.fit(self.subscription.view());
        }
    }

    /// To be called after queries have been received and before the first of them is answered.
    pub fn begin_batch(&mut self) {
        self.refresh();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // RFC 9018 §4.3: cookies use serial number arithmetic, so the low half is the time.
        self.now_s = u32::try_from(since & u64::from(u32::MAX)).unwrap_or(0);
        if self.subscription.view().options.rate_limits.is_some() {
            self.now_ms = self.rates.now_ms();
        }
    }

    /// Fetches what the answers to a batch will read, and says for how many a steered rrset was found; to be called after `begin_batch`.
    pub fn read_ahead<'m>(&mut self, requests: impl Iterator<Item = (SocketAddr, &'m [u8])>) -> usize {
        self.scratch.read_ahead(self.subscription.view(), requests)
    }

    /// Answers one query that came over UDP; `None` when it gets no answer.
    pub fn respond_udp(&mut self, request: &[u8], source: SocketAddr, reply: &mut [u8]) -> Option<usize> {
        self.respond(request, source, Transport::Udp, reply)
    }

    /// Answers one query that came over TCP; `None` when it gets no answer.
    pub fn respond_tcp(&mut self, request: &[u8], source: SocketAddr, reply: &mut [u8]) -> Option<usize> {
        self.respond(request, source, Transport::Tcp, reply)
    }

    fn respond(&mut self, request: &[u8], source: SocketAddr, transport: Transport, reply: &mut [u8]) -> Option<usize> {
        self.counters.query(transport, source.is_ipv4());
        let arrival = Arrival { source, transport, now_s: self.now_s };
        match answer(self.subscription.view(), request, &arrival, &mut self.rng, &mut self.scratch, reply) {
            Outcome::Reply { length, facts } => {
                self.counters.asked(&facts);
                match (transport, &self.subscription.view().options.rate_limits) {
                    (Transport::Tcp, _) | (Transport::Udp, None) => {
                        self.counters.answered(&facts);
                        Some(length)
                    }
                    (Transport::Udp, Some(limits)) => self.limit(limits, source, length, facts, reply),
                }
            }
            Outcome::Drop(reason) => {
                self.counters.dropped(reason);
                None
            }
        }
    }

    /// The length of what is sent of a reply over UDP.
    ///
    /// | verdict | dry run | sent | counted |
    /// |---|---|---|---|
    /// | within | – | whole | as answered |
    /// | drop | no | nothing | `dropped` `rrl` |
    /// | slip | no | empty, TC | as answered and truncated, `slipped` |
    /// | drop, slip | yes | whole | as answered, `would_drop`, `would_slip` |
    fn limit(&self, limits: &Limits, source: SocketAddr, length: usize, mut facts: Facts, reply: &mut [u8]) -> Option<usize> {
        let verdict = match facts.cookie {
            CookieState::Valid => Verdict::Within,
            CookieState::Absent | CookieState::Unproven => self.rates.table.judge(limits, source.ip(), self.now_ms),
        };
        let sent = match (verdict, limits.dry_run) {
            (Verdict::Within, _) => length,
            (Verdict::Drop, true) => {
                self.counters.add(Counter::RateWouldDrop, 1);
                length
            }
            (Verdict::Slip, true) => {
                self.counters.add(Counter::RateWouldSlip, 1);
                length
            }
            (Verdict::Drop, false) => {
                self.counters.add(Counter::DroppedRate, 1);
                return None;
            }
            (Verdict::Slip, false) => {
                self.counters.add(Counter::RateSlipped, 1);
                facts.truncated = true;
                writer::empty(reply, facts.outline)
            }
        };
        self.counters.answered(&facts);
        Some(sent)
    }

    /// After a panic while answering: the query is dropped.
    pub fn drop_after_panic(&mut self) {
        self.recover_from_panic();
        self.counters.add(Counter::DroppedPanic, 1);
    }

    /// After a panic that costs nobody an answer: what it may have left half done is made anew.
    pub fn recover_from_panic(&mut self) {
        self.scratch = Scratch::new();
        self.scratch.fit(self.subscription.view());
        self.counters.add(Counter::Panics, 1);
    }
}

#[cfg(test)]
mod tests;
