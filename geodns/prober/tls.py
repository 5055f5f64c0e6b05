"""What a check demands of a certificate: chain and name by `ssl`, days to expiry by reading one field of the certificate.

The standard library gives the parsed certificate only after it has verified it; `min_days` must also work without verification, and a whole
X.509 library for one date would be out of proportion. No session resumption: an attempt is a fresh connection in every respect.
"""

from __future__ import annotations

import functools
import math
import ssl
from datetime import UTC, datetime, timedelta

from geodns.model.check import Check, Tls
from geodns.prober.fault import AnsweredBadly, NoEvidence
from geodns.prober.stream import Progress, TcpStream, TlsStream

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _CONTEXT_0 = 0x30, 0x17, 0x18, 0xA0


@functools.cache
def context(is_verifying: bool, application: str | None = None) -> ssl.SSLContext:
    """The few contexts that there are. Trust anchors are the system's, or those named by SSL_CERT_FILE and SSL_CERT_DIR.

    Those that do not verify have no anchors: OpenSSL builds the chain all the same when it has any, which a third of
    the handshake goes into.
    """
    if is_verifying:
        made = ssl.create_default_context()
    else:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if application is not None:
        made.set_alpn_protocols([application])
    return made


async def open_tls(check: Check, address: str, port: int, progress: Progress, application: str | None = None) -> TlsStream:
    """Connects, shakes hands and judges the certificate as the check demands; `application` is the protocol that the server must choose
    (RFC 7301), None = it is not asked."""
    demands = check.tls or Tls()
    below = await TcpStream.open(address, port)
    try:
        progress.waiting_for = "the TLS handshake"
        stream = _wrap(below, context(demands.verify, application), server_name(check, address))
        await stream.handshake()
        if demands.min_days is not None:
            judge_expiry(stream.certificate(), demands.min_days, datetime.now(UTC))
        if application is not None and stream.application() != application:
            raise AnsweredBadly(f"TLS without {application} (ALPN)")
    except BaseException:
        below.close()
        raise
    return stream


def _wrap(below: TcpStream, chosen: ssl.SSLContext, name: str) -> TlsStream:
    try:
        return TlsStream(below, chosen, name)
    except ValueError as error:  # not a name that IDNA can encode
        raise NoEvidence(f"{name!r} cannot be sent as server name") from error


def server_name(check: Check, address: str) -> str:
    """SNI and the name that is verified: `tls.name`, else the host without a port, else the address (which is not sent as SNI)."""
    name = (check.tls.name if check.tls else None) or check.host or address
    return name if name.count(":") != 1 else name.partition(":")[0]


def judge_expiry(certificate: bytes, min_days: int, now: datetime) -> None:
    """Raises AnsweredBadly when the certificate ends before `min_days` days have passed."""
    try:
        ends = not_after(certificate)
    except (ValueError, IndexError) as error:
        raise AnsweredBadly("certificate cannot be read") from error
    if ends >= now + timedelta(days=min_days):
        return
    days = math.floor((ends - now) / timedelta(days=1))
    if days < 0:
        raise AnsweredBadly(f"certificate expired {-days} days ago, wanted {min_days} days left")
    raise AnsweredBadly(f"certificate expires in {days} days, wanted {min_days}")


def not_after(certificate: bytes) -> datetime:
    """The end of validity of a DER certificate (RFC 5280 §4.1: tbsCertificate, past version, serial, algorithm, issuer; §4.1.2.5)."""
    body, _ = _element(certificate, 0, _SEQUENCE)
    fields, _ = _element(body, 0, _SEQUENCE)
    offset = 0
    if fields[0] == _CONTEXT_0:
        _, offset = _element(fields, offset)
    for _ in ("serialNumber", "signature", "issuer"):
        _, offset = _element(fields, offset)
    validity, _ = _element(fields, offset, _SEQUENCE)
    _, offset = _element(validity, 0)
    text = _element(validity, offset)[0].decode("ascii")
    if validity[offset] == _UTC_TIME:  # years 50 … 99 are the last century's
        text = ("19" if text[:2] >= "50" else "20") + text
    elif validity[offset] != _GENERALIZED_TIME:
        raise ValueError("no time where notAfter should be")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes, offset: int, wanted_tag: int | None = None) -> tuple[bytes, int]:
    """One DER element at `offset`: its contents, and where the next one begins."""
    if wanted_tag is not None and data[offset] != wanted_tag:
        raise ValueError("unexpected tag")
    length, start = data[offset + 1], offset + 2
    if length & 0x80:
        width = length & 0x7F
        length, start = int.from_bytes(data[start : start + width], "big"), start + width
    if start + length > len(data):
        raise ValueError("cut short")
    return data[start : start + length], start + length
