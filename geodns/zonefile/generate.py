"""`$GENERATE`: a range of records from one template, as BIND defined it.

`$GENERATE 1-20/2 host-${0,3,d} A 192.0.2.$`: `$` is the number, `${offset,width,base}` the number plus offset, padded with zeros, in base
d, o, x, X, n or N (nibbles, reversed, for ip6.arpa); `$$` and `\\$` are a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MAX_GENERATED = 1_000_000  # a /12 of PTR records; more is a slip of the pen
MAX_WIDTH = 255  # nothing wider fits into a name or text

_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?\Z")
_PLACE = re.compile(r"\\\$|\$\$|\$\{(?P<modifier>[^}]*)\}|\$")
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
    if len(numbers) > MAX_GENERATED:
        raise BadTemplate(f"the range has {len(numbers)} numbers and {MAX_GENERATED} are allowed; cut it")
    for token in tokens[1:]:
        _substitute(token, numbers.start)
    return ([_substitute(token, number) for token in tokens[1:]] for number in numbers)


def _substitute(template: str, number: int) -> str:
    return _PLACE.sub(lambda match: _show(match, number), template) if "$" in template else template


def _show(match: re.Match[str], number: int) -> str:
    if match[0] in ("$$", "\\$"):
        return "\\$"
    if match["modifier"] is None:
        return str(number)
    modifier = _MODIFIER.match(match["modifier"])
    if not modifier:
        raise BadTemplate(f"{match[0]!r} is not a place; write ${{OFFSET,WIDTH,BASE}}")
    shifted = number + int(modifier["offset"])
    width = int(modifier["width"] or 0)
    base = modifier["base"] or "d"
    if shifted < 0 or width > MAX_WIDTH:
        raise BadTemplate(f"{match[0]!r} gives a number below 0 or more than {MAX_WIDTH} digits")
    if base in "nN":
        return _show_nibbles(shifted, width, base)
    return f"{shifted:0{width}{base}}"


def _show_nibbles(number: int, width: int, base: str) -> str:
    """Hexadecimal digits from the lowest, dots between them; the width counts dots too, as in BIND."""
    digits = f"{number:{'x' if base == 'n' else 'X'}}"[::-1]
    digits = digits.ljust((width + 1) // 2, "0")
    return ".".join(digits)
