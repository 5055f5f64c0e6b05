//! A UDP worker: receives a batch, looks whether the world has changed, answers, sends the batch. No lock, no allocation and no log line on that path.

use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use geodns_engine::answer::MOST_READ_AHEAD;

use crate::counters::{Counter, WorkerCounters};
use crate::log;
use crate::responder::Responder;
use crate::sys::{Batch, Listening, Readiness, WIDTH, Wait};

/// The longest wait for a query: within it an idle worker lets go of an old view, and sees that it is to end.
pub const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// After an error of a socket that may be there to stay, so that it does not take the core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

const _: () = assert!(WIDTH <= MOST_READ_AHEAD, "a batch is read ahead whole");

/// One worker's socket for one listen address.
#[derive(Debug)]
pub struct Listener {
    pub socket: UdpSocket,
    pub listening: Listening,
}

/// A worker with one socket for each listen address.
#[derive(Debug)]
pub struct UdpWorker {
    listeners: Vec<Listener>,
    responder: Responder,
    counters: Arc<WorkerCounters>,
    batch: Batch,
    stop: Arc<AtomicBool>,
}

impl UdpWorker {
    /// A worker on sockets that are bound.
    pub fn new(listeners: Vec<Listener>, responder: Responder, counters: Arc<WorkerCounters>, stop: Arc<AtomicBool>) -> Self {
        Self { listeners, responder, counters, batch: Batch::new(), stop }
    }

    /// Serves until the stop flag is set.
    pub fn run(mut self) {
        if self.listeners.len() == 1 {
            while !self.stop.load(Ordering::Relaxed) {
                self.serve(0, Wait::Wait);
            }
        } else {
            self.run_over_many();
        }
    }

    fn run_over_many(&mut self) {
        let mut readiness = Readiness::new(self.listeners.iter().map(|listener| &listener.socket));
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(error) = readiness.wait(LONGEST_WAIT) {
                self.report(&error);
            }
            // Also when nothing arrived.
            self.responder.refresh();
            for index in 0..self.listeners.len() {
                if readiness.is_ready(index) {
                    self.serve(index, Wait::Take);
                }
            }
        }
    }

    /// One batch from one socket.
    fn serve(&mut self, index: usize, wait: Wait) {
        let Listener { socket, listening } = &self.listeners[index];
        let received = match self.batch.receive(socket, *listening, wait) {
            Ok(received) => received,
            Err(error) => return self.report(&error),
        };
        // After the receive and before the first answer: whatever was adopted before these queries were sent is in force for them.
        self.responder.begin_batch();
        // A query alone has none to wait with. A panic here costs nobody an answer.
        if received > 1 && catch_unwind(AssertUnwindSafe(|| self.responder.read_ahead(self.batch.requests()))).is_err() {
            self.responder.recover_from_panic();
        }
        let mut next = 0;
        while next < received {
            // A panic costs the query that caused it. The loop goes on behind it.
            let answered = catch_unwind(AssertUnwindSafe(|| {
                while next < received {
                    next += 1;
                    answer_one(&mut self.batch, next - 1, &mut self.responder, &self.counters);
                }
            }));
            if answered.is_err() {
                self.responder.drop_after_panic();
            }
        }
        let sent = self.batch.send(socket);
        if sent.failed > 0 {
            self.counters.add(Counter::Unsent, sent.failed as u64);
        }
    }

    #[cold]
    fn report(&self, error: &std::io::Error) {
        self.counters.add(Counter::ReceiveErrors, 1);
        log::error("receiving over UDP failed", &[("error", error)]);
        std::thread::sleep(PAUSE_AFTER_ERROR);
    }
}

fn answer_one(batch: &mut Batch, index: usize, responder: &mut Responder, counters: &WorkerCounters) {
    let Some(message) = batch.message(index) else { return };
    if message.is_cut {
        counters.add(Counter::DroppedTooLong, 1);
        return;
    }
    if let Some(length) = responder.respond_udp(message.request, message.source, message.reply) {
        batch.queue(index, length);
    }
}
