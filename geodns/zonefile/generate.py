"""`$GENERATE`: a range of records from one template, as BIND defined it.

`$GENERATE 1-20/2 host-${0,3,d} A 192.0.2.$`: `$` is the number, `${offset,width,base}` the number plus offset, padded with zeros, in base
d, o, x, X, n or N (nibbles, reversed, for ip6.arpa); `$$` and `\\$` are a dollar sign. Rdata in one pair of quotes is taken apart without
them, as BIND does: `MX "10 mail$"`; without quotes its fields may stand one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from geodns.model.fields import BadRdata
from geodns.model.rdata import split_tokens

MAX_GENERATED = 1_000_000  # a /12 of PTR records; more is a slip of the pen
MAX_WIDTH = 255  # nothing wider fits into a name or text
MAX_NUMBER = 2**31 - 1  # BIND's

_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?\Z")
_PLACE = re.compile(r"\\\$|\$\$|\$\{(?P<modifier>[^}]*)\}?|\$|\\.")
_MODIFIER = re.compile(r"(?P<offset>-?\d{1,10})(?:,(?P<width>\d{1,4})(?:,(?P<base>[doxXnN]))?)?\Z")


class BadTemplate(ValueError):
    """The directive is not one; the message says what is missing."""


def expand(tokens: Sequence[str]) -> Iterator[list[str]]:
    """The entries, as tokens, that the tokens behind `$GENERATE` stand for. Raises BadTemplate before the first one."""
    if len(tokens) < 4:
        raise BadTemplate("$GENERATE needs a range, an owner name, a type and rdata")
    match = _RANGE.match(tokens[0])
    if not match or int(match[2]) < int(match[1]) or match[3] == "0":
        raise BadTemplate(f"{tokens[0]!r} is not a range; write START-STOP or START-STOP/STEP")
    numbers = range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))
    if numbers.stop > MAX_NUMBER + 1:
        raise BadTemplate(f"the range ends beyond {MAX_NUMBER}")
    if len(numbers) > MAX_GENERATED:
        raise BadTemplate(f"the range has {len(numbers)} numbers and {MAX_GENERATED} are allowed; cut it")
    template = [*tokens[1:-1], *_take_apart(tokens[-1])]
    for token in template:
        _substitute(token, numbers.start)
    return ([_substitute(token, number) for token in template] for number in numbers)


def _take_apart(token: str) -> list[str]:
    if len(token) < 2 or token[0] != '"' or token[-1] != '"':
        return [token]
    try:
        return split_tokens(re.sub(r"\\(.)", lambda match: match[1] if match[1] == '"' else match[0], token[1:-1])) or ['""']
    except BadRdata as error:
        raise BadTemplate(str(error)) from None


def _substitute(template: str, number: int) -> str:
    return _PLACE.sub(lambda match: _show(match, number), template) if "$" in template else template


def _show(match: re.Match[str], number: int) -> str:
    if match[0] in ("$$", "\\$"):
        return "\\$"
    if match[0][0] == "\\":
        return match[0]
    if match["modifier"] is None:
        return str(number)
    modifier = _MODIFIER.match(match["modifier"])
    if not modifier or match[0][-1] != "}":
        raise BadTemplate(f"{match[0]!r} is not a place; write ${{OFFSET,WIDTH,BASE}}")
    shifted = number + int(modifier["offset"])
    width = int(modifier["width"] or 0)
    base = modifier["base"] or "d"
    if width > MAX_WIDTH:
        raise BadTemplate(f"{match[0]!r} gives more than {MAX_WIDTH} digits")
    if base == "d":
        return f"{shifted:0{width}d}"
    unsigned = shifted & 0xFFFFFFFF  # numbers below 0 in 32 bits, as in BIND
    return _show_nibbles(unsigned, width, base) if base in "nN" else f"{unsigned:0{width}{base}}"


def _show_nibbles(number: int, width: int, base: str) -> str:
    """Hexadecimal digits from the lowest, dots between them. The width counts dots too, as in BIND, so that an even one ends in a dot."""
    digits = f"{number:{'x' if base == 'n' else 'X'}}"[::-1]
    shown = ".".join(digits.ljust((width + 1) // 2, "0"))
    return shown + "." if len(shown) < width else shown
