"""A zone as JSON lines, the form in which `geodns apply` sends it: a head with SOA, serial and default ttl, then one record a line.

It is read piece by piece while it arrives and kept in a spool, so that a zone of a million names is never held, neither as text nor as
objects. Everything here blocks and belongs into a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dns.name
from pydantic import ValidationError

from geodns.api.binding import describe_validation
from geodns.api.body import parse_json
from geodns.api.models import ImportHead
from geodns.api.problems import ErrorReply
from geodns.api.soa import make_soa
from geodns.errors import InvalidInput, Problem, Severity
from geodns.model import names
from geodns.model.findings import Policy
from geodns.model.records import parse_record
from geodns.zonefile import ReadZone, finish_zone
from geodns.zonefile.source import Sink, TooManyProblems
from geodns.zonefile.spool import Place, Spool

MAX_LINE = 1024 * 1024
"""Bytes. As much as a request with a single record may have."""


class LinesReader:
    """`feed` everything that arrives, then `finish`. Problems carry the line as their source; every line is judged."""

    def __init__(self, apex: dns.name.Name, policy: Policy) -> None:
        self._path = Path(f"{names.zone_file_stem(apex)}.jsonl")
        self._sink = Sink(apex, Spool(apex), None, policy)
        self._begun = b""
        self._number = 0
        self._default_ttl: int | None = None
        self._is_given_up = False
        self._is_master = False

    def feed(self, piece: bytes) -> None:
        """The next bytes, wherever they were cut."""
        if self._is_given_up:
            return
        *lines, self._begun = (self._begun + piece).split(b"\n")
        try:
            for line in lines:
                self._take(line)
            if len(self._begun) > MAX_LINE:
                self._report("too-large", f"the line is longer than {MAX_LINE} bytes", self._number + 1)
                raise TooManyProblems
        except TooManyProblems:
            self._is_given_up = True

    def finish(self) -> ReadZone:
        """The zone, or what is wrong with it."""
        read = finish_zone(self._read_rest, self._sink, None, is_master=False)
        return replace(read, contents=replace(read.contents, is_master=self._is_master)) if read.contents is not None else read

    def _read_rest(self) -> None:
        if self._is_given_up:
            raise TooManyProblems
        if self._begun or self._number == 0:
            self._take(self._begun)
        self._sink.default_ttl = self._default_ttl

    def _take(self, line: bytes) -> None:
        self._number += 1
        if self._number == 1:
            self._take_head(line)
        elif line.strip():
            for problem in self._take_record(line):
                self._sink.add_problem(problem.at(str(self._place(self._number))))

    def _take_head(self, line: bytes) -> None:
        """Without a usable head nothing else can be judged."""
        try:
            head = ImportHead.model_validate(parse_json(line))
        except ValidationError as error:
            raise InvalidInput([problem.at(str(self._place(1))) for problem in describe_validation(error, "", "key")]) from None
        self._default_ttl = head.default_ttl
        self._is_master = head.master
        self._sink.serial = head.serial
        self._sink.soa = None if head.soa is None else make_soa(self._sink.apex, head.soa, ())

    def _take_record(self, line: bytes) -> Iterator[Problem]:
        sink = self._sink
        try:
            record = parse_json(line)
        except ErrorReply as error:
            yield Problem("", error.kind, error.detail)
            return
        except InvalidInput as error:
            yield from error.problems
            return
        name = record.get("name") if isinstance(record, dict) else None
        if not isinstance(name, str):
            yield Problem("/name", "missing", "the record's name is missing")
            return
        parsed = parse_record(sink.apex, name, record, default_ttl=self._default_ttl or 0, policy=sink.policy)
        if parsed.rrset is not None:
            sink.spool.add_rrset(parsed.rrset, self._place(self._number))
        yield from parsed.problems

    def _report(self, code: str, message: str, number: int) -> None:
        self._sink.report(self._place(number), code, message, Severity.ERROR)

    def _place(self, number: int) -> Place:
        return Place(self._path, number)
