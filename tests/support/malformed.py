"""Malformed DNS messages, drawn from a seed.

Truncations at every offset, counts that lie, pointer loops, labels and names too long, option soup, all opcodes and classes.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import dns.edns
import dns.message
import dns.name

NAME = b"\x03www\x07example\x03com\x00"


def messages(seed: int, count: int) -> Iterator[bytes]:
    """`count` messages of every kind in turn; ids are random."""
    draw = random.Random(seed)  # noqa: S311 # a recorded seed
    makers = (bit_flips, truncation, lying_counts, pointers, long_labels, long_names, option_soup, header_soup, garbage, trailing)
    for number in range(count):
        message = makers[number % len(makers)](draw)
        yield struct.pack("!H", draw.randrange(65536)) + message[2:]


def valid(draw: random.Random) -> bytes:
    """A well-formed query with EDNS and a few options, as raw material."""
    options = [
        dns.edns.ECSOption("192.0.2.0", draw.randrange(25)),
        dns.edns.GenericOption(dns.edns.OptionType.COOKIE, draw.randbytes(8)),
        dns.edns.GenericOption(dns.edns.OptionType.make(draw.randrange(65536)), draw.randbytes(draw.randrange(20))),
    ]
    query = dns.message.make_query("www.example.com", draw.choice(["A", "AAAA", "TXT", "ANY", "SOA"]), use_edns=0, options=options)
    return query.to_wire()


def bit_flips(draw: random.Random) -> bytes:
    """One to eight bits flipped."""
    message = bytearray(valid(draw))
    for _ in range(draw.randint(1, 8)):
        message[draw.randrange(len(message))] ^= 1 << draw.randrange(8)
    return bytes(message)


def truncation(draw: random.Random) -> bytes:
    """Cut at any offset, also inside the header."""
    message = valid(draw)
    return message[: draw.randrange(2, len(message))]


def lying_counts(draw: random.Random) -> bytes:
    """Section counts from 0 to 65535 that fit nothing."""
    counts = [draw.choice([0, 1, 2, 255, 65535]) for _ in range(4)]
    return valid(draw)[:4] + struct.pack("!4H", *counts) + valid(draw)[12:]


def pointers(draw: random.Random) -> bytes:
    """Compression pointers to themselves, forward, in circles and past the end."""
    target = draw.choice([0, 11, 12, 13, 14, 16, 40, 0x3FFF])
    name = draw.choice([b"", b"\x03www"]) + struct.pack("!H", 0xC000 | target)
    return header(draw) + name * draw.choice([1, 1, 40]) + b"\x00\x01\x00\x01"


def long_labels(draw: random.Random) -> bytes:
    """Label lengths 64 to 191 (reserved) and one that reaches past the end."""
    length = draw.randrange(64, 192)
    return header(draw) + bytes([length]) + b"a" * draw.choice([length, length // 2]) + b"\x00\x00\x01\x00\x01"


def long_names(draw: random.Random) -> bytes:
    """Names over 255 bytes, of long labels and of the shortest."""
    name = draw.choice([b"\x3f" + b"a" * 63, b"\x01a"])
    return header(draw) + name * draw.choice([4, 5, 128, 200]) + b"\x00\x00\x01\x00\x01"


def option_soup(draw: random.Random) -> bytes:
    """An OPT record whose options lie about their length, or are wrong inside."""
    options = b""
    for _ in range(draw.randint(1, 30)):
        body = draw.randbytes(draw.randrange(12))
        options += struct.pack("!HH", draw.choice([3, 8, 10, 11, 12, 15, 65001]), draw.choice([len(body), 65535, 0, len(body) + 1])) + body
    rdlength = draw.choice([len(options), 65535, 0, max(len(options) - 1, 0)])
    opt = draw.choice([b"\x00", b"\x01a\x00"]) + struct.pack(
        "!HHIH", 41, draw.choice([0, 512, 1232, 65535]), draw.randrange(1 << 32), rdlength
    )
    question = NAME + b"\x00\x01\x00\x01"
    copies = draw.choice([1, 1, 1, 2])
    return struct.pack("!6H", 0, 0, 1, 0, 0, copies) + question + (opt + options) * copies


def header_soup(draw: random.Random) -> bytes:
    """Any opcode, any flag, any class and type."""
    flags = draw.randrange(65536) & 0x7FFF if draw.random() < 0.8 else draw.randrange(65536)
    return (
        struct.pack("!6H", 0, flags, 1, 0, 0, 0) + NAME + struct.pack("!2H", draw.randrange(65536), draw.choice([0, 1, 3, 254, 255, 65535]))
    )


def garbage(draw: random.Random) -> bytes:
    """Random bytes, 0 to 600 of them."""
    return draw.randbytes(draw.randrange(2, 600))


def trailing(draw: random.Random) -> bytes:
    """A valid query with bytes behind it."""
    return valid(draw) + draw.randbytes(draw.randint(1, 100))


def header(draw: random.Random) -> bytes:
    """A query header with one question."""
    return struct.pack("!6H", 0, draw.choice([0, 0x0100]), 1, 0, 0, 0)
