"""The octodns package as the oracle of what is a valid A, AAAA or CNAME record (contract section 1, "Reach of the oracle").

Records are drawn valid, then broken: by mutations that each break one rule of the validator, and by putting junk at any place of the
document. Our verdict and octoDNS's must be the same, strictly and leniently, but for the contract's intended differences, which are taken
out of the comparison by name at the top of this module.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from octodns.record import Record, base, cname, dynamic, geo, ip, subnet
from octodns.record import target as target_module
from octodns.record.exception import ValidationError
from octodns.zone import Zone

from geodns.model.findings import Policy, UnknownKeys
from geodns.model.geo import continents, provinces
from geodns.model.names import parse_zone_name
from geodns.model.records import Parsed, parse_record

APEX = parse_zone_name("example.com")
ZONE = Zone("example.com.", [])

# Unknown keys are a switch of ours; octoDNS ignores them.
POLICY = Policy(unknown_keys=UnknownKeys.WARNING)

# A lenient record may leave octoDNS with a value that no packet can carry. We refuse it, whatever octoDNS does with it.
UNSERVABLE = frozenset((
    "missing-values", "missing-value", "missing-target", "bad-address",
    "bad-name", "empty-label", "label-too-long", "name-too-long", "outside-zone",
))  # fmt: skip

# Refused always: guarded probe targets, YAML's `.inf` and `.nan`, which cannot be stored and given back as they were sent, and the empty
# label of a name such as `.a`, for which DNS has no bytes.
INTENDED = frozenset(("guarded-target", "not-json", "empty-label"))

Document = dict[str, Any]


def octodns_accepts(name: str, data: Document, reasons: set[str] | None = None) -> bool:
    """octoDNS's verdict; its reasons go to `reasons`. A crash is a refusal, also on a health check's port when a provider asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            record = Record.new(ZONE, name, {"ttl": 3600} | copy.deepcopy(data))  # as octoDNS's YAML source fills it in
            if "dynamic" in data:
                assert record.healthcheck_port is None or record.healthcheck_port is not None
        except ValidationError as error:
            if reasons is not None:
                reasons.update(map(str, error.reasons))
            return False
        except Exception:
            return False
    return True


def judge(name: str, data: Document) -> Parsed:
    return parse_record(APEX, name, copy.deepcopy(data), policy=POLICY)


def is_lenient(data: Document) -> bool:
    octodns = data.get("octodns")
    return isinstance(octodns, dict) and bool(octodns.get("lenient"))


def check_verdict(name: str, data: Document, reasons: set[str] | None = None) -> None:
    """The one comparison of this suite."""
    parsed = judge(name, data)
    accepted = parsed.rrset is not None
    # `@` means the apex everywhere with us; octoDNS wants it written as nothing.
    expected = octodns_accepts("" if name == "@" else name, data, reasons)
    errors = {problem.code for problem in parsed.problems if problem.severity.value == "error"}
    if expected and not accepted and ((is_lenient(data) and errors & UNSERVABLE) or errors <= INTENDED):
        return
    told = "\n".join(f"  {problem.severity.value} {problem}" for problem in parsed.problems)
    assert accepted == expected, f"octoDNS {'accepts' if expected else 'refuses'} {name!r} {data!r}\nours says:\n{told}"


# Drawing valid records.

ADDRESSES = {
    "A": [f"192.0.2.{last}" for last in (1, 2, 3, 10, 11)] + ["198.51.100.7", "203.0.113.250"],
    "AAAA": ["2001:db8::1", "2001:DB8:0::2", "2001:db8:1::a", "2001:db8::ffff:192.0.2.1"],
    "CNAME": ["a.example.net.", "B.example.net.", "c.example.org", "_x.y-z.example.net.", "bücher.example.net.", "{zone_name}.x."],
}
POOLS = ["eu", "us", "as", "default", "a pool", "z/~"]
SUBNETS = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "2001:db8:1::/48", "::1"]
GEOS = ["EU", "EU-DE", "EU-FR", "NA", "NA-US", "NA-US-CA", "NA-CA-ON", "AS", "AF-ZA", "OC-GU", "AN", "SA-BR"]


@st.composite
def pools_of(draw: st.DrawFn, rtype: str) -> Document:
    names = draw(st.lists(st.sampled_from(POOLS), min_size=1, max_size=4, unique=True))
    pools: Document = {}
    for index, name in enumerate(names):
        count = draw(st.integers(1, 3))
        values: list[Document] = [{"value": draw(st.sampled_from(ADDRESSES[rtype]))} for _ in range(count)]
        for value in values:
            if count > 1 and draw(st.booleans()):
                value["weight"] = draw(st.integers(1, 100))
            if draw(st.integers(0, 3)) == 0:
                value["status"] = draw(st.sampled_from(["up", "down", "obey"]))
        pools[name] = {"values": values}
        if index and draw(st.booleans()):
            pools[name]["fallback"] = draw(st.sampled_from(names[:index]))
    return pools


@st.composite
def rules_of(draw: st.DrawFn, pools: Document) -> list[Document]:
    """Rules that lead to every pool, most of them in octoDNS's order."""
    targets = list(pools)
    rules: list[Document] = []
    shapes = sorted(draw(st.lists(st.integers(0, 2), min_size=len(targets) - 1, max_size=len(targets) - 1)))
    for target, shape in zip(targets[1:], shapes, strict=True):
        rule: Document = {"pool": target}
        if shape < 2:
            rule["subnets"] = draw(st.lists(st.sampled_from(SUBNETS), min_size=1, max_size=2))
        if shape > 0:
            rule["geos"] = draw(st.lists(st.sampled_from(GEOS), min_size=1, max_size=2))
        rules.append(rule)
    return [*rules, {"pool": targets[0]}]


@st.composite
def records(draw: st.DrawFn) -> Document:
    rtype = draw(st.sampled_from(["A", "AAAA", "CNAME"]))
    data: Document = {"type": rtype, "ttl": draw(st.sampled_from([0, 30, 300, 86400]))}
    values = draw(st.lists(st.sampled_from(ADDRESSES[rtype]), min_size=1, max_size=3))
    if rtype == "CNAME" or draw(st.booleans()):
        data["value"] = values[0]
    else:
        data["values"] = values
    if draw(st.integers(0, 5)):
        pools = draw(pools_of(rtype))
        data["dynamic"] = {"pools": pools, "rules": draw(rules_of(pools))}
    if draw(st.booleans()):
        data["octodns"] = draw(octodns_blocks())
    return data


@st.composite
def octodns_blocks(draw: st.DrawFn) -> Document:
    block: Document = {}
    if draw(st.booleans()):
        block["healthcheck"] = {
            "protocol": draw(st.sampled_from(["HTTP", "HTTPS", "TCP", "UDP", "ICMP"])),
            "port": draw(st.sampled_from([80, 443, "8080"])),
            "path": "/healthz",
            "host": draw(st.sampled_from(["www.example.com", None])),
        }
    if draw(st.integers(0, 3)) == 0:
        block["lenient"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        block |= {"ignored": False, "excluded": ["other"], "route53": {"healthcheck": {"request_interval": 10}}}
    return block


# Breaking them.

JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2, 101, 70000, 2**40, 1.5, 1.0, float("nan"), float("inf"),
    "", "1", "443", " 7 ", "x", "eu", "default", "up", "UP", "HTTP", "http", ".", "{x}",
    "NA", "NA-US-CA", "EU-DE-BY", "EU-US", "XX", "NA-US-CA-LA",
    "10.0.0.0/8", "10.0.0.1/8", "192.0.2.1", "2001:db8::1", "999.1.1.1", "fe80::1%eth0",
    "www", "www.example.net", "www..example.net.", "-a.example.net.", "a_b.example.net.", "x" * 64 + ".example.net.",
    [], {}, ["x"], [[]], [None], {"value": "192.0.2.1"}, {"x": 1}, [{"pool": "eu"}],
]  # fmt: skip


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, the document itself left out."""
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def parent_of(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


@st.composite
def with_junk(draw: st.DrawFn, data: Document) -> Document:
    """Junk in the place of something, or something taken away, or doubled; the type stays, because it decides what is bound at all."""
    choices = [path for path in places(data) if path != ("type",)]
    if not choices:
        return data
    path = draw(st.sampled_from(choices))
    parent = parent_of(data, path)
    how = draw(st.integers(0, 6))
    if how == 0:
        del parent[path[-1]]
    elif how == 1 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[path[-1]]))
    else:
        parent[path[-1]] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    return data


def change_pool(change: Callable[[Document, st.DrawFn], None]) -> Callable[[Document, st.DrawFn], None]:
    def mutate(data: Document, draw: st.DrawFn) -> None:
        pools = data.get("dynamic", {}).get("pools")
        if pools:
            change(pools[draw(st.sampled_from(sorted(pools)))], draw)

    return mutate


def change_rule(change: Callable[[Document, st.DrawFn], None]) -> Callable[[Document, st.DrawFn], None]:
    def mutate(data: Document, draw: st.DrawFn) -> None:
        rules = data.get("dynamic", {}).get("rules")
        if rules:
            change(draw(st.sampled_from(rules)), draw)

    return mutate


def make_loop(data: Document, draw: st.DrawFn) -> None:
    pools = data.get("dynamic", {}).get("pools", {})
    for name in pools:
        pools[name]["fallback"] = draw(st.sampled_from(sorted(pools)))


def shuffle_rules(data: Document, draw: st.DrawFn) -> None:
    if "dynamic" in data:
        data["dynamic"]["rules"] = draw(st.permutations(data["dynamic"]["rules"]))


def repeat_target(data: Document, draw: st.DrawFn) -> None:
    rules = data.get("dynamic", {}).get("rules")
    if rules:
        rules.insert(0, {"pool": draw(st.sampled_from(rules))["pool"], "geos": [draw(st.sampled_from(GEOS))]})


MUTATIONS: list[Callable[[Document, st.DrawFn], None]] = [
    change_pool(lambda pool, draw: pool.update(fallback=draw(st.sampled_from([*POOLS, "nowhere", None, 1, []])))),
    change_pool(lambda pool, draw: pool.update(values=draw(st.sampled_from([[], {}, "", None, "x"])))),
    change_pool(
        lambda pool, draw: pool["values"][0].update(weight=draw(st.sampled_from([0, 1, 101, "1", "5", 1.9, 2.5, None, "x", True])))
    ),
    change_pool(lambda pool, draw: pool["values"][0].update(status=draw(st.sampled_from(["UP", "auto", "", None, 1, "down"])))),
    change_pool(lambda pool, draw: pool["values"].append({"value": draw(st.sampled_from(["", "x", "192.0.2.1", "2001:db8::1", "a.b."]))})),
    change_pool(lambda pool, draw: pool.pop("values")),
    change_rule(lambda rule, draw: rule.update(pool=draw(st.sampled_from([*POOLS, "nowhere", 1, None])))),
    change_rule(
        lambda rule, draw: rule.update(geos=draw(st.lists(st.sampled_from([*GEOS, "EU-US", "XX", "NA-US-XX", "EU-DE-BY", "A-B-C-D"]))))
    ),
    change_rule(lambda rule, draw: rule.update(subnets=draw(st.lists(st.sampled_from([*SUBNETS, "10.0.0.1/8", "x", 5, "1.2.3.4/33"]))))),
    change_rule(lambda rule, draw: rule.update(geos=draw(st.sampled_from([None, "EU", 5, {}, [], [1], ["EU", 1]])))),
    change_rule(lambda rule, draw: rule.update(subnets=draw(st.sampled_from([None, "10.0.0.0/8", 5, {}, [], [1], [True, "::1"], [None]])))),
    change_rule(lambda rule, draw: rule.pop("pool")),
    change_rule(lambda rule, draw: rule.pop("geos", None)),
    make_loop,
    shuffle_rules,
    repeat_target,
    lambda data, draw: data.update(ttl=draw(st.sampled_from([-1, "300", "x", 1.5, None, True, 2**31, "", []]))),
    lambda data, draw: data.update(geo={"EU": ["192.0.2.1"]}),
    lambda data, draw: data.update(
        geo={draw(st.sampled_from(["EU", "E", "EU-DE-BY", "x-y"])): draw(st.sampled_from([["192.0.2.1"], [], "x"]))}
    ),
    lambda data, draw: data.update(octodns={"healthcheck": {"protocol": draw(st.sampled_from(["http", "DNS", None, "TCP", []]))}}),
    lambda data, draw: data.setdefault("octodns", {}).update(lenient=draw(st.sampled_from([True, False, 1, 0]))),
    lambda data, draw: data.update(values=draw(st.sampled_from([[], None, "", "192.0.2.1", [None], [""], ["x"], ["192.0.2.1"] * 2]))),
    lambda data, draw: data.update(value=draw(st.sampled_from([[], None, "", "192.0.2.1", ["a.example.net."], ".", "www", "a b.c.", 5]))),
]


# Owner names below example.com: long ones up to every limit, wildcards, and what only looks like a name. The plain ones come often, so that
# records are not refused for their names alone.
NAMES = [
    *["www", "a.b", "*", ""] * 5,
    "_x._tcp", "bücher", "*.deep.er", "WWW", "-a", "a_b", "a/b", "*a", "a.*.b", "xn--bcher-kva", "y" * 63,
    "x" * 64, "a..b", ".a", "b.", "@", "a b", "a\tb", "ü" * 63, "İ", "a" + chr(0x200D) + "b",
    *(f"{'.'.join(['z' * 59] * 4)}.{'z' * (length - 13 - 240)}" for length in (252, 253, 254, 255, 256)),  # with `.example.com.`
]  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Document]:
    data = draw(records())
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), max_size=2)):
        try:
            mutate(data, draw)
        except (AttributeError, TypeError, LookupError, ValueError):
            continue  # an earlier mutation has already broken the place
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        data = draw(with_junk(data))
    return draw(st.sampled_from(NAMES)), data


# What octoDNS can say and never does here: its YAML source fills in a ttl, `@` is asked as nothing, two rules are not in its default set.
UNREACHABLE = {
    'invalid name "@", use "" instead',
    "missing ttl",
    '{} {} "{}" is an IP address',
    '{} {} "{}" missing trailing .',
}


def reasons_of_octodns() -> set[str]:
    """Every reason in the modules of octoDNS that judge A, AAAA and CNAME, as it is written there; {} for what an f-string fills in."""
    found: set[str] = set()
    for module in (base, cname, dynamic, geo, ip, subnet, target_module):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ValidationReason":
                parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts))
    return found


def is_said(reason: str, told: set[str]) -> bool:
    """Whether a reason as it is written was told with some content."""
    pattern = re.compile(".*".join(map(re.escape, reason.split("{}"))), re.DOTALL)
    return any(pattern.match(each) for each in told)


FAST = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# Always the same ones, so that every reason is known to be among them; and others each time, which may find what nobody has thought of.
FIXED = settings(FAST, max_examples=10_000)
OTHERS = settings(FIXED, derandomize=False)


@FAST
@given(cases())
def test_verdicts_on_random_records_are_those_of_octodns(case: tuple[str, Document]) -> None:
    check_verdict(*case)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@OTHERS
@given(cases())
def test_verdicts_on_ten_thousand_other_records_are_those_of_octodns(case: tuple[str, Document]) -> None:
    check_verdict(*case)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_verdicts_on_ten_thousand_records_that_meet_every_reason_are_those_of_octodns() -> None:
    told: set[str] = set()
    accepted = 0

    @FIXED
    @given(cases())
    def check(case: tuple[str, Document]) -> None:
        nonlocal accepted
        check_verdict(*case, told)
        accepted += judge(*case).rrset is not None

    check()
    assert not {reason for reason in reasons_of_octodns() - UNREACHABLE if not is_said(reason, told)}
    assert not {reason for reason in UNREACHABLE if is_said(reason, told)}
    assert accepted > 2_000
    print(f"{accepted} of 10,000 records are valid; octoDNS told {len(reasons_of_octodns() - UNREACHABLE)} reasons")


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("fallback", ["us", "nowhere", "default", "", None, 1, 0, True, 1.5, [], {}])
def test_fallbacks_are_judged_as_octodns_judges_them(fallback: object, *, lenient: bool) -> None:
    pools = {"eu": {"values": [{"value": "192.0.2.1"}], "fallback": fallback}, "us": {"values": [{"value": "192.0.2.2"}]}}
    dynamic = {"pools": pools, "rules": [{"pool": "us", "geos": ["NA"]}, {"pool": "eu"}]}
    check_verdict("www", {"type": "A", "ttl": 30, "value": "192.0.2.1", "dynamic": dynamic, "octodns": {"lenient": lenient}})


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("key", ["subnets", "geos"])
@pytest.mark.parametrize("targets", [[], "", "EU", "10.0.0.0/8", 5, {}, [5], ["10.0.0.0/8", 5], [5, "x"], ["x"], ["EU", 1], None])
def test_rules_without_a_pool_are_judged_as_octodns_judges_them(key: str, targets: object, *, lenient: bool) -> None:
    pools = {"eu": {"values": [{"value": "192.0.2.1"}]}}
    dynamic = {"pools": pools, "rules": [{key: targets}, {"pool": "eu"}]}
    check_verdict("www", {"type": "A", "ttl": 30, "value": "192.0.2.1", "dynamic": dynamic, "octodns": {"lenient": lenient}})


@pytest.mark.parametrize("lenient", [False, True])
def test_names_are_judged_as_octodns_judges_them(*, lenient: bool) -> None:
    for name in NAMES:
        for rtype, value in (("A", "192.0.2.1"), ("CNAME", "a.example.net.")):
            check_verdict(name, {"type": rtype, "ttl": 30, "value": value, "octodns": {"lenient": lenient}})


def test_geo_tables_are_those_of_octodns() -> None:
    from octodns.record.geo_data import geo_data

    assert {code: set(countries) for code, countries in geo_data.items()} == {code: set(held) for code, held in continents().items()}
    with_provinces = {
        country: set(entry["provinces"]) for countries in geo_data.values() for country, entry in countries.items() if "provinces" in entry
    }
    assert with_provinces == {country: set(codes) for country, codes in provinces().items()}
