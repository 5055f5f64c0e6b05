//! One TCP connection: `u16 length, message` in (RFC 1035 §4.2.2), answers out in the same order.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use crate::responder::Responder;

/// The longest message, and so the most that one answer takes with its length.
const MAX_MESSAGE: usize = 65_535;
const LENGTH_LEN: usize = 2;

/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Answers are gathered up to this before they are written.
const GATHER_BYTES: usize = 64 * 1024;

/// Reads of one turn: a client that never pauses does not keep the others waiting.
const READS_IN_TURN: usize = 2;

/// Buffers that the thread lends to whichever connection has its turn.
#[derive(Debug)]
pub struct Buffers {
    input: Box<[u8]>,
    gathered: Gathered,
}

/// Answers not yet written: `bytes[..used]`.
#[derive(Debug)]
struct Gathered {
    bytes: Box<[u8]>,
    used: usize,
}

impl Default for Buffers {
    /// Room for one read, and for what is gathered plus one more answer.
    fn default() -> Self {
        let bytes = vec![0; GATHER_BYTES + LENGTH_LEN + MAX_MESSAGE].into_boxed_slice();
        Self { input: vec![0; READ_BYTES].into_boxed_slice(), gathered: Gathered { bytes, used: 0 } }
    }
}

/// What a turn has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// A whole query was received, or all waiting answers were taken.
    pub was_useful: bool,
    /// There may be more to read.
    pub wants_another_turn: bool,
    /// The connection is to be closed.
    pub is_over: bool,
}

/// What the thread is told of when a connection changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// It has just been accepted.
    Nothing,
    Reads,
    ReadsAndWrites,
}

/// A connection over a stream that never blocks; without a turn it holds only what is unfinished.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    pub peer: SocketAddr,
    /// Since when its first whole query is awaited.
    pub silent_since: Option<Instant>,
    /// Input that is not answered yet: a message in pieces, or whole ones behind answers that wait.
    input: Vec<u8>,
    /// Answers that the peer has not taken: `output[sent..]`.
    output: Vec<u8>,
    sent: usize,
    /// The peer has closed its side: what it sent before is still to be read to the end.
    pub is_half_closed: bool,
    /// Nothing more is read: the peer has closed its side, or sent what gets no answer.
    is_closing: bool,
    pub waits_for_turn: bool,
    pub watched: Watched,
}

/// Whether answering went on to the end of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    /// All whole messages; so many bytes of the input.
    All(usize),
    /// The peer does not take answers fast enough; so many bytes of the input are answered.
    Blocked(usize),
    /// A message that gets no answer.
    Silence,
}

impl<S: Read + Write> Connection<S> {
    /// A connection that has just been accepted.
    pub const fn new(stream: S, peer: SocketAddr) -> Self {
        Self {
            stream,
            peer,
            silent_since: None,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            is_half_closed: false,
            is_closing: false,
            waits_for_turn: false,
            watched: Watched::Nothing,
        }
    }

    /// For the registration of its events.
    pub const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The peer does not take answers fast enough.
    pub const fn has_waiting_answers(&self) -> bool {
        !self.output.is_empty()
    }

    /// Bytes that this connection makes us hold.
    pub const fn held_bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Writes what waits, then reads and answers as long as the peer keeps up and the turn lasts. An error of the stream is its end.
    pub fn serve(&mut self, responder: &mut Responder, buffers: &mut Buffers) -> Progress {
        self.try_serve(responder, buffers).unwrap_or(Progress { is_over: true, ..Progress::default() })
    }

    fn try_serve(&mut self, responder: &mut Responder, buffers: &mut Buffers) -> io::Result<Progress> {
        let mut progress = Progress::default();
        if !self.output.is_empty() {
            if !self.write_waiting()? {
                return Ok(progress);
            }
            progress.was_useful = true;
            // Whole messages may stand behind the answers that had to wait.
            self.answer_kept(responder, buffers, &mut progress)?;
        }
        for _ in 0..READS_IN_TURN {
            if !self.output.is_empty() {
                return Ok(progress);
            }
            if self.is_closing {
                progress.is_over = true;
                return Ok(progress);
            }
            match self.stream.read(&mut buffers.input) {
                Ok(0) => self.is_closing = true,
                Ok(length) => {
                    self.take(length, responder, buffers, &mut progress)?;
                    // A read that does not fill the buffer has emptied the socket; the next bytes make a new event. Only the end of the stream
                    // makes none of its own when it came with them.
                    if length < READ_BYTES && !self.is_closing && !self.is_half_closed {
                        return Ok(progress);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(progress),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        progress.wants_another_turn = self.output.is_empty();
        Ok(progress)
    }

    /// Takes `length` bytes that have been read into `buffers.input`.
    fn take(&mut self, length: usize, responder: &mut Responder, buffers: &mut Buffers, progress: &mut Progress) -> io::Result<()> {
        // What has arrived is answered from what was in force when it had arrived.
        responder.begin_batch();
        if self.input.is_empty() {
            // The usual case: whole messages, answered where they lie.
            let arrived = &buffers.input[..length];
            let answered = self.answer(arrived, responder, &mut buffers.gathered, progress)?;
            let rest = self.rest_after(answered, length);
            self.input = arrived[rest..].to_vec();
            Ok(())
        } else {
            self.input.extend_from_slice(&buffers.input[..length]);
            self.answer_kept(responder, buffers, progress)
        }
    }

    /// Answers the whole messages of the input that was kept.
    fn answer_kept(&mut self, responder: &mut Responder, buffers: &mut Buffers, progress: &mut Progress) -> io::Result<()> {
        responder.begin_batch();
        let mut kept = std::mem::take(&mut self.input);
        let answered = self.answer(&kept, responder, &mut buffers.gathered, progress)?;
        kept.drain(..self.rest_after(answered, kept.len()));
        kept.shrink_to_fit();
        self.input = kept;
        Ok(())
    }

    /// Where the unanswered part of an input of `length` bytes begins.
    fn rest_after(&mut self, answered: Answered, length: usize) -> usize {
        match answered {
            Answered::All(done) | Answered::Blocked(done) => done,
            Answered::Silence => {
                self.is_closing = true;
                length
            }
        }
    }

    /// Answers message after message and writes the answers. Ends early when they are not taken.
    fn answer(
        &mut self,
        input: &[u8],
        responder: &mut Responder,
        gathered: &mut Gathered,
        progress: &mut Progress,
    ) -> io::Result<Answered> {
        gathered.used = 0;
        let mut done = 0;
        let mut silence = false;
        while let Some((request, length)) = next_message(&input[done..]) {
            progress.was_useful = true;
            let room = &mut gathered.bytes[gathered.used..];
            let (length_field, reply) = room.split_at_mut(LENGTH_LEN);
            let Some(reply_length) = responder.respond_tcp(request, self.peer, &mut reply[..MAX_MESSAGE]) else {
                silence = true;
                break;
            };
            done += length;
            // `respond_tcp` never makes more than the room it is given, which is `MAX_MESSAGE`.
            length_field.copy_from_slice(&u16::try_from(reply_length).unwrap_or(u16::MAX).to_be_bytes());
            gathered.used += LENGTH_LEN + reply_length;
            if gathered.used >= GATHER_BYTES && !self.write_gathered(gathered)? {
                return Ok(Answered::Blocked(done));
            }
        }
        self.write_gathered(gathered)?;
        Ok(if silence { Answered::Silence } else { Answered::All(done) })
    }

    /// Writes the gathered answers; what the peer does not take is kept, and the result is false.
    fn write_gathered(&mut self, gathered: &mut Gathered) -> io::Result<bool> {
        let gathered = &gathered.bytes[..std::mem::take(&mut gathered.used)];
        let written = write_some(&mut self.stream, gathered)?;
        if written == gathered.len() {
            return Ok(true);
        }
        self.output = gathered[written..].to_vec();
        self.sent = 0;
        Ok(false)
    }

    /// Writes what waits; true when nothing waits any more.
    fn write_waiting(&mut self) -> io::Result<bool> {
        self.sent += write_some(&mut self.stream, &self.output[self.sent..])?;
        if self.sent < self.output.len() {
            return Ok(false);
        }
        self.output = Vec::new();
        self.sent = 0;
        Ok(true)
    }
}

/// Writes as much as the peer takes now.
fn write_some(stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// The first whole message of `input`, and its length with the length field.
fn next_message(input: &[u8]) -> Option<(&[u8], usize)> {
    let (field, rest) = input.split_first_chunk::<LENGTH_LEN>()?;
    let length = usize::from(u16::from_be_bytes(*field));
    Some((rest.get(..length)?, LENGTH_LEN + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_only_when_it_is_whole() {
        for (input, taken) in [
            (b"".as_slice(), None),
            (b"\x00", None),
            (b"\x00\x03ab", None),
            (b"\x00\x03abc", Some((b"abc".as_slice(), 5))),
            (b"\x00\x00rest", Some((b"".as_slice(), 2))),
            (b"\x00\x01ab", Some((b"a".as_slice(), 3))),
        ] {
            assert_eq!(next_message(input), taken);
        }
    }
}
