"""The HTTP protocol without I/O: what a response says, however it is cut into pieces."""

from __future__ import annotations

import pytest

from geodns.model.check import Check, Protocol
from geodns.prober.fault import AnsweredBadly
from geodns.prober.http import MAX_BODY_BYTES, MAX_HEAD_BYTES, ResponseReader, encode_request

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(response: bytes, piece_bytes: int, *, is_head: bool = False) -> ResponseReader:
    """Feeds a response in pieces until the reader has enough, then ends the connection."""
    reader = ResponseReader(is_head=is_head)
    for start in range(0, len(response), piece_bytes):
        if reader.is_done:
            return reader
        reader.feed(response[start : start + piece_bytes])
    if not reader.is_done:
        reader.end()
    return reader


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 4096, 1_000_000])
@pytest.mark.parametrize(
    ("response", "status", "body", "is_cut_short"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nokTRAILING", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end", False),
        (b"HTTP/1.1 200\r\n\r\n", 200, b"", False),
        (b"HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n", 503, b"", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 50\r\n\r\n", 204, b"", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", 304, b"", False),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", 301, b"", False),
        (INTERIM + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 200, b"short", True),
        (CHUNKED + b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n", 200, b"abcde", False),
        (CHUNKED + b"2\nab\n0\n\n", 200, b"ab", False),
        (CHUNKED + b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", 200, b"0123456789", False),
        (CHUNKED + b"5\r\nab", 200, b"ab", True),
        (CHUNKED, 200, b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, 200, b"x" * MAX_BODY_BYTES, False),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 99999, 200, b"x" * MAX_BODY_BYTES, False),
        (CHUNKED + b"FFFF\r\n" + b"x" * 65535, 200, b"x" * MAX_BODY_BYTES, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok", 200, b"ok", False),
    ],
)  # fmt: skip
def test_responses(response: bytes, status: int, body: bytes, is_cut_short: bool, piece_bytes: int) -> None:
    reader = read(response, piece_bytes)
    assert (reader.status, reader.body, reader.is_cut_short) == (status, body, is_cut_short)


@pytest.mark.parametrize("piece_bytes", [1, 5, 4096])
@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", "closed within the header"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "answer is not HTTP"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 999 Odd\r\n\r\n", "answer is not HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xff\xff", "answer is not HTTP"),
        (b"\r\n\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES * 2, "header larger than 16 KiB"),
        (CHUNKED + b"zz\r\n", "body is not chunked as announced"),
        (CHUNKED + b"2\r\nabcdef\r\n", "body is not chunked as announced"),
        (CHUNKED + b"1;" + b"x" * 5000, "body is not chunked as announced"),
    ],
)
def test_what_is_not_http_is_said_to_be_so(response: bytes, cause: str, piece_bytes: int) -> None:
    with pytest.raises(AnsweredBadly, match=cause):
        read(response, piece_bytes)


def test_a_head_request_has_no_body() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", 1, is_head=True).is_done


def test_the_request_carries_host_and_asks_for_an_end() -> None:
    check = Check(Protocol.HTTP, "192.0.2.1", 8080, path="/healthz?deep=1", host="www.example.com", headers=(("X-Probe", "yes"),))
    assert encode_request(check, "192.0.2.1").split(b"\r\n") == [
        b"GET /healthz?deep=1 HTTP/1.1", b"Host: www.example.com", b"User-Agent: geodns", b"Accept: */*", b"Accept-Encoding: identity",
        b"Connection: close", b"X-Probe: yes", b"", b"",
    ]  # fmt: skip


def test_a_header_of_the_check_replaces_ours() -> None:
    check = Check(Protocol.HTTP, "192.0.2.1", 80, host="www.example.com", headers=(("user-agent", "probe/1"),))
    request = encode_request(check, "192.0.2.1")
    assert b"user-agent: probe/1\r\n" in request
    assert b"geodns" not in request


@pytest.mark.parametrize(("address", "host"), [("192.0.2.1", b"192.0.2.1"), ("2001:db8::1", b"[2001:db8::1]")])
def test_without_a_host_the_address_is_the_host(address: str, host: bytes) -> None:
    assert b"\r\nHost: " + host + b"\r\n" in encode_request(Check(Protocol.HTTP, address, 80), address)


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        (None, b"/"),
        ("healthz", b"/healthz"),
        ("/a b", b"/a%20b"),
        ("/a\r\nX: y", b"/a%0D%0AX:%20y"),
        ("/ä", b"/%C3%A4"),
        ("/a%20b", b"/a%20b"),
        ("/a#b", b"/a%23b"),
    ],
)
def test_paths_stay_within_their_line(path: str | None, encoded: bytes) -> None:
    assert encode_request(Check(Protocol.HTTP, "192.0.2.1", 80, path=path), "192.0.2.1").startswith(b"GET " + encoded + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "check",
    [
        Check(Protocol.HTTP, "192.0.2.1", 80, host="www.example.com\r\nX-Evil: 1"),
        Check(Protocol.HTTP, "192.0.2.1", 80, headers=(("X-A", "1\r\nX-Evil: 1"),)),
        Check(Protocol.HTTP, "192.0.2.1", 80, headers=(("X-A: 1\r\nX-Evil", "1"),)),
        Check(Protocol.HTTP, "192.0.2.1", 80, method="GET / HTTP/1.1\r\nX: y\r\n\r\nGET"),
    ],
)
def test_line_breaks_do_not_break_out(check: Check) -> None:
    with pytest.raises(ValueError, match=r"control characters|no header field name"):
        encode_request(check, "192.0.2.1")
