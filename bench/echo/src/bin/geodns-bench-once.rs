//! One query a connection: connects, asks, reads the answer, closes, again and again.
//!
//! `geodns-bench-once PORT SECONDS < QUERIES` asks 127.0.0.1 from THREADS threads and prints how many answers came, and how many connections
//! brought none. QUERIES are messages, each behind its length (RFC 1035 §4.2.2).

use std::io::{Read, Write, stdin};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Connections at a time: as many as a handful of busy resolvers have, so that the server mostly finds more than one waiting.
const THREADS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: geodns-bench-once PORT SECONDS < QUERIES";
    let port: u16 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .expect(usage);
    let seconds: f64 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .expect(usage);
    let mut queries = Vec::new();
    stdin().read_to_end(&mut queries).expect("readable queries");
    let frames = frames(&queries);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (completed, lost) = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                scope.spawn({
                    let frames = &frames;
                    move || ask_until(end, port, frames, first)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    println!("{completed} {lost}");
}

/// Each message with its length.
fn frames(mut queries: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let [high, low, ..] = *queries {
        let (frame, rest) = queries.split_at(2 + usize::from(u16::from_be_bytes([high, low])));
        frames.push(frame);
        queries = rest;
    }
    frames
}

fn ask_until(end: Instant, port: u16, frames: &[&[u8]], first: usize) -> (u64, u64) {
    let (mut completed, mut lost) = (0, 0);
    let mut asked = frames.iter().cycle().skip(first).step_by(THREADS);
    while Instant::now() < end {
        match asked.next().map(|frame| ask(port, frame)) {
            Some(Ok(())) => completed += 1,
            Some(Err(_)) | None => lost += 1,
        }
    }
    (completed, lost)
}

fn ask(port: u16, frame: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(frame)?;
    // The answers to these queries are short and come in one piece.
    let mut reply = [0; 1500];
    if stream.read(&mut reply)? > 14 {
        Ok(())
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}
