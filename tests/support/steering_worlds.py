"""Random worlds for the property of the decision: location databases, CIDR lists, records with every feature, moods, and clients.

Everything is a plain JSON value, as a user would write it, so that a disagreement can be cut down piece by piece and printed whole.
A mood is a moment of a world: what the checks say and which overrides are set.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from geodns.model.findings import Policy, UnknownKeys
from geodns.model.names import parse_zone_name
from geodns.model.records import parse_record

Document = dict[str, Any]

ZONE = "example.com"
APEX = parse_zone_name(ZONE)
POLICY = Policy(unknown_keys=UnknownKeys.ERROR)

# Below 64 rule sets every record has a merged map, whose scope is the shortest possible (contract section 2.8).
RECORDS = 56
CROWDED_RECORDS = 90

COUNTRIES = ("DE", "FR", "US", "US", "CA", "TR", "RU", "CY", "JP", "BR", "AU", "ZA", "AQ", "XK", "MX", "GU")
# What databases say of continents is often not what octoDNS says.
DATABASE_CONTINENT = {"TR": "EU", "CY": "EU", "RU": "AS", "XK": "EU", "GU": "NA", "DE": "EU", "US": "NA", "JP": "AS", "BR": "SA"}
SUBDIVISIONS = {"US": ("CA", "NV", "TX"), "CA": ("ON", "QC", "BC"), "DE": ("BE", "CA")}
SYSTEMS = range(64500, 64506)
# No two of them lie symmetrically to a third, so that distances tie only where places are the same.
CITIES = (
    (50.1109, 8.6821), (40.7128, -74.0060), (35.6828, 139.7595), (-33.8688, 151.2093), (-23.5507, -46.6334),
    (-33.9249, 18.4241), (51.5074, -0.1278), (1.3521, 103.8198), (89.9, 12.5), (-17.7134, 178.065), (64.1466, -21.9426),
)  # fmt: skip
GEOS = (
    "EU", "EU-DE", "EU-FR", "EU-RU", "NA", "NA-US", "NA-US-CA", "NA-US-NV", "NA-CA", "NA-CA-ON", "NA-MX", "AS", "AS-TR", "AS-CY",
    "AS-JP", "AF", "AF-ZA", "OC", "OC-AU", "OC-GU", "AN", "SA", "SA-BR",
)  # fmt: skip
ADDRESSES = {
    "A": tuple(f"192.0.2.{last}" for last in range(1, 13)),
    "AAAA": tuple(f"2001:db8::{last:x}" for last in range(1, 13)),
}
TARGETS = ("t1.example.net.", "t2.example.net.", "t3.example.org.", "s1.example.com.", "none.example.com.")
POOLS = ("eu", "us", "as", "default", "a pool")
SITES = ("fra1", "nyc1", "köln")
LISTS = ("office", "partners")
ANCHORS = {
    4: ("10.0.0.0", "127.0.0.0", "192.0.2.0", "198.51.100.0", "100.64.0.0", "0.0.0.0", "255.255.255.0"),
    6: ("2001:db8::", "2400::", "2a00::", "fd00::", "2001:db8:ffff::"),
}


def network(rng: random.Random, family: int, *, least: int = 0) -> str:
    """A network near an anchor, so that random ones are often nested, and of any length from `least` on."""
    bits = 32 if family == 4 else 128
    address = int(ip_address(rng.choice(ANCHORS[family])))
    # A few free bits behind the anchor: enough to differ, few enough to meet again.
    for _ in range(rng.randint(0, 5)):
        address ^= 1 << rng.randrange(bits - (8 if family == 4 else 32))
    length = rng.choice(
        (rng.randint(least, bits), rng.randint(max(least, 8), max(least, 24)), rng.randint(max(least, bits // 4), bits // 2))
    )
    cut = address >> (bits - length) << (bits - length)
    kind = ip_network((cut, length)) if family == 4 else ip_network((cut.to_bytes(16, "big"), length))
    return str(kind)


def any_network(rng: random.Random) -> str:
    return network(rng, rng.choice((4, 4, 6)))


# Location databases.


def database_record(rng: random.Random, schema: str) -> Document:
    """A record of a schema; each fact may be missing."""
    country = rng.choice(COUNTRIES)

    def has(share: float) -> bool:
        return rng.random() < share

    continent = DATABASE_CONTINENT.get(country, "AF")
    record: Document = {}
    if schema == "asn":
        return {"autonomous_system_number": rng.choice(SYSTEMS), "autonomous_system_organization": "Example"}
    if schema == "plain":
        return {"country_code": country}
    if schema == "flat new":
        record = {"country": "Some Country", "country_code": country, "continent": "Some Continent", "continent_code": continent}
        return record | ({"asn": f"AS{rng.choice(SYSTEMS)}"} if has(0.8) else {})
    if schema == "flat old":
        return {"country": country, "country_name": "Some Country"} | ({"continent": continent} if has(0.7) else {})
    if has(0.8):
        record["country"] = {"iso_code": country, "names": {"en": "Some Country"}}
    if has(0.5):
        record["registered_country"] = {"iso_code": rng.choice(COUNTRIES)}
    if has(0.6):
        record["continent"] = {"code": continent}
    if schema == "city":
        if country in SUBDIVISIONS and has(0.7):
            codes = rng.sample(SUBDIVISIONS[country], rng.randint(1, 2))
            record["subdivisions"] = [{"iso_code": code, "names": {"en": "Some Place"}} for code in codes]
        if has(0.8):
            record["location"] = dict(zip(("latitude", "longitude"), rng.choice(CITIES), strict=True))
    return record


def database(rng: random.Random) -> Document:
    schema = rng.choice(("country", "city", "city", "asn", "plain", "flat new", "flat old"))
    version = rng.choice((6, 6, 6, 4))
    networks: dict[str, Document] = {}
    for _ in range(rng.randint(1, 24)):
        family = 4 if version == 4 else rng.choice((4, 6))
        # A file's IPv6 networks lie beside the place where it keeps IPv4 and its repetitions.
        networks[network(rng, family, least=1 if family == 4 else 34)] = database_record(rng, schema)
    return {
        "schema": schema,
        "version": version,
        "networks": [[text, networks[text]] for text in sorted(networks, key=lambda text: ip_network(text).prefixlen)],
    }


# Records.


def pools_of(rng: random.Random, choices: Sequence[str]) -> Document:
    names = rng.sample(POOLS, rng.randint(1, 4))
    pools: Document = {}
    for index, name in enumerate(names):
        values: list[Document] = [{"value": value} for value in rng.sample(choices, min(len(choices), rng.choice((1, 2, 2, 3, 3, 4, 6))))]
        if rng.random() < 0.1:
            values.append(dict(rng.choice(values)))
        for value in values if len(values) > 1 else []:
            if rng.random() < 0.6:
                value["weight"] = rng.choice((1, 2, 3, 10, 99, 100))
        statuses = {value["value"]: rng.choice(("obey", "up", "down")) for value in values if rng.random() < 0.2}
        for value in values:
            if value["value"] in statuses:
                value["status"] = statuses[value["value"]]
        pools[name] = {"values": values}
        if index + 1 < len(names) and rng.random() < 0.6:
            pools[name]["fallback"] = rng.choice(names[index + 1 :])
    return pools


def rules_of(rng: random.Random, pools: Document) -> list[Document]:
    """Rules in octoDNS's order; every pool is led to, or is somebody's fallback."""
    names = list(pools)
    last = rng.choice(names)
    fallbacks = {pool.get("fallback") for pool in pools.values()}
    targets = [name for name in names if (name != last and name not in fallbacks) or rng.random() < 0.6]
    rules: list[Document] = []
    for target, shape in zip(rng.sample(targets, len(targets)), sorted(rng.choice((0, 1, 2, 2)) for _ in targets), strict=True):
        rule: Document = {"pool": target}
        if shape < 2:
            rule["subnets"] = [any_network(rng) for _ in range(rng.randint(1, 3))]
        if shape > 0:
            rule["geos"] = rng.sample(GEOS, rng.randint(1, 3))
        rules.append(rule)
    return [*rules, {"pool": last}]


def own_rules_of(rng: random.Random, pools: Document) -> list[Document]:
    rules: list[Document] = []
    for _ in range(rng.randint(1, 3)):
        rule: Document = {"pool": rng.choice(list(pools))}
        for key in rng.sample(("asns", "lists", "subnets"), rng.randint(1, 2)):
            match key:
                case "asns":
                    rule["asns"] = rng.sample(SYSTEMS, rng.randint(1, 2))
                case "lists":
                    rule["lists"] = [rng.choice(LISTS)]
                case _:
                    rule["subnets"] = [any_network(rng) for _ in range(rng.randint(1, 2))]
        rules.append(rule)
    return rules


def settings_of(rng: random.Random, rtype: str, pools: Document, ttl: int) -> Document:
    """The `octodns.geodns` block."""
    settings: Document = {}
    for key, share, choices in (
        ("answers", 0.4, (1,) if rtype == "CNAME" else (1, 2, 3, 5, "all")),
        ("select", 0.6, ("weighted", "sticky", "nearest")),
        ("min_up", 0.4, (0, 0.1, 0.25, 0.333333, 0.5, 0.75, 1, 1.0)),
        ("all_down", 0.6, ("values", "serve-all", "nodata", "servfail")),
        ("ttl", 0.5, ({}, {"min": 1}, {"max": 40}, {"min": 3, "max": 20}, {"min": ttl, "max": ttl})),
    ):
        if rng.random() < share:
            settings[key] = rng.choice(choices)
    if rng.random() < 0.4:
        settings["rules"] = own_rules_of(rng, pools)
    if rng.random() < 0.05:
        settings["healthcheck"] = "off"
    if rng.random() < 0.6:
        settings["values"] = values_of(rng, pools)
    return settings


def values_of(rng: random.Random, pools: Document) -> Document:
    """Site, place and weight of values, each for some."""
    found: Document = {}
    for value in sorted({value["value"] for pool in pools.values() for value in pool["values"]}):
        entry: Document = {}
        if rng.random() < 0.5:
            entry["site"] = rng.choice(SITES)
        if rng.random() < 0.6:
            entry["latitude"], entry["longitude"] = rng.choice(CITIES)
        if rng.random() < 0.2:
            entry["weight"] = rng.choice((0, 0, 1, 7, 65535))
        if entry:
            found[value] = entry
    return found


def record_data(rng: random.Random, rtype: str, choices: Sequence[str]) -> Document:
    """A valid record; those that octoDNS would refuse are drawn again."""
    while True:
        ttl = rng.choice((0, 5, 30, 300))
        pools = pools_of(rng, choices)
        data: Document = {"type": rtype, "ttl": ttl}
        if rtype == "CNAME":
            data["value"] = rng.choice(choices)
        else:
            data["values"] = sorted(rng.sample(choices, rng.randint(1, 3)))
        data["dynamic"] = {"pools": pools, "rules": rules_of(rng, pools)}
        data["octodns"] = {"healthcheck": {"protocol": "TCP", "port": 80}, "geodns": settings_of(rng, rtype, pools, ttl)}
        if is_valid("www", data):
            return data


def is_valid(name: str, data: Document) -> bool:
    parsed = parse_record(APEX, name, data, policy=POLICY)
    return parsed.rrset is not None and parsed.rrset.steering is not None


def records(rng: random.Random, count: int) -> list[Document]:
    """Addresses and aliases at plain names, below wildcards and at the apex; aliases lead to names that come after them, or out."""
    found = [{"name": "", "data": record_data(rng, rtype, ADDRESSES[rtype])} for rtype in ("A", "AAAA")]
    for index in range(count - len(found)):
        rtype = rng.choice(("A", "A", "AAAA", "CNAME"))
        name = f"*.w{index}" if rng.random() < 0.2 else f"r{index}"
        choices = ADDRESSES.get(rtype, (*TARGETS, *(f"r{later}.{ZONE}." for later in range(index + 1, min(index + 8, count - 2)))))
        found.append({"name": name, "data": record_data(rng, rtype, choices)})
        if rtype == "A" and rng.random() < 0.2 and len(found) < count:
            found.append({"name": name, "data": record_data(rng, "AAAA", ADDRESSES["AAAA"])})
    return found[:count]


def world(rng: random.Random, *, crowded: bool = False) -> Document:
    """Databases, lists and records."""
    return {
        "databases": [database(rng) for _ in range(rng.choice((0, 1, 2, 3, 3)))],
        "lists": {name: sorted({any_network(rng) for _ in range(rng.randint(0, 6))}) for name in LISTS[: rng.randint(0, 2)]},
        "records": records(rng, CROWDED_RECORDS if crowded else RECORDS),
        "crowded": crowded,
    }


# Moods.


def mood(rng: random.Random, drawn: Document) -> Document:
    """What the checks say of each value that obeys them, and the operator's words."""
    share_down = rng.choice((0.05, 0.3, 0.6, 0.9))
    verdicts: list[Document] = []
    for record in drawn["records"]:
        for pool, held in record["data"]["dynamic"]["pools"].items():
            for value in {value["value"]: value for value in held["values"]}.values():
                verdict: Document = {}
                if rng.random() < share_down:
                    verdict["down"] = True
                elif rng.random() < 0.15:
                    verdict["factor"] = rng.choice((0, rng.randint(1, 999)))
                if rng.random() < 0.3:
                    verdict["bound"] = rng.randint(0, 60)
                if verdict:
                    verdicts.append({"record": full_name(record), "pool": pool, "value": value["value"]} | verdict)
    overrides = [override(rng, drawn) for _ in range(rng.choice((0, 2, 8, 20)))]
    return {"verdicts": verdicts, "overrides": list({(word["kind"], word["target"]): word for word in overrides}.values())}


def override(rng: random.Random, drawn: Document) -> Document:
    record = rng.choice(drawn["records"])
    match rng.choice(("value", "pool", "pool", "record", "record", "site")):
        case "value":
            kind, target = "value", rng.choice((*ADDRESSES["A"], *ADDRESSES["AAAA"], *TARGETS))
        case "pool":
            kind, target = "pool", f"{full_name(record)}/{rng.choice(list(record['data']['dynamic']['pools']))}"
        case "record":
            kind, target = "record", full_name(record)
        case _:
            kind, target = "site", rng.choice(SITES)
    return {
        "kind": kind,
        "target": target,
        "state": rng.choice(("up", "down", "down", "drain")),
        "expires_in_s": rng.choice((None, None, 0.5, 7.25, 31.0, 3600, -3.0)),
    }


def absolute(name: str) -> str:
    """As an operator writes it: without the final dot."""
    return f"{name}.{ZONE}" if name else ZONE


def full_name(record: Document) -> str:
    """ "www.example.com/A"."""
    return f"{absolute(record['name'])}/{record['data']['type']}"


# Clients.


def clients(rng: random.Random, drawn: Document, record: Document) -> Iterator[str]:
    """Senders and client subnets without end, most of them at the edges of what could decide."""
    held = [text for each in drawn["databases"] for text, _ in each["networks"]]
    held += [text for texts in drawn["lists"].values() for text in texts]
    data = record["data"]
    for rule in (*data["dynamic"]["rules"], *data["octodns"]["geodns"].get("rules", [])):
        held += rule.get("subnets", [])
    while True:
        yield _client(rng, rng.choice(held) if held and rng.random() < 0.8 else any_network(rng))


def _client(rng: random.Random, near: str) -> str:
    around = ip_network(near)
    bits = around.max_prefixlen
    first, last = int(around.network_address), int(around.broadcast_address)
    address = rng.choice((first, last, first - 1, last + 1, rng.randint(first, last))) % (1 << bits)
    form = rng.random()
    if form < 0.15:  # a sender that a socket can have
        return str(ip_address((127 << 24) + min(max(address & 0xFFFFFF, 1), 0xFFFFFE)))  # the ends are broadcast addresses
    text = str(ip_address(address) if bits == 32 else ip_address(address.to_bytes(16, "big")))
    if form < 0.25 and text not in ("127.0.0.0", "127.255.255.255"):
        return text
    length = rng.choice((rng.randint(0, bits), around.prefixlen, bits, bits * 3 // 4))
    if form < 0.32 and bits == 32 and length:
        return f"::ffff:{text}/{96 + length}"
    return f"{text}/{length}"
