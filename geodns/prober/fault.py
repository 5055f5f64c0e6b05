"""How an attempt fails, and which class of evidence each failure is.

Probes raise the three exceptions below, or let `OSError` and `ssl.SSLError` through; `attempt` turns all of them into an outcome with the
functions here. What is not known to be the target's doing is no evidence: a value must never go down for an error that nobody thought of.
"""

from __future__ import annotations

import errno
import os
import ssl

from geodns.prober.outcome import Evidence


class Fault(Exception):
    """An attempt that did not succeed: `str()` is the cause in words."""

    evidence: Evidence


class AnsweredBadly(Fault):
    """The target, or something on the way that speaks for it, said no."""

    evidence = Evidence.ANSWERED_BADLY


class Silent(Fault):
    """Nothing came back that proves the path."""

    evidence = Evidence.SILENT


class NoEvidence(Fault):
    """The attempt could not be made, or its result is our own doing."""

    evidence = Evidence.NO_EVIDENCE


# Errors that only the far side, or a device on the way, can cause.
_REFUSALS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ECONNABORTED: "connection aborted",
    errno.EPIPE: "connection reset",
    errno.EPROTO: "protocol error",
    errno.ENOPROTOOPT: "protocol unreachable",
}

# ICMP's "unreachable" family, and the kernel's own end of patience. They mean silence only when they came over the network.
_UNREACHABLE = {
    errno.ETIMEDOUT: "connection timed out",
    errno.EHOSTUNREACH: "host unreachable",
    errno.EHOSTDOWN: "host down",
    errno.ENETUNREACH: "network unreachable",
    errno.ENONET: "host not on the network",
    errno.EACCES: "administratively prohibited on the way",
}

_LOCAL = {
    errno.ENETUNREACH: "no local route",
    errno.EHOSTUNREACH: "no local route",
    errno.ENETDOWN: "local network down",
    errno.EAFNOSUPPORT: "address family not available here",
    errno.EADDRNOTAVAIL: "no local address or port left",
    errno.EMFILE: "out of file descriptors",
    errno.ENFILE: "out of file descriptors",
    errno.ENOBUFS: "out of network buffers",
    errno.ENOMEM: "out of memory",
    errno.EACCES: "not permitted here",
    errno.EPERM: "not permitted here",
    errno.EINVAL: "no local route",
}


def local_fault(error: OSError) -> NoEvidence:
    """An error that the kernel returned before anything can have come back from the network: by itself, or from its routing table."""
    return NoEvidence(_LOCAL.get(error.errno or 0) or f"local error: {_words(error)}")


def network_fault(error: OSError) -> Fault:
    """An error of a connection under way.

    | error | evidence |
    |---|---|
    | refused, reset, aborted | answered badly |
    | unreachable, timed out | silent |
    | anything else | no evidence |
    """
    number = error.errno or 0
    if number in _REFUSALS:
        return AnsweredBadly(_REFUSALS[number])
    if number in _UNREACHABLE:
        return Silent(_UNREACHABLE[number])
    return local_fault(error)


def tls_fault(error: ssl.SSLError) -> AnsweredBadly:
    """Every TLS failure is an answer: bytes came back that are not what was wanted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return AnsweredBadly(f"certificate not accepted: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError):
        return AnsweredBadly("closed during the TLS handshake")
    reason = (error.reason or "unknown error").replace("_", " ").lower()
    if reason in {"wrong version number", "record layer failure", "packet length too long", "unexpected message"}:
        return AnsweredBadly("answer is not TLS")
    if "alert" in reason:
        return AnsweredBadly(f"TLS alert: {reason}")
    return AnsweredBadly(f"TLS failed: {reason}")


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
