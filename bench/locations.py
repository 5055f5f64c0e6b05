"""The location databases of the bench in MaxMind's format: a small one, and one as large as a city database, written arithmetically.

The large one cuts the whole of IPv4 into equal networks, each with one of many cities, so that neighbours differ as they do in real ones.
No real database may be bundled, and a real one would not be the same tomorrow.
"""

from __future__ import annotations

import random
import sys
import time
from array import array
from pathlib import Path

from mmdb_writer import Encoder, MmdbU16, MmdbU32, MmdbU64, MMDBWriter
from netaddr import IPSet

# Networks of the large database: 2^22, about what the free city databases have for IPv4 and IPv6 together.
CITY_BITS = 22
CITIES = 20_000
# Country, continent and subdivision; the cities are spread over them.
PLACES = (("DE", "EU", "BE"), ("US", "NA", "NY"), ("FR", "EU", "IDF"), ("BR", "SA", "SP"), ("US", "NA", "CA"))
SMALL = {"198.18.4.0/24": ("DE", "EU"), "198.18.5.0/24": ("US", "NA"), "198.18.6.0/24": ("AU", "OC"), "127.0.0.0/8": ("DE", "EU")}
# Between the tree and the data, by the format.
SEPARATOR = bytes(16)


def write_small(path: Path) -> Path:
    """Country and continent of a handful of networks; the bench's client subnet is in Germany."""
    writer = MMDBWriter(6, "Bench-Country", languages=["en"], description="made by the bench", ipv4_compatible=True)
    for network, (country, continent) in SMALL.items():
        writer.insert_network(IPSet([network]), {"country": {"iso_code": country}, "continent": {"code": continent}})
    writer.to_db_file(str(path))
    return path


def write_city(path: Path, bits: int = CITY_BITS) -> Path:
    """2^bits networks with country, continent, subdivision and coordinates."""
    draw = random.Random(53)  # noqa: S311 # a workload, not a secret
    encoder = Encoder(cache=False)
    data = bytearray()
    offsets = []
    for number in range(CITIES):
        country, continent, subdivision = PLACES[number % len(PLACES)]
        offsets.append(len(data))
        city = {
            "city": {"names": {"en": f"City {number}"}},
            "country": {"iso_code": country},
            "continent": {"code": continent},
            "subdivisions": [{"iso_code": subdivision}],
            "location": {"latitude": draw.uniform(-60, 70), "longitude": draw.uniform(-180, 180)},
        }
        data += encoder.encode(city)
    # Nodes 0 to 95 lead through ::/96 to IPv4. Below stands a complete binary tree in heap order, so that the children of the nodes above
    # its last level are simply the numbers that follow; the last level points to data.
    leaves = 1 << bits
    nodes = 96 + leaves - 1
    nothing = nodes
    records = array("I")
    for depth in range(96):
        records.extend((depth + 1, nothing))
    records.extend(range(97, nodes))
    records.extend(draw.choices([nodes + len(SEPARATOR) + offset for offset in offsets], k=leaves))
    if sys.byteorder == "little":
        records.byteswap()
    metadata = {
        "binary_format_major_version": MmdbU16(2),
        "binary_format_minor_version": MmdbU16(0),
        "build_epoch": MmdbU64(int(time.time())),
        "database_type": "Bench-City",
        "description": {"en": "made by the bench"},
        "ip_version": MmdbU16(6),
        "languages": ["en"],
        "node_count": MmdbU32(nodes),
        "record_size": MmdbU16(32),
    }
    path.write_bytes(records.tobytes() + SEPARATOR + data + b"\xab\xcd\xefMaxMind.com" + encoder.encode(metadata))
    return path
