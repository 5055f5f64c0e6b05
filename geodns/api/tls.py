"""TLS for the API: a certificate that is reloaded when its files change, while a bad one leaves the old one in service.

A new pair is first loaded into a context of its own; only when that works is it given to the one that serves, whose next handshakes use it.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from geodns.errors import StartupError

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S = 5.0
"""Certificates are renewed weeks before they expire; five seconds is at once, and two stat calls are nothing."""

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Certificate:
    """A certificate and its key on disk, and the context that serves them."""

    certificate: Path
    key: Path
    context: ssl.SSLContext = field(init=False)
    _stamp: Stamp = field(init=False)

    def __post_init__(self) -> None:
        """Raises StartupError: at start there is no older pair to fall back to."""
        self._stamp = self._read_stamp()
        self.context = _make_context()
        try:
            self.context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise StartupError(
                f"api.tls_certificate: {self.certificate} with {self.key} cannot be used: {_reason(error)}",
                hint="both must be PEM, and belong to each other",
            ) from None

    def reload_if_changed(self) -> bool:
        """Whether a new pair was taken into service. A pair that cannot be used is logged once and the old one stays."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        return self.reload()

    def reload(self) -> bool:
        try:
            _make_context().load_cert_chain(self.certificate, self.key)
            self.context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            log.error("the new API certificate cannot be used, the old one stays", certificate=str(self.certificate), reason=_reason(error))
            return False
        log.info("the API certificate was reloaded", certificate=str(self.certificate))
        return True

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            self.reload_if_changed()

    def _read_stamp(self) -> Stamp:
        stamps = []
        for path in (self.certificate, self.key):
            try:
                found = path.stat()
            except OSError:
                stamps.append((0, 0, 0))
            else:
                stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return tuple(stamps)


def _make_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
