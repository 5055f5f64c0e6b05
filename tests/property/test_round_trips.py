"""What goes in comes out: random zones through both file forms, random records through JSON, random bytes through both readers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from geodns.model import names, rdata
from geodns.model.fields import BadRdata
from geodns.model.names import Name
from geodns.model.record import Rrset, ZoneContents
from geodns.model.records import parse_record, record_to_json
from geodns.zonefile import parse_zone_text, write_yaml, write_zone

APEX = names.parse_zone_name("example.com")

FAST = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))

# Labels of any bytes, of host names, and of what means something to a reader.
LABELS = st.one_of(
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True).map(str.encode),
    st.binary(min_size=1, max_size=20).map(bytes.lower),
    st.sampled_from([b"*", b"@", b"$ttl", b"$", b"no", b"10", b"null", b"_sip", b"a.b", b'"', b";", b"\\", b"x" * 63]),
)
OWNERS = st.lists(LABELS, max_size=3).map(lambda labels: Name((*labels, *APEX.labels)))
TARGETS = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: names.wire_of(Name((*labels, b""))))
U16 = st.binary(min_size=2, max_size=2)
STRINGS = st.binary(max_size=255).map(lambda text: bytes((len(text),)) + text)

RDATAS: dict[int, st.SearchStrategy[bytes]] = {
    rdata.A: st.binary(min_size=4, max_size=4),
    rdata.AAAA: st.binary(min_size=16, max_size=16),
    rdata.NS: TARGETS,
    rdata.PTR: TARGETS,
    rdata.MX: st.builds(bytes.__add__, U16, TARGETS),
    rdata.SRV: st.builds(lambda numbers, target: numbers + target, st.binary(min_size=6, max_size=6), TARGETS),
    rdata.TXT: st.lists(STRINGS, min_size=1, max_size=4).map(b"".join),
    13: st.builds(bytes.__add__, STRINGS, STRINGS),
    35: st.builds(
        lambda numbers, strings, target: numbers + b"".join(strings) + target,
        st.binary(min_size=4, max_size=4),
        st.lists(STRINGS, min_size=3, max_size=3),
        TARGETS,
    ),
    52: st.builds(lambda head, data: head + b"\0" + data, U16, st.binary(min_size=1, max_size=40)),
    256: st.builds(lambda numbers, text: numbers + text, st.binary(min_size=4, max_size=4), st.binary(max_size=60)),
    257: st.builds(lambda flags, text: flags + b"\5issue" + text, st.binary(min_size=1, max_size=1), st.binary(max_size=60)),
    65280: st.binary(max_size=40),
}


@st.composite
def zones_of_records(draw: st.DrawFn) -> ZoneContents:
    """Static rrsets, each owner and type once, in the order in which a source is read: canonical."""
    rrsets: dict[tuple[bytes, int], Rrset] = {}
    for owner in [APEX, *draw(st.lists(OWNERS, max_size=8))]:
        rtype = rdata.NS if owner == APEX else draw(st.sampled_from(sorted(RDATAS)))
        values = draw(st.lists(RDATAS[rtype], min_size=1, max_size=3, unique=True))
        if rtype == rdata.MX:
            values = [value for value in values if value[2:] != b"\0"] or [b"\0\1\1a\0"]
        rrsets[names.sort_key(owner), rtype] = Rrset(owner, rtype, draw(st.sampled_from([0, 60, 3600, 2**31 - 1])), tuple(values))
    return ZoneContents(APEX, tuple(rrsets[key] for key in sorted(rrsets)))


def check_files(contents: ZoneContents) -> None:
    master = parse_zone_text("".join(write_zone(contents, 7)), APEX, "zone")
    assert master.contents, [str(problem) for problem in master.problems]
    assert tuple(master.contents.rrsets) == contents.rrsets
    assert master.contents.serial == 7
    yaml = parse_zone_text("".join(write_yaml(contents)), APEX, "yaml")
    assert yaml.contents, [str(problem) for problem in yaml.problems]
    assert tuple(yaml.contents.rrsets) == contents.rrsets


def check_json(contents: ZoneContents) -> None:
    for rrset in contents.rrsets:
        sent: dict[str, Any] = json.loads(json.dumps(record_to_json(rrset, APEX)))
        parsed = parse_record(APEX, sent["name"], sent)
        assert parsed.rrset == rrset, [str(problem) for problem in parsed.problems]


@FAST
@given(zones_of_records())
def test_a_zone_that_is_written_is_read_back_in_both_forms(contents: ZoneContents) -> None:
    check_files(contents)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@LONG
@given(zones_of_records())
def test_many_zones_that_are_written_are_read_back(contents: ZoneContents) -> None:
    check_files(contents)
    check_json(contents)


@FAST
@given(zones_of_records())
def test_a_record_that_is_shown_may_be_sent_back(contents: ZoneContents) -> None:
    check_json(contents)


FRAGMENTS = [
    "$ORIGIN ", "$TTL ", "$INCLUDE ", "$GENERATE 1-3 ", "(", ")", '"', ";", "\\", "\n", " ", "\t", "A", "SOA", "TXT", "TYPE1", "IN", "CH",
    "@", "www", "192.0.2.1", "\\# 4 c0000201", "60", "1h", "${0,3,d}", "$", "NSEC", "SVCB", "1 . alpn=h2", "\0", "\ud800", "é", "x" * 70,
]  # fmt: skip
YAML_FRAGMENTS = [
    "a: ", "- ", "{", "}", "[", "]", ",", ": ", "\n", "  ", "&a ", "*a", "<<: ", "!include x", "!!int ", "|\n", ">\n", '"', "'", "#",
    "---\n", "...\n",
    "type: A", "value: 192.0.2.1", "dynamic: ", "octodns: ", "pools: ", "~", "yes", "0x10", ".inf", "1:2", "\t", "\0", "é", "? ", "%",
]  # fmt: skip


@FAST
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
@example("$GENERATE 0-65535 $ TYPE\\$ x")
def test_no_text_makes_the_master_file_reader_raise(text: str) -> None:
    parse_zone_text(text, APEX, "zone")


@FAST
@given(st.lists(st.sampled_from(YAML_FRAGMENTS), max_size=40).map("".join))
def test_no_text_makes_the_yaml_reader_raise(text: str) -> None:
    parse_zone_text(text, APEX, "yaml")


@FAST
@given(st.binary(max_size=80), st.sampled_from(sorted({*RDATAS, 5, 6, 29, 42, 46, 47, 50, 64, 65, 99, 108, 250})))
def test_no_bytes_make_generic_rdata_raise_anything_but_its_fault(wire: bytes, rtype: int) -> None:
    try:
        read = rdata.from_text(rtype, f"\\# {len(wire)} {wire.hex()}", APEX)
    except BadRdata:
        return
    assert read == wire
    rdata.to_json_values(rtype, [read])
