//! DNS over TCP (RFC 7766): one thread that accepts, reads, answers in order and writes, over epoll.
//!
//! What a client can cost is bounded. An idle connection is one small record and no buffers. A query in pieces and answers that wait for a slow
//! reader are held per connection, and no further query of that connection is read while answers wait (RFC 7766 §6.2.1.1 lets a server stop
//! reading). Whoever is over a cap is not refused: the connection that has been idle longest goes, so that a fresh client always gets in.
//!
//! TLS, QUIC and transfers are not here.

pub mod connection;
mod queue;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::counters::{Counter, WorkerCounters};
use crate::log;
use crate::responder::Responder;
use crate::sys;
use connection::{Buffers, Connection, Progress, Watched};
use queue::IdleQueue;

/// RFC 7766 §6.2.3 asks for "a few seconds"; ten let a resolver on a slow path reuse its connection, and free what a vanished client holds
/// soon. Measured from the last whole query or the last answer taken, so that single bytes do not keep a connection alive.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at a time: enough for every busy resolver of a large zone, and with full buffers below `MAX_HELD_BYTES` in any case.
pub const MAX_CONNECTIONS: usize = 1024;

/// Connections of one address at a time: resolvers use a handful; many clients behind one address still get along.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 64;

/// Bytes of unfinished queries and unsent answers over all connections.
pub const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

/// Connections taken from the backlog before those that are open get their turn again.
const ACCEPT_AT_ONCE: usize = 64;

/// How long the last answers may take when the process is told to end.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a connection without a query may have one on its way when the process is told to end: a query comes right behind the packet that made the
/// connection. A connection on which nothing has been asked for that long is closed.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

const EVENTS: usize = 256;

/// The TCP side of the server.
#[derive(Debug)]
pub struct TcpServer {
    poll: Poll,
    listeners: Vec<Listener>,
    responder: Responder,
    counters: Arc<WorkerCounters>,
    stop: Arc<AtomicBool>,
    buffers: Buffers,
    slots: Vec<Option<Connection<TcpStream>>>,
    free: Vec<usize>,
    idle: IdleQueue,
    per_address: HashMap<IpAddr, usize>,
    held_bytes: usize,
    /// Connections that have more to do than one turn allows.
    again: VecDeque<usize>,
}

/// A socket that connections come to.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    /// Connections wait to be accepted.
    has_backlog: bool,
}

impl Listener {
    /// How many wait to be accepted; `None` when nobody does, and on a system that does not count.
    fn count_backlog(&self) -> Option<usize> {
        sys::count_backlog(self.socket.as_fd()).ok().filter(|count| *count > 0)
    }
}

impl TcpServer {
    /// A server on listeners that are bound and listening. The token of waking is the caller's: `waker_token`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(
        listeners: Vec<TcpListener>,
        responder: Responder,
        counters: Arc<WorkerCounters>,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listeners: Vec<_> = listeners.into_iter().map(|socket| Listener { socket, has_backlog: false }).collect();
        for (index, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(&mut listener.socket, Token(index), Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            listeners,
            responder,
            counters,
            stop,
            buffers: Buffers::default(),
            slots: Vec::new(),
            free: Vec::new(),
            idle: IdleQueue::default(),
            per_address: HashMap::new(),
            held_bytes: 0,
            again: VecDeque::new(),
        })
    }

    /// Wakes the thread so that it sees the stop flag.
    ///
    /// # Errors
    /// The kernel's.
    pub fn waker(&self) -> io::Result<mio::Waker> {
        mio::Waker::new(self.poll.registry(), Token(self.listeners.len()))
    }

    /// Serves until the stop flag is set.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.stop.load(Ordering::Relaxed) {
            let timeout = self.next_timeout(Instant::now());
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error("waiting for TCP events failed", &[("error", &error)]);
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            }
            // Also when nothing arrived: an idle thread must not hold on to an old view.
            self.responder.refresh();
            let now = Instant::now();
            self.handle_events(&events, now);
            self.take_turns(now);
            self.close_idle(now);
        }
        self.say_farewell(FAREWELL);
    }

    /// Until the first connection has been idle too long; at once when somebody waits for a turn.
    fn next_timeout(&self, now: Instant) -> Duration {
        /// An old view is let go of within this.
        const LONGEST: Duration = Duration::from_millis(500);
        if !self.again.is_empty() || self.has_backlog() {
            return Duration::ZERO;
        }
        self.idle.oldest().map_or(LONGEST, |(_, since)| (since + IDLE_TIMEOUT).saturating_duration_since(now).min(LONGEST))
    }

    /// Who is new is answered before who is gone is closed: the one waits for it, the other does not.
    fn handle_events(&mut self, events: &Events, now: Instant) {
        for event in events {
            if let Some(listener) = self.listeners.get_mut(event.token().0) {
                listener.has_backlog = true;
            }
        }
        self.accept_waiting(now);
        for event in events {
            self.handle_connection(event, now);
        }
    }

    /// The event may be of a connection whose place another has taken just now: that costs the other a read that finds nothing.
    fn handle_connection(&mut self, event: &Event, now: Instant) {
        let Some(slot) = event.token().0.checked_sub(self.listeners.len() + 1) else { return };
        if event.is_read_closed()
            && let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut)
        {
            connection.is_half_closed = true;
        }
        self.serve(slot, now);
        self.watch(slot);
    }

    fn take_turns(&mut self, now: Instant) {
        for _ in 0..self.again.len() {
            let Some(slot) = self.again.pop_front() else { break };
            if let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut) {
                connection.waits_for_turn = false;
                self.serve(slot, now);
                self.watch(slot);
            }
        }
    }

    fn has_backlog(&self) -> bool {
        self.listeners.iter().any(|listener| listener.has_backlog)
    }

    fn accept_waiting(&mut self, now: Instant) {
        for listener in 0..self.listeners.len() {
            if self.listeners[listener].has_backlog {
                self.listeners[listener].has_backlog = self.accept(listener, now);
            }
        }
    }

    /// Takes what waits at a listener, up to `ACCEPT_AT_ONCE`; whether more is there.
    ///
    /// The kernel makes a socket and a file before it sees that nobody waits, so it is asked how many do, and only they are accepted: who comes after
    /// that makes a new event.
    fn accept(&mut self, listener: usize, now: Instant) -> bool {
        // Somebody is there, or there would be no event: a system that does not count is asked until it has nobody.
        let waiting = self.listeners[listener].count_backlog().unwrap_or(usize::MAX);
        for _ in 0..waiting.min(ACCEPT_AT_ONCE) {
            match self.listeners[listener].socket.accept() {
                Ok((stream, peer)) => self.open(stream, peer, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors or memory: make room, and try again when somebody has gone.
                    log::warning("a TCP connection could not be accepted", &[("error", &error)]);
                    self.evict_oldest(None);
                    return false;
                }
            }
        }
        waiting > ACCEPT_AT_ONCE
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        self.counters.add(Counter::TcpAccepted, 1);
        if self.per_address.get(&peer.ip()).is_some_and(|count| *count >= MAX_CONNECTIONS_PER_ADDRESS) {
            self.evict_oldest(Some(peer.ip()));
        }
        if self.idle.len() >= MAX_CONNECTIONS {
            self.evict_oldest(None);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let mut connection = Connection::new(stream, peer);
        connection.silent_since = Some(now);
        self.slots[slot] = Some(connection);
        self.idle.push(slot, now);
        *self.per_address.entry(peer.ip()).or_default() += 1;
        self.counters.set(Counter::TcpOpen, self.idle.len() as u64);
        // The query often came with the connection. What comes between the read and the registration makes an event by the latter.
        self.serve(slot, now);
        self.watch(slot);
    }

    /// Asks for the events of a connection: of what can be read, and of what can be written only once answers had to wait.
    fn watch(&mut self, slot: usize) {
        let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        let wanted = if connection.has_waiting_answers() { Watched::ReadsAndWrites } else { Watched::Reads };
        let interest = match wanted {
            Watched::ReadsAndWrites => Interest::READABLE | Interest::WRITABLE,
            Watched::Nothing | Watched::Reads => Interest::READABLE,
        };
        let (token, registry) = (Token(slot + self.listeners.len() + 1), self.poll.registry());
        let done = match connection.watched {
            Watched::Nothing => registry.register(connection.stream(), token, interest),
            Watched::Reads if wanted == Watched::ReadsAndWrites => registry.reregister(connection.stream(), token, interest),
            Watched::Reads | Watched::ReadsAndWrites => return,
        };
        match done {
            Ok(()) => connection.watched = wanted,
            Err(error) => {
                log::warning("a TCP connection could not be registered", &[("error", &error)]);
                self.close(slot);
            }
        }
    }

    /// One turn of a connection. A panic while it is served costs that connection, not the thread.
    fn serve(&mut self, slot: usize, now: Instant) {
        let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        let held_before = connection.held_bytes();
        let served = catch_unwind(AssertUnwindSafe(|| connection.serve(&mut self.responder, &mut self.buffers)));
        let progress = served.unwrap_or_else(|_| {
            self.responder.drop_after_panic();
            Progress { is_over: true, ..Progress::default() }
        });
        self.held_bytes = self.held_bytes - held_before + connection.held_bytes();
        if progress.is_over {
            self.close(slot);
            return;
        }
        if progress.was_useful {
            connection.silent_since = None;
            self.idle.touch(slot, now);
        }
        if progress.wants_another_turn && !connection.waits_for_turn {
            connection.waits_for_turn = true;
            self.again.push_back(slot);
        }
        while self.held_bytes > MAX_HELD_BYTES && self.evict_oldest_holder() {}
    }

    fn close_idle(&mut self, now: Instant) {
        while let Some((slot, since)) = self.idle.oldest() {
            if now.saturating_duration_since(since) < IDLE_TIMEOUT {
                return;
            }
            self.counters.add(Counter::TcpIdleClosed, 1);
            self.close(slot);
        }
    }

    /// Closes the connection that has been idle longest, of `addr` or of anybody.
    fn evict_oldest(&mut self, addr: Option<IpAddr>) {
        let is_his = |slot: &usize| addr.is_none_or(|addr| self.connection(*slot).is_some_and(|connection| connection.peer.ip() == addr));
        let found = self.idle.iter().find(is_his);
        if let Some(slot) = found {
            self.counters.add(Counter::TcpEvicted, 1);
            self.close(slot);
        }
    }

    /// Closes the connection that has been idle longest among those that hold bytes.
    fn evict_oldest_holder(&mut self) -> bool {
        let found = self.idle.iter().find(|slot| self.connection(*slot).is_some_and(|connection| connection.held_bytes() > 0));
        if let Some(slot) = found {
            self.counters.add(Counter::TcpEvicted, 1);
            self.close(slot);
        }
        found.is_some()
    }

    fn connection(&self, slot: usize) -> Option<&Connection<TcpStream>> {
        self.slots.get(slot).and_then(Option::as_ref)
    }

    /// Dropping the stream closes it, which also takes it out of epoll.
    fn close(&mut self, slot: usize) {
        let Some(connection) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        self.held_bytes -= connection.held_bytes();
        self.idle.remove(slot);
        self.free.push(slot);
        let addr = connection.peer.ip();
        if let Some(count) = self.per_address.get_mut(&addr) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&addr);
            }
        }
        self.counters.set(Counter::TcpOpen, self.idle.len() as u64);
    }

    /// The end: no connections but those that the kernel has let in, answers to what was received, and a moment for the peers to take them;
    /// all of it within `longest`.
    fn say_farewell(&mut self, longest: Duration) {
        let end = Instant::now() + longest;
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            self.responder.refresh();
            // Those that are let in take the place of those that have their answers: a whole backlog is more than we have open at a time.
            self.take_turns(now);
            self.listeners.iter_mut().for_each(|listener| listener.has_backlog = true);
            self.accept_waiting(now);
            // Who has come meanwhile makes an event, and is let in too.
            self.listeners.retain(|listener| listener.has_backlog || listener.count_backlog().is_some());
            let open: Vec<usize> = self.idle.iter().collect();
            for slot in open {
                self.serve(slot, now);
                if self.connection(slot).is_some_and(|connection| is_done(connection, now)) {
                    self.close(slot);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || (self.idle.len() == 0 && self.listeners.is_empty()) {
                return;
            }
            let _ = self.poll.poll(&mut events, Some(self.next_timeout(now).min(left).min(ON_ITS_WAY)));
        }
    }
}

/// Whether nothing is left to do for a connection when the process ends.
fn is_done(connection: &Connection<TcpStream>, now: Instant) -> bool {
    let may_still_ask = connection.silent_since.is_some_and(|since| now.saturating_duration_since(since) < ON_ITS_WAY);
    connection.held_bytes() == 0 && !connection.waits_for_turn && !may_still_ask
}

#[cfg(test)]
mod tests;
