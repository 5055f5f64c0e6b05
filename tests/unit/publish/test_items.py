"""Items: byte for byte against docs/link-protocol.md, and through a second decoder."""

from __future__ import annotations

from ipaddress import ip_network

from geodns.model.prefixes import Prefixes
from geodns.model.steering import AllDown, Pool, PoolValue, Rule, RuleOrigin, Select, Status, Steering, TtlRange
from geodns.publish import items
from geodns.publish.items import OwnValue
from tests.support.fake_dataplane import Item, read_items, read_steered

APEX = b"\x07example\x03com\x00"
WWW = b"\x03www" + APEX


def test_a_static_owner_name_byte_for_byte() -> None:
    rrset = items.static_rrset(1, 300, [b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"])
    assert rrset.hex() == "00010000012c000000000e00020004c00002010004c0000202"
    item = items.owner_item(APEX, WWW, [rrset])
    assert item[:5].hex() == "03" + f"{len(APEX) + len(WWW) + 2 + len(rrset):08x}"
    assert item[5:] == APEX + WWW + b"\x00\x01" + rrset


def test_a_packed_body_is_the_same_rrset() -> None:
    rdatas = [b"a", b"bc"]
    assert items.packed_rrset(16, 5, b"\x00\x02\x00\x01a\x00\x02bc") == items.static_rrset(16, 5, rdatas)


def test_every_kind_is_read_back_by_a_second_decoder() -> None:
    stream = b"".join(
        (
            items.list_item("office", Prefixes.of([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])),
            items.list_drop_item("old"),
            items.zone_drop_item(APEX),
            items.zone_item(APEX),
            items.owner_item(APEX, WWW, []),
        )
    )
    v6 = ip_network("2001:db8::/32").network_address.packed
    assert read_items(stream) == [
        Item("list", name="office", prefixes=((4, 24, b"\xc0\x00\x02\x00"), (6, 32, v6))),
        Item("list-drop", name="old"),
        Item("zone-drop", apex=APEX),
        Item("zone", apex=APEX),
        Item("owner", apex=APEX, owner=WWW),
    ]


def test_a_steered_body_carries_every_field() -> None:
    near = PoolValue("192.0.2.10", b"\xc0\x00\x02\x0a", 3, Status.OBEY, None, site="fra1", latitude=50.1, longitude=-8.7)
    spare = PoolValue("192.0.2.11", b"\xc0\x00\x02\x0b", 1, Status.DOWN, None, drained=True)
    steering = Steering(
        pools=(Pool("eu", (near, spare), fallback="us"), Pool("us", (near,))),
        rules=(
            Rule(RuleOrigin.OWN, "us", subnets=(ip_network("198.51.100.0/24"),), asns=(64500,), lists=("office",)),
            Rule(RuleOrigin.DYNAMIC, "eu", geos=("EU", "NA-US-CA")),
            Rule(RuleOrigin.DYNAMIC, "us"),
        ),
        answers=None,
        select=Select.STICKY,
        all_down=AllDown.SERVFAIL,
        min_up=0.333333,
        ttl=TtlRange(5, 30),
    )
    ids = {("eu", "192.0.2.10"): 11, ("eu", "192.0.2.11"): 12, ("us", "192.0.2.10"): 13}
    body = items.steered_body([OwnValue(9, b"\xc0\x00\x02\x63")], steering, ids)
    value = {"weight": 3, "status": 0, "drained": 0, "site": "fra1", "coordinates": (1, 50_100_000, -8_700_000), "rdata": near.rdata}
    assert read_steered(body) == {
        "answers": 0,
        "select": 1,
        "all_down": 3,
        "min_up": 333_333,
        "ttl": (1, 5, 30),
        "own": [(9, b"\xc0\x00\x02\x63")],
        "pools": [
            {
                "name": "eu",
                "fallback": 1,
                "values": [
                    {"id": 11, **value},
                    {
                        "id": 12,
                        "weight": 1,
                        "status": 2,
                        "drained": 1,
                        "site": "",
                        "coordinates": (0, 0, 0),
                        "rdata": spare.rdata,
                    },
                ],
            },
            {"name": "us", "fallback": 0xFFFF, "values": [{"id": 13, **value}]},
        ],
        "rules": [
            {"origin": 1, "pool": 1, "geos": [], "subnets": [(4, 24, b"\xc63d\x00")], "asns": [64500], "lists": ["office"]},
            {"origin": 0, "pool": 0, "geos": ["EU", "NA-US-CA"], "subnets": [], "asns": [], "lists": []},
            {"origin": 0, "pool": 1, "geos": [], "subnets": [], "asns": [], "lists": []},
        ],
    }
