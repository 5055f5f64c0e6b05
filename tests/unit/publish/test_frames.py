"""Frames: round trips, limits, and what is said of bytes that no dataplane of ours would send."""

from __future__ import annotations

import struct
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.publish import frames
from geodns.publish.frames import Fault, FrameDecoder, HealthEntry, Operator, RefusalCode, Triple

LINEAGE = uuid.UUID("11111111-2222-4333-8444-555555555555")
TRIPLE = Triple(LINEAGE, 42, 0xFEDCBA9876543210)

FRAMES: list[frames.Frame] = [
    frames.Hello(1, frames.Ownership.SUPERVISED, 4242, TRIPLE, 9, bytes(range(32))),
    frames.Hello(1, frames.Ownership.STANDALONE, 1, None, 0, bytes(32)),
    frames.Attach(1, frames.Role.OBSERVER),
    frames.Begin(frames.TransferKind.FULL, TRIPLE, None, (uuid.UUID(int=1), uuid.UUID(int=2))),
    frames.Begin(frames.TransferKind.DELTA, TRIPLE, (41, 7)),
    frames.Chunk(b"x" * 300),
    frames.End(3, 1 << 40, 0xDEADBEEF),
    frames.Abort(),
    frames.Health(5, True, False, ((1, HealthEntry(True, Operator.DRAIN, 250, 0, 1_700_000_000_000)), (2, HealthEntry()))),
    frames.Config({"nsid": "fra1", "cookie_secrets": ["00" * 16]}),
    frames.Ack(TRIPLE),
    frames.Refuse(43, RefusalCode.BASE, "the base is not what is served"),
    frames.Status(True, b'{"served": null}'),
    frames.StatusRequest(),
    frames.Explain(7, {"name": "www.example.com.", "type": "A", "client": "192.0.2.1"}),
    frames.Explained(7, False, b'{"rule"'),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_what_is_encoded_is_decoded(frame: frames.Frame) -> None:
    assert list(FrameDecoder().feed(frames.encode(frame))) == [frame]


def test_the_largest_frame_passes() -> None:
    largest = frames.Chunk(b"x" * frames.MAX_CHUNK)
    assert list(FrameDecoder().feed(frames.encode(largest))) == [largest]


@given(st.lists(st.sampled_from(range(len(FRAMES))), max_size=6), st.integers(min_value=1, max_value=1_000))
@settings(deadline=None)
def test_the_cut_of_the_stream_does_not_matter(numbers: list[int], step: int) -> None:
    sent = [FRAMES[number] for number in numbers]
    stream = b"".join(frames.encode(frame) for frame in sent)
    decoder = FrameDecoder()
    got = [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])]
    assert got == sent


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_give_frames_or_one_fault(data: bytes) -> None:
    found = list(FrameDecoder().feed(data))
    assert all(not isinstance(frame, Fault) for frame in found[:-1])


@given(st.sampled_from(range(len(FRAMES))), st.integers(min_value=0), st.integers(min_value=0, max_value=255))
@settings(deadline=None)
def test_a_changed_byte_never_raises(number: int, position: int, value: int) -> None:
    data = bytearray(frames.encode(FRAMES[number]))
    data[4 + position % (len(data) - 4)] = value
    list(FrameDecoder().feed(bytes(data)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (struct.pack(">I", 0), RefusalCode.MALFORMED),
        (struct.pack(">I", frames.MAX_FRAME + 1), RefusalCode.MALFORMED),
        (frames.encode_raw(frames.FrameType.ABORT, b"x"), RefusalCode.MALFORMED),
        (frames.encode_raw(frames.FrameType.ACK, bytes(31)), RefusalCode.MALFORMED),
        (frames.encode_raw(frames.FrameType.CONFIG, b"[1]"), RefusalCode.MALFORMED),
        (frames.encode_raw(frames.FrameType.CONFIG, b"[" * 60_000), RefusalCode.MALFORMED),
        (frames.encode_raw(frames.FrameType.STATUS, b""), RefusalCode.MALFORMED),
        (struct.pack(">IB", 1, 0x70), RefusalCode.VERSION),
        (struct.pack(">IB", 1, 0xFF), RefusalCode.VERSION),
    ],
    ids=["length 0", "length over the limit", "abort with payload", "short ack", "no object", "deep", "empty status", "handoff", "unknown"],
)
def test_a_malformed_frame_is_one_fault_and_the_end(data: bytes, code: RefusalCode) -> None:
    decoder = FrameDecoder()
    found = list(decoder.feed(data + frames.encode(frames.Abort())))
    assert len(found) == 1
    assert isinstance(found[0], Fault)
    assert found[0].code is code
    assert list(decoder.feed(frames.encode(frames.Abort()))) == []


def test_a_frame_over_the_limit_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        frames.encode(frames.Chunk(bytes(frames.MAX_CHUNK + 1)))


@pytest.mark.parametrize("count", [0, 1, frames.MAX_ENTRIES, frames.MAX_ENTRIES + 1, 3 * frames.MAX_ENTRIES])
def test_a_whole_vector_has_one_first_and_one_last_frame(count: int) -> None:
    packed = b"".join(HealthEntry().to_bytes(number + 1) for number in range(count))
    decoder = FrameDecoder()
    sent = [frame for data in frames.encode_health(8, packed, whole=True) for frame in decoder.feed(data)]
    vector = [frame for frame in sent if isinstance(frame, frames.Health)]
    assert len(vector) == len(sent) == max(1, -(-count // frames.MAX_ENTRIES))
    assert [frame.first for frame in vector] == [True] + [False] * (len(vector) - 1)
    assert [frame.last for frame in vector] == [False] * (len(vector) - 1) + [True]
    assert [value_id for frame in vector for value_id, _ in frame.entries] == list(range(1, count + 1))


def test_changes_have_neither_flag_and_no_changes_have_no_frame() -> None:
    assert list(frames.encode_health(1, b"", whole=False)) == []
    (data,) = frames.encode_health(1, HealthEntry(down=True).to_bytes(3), whole=False)
    assert list(FrameDecoder().feed(data)) == [frames.Health(1, False, False, ((3, HealthEntry(down=True)),))]


def test_a_bound_beyond_the_field_is_not_taken_for_none() -> None:
    (data,) = frames.encode_health(1, HealthEntry(ttl_bound_s=1 << 40).to_bytes(3), whole=False)
    (frame,) = FrameDecoder().feed(data)
    assert isinstance(frame, frames.Health)
    assert frame.entries[0][1].ttl_bound_s == frames.NO_BOUND - 1
