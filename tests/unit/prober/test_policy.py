"""The addresses that a check may contact."""

from __future__ import annotations

import pytest

from geodns.prober.policy import AddressPolicy


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "::1",
        "0.0.0.0", "0.1.2.3", "::",
        "169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1",
        "fd00:ec2::254",
        "224.0.0.1", "239.255.255.250", "ff02::1", "255.255.255.255",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::7f00:1",
        "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1", "2001:0:c000:201::80ff:fffe",
        "100.100.100.200", "168.63.129.16",
        "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "", "192.0.2.1 ", "192.0.2.1:80",
    ],
)  # fmt: skip
def test_guarded_addresses_are_refused(address: str) -> None:
    assert AddressPolicy().refusal(address)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.1",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "2001:db8::1",
        "fd12:3456::1",
        "::ffff:192.0.2.1",
        "2002:c000:201::1",
    ],
)
def test_public_and_private_addresses_are_allowed(address: str) -> None:
    assert AddressPolicy().refusal(address) is None


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::", False),
    ],
)
def test_the_setting_opens_loopback_and_nothing_else(address: str, is_allowed: bool) -> None:
    assert (AddressPolicy(allow_loopback=True).refusal(address) is None) is is_allowed


@pytest.mark.parametrize(
    ("listener", "address", "port", "is_refused"),
    [
        (("127.0.0.1", 8053), "127.0.0.1", 8053, True),
        (("127.0.0.1", 8053), "::ffff:127.0.0.1", 8053, True),
        (("127.0.0.1", 8053), "127.0.0.1", 80, False),
        (("127.0.0.1", 8053), "127.0.0.2", 8053, False),
        (("0.0.0.0", 8053), "127.0.0.2", 8053, True),
        (("0.0.0.0", 8053), "192.0.2.1", 8053, False),
        (("::", 8053), "::1", 8053, True),
        (("::", 8053), "127.0.0.1", 8053, False),
    ],
)
def test_our_own_listeners_are_nobodys_target(listener: tuple[str, int], address: str, port: int, is_refused: bool) -> None:
    refusal = AddressPolicy(allow_loopback=True, own_listeners=[listener]).refusal(address, port)
    assert refusal == ("this node's own listener" if is_refused else None)
