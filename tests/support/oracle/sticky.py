"""Sticky answers by docs/sticky.md: the key, the draws, and the order of sites and values. All arithmetic is on integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import floor, log2

WORD = 1 << 64
FIRST = 0xCBF29CE484222325


@dataclass(frozen=True)
class Live:
    """A value that takes part: `reached` is its weight in thousandths, `written` the weight as written."""

    name: str
    rdata: bytes
    site: str
    reached: int
    written: int


def fnv(data: bytes) -> int:
    state = FIRST
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 % WORD
    return state


def mix(x: int) -> int:
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD % WORD
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 % WORD
    return x ^ x >> 33


def key_of(owner: bytes, family: int, length: int, network: bytes) -> int:
    """`owner` in lower-case wire form; `network` is zero beyond `length`."""
    return mix(fnv(owner + bytes((family, length)) + network))


@cache
def logarithm(j: int) -> int:
    """floor(2^32 log2(1 + j/256)). A double has 21 bits to spare below the floor, and no entry but the ends is a whole number."""
    return floor(2**32 * log2(1 + j / 256))


@cache
def cost(draw: int) -> int:
    h = max(draw, 1)
    k = h.bit_length() - 1
    m = (h - (1 << k)) << (64 - k)
    i = m >> 56
    f = (m << 8) % WORD >> 32
    return (64 - k) * 2**32 - (logarithm(i) + ((logarithm(i + 1) - logarithm(i)) * f >> 32))


def rank(key: int, hashed: int, reached: int, written: int) -> tuple[int, Fraction, int]:
    """What sorts best first: least cost by weight, at equal quotients the larger draw; weight 0 after every other, by the written one."""
    draw = mix(key ^ hashed)
    weight = reached or written
    return (0 if reached else 1, Fraction(cost(draw), weight), -draw)


def order(key: int, values: Sequence[Live]) -> list[Live]:
    """All values, best site first and best value first within it."""
    value_hash = {value.name: mix(fnv(b"\x02" + value.rdata)) for value in values}
    sites: dict[tuple[str, str], list[Live]] = {}
    for value in values:
        sites.setdefault(("site", value.site) if value.site else ("value", value.name), []).append(value)
    found: list[Live] = []
    for name in sorted(sites, key=lambda name: _rank_site(key, name, sites[name], value_hash)):
        found += sorted(sites[name], key=lambda value: rank(key, value_hash[value.name], value.reached, value.written))
    return found


def _rank_site(key: int, name: tuple[str, str], values: Sequence[Live], value_hash: Mapping[str, int]) -> tuple[int, Fraction, int]:
    kind, text = name
    hashed = mix(fnv(b"\x01" + text.encode())) if kind == "site" else value_hash[text]
    return rank(key, hashed, sum(value.reached for value in values), sum(value.written for value in values))
