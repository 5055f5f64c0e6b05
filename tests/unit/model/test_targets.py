"""Addresses that a check must not contact."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from geodns.model.targets import why_guarded


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1:7f00:0:100::"],
)
def test_loopback_is_guarded_in_every_form_unless_allowed(address: str) -> None:
    assert why_guarded(ip_address(address), allow_loopback=False)
    assert why_guarded(ip_address(address), allow_loopback=True) is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "::", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "169.254.169.254", "fd00:ec2::254",
        "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
        "fe80::1%eth0", "2001:db8::1%eth0", "::ffff:0:169.254.0.1", "2001:0:c000:201::5601:5601", "2001:db8::5efe:a9fe:a9fe",
        "2001:db8::200:5efe:a9fe:1", "100.100.100.200", "::ffff:168.63.129.16", "192.0.0.192", "fd00:ec2::253", "fd20:ce::254",
    ],
)  # fmt: skip
def test_others_are_guarded_whatever_is_allowed(address: str) -> None:
    assert why_guarded(ip_address(address), allow_loopback=True)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "192.168.1.1", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"])
def test_public_and_private_addresses_are_probed(address: str) -> None:
    assert why_guarded(ip_address(address), allow_loopback=False) is None


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2002:a01:203::1", "fd00::1"])
def test_the_operator_may_close_more(address: str) -> None:
    denied = (ip_network("10.0.0.0/8"), ip_network("fc00::/7"))
    assert why_guarded(ip_address(address), allow_loopback=False) is None
    assert why_guarded(ip_address(address), allow_loopback=True, denied=denied) == "in a network of prober.deny"
    assert why_guarded(ip_address("192.168.1.1"), allow_loopback=False, denied=denied) is None
