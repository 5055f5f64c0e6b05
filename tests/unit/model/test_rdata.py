"""Rdata of every type: JSON and presentation form to wire form and back."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from geodns.errors import errors_in
from geodns.model import names, rdata, steerable
from geodns.model.fields import Address, BadRdata
from geodns.model.findings import Findings

APEX = names.parse_zone_name("example.com")

LOC = {
    "lat_degrees": 31, "lat_minutes": 58, "lat_seconds": 52.1, "lat_direction": "S", "long_degrees": 115, "long_minutes": 49,
    "long_seconds": 11.7, "long_direction": "E", "altitude": 20.0, "size": 10.0, "precision_horz": 10.0, "precision_vert": 2.0,
}  # fmt: skip
SVCPARAMS = {
    "mandatory": ["alpn"], "alpn": ["h2", "h3"], "no-default-alpn": None, "port": 8443, "ipv4hint": ["192.0.2.1"],
    "ipv6hint": ["2001:db8::1"], "key7": "/q{?dns}", "key65000": "a\\200",
}  # fmt: skip

# Each value is what the API shows: putting it in gives it out again.
SHOWN: list[tuple[str, Any]] = [
    ("A", "192.0.2.1"),
    ("AAAA", "2001:db8::1"),
    ("CNAME", "WWW.example.net."),
    ("DNAME", "example.net."),
    ("NS", "ns1.example.com."),
    ("PTR", "host.example.net."),
    ("MX", {"preference": 10, "exchange": "mail.example.com."}),
    ("MX", {"preference": 0, "exchange": "."}),
    ("SRV", {"priority": 1, "weight": 2, "port": 5060, "target": "sip.example.com."}),
    ("TXT", "v=DKIM1\\; k=rsa\\; p=abc"),
    ("TXT", ""),
    ("TXT", "x" * 300),
    ("TXT", 'back\\slash and "quotes"'),
    ("TXT", '"cut" "here"'),
    ("TXT", '"\\200"'),
    ("SPF", "v=spf1 -all"),
    ("CAA", {"flags": 128, "tag": "issue", "value": 'ca.example.net; policy="ev"'}),
    ("NAPTR", {"order": 1, "preference": 2, "flags": "U", "service": "SIP+D2U", "regexp": "!^.*$!sip:i@example.com!", "replacement": "."}),
    ("URI", {"priority": 1, "weight": 2, "target": "https://example.com/"}),
    ("SSHFP", {"algorithm": 4, "fingerprint_type": 2, "fingerprint": "ab" * 32}),
    ("TLSA", {"certificate_usage": 3, "selector": 1, "matching_type": 1, "certificate_association_data": "ab" * 32}),
    ("DS", {"key_tag": 1, "algorithm": 13, "digest_type": 2, "digest": "ab" * 32}),
    ("SVCB", {"svcpriority": 1, "targetname": ".", "svcparams": SVCPARAMS}),
    ("HTTPS", {"svcpriority": 0, "targetname": "foo.example.net."}),
    ("SVCB", {"svcpriority": 0, "targetname": "foo.example.net.", "svcparams": {"alpn": ["h2"]}}),
    ("LOC", LOC),
    ("OPENPGPKEY", "aGVsbG8="),
    ("DNSKEY", "256 3 8 aGVsbG8="),
    ("HINFO", '"PC 1" "os\\"2"'),
    ("RP", "a.example.com. b.example.com."),
    ("AFSDB", "1 afs.example.com."),
    ("APL", "1:192.168.32.0/21"),
    ("NSEC", "b.example.com. A RRSIG NSEC"),
    ("MINFO", "a.example.com. b.example.com."),
    ("TALINK", "a.example.com. b.example.com."),
    ("TYPE65280", "\\# 2 abcd"),
    ("TYPE65280", "\\# 0"),
]


@pytest.mark.parametrize(("rtype", "value"), SHOWN, ids=[f"{rtype}-{index}" for index, (rtype, _) in enumerate(SHOWN)])
def test_what_goes_in_comes_out(rtype: str, value: Any) -> None:
    number = rdata.rtype_from_text(rtype)
    wires, problems = rdata.parse_values(number, [value], apex=APEX)
    assert not errors_in(problems)
    assert rdata.to_json_values(number, wires) == [value]
    assert rdata.from_text(number, rdata.to_text(number, wires[0]), APEX) == wires[0]


@pytest.mark.parametrize(
    ("rtype", "written", "shown"),
    [
        ("MX", {"priority": "10", "value": "mail"}, {"preference": 10, "exchange": "mail.example.com."}),
        ("MX", "10 mail", {"preference": 10, "exchange": "mail.example.com."}),
        ("CAA", {"tag": "issue", "value": ";"}, {"flags": 0, "tag": "issue", "value": ";"}),
        ("TXT", 'a;b "c"', 'a\\;b "c"'),
        ("TXT", '"one"', "one"),
        ("NS", "NS1", "NS1.example.com."),
        ("NAPTR", "1 2 U x !^(.*)$!\\\\1! .",
         {"order": 1, "preference": 2, "flags": "U", "service": "x", "regexp": "!^(.*)$!\\\\1!", "replacement": "."}),
        ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
        ("UID", "\\# 1 00", "\\# 1 00"),
        ("MX", "\\# 4 000a016100", None),
        ("HTTPS", '1 . alpn="h2,h3"', {"svcpriority": 1, "targetname": ".", "svcparams": {"alpn": ["h2", "h3"]}}),
    ],
)  # fmt: skip
def test_other_spellings_mean_the_same(rtype: str, written: Any, shown: Any) -> None:
    number = rdata.rtype_from_text(rtype)
    wires, problems = rdata.parse_values(number, [written], apex=APEX)
    if shown is None:
        assert [problem.code for problem in problems] == ["bad-generic-rdata"]
        return
    assert not errors_in(problems)
    assert rdata.to_json_values(number, wires) == [shown]


@pytest.mark.parametrize(
    ("rtype", "value", "found"),
    [
        ("A", "x", [("/0", "bad-address")]),
        ("AAAA", "192.0.2.1", [("/0", "bad-address")]),
        ("MX", {"preference": "x"}, [("/0/preference", "bad-number"), ("/0/exchange", "missing-field")]),
        ("MX", "10", [("/0", "short-rdata")]),
        ("MX", "10 a b", [("/0", "extra-rdata")]),
        ("MX", None, [("/0", "bad-text")]),
        ("SRV", {"priority": 70000, "weight": 1, "port": 1, "target": "a..b"},
         [("/0/priority", "bad-number"), ("/0/target", "empty-label")]),
        ("CAA", {"flags": 256, "tag": "a b", "value": 1}, [("/0/flags", "bad-number"), ("/0/tag", "bad-tag"), ("/0/value", "bad-text")]),
        ("DS", {"key_tag": 1, "algorithm": 13, "digest_type": 2, "digest": "ab"}, [("/0", "bad-rdata")]),
        ("SSHFP", {"algorithm": 1, "fingerprint_type": 1, "fingerprint": "xyz"}, [("/0/fingerprint", "bad-digits")]),
        ("TXT", 5, [("/0", "bad-text")]),
        ("TXT", '"open', [("/0", "bad-quotes")]),
        ("TXT", '"' + "x" * 256 + '"', [("/0", "string-too-long")]),
        ("TXT", "\ud800", [("/0", "bad-text")]),
        ("TXT", "x" * 66000, [("/0", "rdata-too-long")]),
        ("SVCB", {"svcpriority": 1, "targetname": ".", "svcparams": {"alpn": "h2", "foo": 1}},
         [("/0/svcparams/alpn", "bad-svcparam"), ("/0/svcparams/foo", "unknown-svcparam")]),
        ("SVCB", {"svcpriority": 1, "targetname": ".", "svcparams": {"mandatory": ["port"]}}, [("/0", "bad-rdata")]),
        ("LOC", LOC | {"lat_degrees": 91, "long_direction": "N"},
         [("/0/lat_degrees", "bad-number"), ("/0/long_direction", "bad-direction")]),
        ("DNSKEY", "x", [("/0", "bad-number")]),
        ("NSEC", "x FOO", [("/0", "bad-rdata")]),
        ("TYPE65280", "abc", [("/0", "unknown-type")]),
        ("TYPE65280", "\\# 3 abcd", [("/0", "bad-generic-rdata")]),
        ("SRV", "\\# 3 000000", [("/0", "bad-generic-rdata")]),
    ],
)  # fmt: skip
def test_every_fault_of_a_value_is_told_with_its_place(rtype: str, value: Any, found: list[tuple[str, str]]) -> None:
    wires, problems = rdata.parse_values(rdata.rtype_from_text(rtype), [value], apex=APEX)
    assert [(problem.pointer, problem.code) for problem in problems] == found
    assert wires == ()


def test_equal_values_count_once_with_a_warning() -> None:
    wires, problems = rdata.parse_values(rdata.A, ["192.0.2.1", "192.0.2.2", "192.0.2.1"], apex=APEX)
    assert len(wires) == 2
    assert [(problem.pointer, problem.code) for problem in problems] == [("/2", "duplicate-value")]


def test_a_name_without_final_dot_is_warned_of() -> None:
    _, problems = rdata.parse_values(rdata.MX, [{"preference": 1, "exchange": "mail.example.net"}], apex=APEX)
    assert [(problem.pointer, problem.code) for problem in problems] == [("/0/exchange", "relative-target")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ALIAS", "refused-type"),
        ("URLFWD", "refused-type"),
        ("ANY", "refused-type"),
        ("OPT", "refused-type"),
        ("FOO", "unknown-type"),
        ("TYPE70000", "unknown-type"),
    ],
)
def test_types_that_are_no_data_are_refused_with_a_reason(text: str, code: str) -> None:
    with pytest.raises(BadRdata) as refused:
        rdata.rtype_from_text(text)
    assert refused.value.code == code


def test_generic_forms_are_the_types_they_number() -> None:
    assert rdata.rtype_from_text("type1") == rdata.A
    assert rdata.rtype_to_text(65280) == "TYPE65280"
    assert rdata.from_text(rdata.A, "\\# 4 c0000201", APEX) == b"\xc0\0\2\1"


@pytest.mark.parametrize(
    "text",
    [
        *("192.0.2.1", "0.0.0.0", "255.255.255.255", "10.20.30.249", "192.0.2", "192.0.2.1.", "192.0.2.01", "192.0.2.256", "0x7f.0.0.1"),
        *("1", " 192.0.2.1", "192.0.2.1 ", "192.0.2.1\n", "192.0.2.1\0", "192.0.2.\u0661", "192.0.2.\ud800", "", "::1", "1.2.3.4.5"),
        *("1921.0.2.1", "1.2.3.", ".1.2.3", "1..2.3"),
    ],
)
def test_an_ipv4_address_is_what_the_standard_library_takes_for_one(text: str) -> None:
    try:
        expected: bytes | None = ipaddress.IPv4Address(text).packed
    except ipaddress.AddressValueError:
        expected = None
    parsed = steerable.parse(steerable.A, text, names.ROOT, Findings(), "")
    assert (None if parsed is None else parsed.rdata) == expected
    if parsed is not None:
        assert parsed.text == str(ipaddress.IPv4Address(text))
    try:
        taken = Address(ipaddress.IPv4Address).encode(text, names.ROOT)
    except BadRdata:
        taken = None
    assert taken == expected
