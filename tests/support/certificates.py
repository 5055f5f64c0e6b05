"""Small certificates of our own: a CA, and what it signs. Made with the openssl program, which every machine that runs the tests has."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a directory; `certificate` is what a client must trust."""

    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.pem"

    @classmethod
    def create(cls, directory: Path) -> Authority:
        authority = cls(directory)
        _openssl(
            "req", "-x509", *_NEW_KEY, "-keyout", directory / "ca.key", "-out", authority.certificate,
            "-days", 3650, "-subj", "/CN=test CA",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
        return authority

    def create_below(self, directory: Path) -> Authority:
        """An intermediate authority, signed by this one, in a directory of its own."""
        below = Authority(directory)
        request, extensions = directory / "ca.csr", directory / "ca.ext"
        extensions.write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n")
        _openssl("req", *_NEW_KEY, "-keyout", directory / "ca.key", "-out", request, "-subj", "/CN=test intermediate CA")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.directory / "ca.key", "-CAcreateserial",
            "-days", 3650, "-extfile", extensions, "-out", below.certificate,
        )  # fmt: skip
        return below

    def issue(self, name: str, *, days: int = 90, not_before: str = "", not_after: str = "") -> tuple[Path, Path]:
        """A server certificate for a DNS name, and its key; `not_before` and `not_after` are YYYYMMDDHHMMSSZ and may lie in the past."""
        stem = f"{name}-{not_after or days}"
        request, key, certificate, extensions = (self.directory / f"{stem}.{kind}" for kind in ("csr", "key", "pem", "ext"))
        extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        if not_after:
            self._sign_with_dates(request, certificate, extensions, not_before, not_after)
        else:
            _openssl(
                "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.directory / "ca.key", "-CAcreateserial",
                "-days", days, "-extfile", extensions, "-out", certificate,
            )  # fmt: skip
        return certificate, key

    def server_context(self, name: str, *, days: int = 90, not_before: str = "", not_after: str = "") -> ssl.SSLContext:
        """A context that serves such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, days=days, not_before=not_before, not_after=not_after))
        return context

    def _sign_with_dates(self, request: Path, certificate: Path, extensions: Path, not_before: str, not_after: str) -> None:
        """`openssl ca` is the form of every release that takes dates in the past."""
        (self.directory / "index.txt").write_text("")
        (self.directory / "serial").write_text("1000\n")
        config = self.directory / "ca.cnf"
        config.write_text(
            f"[ca]\ndefault_ca=test\n[test]\ndatabase={self.directory}/index.txt\nserial={self.directory}/serial\n"
            f"new_certs_dir={self.directory}\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
        )
        _openssl(
            "ca", "-batch", "-notext", "-config", config, "-in", request, "-out", certificate, "-cert", self.certificate,
            "-keyfile", self.directory / "ca.key", "-startdate", not_before, "-enddate", not_after, "-extfile", extensions,
        )  # fmt: skip


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *(str(argument) for argument in arguments)], check=True, capture_output=True, timeout=60)
