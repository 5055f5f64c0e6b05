"""A check: one configured probe, with every key of health.md resolved to a value. Equal checks are run once.

`endpoint_id` is a hash of the check, so that it is the same on every node and after every restart.
"""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import asdict, dataclass, field


class Protocol(enum.Enum):
    """What is spoken to the target."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"
    UDP = "UDP"
    ICMP = "ICMP"
    DNS = "DNS"
    GRPC = "GRPC"
    PUSH = "PUSH"


class Combine(enum.Enum):
    """How several checks on one value become one verdict: all must be up, or any."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Expect:
    """What makes an answer good. `status` holds inclusive ranges; `body` is text or `/regexp/`; `send` is for TCP and UDP."""

    status: tuple[tuple[int, int], ...] = ((200, 200),)
    body: str | None = None
    send: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """Conditions on the certificate; without `verify` any certificate will do. `name` is the SNI; None = the check's host."""

    verify: bool = False
    min_days: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds, counts in outcomes; the defaults and their argument are in docs/health.md."""

    interval_s: float = 4.0
    timeout_s: float = 2.0
    fall: int = 2
    rise: int = 2
    recheck_s: float = 0.5
    hold_down_s: float = 8.0
    hold_down_max_s: float = 600.0
    slow_start_s: float = 0.0
    manual_return: bool = False
    stale_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """One probe of one target. `target` is the address, or for CNAME values the absolute name, that is contacted.

    `tls` None = no conditions for HTTPS, no TLS for GRPC. `service` is what GRPC asks for; empty = the whole server.
    `quorum` None = majority of live vantages, a float below 1 = share, an int = number. `parts` with `combine` make this a list of checks.
    """

    protocol: Protocol
    target: str
    port: int | None
    path: str | None = None
    host: str | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    expect: Expect = Expect()
    tls: Tls | None = None
    timing: Timing = Timing()
    question: tuple[str, str] | None = None
    answer: str | None = None
    service: str = ""
    quorum: float | int | None = None
    combine: Combine | None = None
    parts: tuple[Check, ...] = field(default=())

    @property
    def endpoint_id(self) -> str:
        """20 hex digits of a SHA-256 over the canonical JSON of the check."""
        document = json.dumps(asdict(self), sort_keys=True, default=lambda member: member.value, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()[:20]
