//! Any bytes on the link: frames are cut, decoded and refused without a panic, and what decodes encodes to the same frame.
#![no_main]

use geodns_link::frame::{Frame, FrameBuffer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = FrameBuffer::default();
    for piece in data.chunks(97) {
        buffer.push(piece);
        loop {
            match buffer.pull() {
                Ok(Some(body)) => round_trip(body),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

fn round_trip(body: &[u8]) {
    let Ok(frame) = Frame::decode(body) else { return };
    let mut encoded = Vec::new();
    frame.encode(&mut encoded).expect("a decoded frame fits a frame");
    assert_eq!(encoded.get(4..), Some(body), "a frame has one encoding");
}
