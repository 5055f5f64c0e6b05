"""CONFIG: what the dataplane needs besides the state, whole each time and sent when it differs (docs/link-protocol.md section 4).

The cookie secrets come from the store, so that all nodes accept each other's cookies; the last ones are kept in the state directory for a
start without the database, because a CONFIG without them would take cookies away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from geodns.publish.client import LinkClient
from geodns.settings import Settings

log = structlog.get_logger(__name__)


class Configuration:
    """Holds the parts; `offer` sends them when a part changed since this link last got them."""

    def __init__(self, databases: Sequence[Path], node_name: str, secrets_file: Path, *, access: Mapping[str, Any] | None = None) -> None:
        self._databases = [str(path) for path in databases]
        self._node_name = node_name
        self._secrets_file = secrets_file
        self._access = dict(access or {})
        self._secrets: list[str] = _read_secrets(secrets_file)
        self._sent: tuple[LinkClient, dict[str, Any]] | None = None

    def put_secrets(self, secrets: Sequence[bytes]) -> None:
        """The secrets now in the store, the one that makes cookies first."""
        found = [secret.hex() for secret in secrets]
        if found != self._secrets:
            self._secrets = found
            _write_secrets(self._secrets_file, found)

    def offer(self, link: LinkClient | None, geo_generation: int) -> None:
        """Sends what this link does not have yet."""
        document = self.document(geo_generation)
        has_it = self._sent is not None and self._sent[0] is link and self._sent[1] == document
        if link is not None and not has_it and link.send_config(document):
            self._sent = (link, document)

    def document(self, geo_generation: int) -> dict[str, Any]:
        """The whole configuration."""
        return {
            "geo_databases": self._databases,
            "geo_generation": geo_generation,
            "cookie_secrets": self._secrets,
            "nsid": self._node_name,
            **self._access,
        }


def describe_access(settings: Settings) -> dict[str, Any]:
    """Who is answered and how often, as CONFIG has it. What is at its default is left out: a dataplane of an earlier version refuses keys
    that it does not know, and is so only told what it must be told.
    """
    access: dict[str, Any] = {}
    if settings.dns.allow:
        access["allow"] = list(settings.dns.allow)
    if settings.dns.deny:
        access["deny"] = list(settings.dns.deny)
    rrl = settings.rrl
    if rrl.rate:
        prefixes = {"ipv4": rrl.ipv4_prefix, "ipv6": rrl.ipv6_prefix}
        access["rrl"] = {"rate": rrl.rate, "slip": rrl.slip, **prefixes, "allow": list(rrl.allow), "dry_run": rrl.dry_run}
    return access


def _read_secrets(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) and all(isinstance(secret, str) and len(secret) == 32 for secret in found) else []


def _write_secrets(path: Path, secrets: list[str]) -> None:
    """Readable by us alone, whole or not at all."""
    temporary = path.with_suffix(".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(secrets, file)
        temporary.replace(path)
    except OSError as error:
        log.warning("the cookie secrets could not be kept for a start without the database", path=str(path), reason=error.strerror)
