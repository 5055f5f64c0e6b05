"""JSON lines as they arrive: cut anywhere, larger than what is held, and wrong in every line."""

from __future__ import annotations

import dns.name
import pytest

from geodns.api.jsonlines import MAX_LINE, LinesReader
from geodns.api.problems import ErrorReply
from geodns.errors import InvalidInput, errors_in
from geodns.model.findings import Policy
from geodns.zonefile.reading import MAX_HELD
from geodns.zonefile.source import MAX_PROBLEMS

APEX = dns.name.from_text("example.com.")
HEAD = b'{"default_ttl": 60, "serial": 7}\n'
NS = b'{"name": "@", "type": "NS", "values": ["ns.example.net."]}\n'


def reader_of(*pieces: bytes) -> LinesReader:
    reader = LinesReader(APEX, Policy())
    for piece in pieces:
        reader.feed(piece)
    return reader


def record(name: str, value: str = "192.0.2.1") -> bytes:
    return b'{"name": "%s", "type": "A", "value": "%s"}\n' % (name.encode(), value.encode())


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_it_does_not_matter_where_the_stream_is_cut(size: int) -> None:
    text = HEAD + NS + b"\n" + record("www") + record("mail").rstrip()
    read = reader_of(*(text[start : start + size] for start in range(0, len(text), size))).finish()
    assert read.contents is not None
    assert (read.contents.serial, read.contents.default_ttl) == (7, 60)
    assert [(rrset.owner.to_text(), rrset.rtype, rrset.ttl) for rrset in read.contents.rrsets] == [
        ("example.com.", 2, 60),
        ("mail.example.com.", 1, 60),
        ("www.example.com.", 1, 60),
    ]


def test_a_large_zone_is_not_held_as_objects() -> None:
    read = reader_of(HEAD, NS, *(record(f"n{number}") for number in range(MAX_HELD))).finish()
    assert read.contents is not None
    assert not isinstance(read.contents.rrsets, tuple)
    assert len(read.contents.rrsets) == MAX_HELD + 1


def test_a_record_that_stands_twice_is_told_with_its_line() -> None:
    read = reader_of(HEAD, NS, record("www"), record("www", "192.0.2.2")).finish()
    (problem,) = errors_in(read.problems)
    assert (problem.code, problem.source) == ("repeated-rrset", "example.com.jsonl:4")


def test_after_a_thousand_problems_the_rest_is_not_read() -> None:
    read = reader_of(HEAD, NS, *(record("www", "x") for _ in range(2 * MAX_PROBLEMS))).finish()
    assert read.contents is None
    assert len(read.problems) == MAX_PROBLEMS + 1


def test_a_line_without_end_is_not_kept() -> None:
    reader = reader_of(HEAD, NS)
    for _ in range(3):
        reader.feed(b" " * MAX_LINE)
    assert [problem.code for problem in reader.finish().problems] == ["too-large"]


@pytest.mark.parametrize("text", [b"", b"[]\n", b'{"colour": 1}\n'])
def test_without_a_head_nothing_is_read(text: bytes) -> None:
    with pytest.raises((InvalidInput, ErrorReply)):
        reader_of(text).finish()
