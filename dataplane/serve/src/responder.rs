//! One thread's means of answering: the view that it holds, its randomness, its scratch memory and its counters. UDP and TCP answer through it alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use geodns_engine::answer::{Arrival, Outcome, Scratch, Transport, answer};
use geodns_engine::rng::FastRng;

use crate::counters::{Counter, WorkerCounters};
use crate::published::{Published, Subscription};
use crate::sys;

/// Answers queries for one thread.
#[derive(Debug)]
pub struct Responder {
    subscription: Subscription,
    rng: FastRng,
    scratch: Scratch,
    counters: Arc<WorkerCounters>,
    now_s: u32,
}

impl Responder {
    /// Begins with what is in force.
    ///
    /// # Errors
    /// The kernel has no randomness yet.
    pub fn new(published: Arc<Published>, counters: Arc<WorkerCounters>) -> std::io::Result<Self> {
        let rng = FastRng::from_seed(sys::random_u64()?);
        let mut responder = Self { subscription: Subscription::new(published), rng, scratch: Scratch::new(), counters, now_s: 0 };
        responder.scratch.fit(responder.subscription.view());
        Ok(responder)
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
                self.counters.answered(&facts);
                Some(length)
            }
            Outcome::Drop(reason) => {
                self.counters.dropped(reason);
                None
            }
        }
    }

    /// After a panic while answering: what it may have left half done is made anew.
    pub fn recover_from_panic(&mut self) {
        self.scratch = Scratch::new();
        self.scratch.fit(self.subscription.view());
        self.counters.add(Counter::Panics, 1);
        self.counters.add(Counter::DroppedPanic, 1);
    }
}
