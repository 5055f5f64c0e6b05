"""Small location databases for tests, made on the spot with a writer library; reserved prefixes stand for the continents."""

from __future__ import annotations

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

# One client network a continent: documentation and benchmarking space (RFC 5737, RFC 2544, RFC 3849) cut into pieces.
CLIENTS = {
    "AF": ("198.18.1.0/24", "ZA"),
    "AN": ("198.18.2.0/24", "AQ"),
    "AS": ("198.18.3.0/24", "JP"),
    "EU": ("198.18.4.0/24", "DE"),
    "NA": ("198.18.5.0/24", "US"),
    "OC": ("198.18.6.0/24", "AU"),
    "SA": ("198.18.7.0/24", "BR"),
}


def write_country_database(path: Path, networks: dict[str, str], *, flat: bool = False) -> Path:
    """Writes network → country code as an .mmdb: MaxMind's nested schema, or with `flat` a plain `country_code`."""
    writer = MMDBWriter(6, "Test-Country", languages=["en"], description="made by a test", ipv4_compatible=True)
    for network, country in networks.items():
        record = {"country_code": country} if flat else {"country": {"iso_code": country}}
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def write_continents(path: Path) -> Path:
    """The database of CLIENTS, with 127.0.0.0/8 in Germany so that the sender's address can be tested too."""
    networks = dict(CLIENTS.values())
    networks["127.0.0.0/8"] = "DE"
    networks["2001:db8:4::/48"] = "DE"
    networks["2001:db8:5::/48"] = "US"
    return write_country_database(path, networks)
