"""CIDR lists as bytes, held against Python's own reading of prefixes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.model.prefixes import Prefixes, pack_network, pack_text

TEXTS = [
    "192.0.2.0/24",
    "192.0.2.0/024",
    "192.0.2.1",
    "192.0.2.1/24",
    "192.0.2.0/33",
    "192.0.2.0/-1",
    "192.0.2.0/",
    "192.0.2.0/²",
    "192.0.2.0/255.255.255.0",
    "192.0.02.0/24",
    "192.0.2/24",
    " 192.0.2.0/24",
    "0.0.0.0/0",
    "2001:db8::/32",
    "2001:DB8::/32",
    "2001:db8::1",
    "2001:db8::1/32",
    "::/0",
    "::ffff:192.0.2.0/120",
    "2001:db8::/129",
    "1::2::3/64",
    "/24",
    "",
    "office",
    "192.0.2.0/24/24",
    "192.0.2.\x000/24",
]

NETWORKS = st.ip_addresses().flatmap(
    lambda address: (
        st.integers(0, address.max_prefixlen).map(lambda length: ip_network((int(address), length), strict=False))
        if address.version == 6
        else st.integers(0, 32).map(lambda length: ip_network(f"{address}/{length}", strict=False))
    )
)


def slowly(text: str) -> bytes | None:
    try:
        return pack_network(ip_network(text))
    except ValueError:
        return None


@pytest.mark.parametrize("text", TEXTS)
def test_a_prefix_is_what_python_takes_for_one(text: str) -> None:
    assert pack_text(text) == slowly(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0/128", "fe80::1%eth0"])
def test_an_address_with_a_zone_is_none(text: str) -> None:
    assert pack_text(text) is None


@given(st.text("0123456789abcdef.:/", max_size=24))
def test_whatever_looks_like_a_prefix_is_judged_alike(text: str) -> None:
    assert pack_text(text) == slowly(text)


@given(st.lists(NETWORKS))
def test_prefixes_come_back_as_they_were_written(networks: list[object]) -> None:
    texts = [str(network) for network in networks]
    packed = [pack_text(text) for text in texts]
    assert b"".join(filter(None, packed)) == Prefixes.of(map(ip_network, texts)).body
    assert list(Prefixes.of(map(ip_network, texts)).texts()) == texts
