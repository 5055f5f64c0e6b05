"""What a check protocol is to the rest of the prober, and which file speaks which.

To add a protocol: its name in `model.check.Protocol`, one file with a class that satisfies `Probe`, one line in
`make_probe`, one line in docs/health.md.
"""

from __future__ import annotations

from typing import Protocol, assert_never

from geodns.model import check as model
from geodns.prober.dns import DnsProbe
from geodns.prober.grpc import GrpcProbe
from geodns.prober.http import HttpProbe
from geodns.prober.icmp import IcmpProbe
from geodns.prober.push import PushProbe
from geodns.prober.stream import Progress
from geodns.prober.tcp import TcpProbe
from geodns.prober.udp import UdpProbe


class Probe(Protocol):
    """Made once for a check: whatever can be decided then is decided then, and what cannot be carried out is a ValueError."""

    async def attempt(self, address: str, progress: Progress) -> str:
        """One attempt against a literal address that the policy allows; returns in words what was good ("status 200").

        Failures are raised: `Fault` with its evidence, or `OSError` and `ssl.SSLError` of a connection under way. The
        caller's timeout covers the whole attempt and ends it by cancellation: `progress` says what it was waiting for.
        Nothing may be left open in any case.
        """


def make_probe(check: model.Check) -> Probe:
    """The probe for a check; raises ValueError when the check cannot be carried out."""
    match check.protocol:
        case model.Protocol.HTTP | model.Protocol.HTTPS:
            return HttpProbe(check)
        case model.Protocol.TCP:
            return TcpProbe(check)
        case model.Protocol.UDP:
            return UdpProbe(check)
        case model.Protocol.ICMP:
            return IcmpProbe(check)
        case model.Protocol.DNS:
            return DnsProbe(check)
        case model.Protocol.PUSH:
            return PushProbe(check)
        case model.Protocol.GRPC:
            return GrpcProbe(check)
        case _:
            assert_never(check.protocol)
