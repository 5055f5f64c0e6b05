"""What records must not be to one another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from geodns.errors import Problem, Severity
from geodns.model import names, rdata, zones
from geodns.model.names import Name
from geodns.model.record import Rrset

APEX = names.parse_zone_name("example.com")


def rrset(line: str) -> Rrset:
    """From `owner type value, value`."""
    owner, rtype, values = line.split(" ", 2)
    number = rdata.rtype_from_text(rtype)
    wires = tuple(rdata.from_text(number, value.strip(), APEX) for value in values.split(","))
    return Rrset(names.parse_name(owner, APEX), number, 300, wires)


def check(lines: Sequence[str], nameservers: Sequence[Name] = ()) -> dict[tuple[str, str], Severity]:
    owners: dict[Name, list[Rrset]] = {}
    for one in map(rrset, lines):
        owners.setdefault(one.owner, []).append(one)
    problems: list[Problem] = zones.check_zone(APEX, owners, nameservers)
    return {(problem.pointer, problem.code): problem.severity for problem in problems}


SOUND = ["@ NS ns1.example.net."]


def test_a_sound_zone_has_no_problems() -> None:
    lines = [
        "@ NS ns1,ns.example.net.",
        "ns1 A 192.0.2.1",
        "@ MX 10 mail",
        "mail AAAA 2001:db8::1",
        "www CNAME @",
        "*.w A 192.0.2.2",
        "x CNAME a.w",
    ]
    assert check(lines) == {}


def test_an_apex_without_ns_needs_the_setting() -> None:
    assert check(["www A 192.0.2.1"]) == {("/@/NS", "missing-ns"): Severity.ERROR}
    assert check(["www A 192.0.2.1"], [names.parse_name("ns.example.net.", None)]) == {}


@pytest.mark.parametrize(
    ("lines", "place", "code"),
    [
        (["a CNAME b.example.net.", "a A 192.0.2.1"], "/a/CNAME", "cname-and-other-data"),
        (["a CNAME b.example.net.,c.example.net."], "/a/CNAME", "several-values"),
        (["@ CNAME b.example.net."], "/@/CNAME", "cname-and-other-data"),
        (["a A 192.0.2.1", "a A 192.0.2.2"], "/a/A", "repeated-rrset"),
    ],
)
def test_states_that_cannot_be_served_are_errors(lines: list[str], place: str, code: str) -> None:
    assert check([*SOUND, *lines])[place, code] is Severity.ERROR


@pytest.mark.parametrize(
    ("lines", "place", "code"),
    [
        (["a CNAME nowhere"], "/a/CNAME", "dangling-cname"),
        (["a CNAME a"], "/a/CNAME", "cname-loop"),
        (["m MX 10 x"], "/m/MX", "target-without-address"),
        (["m MX 10 x", "x CNAME y.example.net."], "/m/MX", "target-is-cname"),
        (["s SRV 1 1 1 x"], "/s/SRV", "target-without-address"),
        (["sub NS ns.sub"], "/sub/NS", "missing-glue"),
        (["sub NS ns.example.net.", "x.sub TXT hi"], "/x.sub/TXT", "below-cut"),
        (["sub NS ns.example.net.", "sub TXT hi"], "/sub/TXT", "below-cut"),
        (["a_b A 192.0.2.1"], "/a_b/A", "not-a-host-name"),
        (["d DNAME e.example.net.", "x.d A 192.0.2.1"], "/x.d/A", "below-dname"),
        (["n NSEC o.example.com. A"], "/n/NSEC", "plain-dnssec-data"),
        (["*.x NS ns.example.net."], "/*.x/NS", "odd-wildcard"),
        (["m MX 0 .,10 mail.example.net."], "/m/MX", "null-mx-and-others"),
        (["m MX 10 ."], "/m/MX", "doubtful-value"),
        (["m MX 10 192.0.2.1."], "/m/MX", "target-is-address"),
        (["m MX 10 192.0.2.1"], "/m/MX", "target-is-address"),
        (["t TLSA 3 1 1 ab"], "/t/TLSA", "doubtful-value"),
        (["n NAPTR 1 1 u x !a!b ."], "/n/NAPTR", "doubtful-value"),
        (["s HTTPS 0 x.example.net. port=1"], "/s/HTTPS", "doubtful-value"),
    ],
)
def test_names_that_lead_nowhere_are_warned_of(lines: list[str], place: str, code: str) -> None:
    assert check([*SOUND, *lines]) == {(place, code): Severity.WARNING}


def test_dnssec_data_may_stand_beside_a_cname() -> None:
    found = check([*SOUND, "a CNAME b.example.net.", "a NSEC b.example.com. CNAME NSEC"])
    assert set(found.values()) == {Severity.WARNING}


def test_an_rrset_that_fits_no_message_is_refused() -> None:
    owner = names.parse_name("big", APEX)
    large = Rrset(owner, rdata.TXT, 60, tuple(bytes((250,)) + f"{index:0250}".encode() for index in range(270)))
    assert [problem.code for problem in zones.check_owner(APEX, owner, [large])] == ["rrset-too-large"]


def test_the_root_zone_is_a_zone() -> None:
    root = names.parse_zone_name("@")
    ns = Rrset(root, rdata.NS, 60, (names.to_wire("a.root.example.", root),))
    glue = Rrset(names.parse_name("a.root.example.", root), rdata.A, 60, (b"\xc0\0\2\1",))
    assert zones.check_zone(root, {root: [ns], glue.owner: [glue]}, ()) == []
