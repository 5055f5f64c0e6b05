//! The link server: the unix socket on which control connects (`docs/link-protocol.md` section 1).
//!
//! One thread owns the connections, the adopter and the files. It does one read of one connection at a time, so that a transfer of a million names and
//! whoever asks for `status` beside it take turns, and health goes between the chunks. Nothing that waits for a disk or reads a large file is done
//! here.

mod session;
mod socket;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use geodns_engine::refused::{RefusalCode, Refused};
use geodns_link::LINK_VERSION;
use geodns_link::frame::{Frame, Hello, Ownership, Refuse, Role, pieces, put_whole_health};
use mio::event::Event;
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::adopter::Adopter;
use crate::config::Config;
use crate::counters::WorkerCounters;
use crate::locations::Locations;
use crate::status::Status;
use crate::{explain, log, sys};
use session::{Attached, READ_BYTES, Session};
pub use socket::bind_socket;

/// One publisher, 16 observers, and some that have not said yet what they are.
const MAX_SESSIONS: usize = 24;
const MAX_OBSERVERS: usize = 16;

/// How long a connection may take to say what it is.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(10);

/// STATUS to the publisher, and whatever else is due now and then.
const TICK: Duration = Duration::from_secs(1);

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_SESSION: usize = 2;

/// Who this dataplane is, for HELLO.
#[derive(Debug, Clone)]
pub struct Identity {
    pub ownership: Ownership,
    pub settings_digest: [u8; 32],
}

/// The link server and all that belongs to its thread.
#[derive(Debug)]
pub struct LinkServer {
    poll: Poll,
    waker: Arc<Waker>,
    listener: UnixListener,
    path: PathBuf,
    identity: Identity,
    adopter: Adopter,
    locations: Locations,
    status: Status,
    counters: Arc<WorkerCounters>,
    stop: Arc<AtomicBool>,
    sessions: Vec<Option<Session>>,
    again: VecDeque<usize>,
    buffer: Box<[u8]>,
    next_tick: Instant,
}

/// Where the threads that work for this one say that they have news.
#[derive(Debug)]
pub struct Bell {
    poll: Poll,
    waker: Arc<Waker>,
}

impl Bell {
    /// A bell for a server that is made later.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, waker })
    }

    /// What the others ring.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }
}

/// What becomes of a connection after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    GoOn,
    /// Once what is queued has been sent.
    Close,
}

/// The parts of a server that are made beforehand.
#[derive(Debug)]
pub struct Parts {
    pub bell: Bell,
    pub listener: UnixListener,
    pub path: PathBuf,
    pub identity: Identity,
    pub adopter: Adopter,
    pub locations: Locations,
    pub status: Status,
    pub counters: Arc<WorkerCounters>,
    pub stop: Arc<AtomicBool>,
}

impl LinkServer {
    /// A server on a socket that is bound.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let Parts { bell, mut listener, path, identity, adopter, locations, status, counters, stop } = parts;
        bell.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let sessions = (0..MAX_SESSIONS).map(|_| None).collect();
        Ok(Self {
            poll: bell.poll,
            waker: bell.waker,
            listener,
            path,
            identity,
            adopter,
            locations,
            status,
            counters,
            stop,
            sessions,
            again: VecDeque::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            next_tick: Instant::now() + TICK,
        })
    }

    /// What wakes the thread so that it sees the stop flag.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Serves until the stop flag is set, then puts down what is not on disk yet.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(MAX_SESSIONS + 2);
        while !self.stop.load(Ordering::Relaxed) {
            let timeout = if self.again.is_empty() { self.next_tick.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error("waiting for the link failed", &[("error", &error)]);
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            }
            for event in &events {
                self.handle(event);
            }
            for _ in 0..self.again.len() {
                if let Some(number) = self.again.pop_front() {
                    self.serve(number);
                }
            }
            self.tick(Instant::now());
        }
        let _ = std::fs::remove_file(&self.path);
        self.adopter.shut_down();
    }

    fn handle(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.accept(),
            WAKER => {
                self.adopter.take_disk_news();
                self.adopter.take_merged();
                if let Some(locations) = self.locations.take_news() {
                    self.adopter.set_locations(locations);
                }
            }
            Token(token) => self.serve(token.saturating_sub(FIRST_SESSION)),
        }
    }

    fn tick(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.adopter.tick(now);
        for number in 0..self.sessions.len() {
            let Some(session) = &mut self.sessions[number] else { continue };
            match session.attached {
                Attached::No if now.duration_since(session.since) > ATTACH_TIMEOUT => self.close(number),
                // A publisher that does not read gets no more of what it does not read.
                Attached::Publisher if !session.has_unsent() => {
                    self.send_status(number);
                    self.flush(number);
                }
                Attached::No | Attached::Publisher | Attached::Observer => {}
            }
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.open(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    log::warning("a connection to the link could not be accepted", &[("error", &error)]);
                    return;
                }
            }
        }
    }

    /// HELLO to a peer who may command this process; others are not spoken to.
    fn open(&mut self, mut stream: UnixStream) {
        if !sys::peer_may_command(stream.as_fd()).unwrap_or(false) {
            log::warning("another user's connection to the link was closed", &[]);
            return;
        }
        let Some(number) = self.sessions.iter().position(Option::is_none) else {
            log::warning("a connection to the link was closed: there are too many", &[("limit", &MAX_SESSIONS)]);
            return;
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(number + FIRST_SESSION), interest) {
            log::warning("a connection to the link could not be registered", &[("error", &error)]);
            return;
        }
        self.sessions[number] = Some(Session::new(stream, Instant::now()));
        let hello = Hello {
            link_version: LINK_VERSION,
            ownership: self.identity.ownership,
            pid: std::process::id(),
            served: self.adopter.served(),
            health_epoch: self.adopter.health_epoch(),
            settings_digest: self.identity.settings_digest,
        };
        self.send(number, &Frame::Hello(hello));
        self.flush(number);
    }

    /// One read of a connection, and all whole frames that have come.
    fn serve(&mut self, number: usize) {
        let Some(session) = self.sessions.get_mut(number).and_then(Option::as_mut) else { return };
        let Ok(has_more) = session.read(&mut self.buffer) else { return self.close(number) };
        // The input is taken out of the session so that frames can borrow from it while the session is written to.
        let mut input = std::mem::take(&mut session.input);
        let mut after = After::GoOn;
        while after == After::GoOn {
            after = match input.pull() {
                Ok(None) => break,
                Ok(Some(body)) => self.take_body(number, body),
                Err(fault) => self.refuse(number, 0, &fault.into(), After::Close),
            };
        }
        let Some(session) = self.sessions.get_mut(number).and_then(Option::as_mut) else { return };
        session.input = input;
        session.is_closing |= after == After::Close;
        if has_more {
            self.again.push_back(number);
        }
        self.flush(number);
    }

    fn flush(&mut self, number: usize) {
        let Some(session) = self.sessions.get_mut(number).and_then(Option::as_mut) else { return };
        match session.write() {
            Ok(()) if session.is_over() => self.close(number),
            Ok(()) => {}
            Err(error) => {
                if !session.is_closing {
                    log::warning("a connection to the link is closed", &[("reason", &error)]);
                }
                self.close(number);
            }
        }
    }

    fn close(&mut self, number: usize) {
        let Some(session) = self.sessions.get_mut(number).and_then(Option::take) else { return };
        if session.attached == Attached::Publisher {
            log::info("control is detached", &[]);
            self.adopter.abort();
        }
    }

    /// A panic over a frame costs its connection and the transfer under way; what is served is served on.
    fn take_body(&mut self, number: usize, body: &[u8]) -> After {
        let taken = catch_unwind(AssertUnwindSafe(|| match Frame::decode(body) {
            Ok(frame) => self.take_frame(number, frame),
            Err(fault) => self.refuse(number, 0, &fault.into(), After::Close),
        }));
        taken.unwrap_or_else(|_| {
            self.adopter.abort();
            self.refuse(number, 0, &Refused::malformed("this frame made the dataplane panic"), After::Close)
        })
    }

    /// | | publisher | observer | not attached |
    /// |---|---|---|---|
    /// | ATTACH | STATE | STATE | taken |
    /// | STATUS_REQUEST, EXPLAIN | taken | taken | STATE |
    /// | other frames for the dataplane | taken | ROLE | STATE |
    /// | frames for control | ROLE | ROLE | STATE |
    fn take_frame(&mut self, number: usize, frame: Frame<'_>) -> After {
        let Some(attached) = self.sessions.get(number).and_then(Option::as_ref).map(|session| session.attached) else {
            return After::Close;
        };
        match (attached, frame) {
            (Attached::No, Frame::Attach { role, .. }) => self.attach(number, role),
            (Attached::No, _) => self.refuse_now(number, RefusalCode::State, "the first frame is not ATTACH"),
            (_, Frame::Attach { .. }) => self.refuse_now(number, RefusalCode::State, "ATTACH for the second time"),
            (_, Frame::StatusRequest) => self.send_status(number),
            (_, Frame::Explain { id, json }) => self.explain(number, id, json),
            (Attached::Publisher, frame) => self.take_command(number, frame),
            (Attached::Observer, _) => self.refuse_now(number, RefusalCode::Role, "an observer may only ask"),
        }
    }

    /// Frames that only a publisher sends.
    fn take_command(&mut self, number: usize, frame: Frame<'_>) -> After {
        match frame {
            Frame::Begin(begin) => {
                let revision = begin.triple.revision;
                match self.adopter.begin(begin) {
                    Ok(()) => After::GoOn,
                    Err(refused) => self.refuse(number, revision, &refused, After::GoOn),
                }
            }
            Frame::Chunk(bytes) => {
                let revision = self.adopter.arriving_revision();
                match self.adopter.chunk(bytes) {
                    Ok(()) => After::GoOn,
                    Err(refused) => self.refuse(number, revision, &refused, After::GoOn),
                }
            }
            Frame::End(end) => {
                let revision = self.adopter.arriving_revision();
                match self.adopter.end(end) {
                    Ok(Some(triple)) => self.send(number, &Frame::Ack(triple)),
                    Ok(None) => After::GoOn,
                    Err(refused) => self.refuse(number, revision, &refused, After::GoOn),
                }
            }
            Frame::Abort => {
                self.adopter.abort();
                After::GoOn
            }
            Frame::Health(health) => match self.adopter.health_frame(health) {
                Ok(()) => After::GoOn,
                Err(refused) => self.refuse(number, 0, &refused, After::GoOn),
            },
            Frame::Config(json) => self.take_config(number, json),
            Frame::Hello(_) | Frame::Ack(_) | Frame::Refuse(_) | Frame::Status { .. } | Frame::Explained { .. } => {
                self.refuse_now(number, RefusalCode::Role, "this frame is the dataplane's to send")
            }
            // Taken for every role before this is called.
            Frame::Attach { .. } | Frame::StatusRequest | Frame::Explain { .. } => After::GoOn,
        }
    }

    fn attach(&mut self, number: usize, role: Role) -> After {
        let attached = match role {
            Role::Observer => {
                let observers = self.sessions.iter().flatten().filter(|session| session.attached == Attached::Observer).count();
                if observers >= MAX_OBSERVERS {
                    return self.refuse_now(number, RefusalCode::Limit, "there are 16 observers already");
                }
                Attached::Observer
            }
            Role::Publisher => {
                let is_older = |session: &Option<Session>| session.as_ref().is_some_and(|session| session.attached == Attached::Publisher);
                if let Some(older) = self.sessions.iter().position(is_older) {
                    self.close(older);
                }
                self.adopter.change_publisher();
                Attached::Publisher
            }
        };
        if let Some(session) = self.session_mut(number) {
            session.attached = attached;
        }
        if role == Role::Publisher {
            log::info("control is attached", &[]);
            let (epoch, entries) = (self.adopter.health_epoch(), self.adopter.health());
            if let Some(session) = self.session_mut(number)
                && put_whole_health(session.output(), epoch, &entries).is_err()
            {
                return After::Close;
            }
        }
        After::GoOn
    }

    fn take_config(&mut self, number: usize, json: &[u8]) -> After {
        match Config::read(json) {
            Ok(config) => {
                self.adopter.set_options(config.options, config.sticky_prefix);
                self.adopter.keep_config(json);
                self.locations.want(config.geo_databases, config.geo_generation);
                After::GoOn
            }
            Err(reason) => self.refuse(number, 0, &Refused::malformed(reason), After::GoOn),
        }
    }

    fn explain(&mut self, number: usize, id: u32, json: &[u8]) -> After {
        let document = explain::explain(&self.adopter.view(), json).to_string();
        for (last, json) in pieces(document.as_bytes()) {
            self.send(number, &Frame::Explained { id, last, json });
        }
        After::GoOn
    }

    fn send_status(&mut self, number: usize) -> After {
        let document = self.status.document(&self.adopter, &self.locations).to_string();
        for (last, json) in pieces(document.as_bytes()) {
            self.send(number, &Frame::Status { last, json });
        }
        After::GoOn
    }

    fn refuse_now(&mut self, number: usize, code: RefusalCode, reason: &str) -> After {
        self.refuse(number, 0, &Refused::new(code, reason), After::Close)
    }

    fn refuse(&mut self, number: usize, revision: u64, refused: &Refused, after: After) -> After {
        self.counters.refused(refused.code);
        log::warning(
            "refused what came over the link",
            &[("revision", &revision), ("code", &refused.code.number()), ("reason", &refused.reason)],
        );
        let refuse = Refuse { revision, code: refused.code, reason: refused.reason.clone() };
        self.send(number, &Frame::Refuse(refuse));
        after
    }

    fn send(&mut self, number: usize, frame: &Frame<'_>) -> After {
        let Some(session) = self.session_mut(number) else { return After::Close };
        match frame.encode(session.output()) {
            Ok(()) => After::GoOn,
            Err(fault) => {
                log::error("a frame could not be written", &[("reason", &fault)]);
                After::Close
            }
        }
    }

    fn session_mut(&mut self, number: usize) -> Option<&mut Session> {
        self.sessions.get_mut(number).and_then(Option::as_mut)
    }
}
