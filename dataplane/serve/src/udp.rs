//! A UDP worker: receives a batch, looks whether the world has changed, answers, sends the batch. No lock, no allocation and no log line on that path.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::counters::{Counter, WorkerCounters};
use crate::log;
use crate::responder::Responder;
use crate::sys::{Batch, Listening, Readiness, Wait};

/// The longest wait for a query: within it an idle worker lets go of an old view, and sees that it is to end.
pub const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// After an error of a socket that may be there to stay, so that it does not take the core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

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
        if let Err(error) = self.batch.receive(socket, *listening, wait) {
            return self.report(&error);
        }
        // After the receive and before the first answer: whatever was adopted before these queries were sent is in force for them.
        self.responder.begin_batch();
        let (queries, mut answers) = self.batch.split();
        self.responder.respond_to_batch(queries, &mut answers);
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
