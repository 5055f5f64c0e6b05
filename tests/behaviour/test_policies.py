"""Every policy of a steered record, end to end: the real processes and the real dig, over both transports and both address families.

States come from `status`, weights and overrides, with checks off, so that nothing waits for a check; one record has a real server, where
health itself is the point. How often each value is drawn is the engine's own tests' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.dig import Answer, dig, dig_batch
from tests.support.mmdb import write_database
from tests.support.nginx import Nginx
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.waiting import wait_until

WEB = "127.0.0.41"
# Health and overrides reach the answers in milliseconds; this is for a machine that is busy with other suites.
PATIENCE_S = 60

# Where the clients of the cases are: DE, US and AU, the last in an autonomous system of its own. The sender of dig is in DE over IPv4 and
# nowhere over IPv6.
LOCATIONS: dict[str, dict[str, Any]] = {
    "127.0.0.0/8": {"country": {"iso_code": "DE"}},
    "198.18.4.0/24": {"country": {"iso_code": "DE"}, "location": {"latitude": 50.1, "longitude": 8.7}},
    "198.18.5.0/24": {"country": {"iso_code": "US"}, "location": {"latitude": 40.7, "longitude": -74.0}},
    "198.18.6.0/24": {"country": {"iso_code": "AU"}, "autonomous_system_number": 64500},
    "2001:db8:4::/48": {"country": {"iso_code": "DE"}, "location": {"latitude": 50.1, "longitude": 8.7}},
    "2001:db8:5::/48": {"country": {"iso_code": "US"}, "location": {"latitude": 40.7, "longitude": -74.0}},
}

ZONE = """
'':
  - {type: NS, values: [ns1.example.com.]}
  - type: A
    ttl: 30
    values: [192.0.2.1]
    dynamic:
      pools: {eu: {values: [{value: 192.0.2.2}]}, rest: {values: [{value: 192.0.2.3}]}}
      rules: [{geos: [EU], pool: eu}, {pool: rest}]
    octodns: {geodns: {healthcheck: off}}
  - type: AAAA
    ttl: 30
    values: ['2001:db8:1::1']
    dynamic:
      pools: {eu: {values: [{value: '2001:db8:1::2'}]}, rest: {values: [{value: '2001:db8:1::3'}]}}
      rules: [{geos: [EU], pool: eu}, {pool: rest}]
    octodns: {geodns: {healthcheck: off}}
ns1: {type: A, value: 192.0.2.53}

weighted:
  - type: A
    ttl: 30
    values: [192.0.2.1]
    dynamic:
      pools: {all: {values: [{value: 192.0.2.2, weight: 3}, {value: 192.0.2.3}, {value: 192.0.2.4}]}}
      rules: [{pool: all}]
    octodns: {geodns: {healthcheck: off}}
  - type: AAAA
    ttl: 30
    values: ['2001:db8:1::1']
    dynamic:
      pools: {all: {values: [{value: '2001:db8:1::2', weight: 3}, {value: '2001:db8:1::3'}]}}
      rules: [{pool: all}]
    octodns: {geodns: {healthcheck: off}}
weighted-two:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {all: {values: [{value: 192.0.2.2, weight: 3}, {value: 192.0.2.3}, {value: 192.0.2.4}]}}
    rules: [{pool: all}]
  octodns: {geodns: {healthcheck: off, answers: 2}}
weighted-all:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {all: {values: [{value: 192.0.2.2, weight: 3}, {value: 192.0.2.3}, {value: 192.0.2.4, status: down}]}}
    rules: [{pool: all}]
  octodns: {geodns: {healthcheck: off, answers: all}}

sticky:
  - type: A
    ttl: 30
    values: [192.0.2.1]
    dynamic:
      pools: {all: {values: [{value: 192.0.2.61}, {value: 192.0.2.62}, {value: 192.0.2.63}]}}
      rules: [{pool: all}]
    octodns:
      geodns:
        healthcheck: off
        select: sticky
        values: {192.0.2.61: {site: fra1}, 192.0.2.62: {site: nyc1}, 192.0.2.63: {site: syd1}}
  - type: AAAA
    ttl: 30
    values: ['2001:db8:1::1']
    dynamic:
      pools: {all: {values: [{value: '2001:db8:1::61'}, {value: '2001:db8:1::62'}, {value: '2001:db8:1::63'}]}}
      rules: [{pool: all}]
    octodns:
      geodns:
        healthcheck: off
        select: sticky
        values: {'2001:db8:1::61': {site: fra1}, '2001:db8:1::62': {site: nyc1}, '2001:db8:1::63': {site: syd1}}
sticky-two:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {all: {values: [{value: 192.0.2.2}, {value: 192.0.2.3}, {value: 192.0.2.4}]}}
    rules: [{pool: all}]
  octodns: {geodns: {healthcheck: off, select: sticky, answers: 2}}
nearest:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {all: {values: [{value: 192.0.2.2}, {value: 192.0.2.3}, {value: 192.0.2.4, status: down}]}}
    rules: [{pool: all}]
  octodns:
    geodns:
      healthcheck: off
      select: nearest
      values:
        192.0.2.2: {latitude: 48.9, longitude: 2.4}
        192.0.2.3: {latitude: 37.8, longitude: -122.4}
        192.0.2.4: {latitude: 50.1, longitude: 8.7}
nearest-all:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {all: {values: [{value: 192.0.2.2}, {value: 192.0.2.3}]}}
    rules: [{pool: all}]
  octodns:
    geodns:
      healthcheck: off
      select: nearest
      answers: all
      values: {192.0.2.2: {latitude: 48.9, longitude: 2.4}, 192.0.2.3: {latitude: 37.8, longitude: -122.4}}

fallback:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools:
      first: {fallback: second, values: [{value: 192.0.2.2, status: down}]}
      second: {fallback: third, values: [{value: 192.0.2.3, status: down}]}
      third: {values: [{value: 192.0.2.4}]}
    rules: [{pool: first}]
  octodns: {geodns: {healthcheck: off}}
values:
  type: A
  ttl: 30
  values: [192.0.2.1, 192.0.2.9]
  dynamic: {pools: {dead: {values: [{value: 192.0.2.2, status: down}]}}, rules: [{pool: dead}]}
  octodns: {geodns: {healthcheck: off}}
serve-all:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {dead: {values: [{value: 192.0.2.31}, {value: 192.0.2.32}, {value: 192.0.2.2, status: down}]}}
    rules: [{pool: dead}]
  octodns: {geodns: {healthcheck: off, answers: all, all_down: serve-all}}
nodata:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {dead: {values: [{value: 192.0.2.2, status: down}]}, rest: {values: [{value: 192.0.2.3}]}}
    rules: [{geos: [EU], pool: dead}, {pool: rest}]
  octodns: {geodns: {healthcheck: off, all_down: nodata, ttl: {min: 7, max: 30}}}
servfail:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {dead: {values: [{value: 192.0.2.2, status: down}]}, rest: {values: [{value: 192.0.2.3}]}}
    rules: [{geos: [EU], pool: dead}, {pool: rest}]
  octodns: {geodns: {healthcheck: off, all_down: servfail}}
drained:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic: {pools: {all: {values: [{value: 192.0.2.2}, {value: 192.0.2.3}]}}, rules: [{pool: all}]}
  octodns: {geodns: {healthcheck: off, answers: all, values: {192.0.2.2: {weight: 0}}}}
only-drained:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {all: {fallback: dead, values: [{value: 192.0.2.2}]}, dead: {values: [{value: 192.0.2.3, status: down}]}}
    rules: [{pool: all}]
  octodns: {geodns: {healthcheck: off, values: {192.0.2.2: {weight: 0}}}}
min-up:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools:
      half: {fallback: whole, values: [{value: 192.0.2.71}, {value: 192.0.2.72}]}
      whole: {values: [{value: 192.0.2.73}]}
    rules: [{pool: half}]
  octodns: {geodns: {healthcheck: off, min_up: 0.6}}

rules:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools:
      listed: {values: [{value: 192.0.2.2}]}
      system: {values: [{value: 192.0.2.3}]}
      subnet: {values: [{value: 192.0.2.4}]}
      own-subnet: {values: [{value: 192.0.2.5}]}
      eu: {fallback: listed, values: [{value: 192.0.2.6}]}
      us: {fallback: system, values: [{value: 192.0.2.7}]}
      rest: {fallback: own-subnet, values: [{value: 192.0.2.8}]}
    rules:
      - {subnets: [203.0.113.0/25], pool: subnet}
      - {geos: [NA-US], subnets: [203.0.113.128/26], pool: us}
      - {geos: [EU], pool: eu}
      - {pool: rest}
  octodns:
    geodns:
      healthcheck: off
      rules:
        - {lists: [partners], pool: listed}
        - {asns: [64500], pool: system}
        - {subnets: [192.0.2.0/24, '2001:db8:4:1::/64'], pool: own-subnet}

'*.wild':
  - type: A
    ttl: 30
    values: [192.0.2.1]
    dynamic:
      pools: {eu: {values: [{value: 192.0.2.2}]}, rest: {values: [{value: 192.0.2.3}]}}
      rules: [{geos: [EU], pool: eu}, {pool: rest}]
    octodns: {geodns: {healthcheck: off}}
below.exists.wild: {type: A, value: 192.0.2.7}

alias:
  type: CNAME
  ttl: 20
  value: static.example.com.
  dynamic:
    pools: {eu: {values: [{value: weighted-all.example.com.}]}, rest: {values: [{value: www.example.org.}]}}
    rules: [{geos: [EU], pool: eu}, {pool: rest}]
  octodns: {geodns: {healthcheck: off}}
hop: {type: CNAME, ttl: 300, value: alias.example.com.}
outside:
  type: CNAME
  ttl: 20
  value: static.example.com.
  dynamic: {pools: {all: {values: [{value: elsewhere.example.net.}]}}, rules: [{pool: all}]}
  octodns: {geodns: {healthcheck: off}}
static: {type: A, ttl: 300, values: [192.0.2.7, 192.0.2.8]}

by-value:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {a: {fallback: b, values: [{value: 192.0.2.11}]}, b: {values: [{value: 192.0.2.12}]}}
    rules: [{pool: a}]
  octodns: {geodns: {healthcheck: off, ttl: {min: 5, max: 300}}}
by-status:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {a: {fallback: b, values: [{value: 192.0.2.13, status: down}]}, b: {values: [{value: 192.0.2.14}]}}
    rules: [{pool: a}]
  octodns: {geodns: {healthcheck: off}}
by-pool:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {a: {fallback: b, values: [{value: 192.0.2.15}, {value: 192.0.2.16}]}, b: {values: [{value: 192.0.2.17}]}}
    rules: [{pool: a}]
  octodns: {geodns: {healthcheck: off, answers: all}}
by-site:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic: {pools: {a: {values: [{value: 192.0.2.18}, {value: 192.0.2.19}]}}, rules: [{pool: a}]}
  octodns: {geodns: {healthcheck: off, answers: all, values: {192.0.2.18: {site: ams1}, 192.0.2.19: {site: lon1}}}}
"""

# Checked for real: one that obeys its check, one that does not. The timeout is one that the server keeps on any machine: a check that came
# too late would leave the value unsettled for a minute.
LIVE_ZONE = """
live:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {{web: {{fallback: spare, values: [{{value: {web}}}]}}, spare: {{values: [{{value: 192.0.2.81, status: up}}]}}}}
    rules: [{{pool: web}}]
  octodns: {{geodns: {{healthcheck: {{protocol: TCP, port: {port}, interval: 0.5, timeout: 10}}, ttl: {{min: 2, max: 60}}}}}}
pinned:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic: {{pools: {{web: {{values: [{{value: {web}, status: up}}]}}}}, rules: [{{pool: web}}]}}
  octodns: {{geodns: {{ttl: {{min: 2, max: 60}}}}}}
"""

OTHER_ZONE = """
'': {type: NS, values: [ns1.example.com.]}
www:
  type: CNAME
  ttl: 20
  value: spare.example.org.
  dynamic:
    pools: {us: {values: [{value: us.example.org.}]}, rest: {values: [{value: spare.example.org.}]}}
    rules: [{subnets: [198.18.5.0/25], pool: us}, {pool: rest}]
  octodns: {geodns: {healthcheck: off}}
us: {type: A, ttl: 300, value: 192.0.2.21}
spare: {type: A, ttl: 300, value: 192.0.2.22}
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """The one real server."""
    server = Nginx(tmp_path_factory.mktemp("web"), WEB, free_port(WEB), "web")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, web: Nginx) -> Iterator[Node]:
    """One node for the whole module, on both address families."""
    directory = tmp_path_factory.mktemp("policies")
    database = write_database(directory / "city.mmdb", LOCATIONS, "Test-City")
    zones = {"example.com.yaml": ZONE + LIVE_ZONE.format(web=WEB, port=web.port), "example.org.yaml": OTHER_ZONE}
    node = Node(directory / "node", zones=zones, settings={"GEO_DATABASES": str(database)})
    node.settings["DNS_LISTEN"] = f"127.0.0.1:{node.dns_port},[::1]:{node.dns_port}"
    node.start()
    node.wait_served(node.put("/api/v1/lists/partners", {"prefixes": ["198.51.100.0/24", "2001:db8:77::/48"]}))
    yield node
    node.stop()


# Both transports and both address families in two runs of dig; the chain of aliases is asked in all four ways.
OPPOSITES = (("127.0.0.1", "+notcp"), ("::1", "+tcp"))
TRANSPORTS = (*OPPOSITES, ("127.0.0.1", "+tcp"), ("::1", "+notcp"))

DE, US, AU, NOWHERE = "+subnet=198.18.4.0/24", "+subnet=198.18.5.0/24", "+subnet=198.18.6.0/24", "+subnet=203.0.113.192/26"
DE6, US6 = "+subnet=2001:db8:4::/56", "+subnet=2001:db8:5::/56"


@dataclass(frozen=True)
class Case:
    """A question ("www A +subnet=…") and its answer: `count` different ones of the values `among`; None is not looked at."""

    claim: str
    question: str
    among: str
    count: int = 1
    rcode: str = "NOERROR"
    ttl: int | None = 30
    scope: int | None = None


CASES = [
    Case("weighted: one value", "weighted A", "192.0.2.2 192.0.2.3 192.0.2.4"),
    Case("weighted: one value of the other type", "weighted AAAA", "2001:db8:1::2 2001:db8:1::3"),
    Case("weighted: everybody is decided alike", f"weighted A {DE}", "192.0.2.2 192.0.2.3 192.0.2.4", scope=0),
    Case("weighted: two values", "weighted-two A", "192.0.2.2 192.0.2.3 192.0.2.4", count=2),
    Case("weighted: all values that are up", "weighted-all A", "192.0.2.2 192.0.2.3", count=2),
    Case("sticky: the prefix that is kept together is the scope", f"sticky A {DE}", "192.0.2.61 192.0.2.62 192.0.2.63", scope=24),
    Case("sticky: scope may exceed the source", "sticky A +subnet=198.18.4.0/20", "192.0.2.61 192.0.2.62 192.0.2.63", scope=24),
    Case("sticky: IPv6 clients", f"sticky A {DE6}", "192.0.2.61 192.0.2.62 192.0.2.63", scope=56),
    Case("sticky: two values", f"sticky-two A {DE}", "192.0.2.2 192.0.2.3 192.0.2.4", count=2, scope=24),
    Case("nearest: Frankfurt gets Paris, its own is down", f"nearest A {DE}", "192.0.2.2", scope=24),
    Case("nearest: New York gets San Francisco", f"nearest A {US}", "192.0.2.3", scope=24),
    Case("nearest: an IPv6 client", f"nearest A {US6}", "192.0.2.3", scope=48),
    Case("nearest: without coordinates by weight", f"nearest A {AU}", "192.0.2.2 192.0.2.3", scope=24),
    Case("nearest: all", f"nearest-all A {US}", "192.0.2.2 192.0.2.3", count=2),
    Case("fallbacks are followed to the pool that has a value up", "fallback A", "192.0.2.4"),
    Case("all down: the record's own values", "values A", "192.0.2.1 192.0.2.9", count=2),
    Case("all down: nodata, with the scope of the rule", f"nodata A {DE}", "", count=0, ttl=None, scope=24),
    Case("all down: nodata is for the clients of that rule only", f"nodata A {US}", "192.0.2.3", scope=24),
    Case("all down: servfail", f"servfail A {DE}", "", count=0, rcode="SERVFAIL", ttl=None, scope=24),
    Case("all down: servfail is for the clients of that rule only", f"servfail A {US}", "192.0.2.3"),
    Case("drained by weight 0", "drained A", "192.0.2.3"),
    Case("drained values answer when nothing else is up", "only-drained A", "192.0.2.2"),
    Case("own rules: a list stands before everything", "rules A +subnet=198.51.100.0/24", "192.0.2.2", scope=24),
    Case("own rules: a list of both families", "rules A +subnet=2001:db8:77::/56", "192.0.2.2", scope=48),
    Case("own rules: an autonomous system", f"rules A {AU}", "192.0.2.3", scope=24),
    Case("own rules: a subnet", "rules A +subnet=192.0.2.0/24", "192.0.2.5", scope=24),
    Case("own rules: a subnet inside a country", "rules A +subnet=2001:db8:4:1::/64", "192.0.2.5", scope=64),
    Case("rules: a subnet", "rules A +subnet=203.0.113.0/26", "192.0.2.4", scope=25),
    Case("rules: a continent", f"rules A {DE}", "192.0.2.6", scope=24),
    Case("rules: a continent, IPv6", "rules A +subnet=2001:db8:4:2::/64", "192.0.2.6", scope=63),
    Case("rules: a country", f"rules A {US}", "192.0.2.7", scope=24),
    Case("rules: a subnet of a rule with geos", "rules A +subnet=203.0.113.128/27", "192.0.2.7", scope=26),
    Case("rules: the catch-all", f"rules A {NOWHERE}", "192.0.2.8", scope=26),
    Case("apex", f"@ A {DE}", "192.0.2.2", scope=24),
    Case("apex: everybody else", f"@ A {US}", "192.0.2.3", scope=24),
    Case("apex, IPv6", f"@ AAAA {DE6}", "2001:db8:1::2", scope=48),
    Case("apex: its other types are there", "@ NS", "ns1.example.com.", ttl=None),
    Case("wildcard", f"a.b.wild A {DE}", "192.0.2.2", scope=24),
    Case("wildcard: everybody else", f"a.b.wild A {US}", "192.0.2.3", scope=24),
    Case("wildcard: not for a type that it lacks", f"a.wild AAAA {DE}", "", count=0, ttl=None, scope=0),
    Case("wildcard: not below a name that exists", f"x.exists.wild A {DE}", "", count=0, rcode="NXDOMAIN", ttl=None, scope=0),
    Case("CNAME itself", f"alias CNAME {DE}", "weighted-all.example.com.", ttl=20, scope=24),
    Case("a source prefix of 0 is decided by the sender", "weighted A +subnet=0.0.0.0/0", "192.0.2.2 192.0.2.3 192.0.2.4", scope=0),
]


def ask(node: Node, question: str, server: str = "127.0.0.1", *options: str) -> Answer:
    """A question about a name in example.com."""
    name, rtype, *more = question.split()
    owner = "example.com" if name == "@" else f"{name}.example.com"
    return dig(node.dns_port, owner, rtype, *more, *options, server=server)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_answer_over_both_transports_and_address_families(node: Node, case: Case) -> None:
    for server, transport in OPPOSITES:
        answer = ask(node, case.question, server, transport)
        assert answer.rcode == case.rcode, answer.text
        assert "aa" in answer.flags or case.rcode == "SERVFAIL", answer.text
        values = answer.values
        assert len(set(values)) == len(values) == case.count, answer.text
        assert set(values) <= set(case.among.split()), answer.text
        assert case.ttl is None or answer.ttls == {case.ttl}, answer.text
        if "+subnet" not in case.question:
            assert answer.client_subnet is None, answer.text
        elif case.scope is not None:
            assert answer.scope == case.scope, answer.text


def draws(node: Node, question: str, count: int = 120) -> set[str]:
    """The different values of so many answers."""
    name, _, rest = question.partition(" ")
    return set(dig_batch(node.dns_port, [f"{name}.example.com {rest}"] * count, node.directory))


def test_the_sender_counts_without_a_client_subnet(node: Node) -> None:
    assert ask(node, "@ A").values == ["192.0.2.2"], "127.0.0.1 is in Germany"
    assert ask(node, "@ A", "::1").values == ["192.0.2.3"], "::1 is nowhere"
    assert ask(node, "@ A +subnet=0.0.0.0/0").values == ["192.0.2.2"], "a client that does not say where it is"
    assert ask(node, f"@ A {DE}", "::1").values == ["192.0.2.2"], "the client subnet is of the other family than the sender"


def test_every_value_with_a_weight_is_drawn(node: Node) -> None:
    # The rarest has a fifth of the weight: all but certain (1 - 10^-11) to be among 120.
    assert draws(node, "weighted A") == {"192.0.2.2", "192.0.2.3", "192.0.2.4"}
    assert draws(node, f"nearest A {AU}") == {"192.0.2.2", "192.0.2.3"}
    assert draws(node, "drained A", 20) == {"192.0.2.3"}


def test_sticky_clients_keep_their_value_and_both_families_their_site(node: Node) -> None:
    subnets = [f"+subnet=198.18.{number}.0/24" for number in range(32, 56)] * 3
    values, others = (
        dig_batch(node.dns_port, [f"sticky.example.com {rtype} {subnet}" for subnet in subnets], node.directory) for rtype in ("A", "AAAA")
    )
    assert values[:24] == values[24:48] == values[48:], "three times the same"
    assert [value.rsplit(".", 1)[1] for value in values] == [value.rsplit(":", 1)[1] for value in others]
    # 24 clients and three sites; the keys are fixed, so this holds today and always.
    assert set(values) == {"192.0.2.61", "192.0.2.62", "192.0.2.63"}


def test_a_sticky_client_returns_to_its_value(node: Node) -> None:
    (home,) = ask(node, f"sticky A {DE}").values
    with_override(node, f"value/{home}", "down", lambda: home not in draws(node, f"sticky A {DE}", 3))
    wait_until(lambda: ask(node, f"sticky A {DE}").values == [home], within_s=PATIENCE_S)


def test_nodata_of_a_policy_has_a_short_negative_ttl(node: Node) -> None:
    """RFC 2308 §5: the ttl of the SOA is what a resolver keeps."""
    ((owner, ttl, rtype, rdata),) = ask(node, f"nodata A {DE}").authority
    assert (owner, rtype) == ("example.com.", "SOA")
    assert min(ttl, int(rdata.split()[-1])) <= 7


def test_a_chain_of_aliases_is_followed_through_our_zones(node: Node) -> None:
    for server, transport in TRANSPORTS:
        europe = ask(node, f"hop A {DE}", server, transport)
        assert europe.values[:2] == ["alias.example.com.", "weighted-all.example.com."], europe.text
        assert set(europe.values[2:]) == {"192.0.2.2", "192.0.2.3"}
        assert [ttl for _, ttl, _, _ in europe.answer] == [300, 20, 30, 30]
        assert europe.scope == 24
        america = ask(node, f"hop A {US}", server, transport)
        assert america.values == ["alias.example.com.", "www.example.org.", "us.example.org.", "192.0.2.21"], america.text
        assert america.scope == 25, "the longest of all steps"
    assert ask(node, "outside A").values == ["elsewhere.example.net."], "a target in nobody's zone ends the answer"


def with_override(node: Node, target: str, state: str, claim: Callable[[], bool], expires_at: datetime | None = None) -> None:
    """Sets an override, waits for the claim, and takes it back."""
    body = {"state": state, "reason": "a test", "expires_at": expires_at.isoformat() if expires_at else None}
    put = node.put(f"/api/v1/overrides/{target}", body)
    assert put.status == 201, put.body
    try:
        wait_until(claim, within_s=PATIENCE_S, what=f"{state} on {target}")
    finally:
        assert node.request("DELETE", f"/api/v1/overrides/{target}").status == 200


OVERRIDES = [
    ("value/192.0.2.11", "down", "by-value A", "192.0.2.11", "192.0.2.12"),
    ("value/192.0.2.11", "drain", "by-value A", "192.0.2.11", "192.0.2.12"),
    ("value/192.0.2.13", "up", "by-status A", "192.0.2.14", "192.0.2.13"),
    ("pool/by-pool.example.com/A/a", "down", "by-pool A", "192.0.2.15 192.0.2.16", "192.0.2.17"),
    ("pool/by-pool.example.com/A/a", "drain", "by-pool A", "192.0.2.15 192.0.2.16", "192.0.2.17"),
    ("pool/by-status.example.com/A/a", "up", "by-status A", "192.0.2.14", "192.0.2.13"),
    ("record/by-pool.example.com/A", "down", "by-pool A", "192.0.2.15 192.0.2.16", "192.0.2.1"),
    ("record/by-pool.example.com/A", "drain", "by-pool A", "192.0.2.15 192.0.2.16", "192.0.2.15 192.0.2.16"),
    ("record/by-status.example.com/A", "up", "by-status A", "192.0.2.14", "192.0.2.13"),
    ("site/ams1", "down", "by-site A", "192.0.2.18 192.0.2.19", "192.0.2.19"),
    ("site/ams1", "drain", "by-site A", "192.0.2.18 192.0.2.19", "192.0.2.19"),
    ("value/192.0.2.71", "down", "min-up A", "192.0.2.71 192.0.2.72", "192.0.2.73"),
    ("pool/serve-all.example.com/A/dead", "down", "serve-all A", "192.0.2.31 192.0.2.32", "192.0.2.1"),
]


@pytest.mark.parametrize(
    ("target", "state", "question", "before", "meanwhile"), OVERRIDES, ids=lambda value: value if isinstance(value, str) else None
)
def test_an_override_is_the_last_word(node: Node, target: str, state: str, question: str, before: str, meanwhile: str) -> None:
    def answers(expected: str) -> bool:
        values = set(ask(node, question).values)
        return bool(values) and values <= set(expected.split())

    wait_until(lambda: answers(before), within_s=PATIENCE_S, what="the answer before")
    with_override(node, target, state, lambda: answers(meanwhile))
    wait_until(lambda: answers(before), within_s=PATIENCE_S, what="the answer afterwards")


def pool_values(decision: dict[str, Any]) -> list[dict[str, Any]]:
    """Every value of every pool that was looked at."""
    return [value for pool in decision["pools"] for value in pool["values"]]


def test_the_more_specific_override_wins(node: Node) -> None:
    down = {"state": "down", "reason": "a test"}
    assert node.put("/api/v1/overrides/record/by-pool.example.com/A", down).status == 201
    wait_until(lambda: ask(node, "by-pool A").values == ["192.0.2.1"], within_s=PATIENCE_S)
    explained = node.get("/api/v1/explain?name=by-pool.example.com").body
    said = [value["override_set"] for step in explained["path"] if step["step"] == "steered" for value in pool_values(step["decision"])]
    assert {(each["kind"], each["target"], each["reason"]) for each in said} == {("record", "by-pool.example.com/A", "a test")}
    with_override(node, "value/192.0.2.16", "up", lambda: ask(node, "by-pool A").values == ["192.0.2.16"])
    with_override(node, "pool/by-pool.example.com/A/b", "up", lambda: ask(node, "by-pool A").values == ["192.0.2.17"])
    assert node.request("DELETE", "/api/v1/overrides/record/by-pool.example.com/A").status == 200


def test_an_override_that_will_end_shortens_the_ttl(node: Node) -> None:
    assert ask(node, "by-value A").ttls == {300}

    def is_short() -> bool:
        answer = ask(node, "by-value A")
        return answer.values == ["192.0.2.12"] and all(5 <= ttl <= 120 for ttl in answer.ttls)

    with_override(node, "value/192.0.2.11", "down", is_short, datetime.now(UTC) + timedelta(seconds=120))
    wait_until(lambda: ask(node, "by-value A").ttls == {300}, within_s=PATIENCE_S)


def test_serve_all_serves_what_health_calls_down(node: Node) -> None:
    """With checks of a port where nothing listens: what the operator calls down is not served."""
    record = {
        "ttl": 30,
        "values": ["192.0.2.1"],
        "dynamic": {"pools": {"web": {"values": [{"value": WEB}, {"value": "127.0.0.42"}]}}, "rules": [{"pool": "web"}]},
        "octodns": {
            "geodns": {
                "all_down": "serve-all",
                "answers": "all",
                "healthcheck": {"protocol": "TCP", "port": free_port(WEB), "interval": 0.5, "timeout": 10},
            }
        },
    }
    node.wait_served(node.put("/api/v1/zones/example.com/records/hopeless/A", record))

    def is_down() -> bool:
        found = node.get("/api/v1/endpoints?state=down").body["items"]
        return sum("hopeless" in str(endpoint) for endpoint in found) == 2

    wait_until(is_down, within_s=PATIENCE_S, what="two endpoints down")
    wait_until(lambda: set(ask(node, "hopeless A").values) == {WEB, "127.0.0.42"}, within_s=PATIENCE_S)
    node.wait_served(node.request("DELETE", "/api/v1/zones/example.com/records/hopeless/A"))


def test_health_takes_a_value_away_and_status_and_operator_stand_above_it(node: Node, web: Nginx) -> None:
    wait_until(
        lambda: ask(node, "live A").values == [WEB] and ask(node, "live A").ttls == {60}, within_s=PATIENCE_S, what="a settled server"
    )
    web.kill()
    wait_until(lambda: ask(node, "live A").ttls == {2}, within_s=PATIENCE_S, what="a short ttl while the server is suspect")
    wait_until(lambda: ask(node, "live A").values == ["192.0.2.81"], within_s=PATIENCE_S, what="the fallback")
    assert ask(node, "live A").ttls == {2}, "the server may come back any moment"
    pinned = ask(node, "pinned A")
    assert (pinned.values, pinned.ttls) == ([WEB], {60}), "status: up"
    with_override(node, f"value/{WEB}", "up", lambda: ask(node, "live A").values == [WEB])
    wait_until(lambda: ask(node, "live A").values == ["192.0.2.81"], within_s=PATIENCE_S)
