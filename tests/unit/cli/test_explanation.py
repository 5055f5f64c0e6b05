"""How an explanation is drawn: each fact of the document that an operator needs stands in the tree."""

from __future__ import annotations

import copy
import io
import time
from typing import Any

import pytest
from rich.console import Console

from geodns.api.explain import add_reasons, refuse_fault
from geodns.cli.explanation import draw
from geodns.errors import InvalidInput
from geodns.model.check import Check, Protocol
from geodns.prober import Target
from tests.unit.api.conftest import StoreNode


def value(number: int, **changes: Any) -> dict[str, Any]:
    """A value of a pool as the dataplane reports it."""
    return {
        "id": number,
        "value": f"192.0.2.{number}",
        "site": None,
        "weight": 1,
        "effective_weight": 1.0,
        "state": "up",
        "because": "health: up",
        "verdict": "up",
        "status": "obey",
        "override": None,
        "since_ms": None,
        "ttl_bound": None,
        **changes,
    }


def pool(name: str, *values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A pool of the chain."""
    report = {"pool": name, "verdict": "serves", "served": False, "up_weight": 1, "counted_weight": 1, "live_share": 1.0, "min_up": 0.0}
    return {**report, "values": list(values), **changes}


OVERRIDE = {
    "kind": "site",
    "target": "fra1",
    "state": "drain",
    "reason": "works on the cooling",
    "author": "ops",
    "set_at": "2025-12-31T00:00:00Z",
    "expires_at": "2026-01-01T00:00:00Z",
}

DECISION: dict[str, Any] = {
    "rules": [
        {
            "rule": 0,
            "origin": "octodns.geodns.rules",
            "pool": "eu",
            "verdict": "no-match",
            "because": ["the client is in NA-US, not in EU"],
        },
        {"rule": 1, "origin": "dynamic.rules", "pool": "eu", "verdict": "decides", "because": ["the catch-all"]},
    ],
    "rule": 1,
    "pools": [
        pool(
            "eu",
            value(1, state="down", because="health: down", since_ms=int(time.time() * 1000) - 90_000_000, cause="connect refused"),
            value(2, state="drained", because="override: drain", override="drain", override_set=OVERRIDE),
            verdict="all-down",
            live_share=0.0,
            min_up=0.5,
        ),
        pool("us", value(3, weight=4, effective_weight=2.0, site="nyc1"), value(4), served=True),
        pool("ap", value(5), verdict="not-reached", live_share=None),
    ],
    "choice": {
        "from": "pool",
        "pool": "us",
        "select": "weighted",
        "answers": 1,
        "candidates": [
            {"value": "192.0.2.3", "site": "nyc1", "share": 0.667, "probability": 0.667, "distance_km": None},
            {"value": "192.0.2.4", "site": None, "share": 0.333, "probability": None, "distance_km": None},
        ],
        "chosen": ["192.0.2.3"],
    },
    "outcome": "answer",
    "ttl": {
        "seconds": 7,
        "record": 30,
        "min": 5,
        "max": 30,
        "bound": {"value": "192.0.2.1", "pool": "eu", "seconds": 7},
        "because": "bound",
    },
    "scope": {"prefix": 24, "because": "rule", "rule": 24, "sticky_prefix": None, "location_network": None},
}

DOCUMENT: dict[str, Any] = {
    "question": {"name": "www.example.com.", "type": "A"},
    "client": {
        "address": "203.0.113.0",
        "prefix": 24,
        "seen_as": "client subnet",
        "location": {
            "country": "US",
            "continent": "NA",
            "subdivisions": ["NY"],
            "asn": 64500,
            "latitude": 40.7,
            "longitude": -74.0,
            "from": {
                "country": "country.mmdb",
                "continent": "octoDNS",
                "subdivisions": None,
                "asn": "asn.mmdb",
                "coordinates": "city.mmdb",
            },
            "databases": [],
        },
    },
    "path": [
        {"step": "search", "name": "www.example.com.", "zone": "example.com."},
        {"step": "exact", "rrsets": 1},
        {"step": "steered", "type": "A", "decision": DECISION},
        {"step": "novel", "colour": "red"},
    ],
    "answer": {
        "rcode": "NOERROR",
        "authoritative": True,
        "steered": True,
        "scope": 24,
        "answer": [{"name": "www.example.com.", "type": "A", "ttl": 7, "data": "192.0.2.3"}],
        "authority": [],
    },
}


def text_of(document: dict[str, Any]) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200, soft_wrap=True, no_color=True, highlight=False).print(draw(document))
    return stream.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        "www.example.com. A for 203.0.113.0/24 (client subnet), in NA-US-NY, AS64500, at 40.7 -74 by asn.mmdb, city.mmdb, country.mmdb",
        "answer: NOERROR, authoritative, scope /24",
        "www.example.com. 7 A 192.0.2.3",
        "www.example.com. lies in zone example.com.",
        "the name is there, with 1 rrset",
        "0 to pool eu: no match (the client is in NA-US, not in EU) octodns.geodns.rules",
        "1 to pool eu: decides (the catch-all) dynamic.rules",
        "eu: passed over: nothing is up, 0% of its weight is up (50% wanted)",
        "192.0.2.1 down (health: down), for 1 d, connect refused, weight 1",
        "192.0.2.2 drained (override: drain), by ops for site fra1 until 2026-01-01T00:00:00Z: works on the cooling, weight 1",
        "us: serves, 100% of its weight is up",
        "192.0.2.3 up (health: up), weight 4 (now 2), site nyc1, probability 66.7%",
        "192.0.2.4 up (health: up), weight 1, share 33.3%",
        "ap: not reached",
        "choice: from pool us, 1 of 2, weighted",
        "this time: 192.0.2.3",
        "ttl 7 s: a change is near (192.0.2.1 in pool eu: 7 s)",
        "scope /24: the shortest prefix around the client in which the same rule decides",
        "step novel, colour red",
    ],
)
def test_the_tree_tells(words: str) -> None:
    assert words in text_of(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([{"step": "search", "name": "www.example.org.", "zone": None}], "www.example.org. lies in none of our zones"),
        ([{"step": "exact", "rrsets": 0}, {"step": "nodata"}], "(an empty non-terminal)"),
        ([{"step": "wildcard", "rrsets": 2}], "a wildcard stands for the name, with 2 rrsets"),
        ([{"step": "absent"}], "the name does not exist"),
        ([{"step": "delegation", "cut": "lb.example.com."}], "lb.example.com. is delegated"),
        ([{"step": "dname", "owner": "old.example.com."}], "a DNAME at old.example.com. redirects"),
        ([{"step": "static", "type": "MX", "ttl": 300}], "MX without steering, ttl 300"),
        ([{"step": "loop"}], "the chain of aliases comes back to itself"),
    ],
)
def test_every_step_has_its_words(path: list[dict[str, Any]], words: str) -> None:
    assert words in text_of({**DOCUMENT, "path": path})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"from": "values", "pool": None, "select": None}, "the record's own values, because nothing is up (all_down)"),
        ({"from": "drained"}, "from drained values of pool us"),
        ({"from": "serve-all"}, "everything of pool us, because nothing is up (all_down)"),
        ({"from": "nothing", "candidates": [], "chosen": []}, "nothing, because nothing is up (all_down)"),
    ],
)
def test_a_choice_without_a_live_pool_says_why(changes: dict[str, Any], words: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    decision = document["path"][2]["decision"]
    decision["choice"].update(changes)
    decision["pools"][1]["served"] = False
    shown = text_of(document)
    assert words in shown
    for candidate in decision["choice"]["candidates"]:
        assert candidate["value"] in shown


def test_a_client_without_location_is_said_to_be_nowhere() -> None:
    document = copy.deepcopy(DOCUMENT)
    nothing: dict[str, Any] = {"country": None, "continent": None, "subdivisions": [], "asn": None, "latitude": None, "longitude": None}
    document["client"]["location"].update(nothing)
    document["client"]["seen_as"] = "sender"
    assert "www.example.com. A for 203.0.113.0 (sender), location unknown" in text_of(document)


def test_what_the_author_wrote_is_no_markup() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["path"][2]["decision"]["pools"][1]["pool"] = "[red]us[/]"
    assert "[red]us[/]: serves" in text_of(document)


async def test_checked_values_get_their_cause(node: StoreNode) -> None:
    check = Check(Protocol.TCP, "192.0.2.3", 80)
    node.prober.replace_targets([Target(3, "example.com", "www.example.com", "A", "us", "192.0.2.3", check)])
    document = copy.deepcopy(DOCUMENT)
    pools = document["path"][2]["decision"]["pools"]
    pools[1]["values"] += [value(5, verdict="down", state="down"), value(6, status="up")]
    add_reasons(document, node)
    assert {each["id"]: each["cause"] for each in pools[1]["values"]} == {
        3: "not checked yet",
        4: "not checked, which counts as up",
        5: "not checked now, and down since it was",
        6: None,
    }


def test_a_question_that_could_not_be_asked_is_refused() -> None:
    refuse_fault(DOCUMENT)
    with pytest.raises(InvalidInput, match="this is no domain name"):
        refuse_fault({"error": "this is no domain name"})
