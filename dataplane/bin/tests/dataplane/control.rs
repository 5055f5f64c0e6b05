//! Control, played by a test: a blocking client of the link.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use geodns_engine::refused::RefusalCode;
use geodns_engine::spec::{Change, HealthEntry, Triple, ValueId};
use geodns_link::LINK_VERSION;
use geodns_link::frame::{Begin, End, Frame, FrameBuffer, Health, Hello, Kind, MAX_PIECE, Role, put_whole_health};
use geodns_link::item::put_item;
use serde_json::Value;

use crate::process::PATIENCE;

/// The number of the questions that `status` asks.
const QUESTION: u32 = u32::MAX;

/// What the dataplane says.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Hello(Hello),
    Ack(Triple),
    Refused(u64, RefusalCode, String),
    Health(Health),
    Status(Value),
    Explained(u32, Value),
    Closed,
}

/// A connection to the link.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    buffer: FrameBuffer,
    document: Vec<u8>,
    pub hello: Hello,
}

impl Control {
    /// Connected, and greeted.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let nobody = Hello {
            link_version: 0,
            ownership: geodns_link::frame::Ownership::Standalone,
            pid: 0,
            served: None,
            health_epoch: 0,
            settings_digest: [0; 32],
        };
        let mut control = Self { stream, buffer: FrameBuffer::default(), document: Vec::new(), hello: nobody };
        let Heard::Hello(hello) = control.next() else { panic!("the first frame is HELLO") };
        control.hello = hello;
        control
    }

    /// Attached as publisher, with the health that is in force received.
    pub fn publisher(socket: &Path) -> Self {
        let mut control = Self::connect(socket);
        control.send(&Frame::Attach { link_version: LINK_VERSION, role: Role::Publisher });
        loop {
            match control.next() {
                Heard::Health(health) if health.last => return control,
                Heard::Health(_) => {}
                other => panic!("a publisher is sent the health in force first, not {other:?}"),
            }
        }
    }

    pub fn observer(socket: &Path) -> Self {
        let mut control = Self::connect(socket);
        control.send(&Frame::Attach { link_version: LINK_VERSION, role: Role::Observer });
        control
    }

    pub fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.send_bytes(&bytes);
    }

    /// Whatever it is; a peer that has closed is no failure here.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame, with documents put together.
    pub fn next(&mut self) -> Heard {
        loop {
            while let Some(body) = self.buffer.pull().unwrap() {
                match Frame::decode(body).unwrap() {
                    Frame::Hello(hello) => return Heard::Hello(hello),
                    Frame::Ack(triple) => return Heard::Ack(triple),
                    Frame::Refuse(refuse) => return Heard::Refused(refuse.revision, refuse.code, refuse.reason),
                    Frame::Health(health) => return Heard::Health(health),
                    Frame::Status { last, json } => {
                        self.document.extend_from_slice(json);
                        if last {
                            return Heard::Status(serde_json::from_slice(&std::mem::take(&mut self.document)).unwrap());
                        }
                    }
                    Frame::Explained { id, last, json } => {
                        self.document.extend_from_slice(json);
                        if last {
                            return Heard::Explained(id, serde_json::from_slice(&std::mem::take(&mut self.document)).unwrap());
                        }
                    }
                    other => panic!("the dataplane does not send {other:?}"),
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Heard::Closed,
                Ok(length) => self.buffer.push(&bytes[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Heard::Closed,
                // A process that was frozen and goes on: with a time limit the kernel does not begin the read anew.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("the link fell silent: {error}"),
            }
        }
    }

    /// The next frame that is not a STATUS that came by itself.
    pub fn answer(&mut self) -> Heard {
        loop {
            match self.next() {
                Heard::Status(_) => {}
                other => return other,
            }
        }
    }

    /// A whole transfer, and what came of it.
    pub fn transfer(&mut self, begin: Begin, changes: &[Change]) -> Heard {
        let stream = encode(changes);
        self.send(&Frame::Begin(begin));
        for piece in stream.chunks(MAX_PIECE) {
            self.send(&Frame::Chunk(piece));
        }
        self.send(&Frame::End(end_of(&stream, changes.len())));
        self.answer()
    }

    pub fn full(&mut self, triple: Triple, changes: &[Change]) -> Heard {
        self.transfer(begin_full(triple), changes)
    }

    pub fn delta(&mut self, base: Triple, triple: Triple, changes: &[Change]) -> Heard {
        self.transfer(begin_delta(base, triple), changes)
    }

    pub fn whole_health(&mut self, epoch: u64, entries: &[(ValueId, HealthEntry)]) {
        let mut bytes = Vec::new();
        put_whole_health(&mut bytes, epoch, entries).unwrap();
        self.send_bytes(&bytes);
    }

    pub fn health_changes(&mut self, epoch: u64, entries: &[(ValueId, HealthEntry)]) {
        self.send(&Frame::Health(Health { epoch, first: false, last: false, entries: entries.to_vec() }));
    }

    /// A fresh STATUS; also the way to know that all that was sent before has been taken.
    pub fn status(&mut self) -> Value {
        self.send(&Frame::StatusRequest);
        // One that came by itself may be waiting already: of those before the answer to a question, the last is of now.
        self.send(&Frame::Explain { id: QUESTION, json: b"{}" });
        let mut newest = None;
        loop {
            match self.next() {
                Heard::Status(status) => newest = Some(status),
                Heard::Explained(QUESTION, _) => return newest.unwrap(),
                other => panic!("STATUS was asked for, not {other:?}"),
            }
        }
    }
}

pub fn begin_full(triple: Triple) -> Begin {
    Begin { kind: Kind::Full, triple, base_revision: 0, base_tag: 0, ancestors: vec![] }
}

pub fn begin_delta(base: Triple, triple: Triple) -> Begin {
    Begin { kind: Kind::Delta, triple, base_revision: base.revision, base_tag: base.tag, ancestors: vec![] }
}

pub fn encode(changes: &[Change]) -> Vec<u8> {
    let mut stream = Vec::new();
    for change in changes {
        put_item(&mut stream, change).unwrap();
    }
    stream
}

pub fn end_of(stream: &[u8], items: usize) -> End {
    End { items: items as u64, bytes: stream.len() as u64, crc: crc32fast::hash(stream) }
}
