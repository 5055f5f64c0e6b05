"""Master files (RFC 1035 §5, RFC 2308 §4, RFC 3597), read record by record into a spool.

Every problem is told with file and line, and reading goes on at the next entry. `$INCLUDE` reaches only below the zones directory, and
leaves origin and owner of the including file alone (RFC 1035 §5.1). Names without a final dot end in the origin; `@` is the origin.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geodns.errors import Severity
from geodns.model import names, rdata
from geodns.model.fields import BadRdata
from geodns.model.findings import quote
from geodns.model.names import BadName, Name
from geodns.model.records import MAX_TTL
from geodns.model.soa import parse_soa
from geodns.zonefile import generate
from geodns.zonefile.lexer import MAX_ENTRY, Entry, read_entries
from geodns.zonefile.source import BadInclude, Sink, read_lines
from geodns.zonefile.spool import Place

# A number without a unit can only be the last: with the unit optional everywhere, a row of digits could be cut in 2^n ways, all tried.
_TTL = re.compile(r"(?=\d)(?:\d+[smhdwSMHDW])*\d*\Z")
_TTL_PART = re.compile(r"(\d+)([smhdwSMHDW]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_CLASSES = frozenset(("IN", "CLASS1"))
_OTHER_CLASSES = frozenset(("CH", "CHAOS", "HS", "HESIOD", "CS", "ANY", "NONE"))

_WHITE_OR_ESCAPED = re.compile(r"\\?[ \t]")

_SOA_MINIMUM = slice(-4, None)


class BadEntry(ValueError):
    """An entry that is no record; the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Owner:
    """An owner name in the forms that the spool takes. Without a key it lies outside the zone: its records are left out, as BIND does."""

    key: bytes | None
    wire: bytes


@dataclass(slots=True)
class _Ttls:
    """RFC 2308 §4: `$TTL` stands for a missing ttl; without it the last one written does, and before that the SOA's minimum."""

    default: int | None = None
    last: int | None = None

    def stand_in(self) -> int | None:
        return self.last if self.default is None else self.default


def read_master(path: Path, sink: Sink) -> None:
    """Read a master file and what it includes. Raises OSError when the file itself cannot be read."""
    _Reader(sink, path, sink.apex, _Ttls(), 0).read(read_lines(path, MAX_ENTRY + 1))


def read_master_text(text: str, name: str, sink: Sink) -> None:
    """Read a master file that came as a text; `name` stands for the file in problems."""
    _Reader(sink, Path(name), sink.apex, _Ttls(), 0).read(io.StringIO(text))


class _Reader:
    """Reads one file; an included one has a reader of its own, which shares the ttls."""

    def __init__(self, sink: Sink, path: Path, origin: Name, ttls: _Ttls, depth: int) -> None:
        self.sink = sink
        self.path = path
        self.origin = origin
        self.ttls = ttls
        self.depth = depth
        self.owner: _Owner | None = None
        self._owner_text: str | None = None

    def read(self, lines: Iterable[str]) -> None:
        for entry in read_entries(lines):
            try:
                if entry.fault:
                    raise BadEntry("bad-entry", entry.fault)
                if entry.tokens[0][0] == "$" and not entry.indented:
                    self._obey(entry)
                else:
                    self._add(entry.tokens, entry.indented, entry.line)
            except (BadEntry, BadRdata, BadName) as error:
                self.sink.report(self._place(entry), error.code, str(error))
        if self.depth == 0:
            self.sink.default_ttl = self.ttls.default

    def _place(self, entry: Entry) -> Place:
        return Place(self.path, entry.line)

    def _obey(self, entry: Entry) -> None:
        """A directive; each takes effect from the next entry on."""
        name, arguments = entry.tokens[0].upper(), entry.tokens[1:]
        match name:
            case "$ORIGIN":
                self.origin = self._parse_origin(_only(arguments, name))
                self._owner_text = None
            case "$TTL":
                self.ttls.default = self._parse_ttl(_only(arguments, name), entry.line)
            case "$INCLUDE":
                self._include(arguments)
            case "$GENERATE":
                self._generate(arguments, entry.line)
            case _:
                raise BadEntry(
                    "unknown-directive", f"{quote(entry.tokens[0])} is not a directive; known are $ORIGIN, $TTL, $INCLUDE, $GENERATE"
                )

    def _include(self, arguments: Sequence[str]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise BadEntry("bad-directive", "$INCLUDE takes a file and perhaps an origin")
        origin = self._parse_origin(arguments[1]) if len(arguments) == 2 else self.origin
        try:
            path = self.sink.find_include(_unquote(arguments[0]), self.path, self.depth)
            reader = _Reader(self.sink, path, origin, self.ttls, self.depth + 1)
            reader.owner = self.owner
            reader.read(read_lines(path, MAX_ENTRY + 1))
        except (BadInclude, OSError) as error:
            raise BadEntry("bad-include", f"$INCLUDE: {error}") from None

    def _generate(self, arguments: Sequence[str], line: int) -> None:
        before = self.owner, self._owner_text
        try:
            for tokens in generate.expand(arguments):
                self._add(tokens, indented=False, line=line)
        except generate.BadTemplate as error:
            raise BadEntry("bad-generate", str(error)) from None
        finally:
            # A blank owner behind the directive is the one before it, as with $INCLUDE.
            self.owner, self._owner_text = before

    def _add(self, tokens: list[str], indented: bool, line: int) -> None:
        owner = self._find_owner(None if indented else tokens[0])
        if owner.key is None:
            message = (
                f"{names.wire_to_text(owner.wire)[0]} is not in the zone {names.zone_text(self.sink.apex)}, and the record is left out"
            )
            self.sink.report(Place(self.path, line), "outside-zone", message, Severity.WARNING)
            return
        at, ttl = self._read_ttl_and_class(tokens, 0 if indented else 1, line)
        if at >= len(tokens):
            raise BadEntry("missing-type", "the entry has no record type")
        rtype = rdata.rtype_from_text(tokens[at])
        wire = rdata.from_tokens(rtype, tokens[at + 1 :], self.origin)
        if rtype == rdata.SOA:
            self._take_soa(owner, wire, ttl, line)
            return
        ttl = self.ttls.stand_in() if ttl is None else ttl
        if ttl is None:
            raise BadEntry("missing-ttl", "no ttl is known here; write $TTL at the top of the file")
        self.sink.spool.add_record(owner.key, owner.wire, rtype, ttl, wire, Place(self.path, line))
        self.sink.count_record()

    def _find_owner(self, text: str | None) -> _Owner:
        if text is not None and text != self._owner_text:
            self.owner = None
            wire = names.to_wire(_name_text(text), self.origin).lower()  # length bytes are below 64, so lower() leaves them alone
            name = names.from_wire(wire)
            is_inside = name.labels[-len(self.sink.apex.labels) :] == self.sink.apex.labels
            self.owner, self._owner_text = _Owner(names.sort_key(name) if is_inside else None, wire), text
        if self.owner is None:
            raise BadEntry("missing-owner", "the entry has no owner name and no usable one stands before it; write one")
        return self.owner

    def _read_ttl_and_class(self, tokens: Sequence[str], at: int, line: int) -> tuple[int, int | None]:
        """Skip ttl and class, which may come in either order (RFC 1035 §5.1), each once."""
        ttl: int | None = None
        has_class = False
        while at < len(tokens):
            text = tokens[at]
            upper = text.upper()
            if ttl is None and text[0] in "0123456789":
                ttl = self.ttls.last = self._parse_ttl(text, line)
            elif not has_class and upper in _CLASSES:
                has_class = True
            elif not has_class and (upper in _OTHER_CLASSES or upper.startswith("CLASS")):
                raise BadEntry("bad-class", f"the class {text} is not served; write IN")
            else:
                break
            at += 1
        return at, ttl

    def _take_soa(self, owner: _Owner, wire: bytes, ttl: int | None, line: int) -> None:
        sink = self.sink
        place = Place(self.path, line)
        if owner.wire != names.wire_of(sink.apex):
            raise BadEntry("misplaced-soa", "a SOA stands at the apex alone; remove it")
        minimum = int.from_bytes(wire[_SOA_MINIMUM])
        soa, serial = parse_soa(wire, self._soa_ttl(ttl, minimum))
        if sink.soa is not None:
            if (replace(soa, ttl=sink.soa.ttl), serial) != (sink.soa, sink.serial):
                raise BadEntry("second-soa", "the zone has a SOA already; remove one of them")
            sink.report(place, "duplicate-value", "the SOA stands here twice and the first counts; remove one", Severity.WARNING)
            return
        if max(soa.refresh, soa.retry, soa.expire, soa.minimum) > MAX_TTL:
            sink.report(place, "bad-soa-time", f"a time in the SOA is above {MAX_TTL} seconds; write less")
            soa = replace(soa, **{key: min(getattr(soa, key), MAX_TTL) for key in ("refresh", "retry", "expire", "minimum")})
        if soa.retry >= soa.refresh or soa.expire < soa.refresh + soa.retry:
            message = "secondaries do best with retry below refresh and expire above both (RFC 1912 §2.2)"
            sink.report(place, "odd-soa-times", message, Severity.WARNING)
        sink.soa, sink.serial = soa, serial

    def _soa_ttl(self, ttl: int | None, minimum: int) -> int:
        if ttl is None:
            ttl = self.ttls.stand_in()
        if ttl is None:
            ttl = self.ttls.last = min(minimum, MAX_TTL)
        return ttl

    def _parse_ttl(self, text: str, line: int) -> int:
        ttl = _read_ttl(text)
        if ttl <= MAX_TTL:
            return ttl
        message = f"a ttl above {MAX_TTL} counts as 0 (RFC 2181 §8); write less"
        self.sink.report(Place(self.path, line), "huge-ttl", message, Severity.WARNING)
        return 0

    def _parse_origin(self, text: str) -> Name:
        return names.from_wire(names.to_wire(_name_text(text), self.origin))


def _read_ttl(text: str) -> int:
    """Seconds, or BIND's numbers with units such as 1h30m."""
    if not _TTL.match(text) or not text.isascii():
        raise BadEntry("bad-ttl", f"{quote(text)} is not a ttl; write seconds, or numbers with s, m, h, d, w")
    ttl = sum(int(number) * _SECONDS[unit.lower()] for number, unit in _TTL_PART.findall(text[:64]))
    if ttl >> 32 or len(text) > 64:
        raise BadEntry("bad-ttl", f"the ttl {quote(text)} does not fit into 32 bits; write {MAX_TTL} or less")
    return ttl


def _only(arguments: Sequence[str], name: str) -> str:
    if len(arguments) != 1:
        raise BadEntry("bad-directive", f"{name} takes one argument")
    return arguments[0]


def _name_text(token: str) -> str:
    """A name without its quotes; white space between them is part of it."""
    plain = _unquote(token)
    return plain if plain is token else _WHITE_OR_ESCAPED.sub(lambda match: f"\\{ord(match[0][-1]):03}", plain)


def _unquote(token: str) -> str:
    return token[1:-1] if len(token) > 1 and token[0] == '"' == token[-1] else token
