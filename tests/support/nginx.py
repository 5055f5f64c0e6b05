"""Real nginx servers on loopback addresses: started, killed, frozen and brought back by tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until


@dataclass(frozen=True)
class TlsListener:
    """A port of its own for each certificate chain."""

    port: int
    chain: Path
    key: Path


class Nginx:
    """One nginx that answers `/healthz` with 200 on one address: a single process, so that kill -9 leaves no worker that still serves."""

    def __init__(self, directory: Path, address: str, port: int, name: str, tls: Sequence[TlsListener] = ()) -> None:
        self.directory = directory / f"nginx-{name}"
        self.address = address
        self.port = port
        self.name = name
        self.tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns when it accepts connections."""
        self.directory.mkdir(exist_ok=True)
        configuration = self.directory / "nginx.conf"
        configuration.write_text(
            f"""daemon off; master_process off; pid {self.directory}/pid; error_log {self.directory}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy; fastcgi_temp_path {self.directory}/fastcgi;
  uwsgi_temp_path {self.directory}/uwsgi; scgi_temp_path {self.directory}/scgi;
  server {{
    listen {self.address}:{self.port};
    location = /healthz {{ return 200 "{self.name} is well\\n"; }}
    location / {{ return 200 "{self.name}\\n"; }}
  }}
{self._tls_servers()}}}
"""
        )
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen([program, "-p", str(self.directory), "-c", str(configuration)], stderr=subprocess.DEVNULL)
        wait_until(self._accepts, within_s=10, what=f"nginx on {self.address}:{self.port}")

    def _tls_servers(self) -> str:
        return "".join(
            f"  server {{ listen {self.address}:{each.port} ssl; ssl_certificate {each.chain}; ssl_certificate_key {each.key}; "
            f'location / {{ return 200 "{self.name}\\n"; }} }}\n'
            for each in self.tls
        )

    def _accepts(self) -> bool:
        with socket.create_connection((self.address, self.port), timeout=1):
            return True

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=10)

    def freeze(self) -> None:
        """From now on connections are accepted by the kernel and never answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Answers again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ends it whatever its state."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)
            self._process.kill()
            self._process.wait(timeout=10)
