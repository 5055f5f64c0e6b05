//! Frames: what goes in comes out, and nothing that a stranger sends does harm.

use super::samples;

use geodns_engine::refused::RefusalCode;
use geodns_engine::spec::HealthEntry;
use geodns_link::Fault;
use geodns_link::frame::{Frame, FrameBuffer, MAX_FRAME, MAX_FRAME_ENTRIES, MAX_PIECE, Refuse, pieces, put_whole_health};

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out).expect("a sample fits its frame");
    out
}

#[test]
fn every_frame_comes_back_as_it_went() {
    for frame in samples::frames() {
        let bytes = encoded(&frame);
        assert_eq!(bytes[..4], u32::try_from(bytes.len() - 4).unwrap().to_be_bytes());
        assert_eq!(Frame::decode(&bytes[4..]), Ok(frame));
    }
}

#[test]
fn a_frame_cut_at_any_byte_is_refused_or_means_exactly_its_bytes() {
    for frame in samples::frames() {
        let bytes = encoded(&frame);
        for length in 0..bytes.len() - 4 {
            if let Ok(shorter) = Frame::decode(&bytes[4..4 + length]) {
                assert_eq!(encoded(&shorter)[4..], bytes[4..4 + length]);
            }
        }
    }
}

#[test]
fn a_frame_with_any_byte_changed_is_refused_or_means_exactly_its_bytes() {
    for frame in samples::frames() {
        let bytes = encoded(&frame);
        for at in 4..bytes.len() {
            for change in 1..=255_u8 {
                let mut body = bytes[4..].to_vec();
                body[at - 4] ^= change;
                if let Ok(other) = Frame::decode(&body) {
                    assert_eq!(encoded(&other)[4..], body, "{frame:?} with byte {at} changed");
                }
            }
        }
    }
}

#[test]
fn a_frame_with_bytes_behind_its_end_is_refused() {
    for frame in samples::frames() {
        let mut body = encoded(&frame)[4..].to_vec();
        body.push(0);
        match frame {
            Frame::Chunk(_) | Frame::Config(_) | Frame::Status { .. } | Frame::Explain { .. } | Frame::Explained { .. } => {}
            _ => assert!(matches!(Frame::decode(&body), Err(Fault::Trailing(_))), "{frame:?}"),
        }
    }
}

#[test]
fn an_unknown_type_is_refused_by_version() {
    for kind in [0x00_u8, 0x03, 0x14, 0x70, 0xff] {
        assert_eq!(Frame::decode(&[kind]).map_err(Fault::code), Err(RefusalCode::Version));
    }
}

#[test]
fn another_link_version_is_refused_by_version() {
    assert_eq!(Frame::decode(b"\x02GDNS\x00\x02\x00").map_err(Fault::code), Err(RefusalCode::Version));
}

#[test]
fn the_buffer_cuts_any_fragmentation_into_the_same_frames() {
    let stream: Vec<u8> = samples::frames().iter().flat_map(encoded).collect();
    for step in [1, 2, 3, 7, 64, stream.len()] {
        let mut buffer = FrameBuffer::default();
        let mut seen = Vec::new();
        for piece in stream.chunks(step) {
            buffer.push(piece);
            while let Some(body) = buffer.pull().unwrap() {
                seen.extend(encoded(&Frame::decode(body).unwrap()));
            }
        }
        assert_eq!(seen, stream);
        assert_eq!(buffer.waiting(), 0);
    }
}

#[test]
fn the_buffer_refuses_a_length_of_nothing_and_one_over_the_limit() {
    for (length, code) in [(0_u32, RefusalCode::Malformed), (65_537, RefusalCode::Limit), (u32::MAX, RefusalCode::Limit)] {
        let mut buffer = FrameBuffer::default();
        buffer.push(&length.to_be_bytes());
        assert_eq!(buffer.pull().map_err(Fault::code), Err(code));
    }
}

#[test]
fn a_frame_over_the_limit_is_not_written() {
    let mut out = b"before".to_vec();
    assert!(Frame::Chunk(&vec![0; MAX_FRAME]).encode(&mut out).is_err());
    assert_eq!(out, b"before");
    Frame::Chunk(&vec![0; MAX_FRAME - 1]).encode(&mut out).unwrap();
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let refuse = Refuse { revision: 1, code: RefusalCode::Limit, reason: "\u{e9}".repeat(40_000) };
    let bytes = encoded(&Frame::Refuse(refuse));
    let Ok(Frame::Refuse(read)) = Frame::decode(&bytes[4..]) else { panic!("a REFUSE comes back as one") };
    assert_eq!(read.reason, "\u{e9}".repeat(2048));
}

#[test]
fn a_whole_health_vector_is_one_epoch_with_a_first_and_a_last_frame() {
    for (count, frames) in [(0, 1), (1, 1), (MAX_FRAME_ENTRIES, 1), (MAX_FRAME_ENTRIES + 1, 2), (100_000, 30)] {
        let entries: Vec<_> = (1..=u32::try_from(count).unwrap()).map(|id| (id, HealthEntry::default())).collect();
        let mut out = Vec::new();
        put_whole_health(&mut out, 5, &entries).unwrap();
        let mut buffer = FrameBuffer::default();
        buffer.push(&out);
        let mut seen = Vec::new();
        let mut marks = Vec::new();
        while let Some(body) = buffer.pull().unwrap() {
            let Ok(Frame::Health(health)) = Frame::decode(body) else { panic!("only HEALTH is in a vector") };
            assert_eq!(health.epoch, 5);
            marks.push((health.first, health.last));
            seen.extend(health.entries);
        }
        assert_eq!(seen, entries);
        assert_eq!(marks.len(), frames);
        assert!(marks.iter().enumerate().all(|(at, mark)| *mark == (at == 0, at == frames - 1)));
    }
}

#[test]
fn a_document_is_cut_into_pieces_that_fit_and_only_the_last_is_marked() {
    for length in [0, 1, MAX_PIECE, MAX_PIECE + 1, 3 * MAX_PIECE] {
        let document = vec![b'x'; length];
        let cut: Vec<_> = pieces(&document).collect();
        assert_eq!(cut.iter().map(|(_, piece)| piece.len()).sum::<usize>(), length);
        assert_eq!(cut.iter().filter(|(last, _)| *last).count(), 1);
        assert!(cut.last().unwrap().0);
        for (last, json) in cut {
            encoded(&Frame::Explained { id: 1, last, json });
        }
    }
}
