"""Master files: what they say, and what is wrong with them, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.errors import Severity
from geodns.model import names, rdata
from geodns.model.record import Rrset
from geodns.zonefile import ReadZone, parse_zone_text, read_zone, write_zone

APEX = names.parse_zone_name("example.com")
HEAD = "$TTL 300\n@ SOA ns1.example.net. host 1 3600 600 604800 60\n@ NS ns1.example.net.\n"


def parse(text: str) -> ReadZone:
    return parse_zone_text(HEAD + text, APEX, "zone")


def shown(read: ReadZone) -> list[str]:
    """The rrsets behind the head, one line each."""
    assert read.contents, [str(problem) for problem in read.problems]
    return [show(rrset) for rrset in read.contents.rrsets if rrset.owner != APEX]


def show(rrset: Rrset) -> str:
    values = ", ".join(rdata.to_text(rrset.rtype, wire) for wire in rrset.rdatas)
    return f"{names.to_text(rrset.owner, APEX)} {rrset.ttl} {rdata.rtype_to_text(rrset.rtype)} {values}"


def problems(read: ReadZone, severity: Severity = Severity.ERROR) -> list[tuple[int, str]]:
    """Line and code; lines count from the one behind the head."""
    found = [
        (int((problem.source or ":0").rpartition(":")[2]) - 3, problem.code) for problem in read.problems if problem.severity is severity
    ]
    return sorted(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("www A 192.0.2.1", ["www 300 A 192.0.2.1"]),
        ("WWW 60 IN A 192.0.2.1", ["www 60 A 192.0.2.1"]),
        ("www IN 60 A 192.0.2.1", ["www 60 A 192.0.2.1"]),
        ("www 1h30m CLASS1 TYPE1 \\# 4 c0000201", ["www 5400 A 192.0.2.1"]),
        ("www.example.com. A 192.0.2.1 ; a comment", ["www 300 A 192.0.2.1"]),
        ("www A 192.0.2.2\n    A 192.0.2.1\n\tAAAA 2001:db8::1", ["www 300 A 192.0.2.2, 192.0.2.1", "www 300 AAAA 2001:db8::1"]),
        ("www ( A\n ; nothing\n\n 192.0.2.1 )", ["www 300 A 192.0.2.1"]),
        ("$ORIGIN sub\nwww A 192.0.2.1\n@ CNAME www", ["sub 300 CNAME www.sub.example.com.", "www.sub 300 A 192.0.2.1"]),
        ("$TTL 5\na A 192.0.2.1\n$TTL 6\nb A 192.0.2.1", ["a 5 A 192.0.2.1", "b 6 A 192.0.2.1"]),
        ('t TXT "a;b (c" d "e\\"f" \\200', ['t 300 TXT "a;b (c" "d" "e\\"f" "\\200"']),
        ('t TXT ( "one"\n "two" )', ['t 300 TXT "one" "two"']),
        ("a\\.b A 192.0.2.1\n\\065 A 192.0.2.2", ["a 300 A 192.0.2.2", "a\\.b 300 A 192.0.2.1"]),
        ("x TYPE65280 \\# 3 abcdef", ["x 300 TYPE65280 \\# 3 abcdef"]),
        ("x HTTPS 1 . alpn=\"h2,h3\" port=8443", ['x 300 HTTPS 1 . alpn="h2,h3" port="8443"']),
        ("$GENERATE 1-3/2 h$ A 192.0.2.$", ["h1 300 A 192.0.2.1", "h3 300 A 192.0.2.3"]),
        ("$GENERATE 9-10 h-${0,3,d}-${5,2,x} 60 IN CNAME x$.example.net.",
         ["h-009-0e 60 CNAME x9.example.net.", "h-010-0f 60 CNAME x10.example.net."]),
        ("$GENERATE 1-1 ${0,3,n}.x PTR h.example.net.", ["1.0.x 300 PTR h.example.net."]),
        ("$GENERATE 0-0 x TXT \"$$ \\$\"", ['x 300 TXT "$" "$"']),
        ("$GENERATE 7-7 x$ MX \"10 mx$.example.net.\"", ["x7 300 MX 10 mx7.example.net."]),
        ("$GENERATE 7-7 x TXT \"\\\"a $\\\" b\"", ['x 300 TXT "a 7" "b"']),
        ("$GENERATE 10-10 ${0,4,n}example.com. A 192.0.2.1", ["a.0 300 A 192.0.2.1"]),
        ("$GENERATE 0-0 h${-1} A 192.0.2.1", ["h-1 300 A 192.0.2.1"]),
        ("$GENERATE 1-1 a\\\\$ A 192.0.2.1", ["a\\\\1 300 A 192.0.2.1"]),
        ("a A 192.0.2.1\n$GENERATE 1-1 b$ A 192.0.2.$\n TXT x", ["a 300 A 192.0.2.1", 'a 300 TXT "x"', "b1 300 A 192.0.2.1"]),
        ('t TXT "a""b" c"d e"', ['t 300 TXT "a" "b" "c" "d e"']),
        ("t TXT x\u00a0y\u3000z", ['t 300 TXT "x\\194\\160y\\227\\128\\128z"']),
        ('"a b" A 192.0.2.1\nc\\ d A 192.0.2.2', ["a\\032b 300 A 192.0.2.1", "c\\032d 300 A 192.0.2.2"]),
        ("x TYPE10 \\# 1 ff", ["x 300 NULL \\# 1 ff"]),
        ("x DS 1 RSASHA256 SHA-256 " + "ab" * 32, ["x 300 DS 1 8 2 " + "ab" * 32]),
        ("x KEY NOCONF|ZONE DNSSEC 8 aGVsbG8=", ["x 300 KEY 16640 3 8 aGVsbG8="]),
        ("x KEY 49152 3 1", ["x 300 KEY 49152 3 1 "]),
        ("x SVCB 0 b port=53", ['x 300 SVCB 0 b.example.com. port="53"']),
        ("x SVCB 1 . key667= mandatory=key667", ['x 300 SVCB 1 . mandatory="key667" key667']),
        ('x SVCB 1 . alpn="f\\\\\\\\oo\\\\,bar,h2"', ['x 300 SVCB 1 . alpn="f\\\\\\\\oo\\\\,bar,h2"']),
        ("x SVCB 1 . key1=\\002h2 ech=AAAA", ['x 300 SVCB 1 . alpn="h2" ech="AAAA"']),
        ("x AMTRELAY \\# 3 0004ff", ["x 300 AMTRELAY \\# 3 0004ff"]),
        ("* A 192.0.2.1", ["* 300 A 192.0.2.1"]),
        ("mx MX 10 @", ["mx 300 MX 10 example.com."]),
    ],
)  # fmt: skip
def test_an_entry_means_its_records(text: str, expected: list[str]) -> None:
    assert shown(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("www A 192.0.2\nw2 AAAA x", [(1, "bad-address"), (2, "bad-address")]),
        ("www A", [(1, "short-rdata")]),
        ("www A 192.0.2.1 192.0.2.2", [(1, "extra-rdata")]),
        ("www FOO x", [(1, "unknown-type")]),
        ("www 300 IN", [(1, "missing-type")]),
        ("www CH A 192.0.2.1", [(1, "bad-class")]),
        ("www 99999999999 A 192.0.2.1", [(1, "bad-ttl")]),
        ("www 1x A 192.0.2.1", [(1, "bad-ttl")]),
        pytest.param("www " + "7" * 4000 + "x A 192.0.2.1", [(1, "bad-ttl")], id="a ttl of many digits"),
        ("a..b A 192.0.2.1", [(1, "empty-label")]),
        ("a..b A 192.0.2.1\n  A 192.0.2.2", [(1, "empty-label"), (2, "missing-owner")]),
        ("www ( A\n192.0.2.1", [(1, "bad-entry")]),
        ("www A 192.0.2.1 )", [(1, "bad-entry")]),
        ('www TXT "open\nw2 A 192.0.2.1', [(1, "bad-entry")]),
        ("$FOO x", [(1, "unknown-directive")]),
        ("$TTL", [(1, "bad-directive")]),
        ("$INCLUDE x", [(1, "bad-include")]),
        ("$GENERATE 3-1 h$ A 192.0.2.$", [(1, "bad-generate")]),
        ("$GENERATE 1-2 h$ A", [(1, "bad-generate")]),
        ("$GENERATE 1-2 h${x} A 192.0.2.1", [(1, "bad-generate")]),
        ("$GENERATE 1-2 h${0 A 192.0.2.1", [(1, "bad-generate")]),
        ("$GENERATE 2147483648-2147483648 h$ A 192.0.2.1", [(1, "bad-generate")]),
        ("x TYPE240 \\# 0", [(1, "refused-type")]),
        ("x AAAA 2001:db8::1%eth0", [(1, "bad-address")]),
        ("x LOC 90 0 0.001 N 0 E 0m", [(1, "bad-rdata")]),
        ("x SVCB 1 . mandatory=alpn", [(1, "bad-rdata")]),
        ("x SVCB 1 . port=1 port=1", [(1, "bad-svcparam")]),
        ("x SVCB 1 . key3=1", [(1, "bad-rdata")]),
        ("x SVCB 1 . key03=1", [(1, "unknown-svcparam")]),
        ("$GENERATE 1-99999999 h$ A 192.0.2.1", [(1, "bad-generate")]),
        ("x SOA a b 1 2 3 4 5", [(1, "misplaced-soa")]),
        ("@ SOA a b 1 2 3 4 5", [(1, "second-soa")]),
        ("a CNAME b\na A 192.0.2.1", [(1, "cname-and-other-data")]),
        ("www TYPE65280 abc", [(1, "unknown-type")]),
    ],
)
def test_every_problem_has_its_line(text: str, expected: list[tuple[int, str]]) -> None:
    read = parse(text)
    assert read.contents is None
    assert problems(read) == expected


def test_records_that_meet_are_warned_of() -> None:
    read = parse("a A 192.0.2.1\nb A 192.0.2.9\na 60 A 192.0.2.2\na A 192.0.2.1\n")
    assert problems(read, Severity.WARNING) == [(3, "mixed-ttl"), (4, "duplicate-value")]
    assert shown(read)[0] == "a 300 A 192.0.2.1, 192.0.2.2"


def test_a_ttl_above_the_greatest_counts_as_0_and_is_warned_of() -> None:
    read = parse("a 2147483648 A 192.0.2.1\n$TTL 4294967295\nb A 192.0.2.1\n")
    assert problems(read, Severity.WARNING) == [(1, "huge-ttl"), (2, "huge-ttl")]
    assert shown(read) == ["a 0 A 192.0.2.1", "b 0 A 192.0.2.1"]


def test_names_in_rdata_are_equal_whatever_their_case() -> None:
    read = parse("a NS NS.example.net.\na NS ns.example.net.\nt TXT X\nt TXT x\n")
    assert problems(read, Severity.WARNING) == [(2, "duplicate-value")]
    assert shown(read) == ["a 300 NS NS.example.net.", 't 300 TXT "X", "x"']


def test_records_outside_the_zone_are_left_out_with_a_warning() -> None:
    read = parse("www.example.net. A 192.0.2.1\n  A 192.0.2.2\nwww A 192.0.2.3\n")
    assert problems(read, Severity.WARNING) == [(1, "outside-zone"), (2, "outside-zone")]
    assert shown(read) == ["www 300 A 192.0.2.3"]


def test_without_a_ttl_the_last_one_stands_in_and_before_it_the_soas_minimum() -> None:
    text = "@ SOA ns1.example.net. host 1 3600 600 604800 60\n@ NS ns1.example.net.\na 77 A 192.0.2.1\nb A 192.0.2.1\n"
    read = parse_zone_text(text, APEX, "zone")
    assert read.contents
    assert read.contents.soa
    assert [rrset.ttl for rrset in read.contents.rrsets] == [60, 77, 77]
    assert read.contents.soa.ttl == 60
    assert problems(parse_zone_text("a A 192.0.2.1\n", APEX, "zone")) == [(-2, "missing-ttl")]


def test_soa_and_serial_are_the_files() -> None:
    contents = parse("").contents
    assert contents
    assert contents.soa
    assert (contents.serial, contents.soa.mname.to_text(), contents.soa.minimum, contents.default_ttl) == (1, "ns1.example.net.", 60, 300)


def test_bytes_that_are_not_utf_8_stay_bytes(tmp_path: Path) -> None:
    path = tmp_path / "example.com.zone"
    path.write_bytes(HEAD.encode() + b'x TXT "\xff\xe9"\n')
    contents = read_zone([path], directory=tmp_path).contents
    assert contents
    assert list(contents.rrsets)[-1].rdatas == (b"\2\xff\xe9",)


def test_an_included_file_leaves_origin_and_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "inner.inc").write_text("inner A 192.0.2.1\n$ORIGIN elsewhere.example.com.\nx A 192.0.2.2\n")
    path = tmp_path / "example.com.zone"
    path.write_text(HEAD + "outer A 192.0.2.3\n$INCLUDE parts/inner.inc sub\n  A 192.0.2.4\nlast A 192.0.2.5\n")
    read = read_zone([path], directory=tmp_path)
    assert shown(read) == [
        "x.elsewhere 300 A 192.0.2.2",
        "last 300 A 192.0.2.5",
        "outer 300 A 192.0.2.3, 192.0.2.4",
        "inner.sub 300 A 192.0.2.1",
    ]


def test_files_outside_the_directory_and_circles_are_not_included(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    (tmp_path / "secret").write_text("x A 192.0.2.1\n")
    (zones / "link.inc").symlink_to(tmp_path / "secret")
    (zones / "circle.inc").write_text("$INCLUDE circle.inc\n")
    path = zones / "example.com.zone"
    path.write_text(HEAD + "$INCLUDE ../secret\n$INCLUDE link.inc\n$INCLUDE /etc/hostname\n$INCLUDE circle.inc\n$INCLUDE none\n")
    read = read_zone([path], directory=zones)
    assert [(problem.code, (problem.source or "").rpartition("/")[2]) for problem in read.problems] == [
        ("bad-include", "example.com.zone:4"),
        ("bad-include", "example.com.zone:5"),
        ("bad-include", "example.com.zone:6"),
        ("bad-include", "circle.inc:1"),
        ("bad-include", "example.com.zone:8"),
    ]


def test_what_is_written_is_read_back() -> None:
    read = parse('a A 192.0.2.1\nb 60 MX 10 a\n\\$x TXT "a\\\\b;" c\n\\@ TXT at\n*.w CNAME a\nx TYPE65280 \\# 0\n')
    assert read.contents
    again = parse_zone_text("".join(write_zone(read.contents, 1)), APEX, "zone")
    assert again.contents == read.contents


def test_a_file_of_another_kind_is_not_told_line_by_line() -> None:
    read = parse("rubbish\n" * 5000)
    assert len(read.problems) == 1001
    assert read.problems[-1].code == "too-many-problems"


def test_a_big_zone_stays_in_the_spool_and_reports_progress(tmp_path: Path) -> None:
    path = tmp_path / "example.com.zone"
    path.write_text(HEAD + "$GENERATE 1-60000 h$ A 192.0.2.1\n")
    seen: list[int] = []
    contents = read_zone([path], directory=tmp_path, progress=seen.append).contents
    assert contents
    assert seen == [50_000]
    assert len(contents.rrsets) == 60_001
    assert sum(1 for _ in contents.rrsets) == 60_001
    assert next(iter(contents.rrsets)) in contents.rrsets
