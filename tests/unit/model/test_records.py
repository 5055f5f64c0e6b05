"""One record: octoDNS's schema with every reason at once, the settings of geodns, and what goes out again."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from geodns.errors import Severity
from geodns.model import names
from geodns.model.check import Protocol, Tls
from geodns.model.findings import Policy, UnknownKeys
from geodns.model.records import Parsed, parse_record, record_to_json
from geodns.model.steering import AllDown, RuleOrigin, Select, Status, Steering, TtlRange

APEX = names.parse_zone_name("example.com")

STEERED: dict[str, Any] = {
    "type": "A",
    "ttl": 30,
    "values": ["192.0.2.10", "198.51.100.10"],
    "dynamic": {
        "pools": {
            "eu": {"fallback": "us", "values": [{"value": "192.0.2.10", "weight": 3}, {"value": "192.0.2.11"}]},
            "us": {"values": [{"value": "198.51.100.10"}]},
        },
        "rules": [{"geos": ["EU", "AF"], "pool": "eu"}, {"pool": "us"}],
    },
    "octodns": {"healthcheck": {"protocol": "HTTP", "port": 80, "path": "/healthz", "host": "www.example.com"}},
}


def steered(**geodns: Any) -> dict[str, Any]:
    """The record above with settings under octodns.geodns."""
    data = copy.deepcopy(STEERED)
    data["octodns"]["geodns"] = geodns
    return data


def parse(data: Any, *, name: str = "www", policy: Policy | None = None, rtype: str | None = None) -> Parsed:
    return parse_record(APEX, name, data, rtype=rtype, policy=policy or Policy())


def steering_of(parsed: Parsed) -> Steering:
    assert parsed.rrset, [str(problem) for problem in parsed.problems]
    assert parsed.rrset.steering
    return parsed.rrset.steering


def found(parsed: Parsed, severity: Severity = Severity.ERROR) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.code) for problem in parsed.problems if problem.severity is severity]


# Static records.


def test_a_static_record_is_its_rdata() -> None:
    parsed = parse({"type": "A", "value": "192.0.2.1"})
    assert parsed.rrset
    assert (parsed.rrset.owner.to_text(), parsed.rrset.rtype, parsed.rrset.ttl) == ("www.example.com.", 1, 3600)
    assert parsed.rrset.rdatas == (b"\xc0\0\2\1",)
    assert record_to_json(parsed.rrset, APEX) == {"name": "www", "type": "A", "ttl": 3600, "values": ["192.0.2.1"]}


def test_single_value_types_show_value() -> None:
    parsed = parse({"type": "CNAME", "ttl": 5, "value": "a.example.net."})
    assert parsed.rrset
    assert record_to_json(parsed.rrset, APEX) == {"name": "www", "type": "CNAME", "ttl": 5, "value": "a.example.net."}


def test_what_the_api_shows_may_be_sent_back() -> None:
    parsed = parse(STEERED)
    assert parsed.rrset
    shown = record_to_json(parsed.rrset, APEX) | {"revision": 7}
    again = parse(shown, rtype="A")
    assert again.rrset == parsed.rrset
    assert shown["dynamic"] == STEERED["dynamic"]
    assert shown["octodns"] == STEERED["octodns"]


@pytest.mark.parametrize(
    ("data", "rtype", "errors"),
    [
        ([], None, [("", "bad-record")]),
        ({"value": "192.0.2.1"}, None, [("/type", "missing-type")]),
        ({"type": "A", "value": "192.0.2.1"}, "AAAA", [("/type", "type-mismatch")]),
        ({"type": "ALIAS", "value": "a.example.net."}, None, [("/type", "refused-type")]),
        ({"type": "SOA", "value": "a. b. 1 2 3 4 5"}, None, [("/type", "refused-type")]),
        ({"type": "A"}, None, [("/value", "missing-values")]),
        ({"type": "A", "values": []}, None, [("/values", "missing-values")]),
        ({"type": "A", "ttl": -1, "values": ["x", "y"]}, None,
         [("/ttl", "bad-ttl"), ("/values/0", "bad-address"), ("/values/1", "bad-address")]),
        ({"type": "MX", "ttl": 2**31, "value": "1 a"}, None, [("/ttl", "bad-ttl")]),
        ({"type": "A", "name": "other", "value": "192.0.2.1"}, None, [("/name", "name-mismatch")]),
        ({"type": "DNAME", "values": ["a.", "b."]}, None, [("/values", "several-values")]),
        ({"type": "MX", "value": "1 a", "dynamic": {}}, None, [("/dynamic", "not-steerable")]),
        ({"type": "A", "value": "192.0.2.1", "octodns": None}, None, [("/octodns", "bad-octodns")]),
        ({"type": "A", "value": "192.0.2.1", "octodns": {"x": {1: 2}}}, None, [("/octodns", "not-json")]),
    ],
)  # fmt: skip
def test_a_bad_record_is_refused_with_every_problem(data: Any, rtype: str | None, errors: list[tuple[str, str]]) -> None:
    parsed = parse(data, rtype=rtype)
    assert parsed.rrset is None
    assert found(parsed) == errors


def test_absurd_numbers_and_nesting_are_refused_and_not_choked_on() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    huge = 1 << 20000
    for junk in (deep, huge, -huge, float("nan"), float("inf"), "9" * 5000, "\ud800"):
        for data in (
            {"type": "A", "ttl": junk, "value": "192.0.2.1", "octodns": {"x": junk}},
            {"type": "A", "value": junk, "dynamic": junk, "octodns": junk},
            steered(
                answers=junk, min_up=junk, ttl={"min": junk}, rules=[{"asns": [junk], "pool": junk}], values={"192.0.2.10": {"site": junk}}
            ),
            steered(healthcheck={"interval": junk, "port": junk, "expect": {"status": junk}, "headers": {"X-A": junk}, "quorum": junk}),
        ):
            assert parse(data).rrset is None


def test_unknown_keys_of_a_record_are_warned_of() -> None:
    parsed = parse({"type": "A", "value": "192.0.2.1", "vlaues": []})
    assert parsed.rrset
    assert found(parsed, Severity.WARNING) == [("/vlaues", "unknown-key")]


def test_octodns_knows_no_upper_limit_of_the_ttl() -> None:
    parsed = parse({"type": "A", "ttl": 2**40, "value": "192.0.2.1"})
    assert parsed.rrset
    assert parsed.rrset.ttl == 2**31 - 1
    assert found(parsed, Severity.WARNING) == [("/ttl", "long-ttl")]


# What a steered record means.


def test_pools_and_rules_mean_what_octodns_says() -> None:
    steering = steering_of(parse(STEERED))
    eu, us = steering.pools
    assert [(value.value, value.weight, value.status) for value in eu.values] == [
        ("192.0.2.10", 3, Status.OBEY),
        ("192.0.2.11", 1, Status.OBEY),
    ]
    assert (eu.fallback, us.fallback) == ("us", None)
    assert [(rule.pool, rule.geos) for rule in steering.rules] == [("eu", ("AF", "EU")), ("us", ())]
    assert (steering.answers, steering.select, steering.all_down, steering.ttl) == (1, Select.WEIGHTED, AllDown.VALUES, None)


def test_settings_of_geodns_are_taken_over() -> None:
    data = steered(
        answers="all",
        select="sticky",
        min_up=0.5,
        all_down="serve-all",
        ttl={"max": 60},
        rules=[{"asns": [64500], "lists": ["office"], "subnets": ["10.0.0.0/8"], "pool": "us"}],
        values={"192.0.2.10": {"site": "fra1", "latitude": 50, "longitude": 8.7}, "192.0.2.11": {"weight": 0}},
    )
    steering = steering_of(parse(data))
    assert (steering.answers, steering.select, steering.min_up) == (None, Select.STICKY, 0.5)
    assert (steering.all_down, steering.ttl) == (AllDown.SERVE_ALL, TtlRange(5, 60))
    own = steering.rules[0]
    assert (own.origin, own.pool, own.asns, own.lists) == (RuleOrigin.OWN, "us", (64500,), ("office",))
    first, second = steering.pools[0].values
    assert (first.site, first.latitude, first.longitude, first.drained) == ("fra1", 50.0, 8.7, False)
    assert (second.drained, second.weight) == (True, 1)


def test_the_ttl_block_defaults_to_the_records_ttl() -> None:
    assert steering_of(parse(steered(ttl={}))).ttl == TtlRange(5, 30)
    assert steering_of(parse(steered(ttl={}) | {"ttl": 3})).ttl == TtlRange(3, 3)


def test_equal_values_of_a_pool_count_once_and_their_weights_add_up() -> None:
    data = copy.deepcopy(STEERED)
    data["dynamic"]["pools"]["eu"]["values"] = [
        {"value": "192.0.2.10", "weight": 2},
        {"value": "192.0.2.10", "weight": 3},
        {"value": "192.0.2.10", "weight": 50, "status": "down"},
    ]
    parsed = parse(data)
    (value,) = steering_of(parsed).pools[0].values
    assert (value.weight, value.status) == (5, Status.OBEY)
    assert [code for _, code in found(parsed, Severity.WARNING)] == ["duplicate-value", "duplicate-value"]


def test_a_fallback_called_default_is_none_as_in_octodns() -> None:
    data = copy.deepcopy(STEERED)
    pools = data["dynamic"]["pools"]
    pools["default"] = pools.pop("us")
    pools["eu"]["fallback"] = "default"
    data["dynamic"]["rules"][1]["pool"] = "default"
    default, eu = steering_of(parse(data)).pools
    assert (default.name, eu.name, eu.fallback) == ("default", "eu", None)


def test_cname_values_are_absolute_lower_case_names() -> None:
    data = {
        "type": "CNAME",
        "value": "A.example.net.",
        "dynamic": {"pools": {"p": {"values": [{"value": "A.example.net."}]}}, "rules": [{"pool": "p"}]},
        "octodns": {"geodns": {"values": {"a.EXAMPLE.net.": {"site": "x"}}}},
    }
    (value,) = steering_of(parse(data)).pools[0].values
    assert (value.value, value.site) == ("a.example.net.", "x")


# Broken ones.


def test_all_reasons_come_at_once() -> None:
    data = {
        "type": "A",
        "value": "192.0.2.1",
        "dynamic": {
            "pools": {
                "a": {"fallback": "b", "values": [{"value": "192.0.2.1", "weight": 300}, {"value": "x", "status": "auto"}]},
                "b": {"fallback": "a", "values": [{"value": "192.0.2.2", "weight": 2}]},
                "lonely": {"values": [{"weight": 1}]},
            },
            "rules": [
                {"geos": ["EU", "EU-DE", "EU-US", "EU-DE-BY"], "pool": "a"},
                {"subnets": ["10.0.0.1/8", "10.0.0.0/8", "10.1.0.0/16"], "pool": "a"},
                {"geos": "NA", "pool": "nowhere"},
            ],
        },
        "octodns": {"healthcheck": {"protocol": "http"}},
    }
    parsed = parse(data)
    assert parsed.rrset is None
    assert set(found(parsed)) >= {
        ("/dynamic/pools/a/values/0/weight", "bad-weight"),
        ("/dynamic/pools/a/values/1/status", "bad-status"),
        ("/dynamic/pools/a/values/1/value", "bad-address"),
        ("/dynamic/pools/a/fallback", "fallback-loop"),
        ("/dynamic/pools/b/fallback", "fallback-loop"),
        ("/dynamic/pools/b/values/0/weight", "lone-weight"),
        ("/dynamic/pools/lonely/values/0/value", "missing-value"),
        ("/dynamic/pools/lonely", "unused-pool"),
        ("/dynamic/rules/0/geos/1", "repeated-geo"),
        ("/dynamic/rules/0/geos/2", "bad-geo"),
        ("/dynamic/rules/0/geos/3", "bad-geo"),
        ("/dynamic/rules/1/pool", "reused-pool"),
        ("/dynamic/rules/1", "rule-order"),
        ("/dynamic/rules/1/subnets/0", "bad-subnet"),
        ("/dynamic/rules/1/subnets/2", "repeated-subnet"),
        ("/dynamic/rules/2/geos", "bad-geos"),
        ("/dynamic/rules/2/pool", "undefined-pool"),
        ("/dynamic/rules/2", "no-catch-all"),
        ("/octodns/healthcheck/protocol", "bad-protocol"),
    }


def test_unknown_keys_in_dynamic_are_errors_that_a_switch_relaxes() -> None:
    data = copy.deepcopy(STEERED)
    data["dynamic"]["pools"]["eu"]["values"][0]["weigth"] = 5
    place = ("/dynamic/pools/eu/values/0/weigth", "unknown-key")
    assert found(parse(data)) == [place]
    relaxed = parse(data, policy=Policy(unknown_keys=UnknownKeys.WARNING))
    assert relaxed.rrset
    assert place in found(relaxed, Severity.WARNING)


@pytest.mark.parametrize("how", ["policy", "record"])
def test_lenient_turns_octodns_reasons_into_warnings(how: str) -> None:
    data = copy.deepcopy(STEERED)
    data["dynamic"]["rules"] = [{"geos": ["EU", "XX"], "pool": "eu"}]
    data["dynamic"]["pools"]["eu"]["values"][0]["weight"] = 1000
    assert parse(data).rrset is None
    if how == "record":
        data["octodns"]["lenient"] = True
    parsed = parse(data, policy=Policy(lenient=how == "policy"))
    steering = steering_of(parsed)
    assert steering.pools[0].values[0].weight == 1000
    assert [(rule.pool, rule.geos) for rule in steering.rules] == [("eu", ("EU",)), ("eu", ())]


def test_a_lenient_loop_is_cut() -> None:
    data = copy.deepcopy(STEERED)
    data["dynamic"]["pools"]["us"]["fallback"] = "eu"
    pools = steering_of(parse(data, policy=Policy(lenient=True))).pools
    assert [(pool.name, pool.fallback) for pool in pools] == [("eu", "us"), ("us", None)]


@pytest.mark.parametrize(
    ("geodns", "errors"),
    [
        ({"answer": 1}, [("/octodns/geodns/answer", "unknown-key")]),
        ({"answers": 0}, [("/octodns/geodns/answers", "bad-answers")]),
        ({"select": "random"}, [("/octodns/geodns/select", "bad-select")]),
        ({"min_up": 1.5}, [("/octodns/geodns/min_up", "bad-min-up")]),
        ({"all_down": True}, [("/octodns/geodns/all_down", "bad-all-down")]),
        ({"ttl": {"min": 9, "max": 8}}, [("/octodns/geodns/ttl/min", "bad-ttl")]),
        ({"pools": {"asia": {}}}, [("/octodns/geodns/pools/asia", "undefined-pool")]),
        ({"values": {"192.0.2.99": {}}}, [("/octodns/geodns/values/192.0.2.99", "undefined-value")]),
        ({"values": {"192.0.2.10": {"latitude": 1}}}, [("/octodns/geodns/values/192.0.2.10", "half-coordinates")]),
        ({"rules": [{"pool": "us"}]}, [("/octodns/geodns/rules/0", "bad-own-rule")]),
        ({"rules": [{"pool": "x", "asns": [1]}]}, [("/octodns/geodns/rules/0/pool", "bad-own-rule")]),
        ({"rules": [{"pool": "us", "asns": ["AS1"]}]}, [("/octodns/geodns/rules/0/asns/0", "bad-own-rule")]),
        ({"rules": [{"pool": "us", "geos": ["EU"]}]}, [("/octodns/geodns/rules/0/geos", "bad-own-rule")]),
        ({"healthcheck": {"intervall": 1}}, [("/octodns/geodns/healthcheck/intervall", "unknown-key")]),
        ({"healthcheck": {"interval": 0}}, [("/octodns/geodns/healthcheck/interval", "bad-interval")]),
        ({"healthcheck": {"headers": {"Host": "x"}}}, [("/octodns/geodns/healthcheck/headers/Host", "bad-headers")]),
        ({"healthcheck": {"all": []}}, [("/octodns/geodns/healthcheck/all", "bad-list")]),
    ],
)
def test_what_geodns_settings_do_not_know_is_an_error(geodns: dict[str, Any], errors: list[tuple[str, str]]) -> None:
    parsed = parse(steered(**geodns))
    assert parsed.rrset is None
    assert found(parsed) == errors


def test_several_answers_on_a_cname_are_an_error() -> None:
    data = {
        "type": "CNAME",
        "value": "a.example.net.",
        "dynamic": {"pools": {"p": {"values": [{"value": "a.example.net."}]}}, "rules": [{"pool": "p"}]},
        "octodns": {"geodns": {"answers": 2}},
    }
    assert found(parse(data)) == [("/octodns/geodns/answers", "bad-answers")]


# Checks.


def checks(data: dict[str, Any], policy: Policy | None = None) -> dict[tuple[str, str], Any]:
    steering = steering_of(parse(data, policy=policy))
    return {(pool.name, value.value): value.check for pool in steering.pools for value in pool.values}


def test_a_record_without_check_gets_octodns_default_and_a_warning() -> None:
    data = copy.deepcopy(STEERED)
    del data["octodns"]
    parsed = parse(data)
    check = steering_of(parsed).pools[0].values[0].check
    assert check
    assert (check.protocol, check.port, check.path, check.host) == (Protocol.HTTPS, 443, "/_dns", "www.example.com")
    assert ("/octodns/healthcheck", "default-healthcheck") in found(parsed, Severity.WARNING)


def test_a_wildcards_default_host_is_literal() -> None:
    data = copy.deepcopy(STEERED)
    del data["octodns"]
    check = steering_of(parse(data, name="*")).pools[0].values[0].check
    assert check
    assert check.host == "*.example.com"


def test_a_null_host_is_the_value() -> None:
    data = copy.deepcopy(STEERED)
    data["octodns"]["healthcheck"]["host"] = None
    assert {check.host for check in checks(data).values()} == {"192.0.2.10", "192.0.2.11", "198.51.100.10"}


def test_keys_merge_value_over_pool_over_record_over_default() -> None:
    data = steered(
        healthcheck={"interval": 7, "timeout": 3},
        pools={"eu": {"healthcheck": {"interval": 8, "port": 81}}},
        values={"192.0.2.10": {"healthcheck": {"port": 82, "address": "192.0.2.200"}}},
    )
    found_checks = checks(data)
    plain, in_pool, narrow = found_checks["us", "198.51.100.10"], found_checks["eu", "192.0.2.11"], found_checks["eu", "192.0.2.10"]
    assert (plain.port, plain.timing.interval_s, plain.timing.timeout_s) == (80, 7, 3)
    assert (in_pool.port, in_pool.timing.interval_s, in_pool.timing.timeout_s) == (81, 8, 3)
    assert (narrow.port, narrow.timing.interval_s, narrow.target, narrow.path) == (82, 8, "192.0.2.200", "/healthz")


def test_equal_checks_are_one_endpoint() -> None:
    first = checks(steered(healthcheck={"protocol": "TCP", "port": 80, "interval": 4}))
    second = checks(steered(healthcheck={"protocol": "TCP", "path": "/ignored", "host": "ignored.example.com", "timeout": 2.0}))
    key = ("eu", "192.0.2.10")
    assert first[key] == second[key]
    assert first[key].endpoint_id == second[key].endpoint_id
    assert first[key].endpoint_id != first["eu", "192.0.2.11"].endpoint_id


@pytest.mark.parametrize("off", [False, "off"])
def test_off_switches_checking_off_and_a_narrower_block_on_again(off: object) -> None:
    data = steered(healthcheck=off, values={"192.0.2.10": {"healthcheck": {"protocol": "TCP"}}})
    found_checks = checks(data)
    assert found_checks["us", "198.51.100.10"] is None
    assert found_checks["eu", "192.0.2.10"].protocol is Protocol.TCP


def test_status_switches_checking_off() -> None:
    data = copy.deepcopy(STEERED)
    data["dynamic"]["pools"]["us"]["values"][0]["status"] = "up"
    assert checks(data)["us", "198.51.100.10"] is None


def test_a_list_of_checks_inherits_the_other_keys() -> None:
    data = steered(healthcheck={"interval": 9, "all": [{"protocol": "TCP", "port": 22}, {"path": "/deep"}]})
    check = checks(data)["eu", "192.0.2.10"]
    assert check.combine.value == "all"
    assert [(part.protocol.value, part.port, part.path, part.timing.interval_s) for part in check.parts] == [
        ("TCP", 22, None, 9),
        ("HTTP", 80, "/deep", 9),
    ]


def test_every_key_of_a_check_is_known() -> None:
    data = steered(
        healthcheck={
            "protocol": "HTTPS", "port": 8443, "path": "/x", "host": None, "interval": 1, "timeout": 0.5, "fall": 3, "rise": 4,
            "recheck": 0.25,
            "hold_down": 700, "slow_start": 30, "manual_return": True, "method": "HEAD", "headers": {"X-Probe": "1"},
            "expect": {"status": [200, "301-302"], "body": "/ok|fine/"}, "tls": {"verify": True, "min_days": 7, "name": "tls.example.com"},
            "stale_after": 3, "quorum": 0.75,
        }
    )  # fmt: skip
    check = checks(data)["eu", "192.0.2.10"]
    assert check.expect.status == ((200, 200), (301, 302))
    assert (check.timing.hold_down_s, check.timing.hold_down_max_s) == (700, 700)
    assert (check.tls.verify, check.tls.min_days, check.tls.name, check.quorum) == (True, 7, "tls.example.com", 0.75)
    dns = checks(steered(healthcheck={"protocol": "DNS", "question": {"name": "example.com", "type": "ns"}, "answer": "ns1"}))
    assert dns["eu", "192.0.2.10"].question == ("example.com.", "NS")
    grpc = checks(steered(healthcheck={"protocol": "GRPC", "port": 50051, "service": "example.v1.Greeter", "tls": {"verify": True}}))
    assert grpc["eu", "192.0.2.10"].service == "example.v1.Greeter"
    assert grpc["eu", "192.0.2.10"].tls == Tls(verify=True)
    in_clear = checks(steered(healthcheck={"protocol": "GRPC"}))["eu", "192.0.2.10"]
    assert (in_clear.tls, in_clear.service, in_clear.path) == (None, "", None), "a path of the record is not a service"


def test_guarded_targets_are_refused_unless_allowed_or_not_checked() -> None:
    data = copy.deepcopy(STEERED)
    data["dynamic"]["pools"]["us"]["values"] = [{"value": "127.0.0.1"}]
    place = ("/dynamic/pools/us/values/0/value", "guarded-target")
    assert found(parse(data)) == [place]
    assert parse(data, policy=Policy(allow_loopback=True)).rrset
    data["dynamic"]["pools"]["us"]["values"][0]["status"] = "up"
    assert parse(data).rrset
    assert found(
        parse(steered(values={"192.0.2.10": {"healthcheck": {"address": "169.254.169.254"}}}), policy=Policy(allow_loopback=True))
    ) == [("/dynamic/pools/eu/values/0/value", "guarded-target")]
