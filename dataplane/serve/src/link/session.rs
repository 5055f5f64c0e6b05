//! One connection of the link: bytes in, bytes out, both bounded.

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use geodns_link::frame::FrameBuffer;
use mio::net::UnixStream;

/// What is read at once: one full frame. Between two reads everybody else has a turn.
pub const READ_BYTES: usize = 64 * 1024;

/// Unsent bytes for a publisher: two health vectors of the largest size.
const MAX_PUBLISHER_UNSENT: usize = 40 * 1024 * 1024;

/// Unsent bytes for an observer: a few answers. One that asks and does not read is closed.
const MAX_OBSERVER_UNSENT: usize = 1024 * 1024;

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    No,
    Publisher,
    Observer,
}

/// A connection.
#[derive(Debug)]
pub struct Session {
    stream: UnixStream,
    pub attached: Attached,
    pub since: Instant,
    pub input: FrameBuffer,
    output: Vec<u8>,
    sent: usize,
    /// To be closed once everything has been sent.
    pub is_closing: bool,
}

impl Session {
    /// A connection that has just been accepted.
    pub fn new(stream: UnixStream, since: Instant) -> Self {
        Self { stream, attached: Attached::No, since, input: FrameBuffer::default(), output: Vec::new(), sent: 0, is_closing: false }
    }

    /// One read by way of `buffer`; true when there may be more.
    ///
    /// # Errors
    /// The kernel's, or the peer has closed the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if self.is_closing {
            return Ok(false);
        }
        match self.stream.read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.input.push(&buffer[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Where frames are put that are to be sent.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether the peer has not taken everything yet.
    pub const fn has_unsent(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Whether the connection can be closed.
    pub const fn is_over(&self) -> bool {
        self.is_closing && !self.has_unsent()
    }

    /// Sends as much as the peer takes now.
    ///
    /// # Errors
    /// The kernel's, or the peer lets too much stand.
    pub fn write(&mut self) -> io::Result<()> {
        while self.has_unsent() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !self.has_unsent() {
            self.output = Vec::new();
            self.sent = 0;
        }
        let limit = match self.attached {
            Attached::Publisher => MAX_PUBLISHER_UNSENT,
            Attached::Observer | Attached::No => MAX_OBSERVER_UNSENT,
        };
        if self.output.len() - self.sent > limit {
            return Err(io::Error::other("the peer does not read what it is sent"));
        }
        Ok(())
    }
}
