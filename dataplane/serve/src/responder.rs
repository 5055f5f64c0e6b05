//! One thread's means of answering: the view that it holds, its randomness, its scratch memory and its counters. UDP and TCP answer through it alike.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use geodns_engine::answer::{
    Arrival, CookieState, Desk, DropReason, Facts, MOST_READ_AHEAD, Outcome, Prepared, Scratch, Transport, answer, complete,
    is_worth_reading_ahead, read_ahead,
};
use geodns_engine::rng::FastRng;
use geodns_engine::rrl::{Limits, RateTable, Verdict};
use geodns_engine::steer::NoTrace;
use geodns_engine::view::View;
use geodns_wire::writer;

use crate::counters::{Counter, WorkerCounters};
use crate::published::{Published, Subscription};
use crate::sys::{self, Datagram, Outbox, WIDTH};

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

/// A query between the two steps of its answer.
#[derive(Debug)]
struct Pending<'k, 'v, 'm> {
    index: usize,
    source: SocketAddr,
    prepared: Prepared<'k, 'v, 'm>,
    /// Whether it gets a reply; `None` when that could not be found out.
    readiness: Option<Result<(), DropReason>>,
}

const _: () = assert!(WIDTH <= MOST_READ_AHEAD, "a batch is prepared whole");

/// Answers queries for one thread.
#[derive(Debug)]
pub struct Responder {
    subscription: Subscription,
    rng: FastRng,
    scratch: Scratch,
    ledger: Ledger,
    now_s: u32,
}

/// What is counted of answers, and how many of them a client gets.
#[derive(Debug)]
struct Ledger {
    counters: Arc<WorkerCounters>,
    rates: Arc<RateClock>,
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
        let ledger = Ledger { counters, rates, now_ms: 0 };
        let mut responder = Self { subscription, rng, scratch: Scratch::new(), ledger, now_s: 0 };
        responder.scratch.desk.fit(responder.subscription.view());
        responder
    }

    /// Takes what is in force now. To be called when there was nothing to answer, so that an old view is let go of.
    pub fn refresh(&mut self) {
        if self.subscription.refresh() {
            self.scratch.desk.fit(self.subscription.view());
        }
    }

    /// To be called after queries have been received and before the first of them is answered.
    pub fn begin_batch(&mut self) {
        self.refresh();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // RFC 9018 §4.3: cookies use serial number arithmetic, so the low half is the time.
        self.now_s = u32::try_from(since & u64::from(u32::MAX)).unwrap_or(0);
        if self.subscription.view().options.rate_limits.is_some() {
            self.ledger.now_ms = self.ledger.rates.now_ms();
        }
    }

    /// Answers at most `WIDTH` queries that came over UDP; to be called after `begin_batch`. A panic costs the query that caused it.
    pub fn respond_to_batch<'m>(&mut self, queries: impl Iterator<Item = Datagram<'m>>, outbox: &mut impl Outbox) {
        let is_alone = queries.size_hint().1 == Some(1); // it has none to wait with
        if !is_alone && is_worth_reading_ahead(self.subscription.view()) {
            self.respond_together(queries, outbox);
        } else {
            self.respond_one_by_one(queries, outbox);
        }
    }

    /// Where the caches hold what is served, one query after the other finds its own memory warm.
    fn respond_one_by_one<'m>(&mut self, mut queries: impl Iterator<Item = Datagram<'m>>, outbox: &mut impl Outbox) {
        let Self { subscription, rng, scratch, ledger, now_s } = self;
        let view = subscription.view();
        let mut answer_all = |scratch: &mut Scratch| {
            for query in queries.by_ref().filter(|query| ledger.admits(query)) {
                let arrival = Arrival { source: query.source, transport: Transport::Udp, now_s: *now_s };
                let outcome = answer(view, query.octets, &arrival, rng, scratch, outbox.room());
                ledger.settle_udp(view, &arrival, outcome, query.index, outbox);
            }
        };
        while catch_unwind(AssertUnwindSafe(|| answer_all(scratch))).is_err() {
            scratch.desk = new_desk(view);
            ledger.note_dropped_in_panic();
        }
    }

    /// All queries take the first step of an answer before any takes the second, so that they wait for memory together.
    fn respond_together<'m>(&mut self, queries: impl Iterator<Item = Datagram<'m>>, outbox: &mut impl Outbox) {
        let Self { subscription, rng, scratch: Scratch { keys, desk }, ledger, now_s } = self;
        let view = subscription.view();
        let mut pending = [const { None }; MOST_READ_AHEAD];
        let mut arriving = queries.filter(|query| ledger.admits(query)).zip(keys.iter_mut().zip(&mut pending));
        let mut prepare_all = || {
            for (query, (key, slot)) in arriving.by_ref() {
                let pending =
                    slot.insert(Pending { index: query.index, source: query.source, prepared: Prepared::empty(), readiness: None });
                pending.readiness = Some(pending.prepared.prepare(view, query.octets, query.source, key));
            }
        };
        while catch_unwind(AssertUnwindSafe(&mut prepare_all)).is_err() {
            ledger.note_dropped_in_panic();
        }
        let prepared = pending.iter().flatten().map(|pending| &pending.prepared);
        if catch_unwind(AssertUnwindSafe(|| read_ahead(view, prepared))).is_err() {
            ledger.counters.add(Counter::Panics, 1); // it costs nobody an answer
        }
        let mut waiting = pending.iter_mut().flatten();
        let mut complete_all = |desk: &mut Desk| {
            for Pending { index, source, prepared, readiness } in waiting.by_ref() {
                let arrival = Arrival { source: *source, transport: Transport::Udp, now_s: *now_s };
                let outcome = match readiness {
                    Some(Ok(())) => complete(view, prepared, &arrival, rng, desk, outbox.room(), &mut NoTrace),
                    Some(Err(reason)) => Outcome::Drop(*reason),
                    None => continue,
                };
                ledger.settle_udp(view, &arrival, outcome, *index, outbox);
            }
        };
        while catch_unwind(AssertUnwindSafe(|| complete_all(desk))).is_err() {
            *desk = new_desk(view);
            ledger.note_dropped_in_panic();
        }
    }

    /// Answers one query that came over TCP; `None` when it gets no answer.
    pub fn respond_tcp(&mut self, request: &[u8], source: SocketAddr, reply: &mut [u8]) -> Option<usize> {
        self.ledger.counters.query(Transport::Tcp, source.is_ipv4());
        let arrival = Arrival { source, transport: Transport::Tcp, now_s: self.now_s };
        let view = self.subscription.view();
        let outcome = answer(view, request, &arrival, &mut self.rng, &mut self.scratch, reply);
        self.ledger.settle(view, &arrival, outcome, reply)
    }

    /// After a panic while answering: the query is dropped, and what may have been left half done is made anew.
    pub fn drop_after_panic(&mut self) {
        self.scratch.desk = new_desk(self.subscription.view());
        self.ledger.note_dropped_in_panic();
    }
}

fn new_desk(view: &View) -> Desk {
    let mut desk = Desk::new();
    desk.fit(view);
    desk
}

impl Ledger {
    /// Counts a query over UDP; false for one that is longer than what is read.
    fn admits(&self, query: &Datagram<'_>) -> bool {
        if query.is_cut {
            self.counters.add(Counter::DroppedTooLong, 1);
        } else {
            self.counters.query(Transport::Udp, query.source.is_ipv4());
        }
        !query.is_cut
    }

    /// Counts an outcome, and queues the reply that lies in the outbox's room.
    fn settle_udp(&self, view: &View, arrival: &Arrival, outcome: Outcome, index: usize, outbox: &mut impl Outbox) {
        if let Some(length) = self.settle(view, arrival, outcome, outbox.room()) {
            outbox.queue(index, length);
        }
    }

    /// Counts an outcome; how much of the reply is sent.
    fn settle(&self, view: &View, arrival: &Arrival, outcome: Outcome, reply: &mut [u8]) -> Option<usize> {
        match outcome {
            Outcome::Reply { length, facts } => {
                self.counters.asked(&facts);
                match (arrival.transport, &view.options.rate_limits) {
                    (Transport::Tcp, _) | (Transport::Udp, None) => {
                        self.counters.answered(&facts);
                        Some(length)
                    }
                    (Transport::Udp, Some(limits)) => self.limit(limits, arrival.source, length, facts, reply),
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

    fn note_dropped_in_panic(&self) {
        self.counters.add(Counter::Panics, 1);
        self.counters.add(Counter::DroppedPanic, 1);
    }
}

#[cfg(test)]
mod tests;
