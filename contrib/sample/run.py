"""What `make run` starts: three web servers to balance and `geodns serve` with the sample zones, and a few lines to try.

Everything that it starts ends with it: Ctrl-C stops geodns, its dataplane and the web servers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from web import RUN, SITES

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "var"
GEO_DATABASE = STATE / "geo-whois-asn-country.mmdb"
TOKEN_FILE = STATE / "token"
READY_WITHIN_S = 60.0


def environment() -> dict[str, str]:
    """The caller's settings win over the sample's."""
    sample = {
        "GEODNS_PROBER_ALLOW_LOOPBACK": "true",
        "GEODNS_STATE_DIRECTORY": str(STATE),
        "GEODNS_ZONES_DIRECTORY": str(ROOT / "zones"),
    }
    if GEO_DATABASE.exists():
        sample["GEODNS_GEO_DATABASES"] = str(GEO_DATABASE)
    return {**sample, **os.environ}


def wait_ready(server: subprocess.Popen[bytes], api: str) -> bool:
    """Waits until /readyz is 200; False when geodns ended before."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            return False
        try:
            with urllib.request.urlopen(f"http://{api}/readyz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    print(f"geodns runs, and /readyz is not 200 after {READY_WITHIN_S:.0f} s; its log above says why.")
    return True


def introduce(dns: str, api: str, geo: bool) -> None:
    """The lines to try."""
    address, port = dns.rsplit(":", 1)
    where = f"@{address} -p {port}"
    print(
        f"""
geodns answers on {dns} and its API on http://{api}. Try, in another terminal:

  dig {where} www.example.com +short                              # one of the healthy values, by weight
  dig {where} www.example.com +short +subnet=203.0.113.0/24       # as a client of another network
  curl -s -H "Authorization: Bearer $(cat {TOKEN_FILE.relative_to(ROOT)})" http://{api}/api/v1/endpoints
  .venv/bin/geodns explain www.example.com A --client 203.0.113.0/24  # why
{
            ""
            if geo
            else '''
No location database is loaded, so geo rules never match. `make geo-db` brings one (CC0); then any real prefix will do.
'''
        }
Stop an endpoint and see answers change within six seconds; bring it back and see it return:

  kill $(cat {(RUN / "fra1.pid").relative_to(ROOT)})
  watch -n 1 dig {where} www.example.com +short
  .venv/bin/python contrib/sample/web.py fra1 --detach

Ctrl-C ends everything.
""",
        flush=True,
    )


def stop_webs() -> None:
    """Ends the web servers, also one that was brought back by hand."""
    for site in SITES:
        file = RUN / f"{site}.pid"
        try:
            pid = int(file.read_text())
            # One that was killed by hand leaves its file, and its number may be somebody else's by now.
            if b"web.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            continue
        finally:
            file.unlink(missing_ok=True)


def main() -> int:
    """Starts, introduces, waits."""
    settings = environment()
    dns = settings.get("GEODNS_DNS_LISTEN", "127.0.0.1:5300").split(",")[0]
    api = settings.get("GEODNS_API_LISTEN", "127.0.0.1:8053")
    STATE.mkdir(exist_ok=True)
    webs = [subprocess.run([sys.executable, ROOT / "contrib/sample/web.py", site, "--detach"], check=False) for site in SITES]  # noqa: S603 # ours
    if any(web.returncode for web in webs):
        stop_webs()
        return 1
    server = subprocess.Popen([sys.executable, "-m", "geodns", "serve"], env=settings, cwd=ROOT)

    def end(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:  # Ctrl-C reaches the whole group by itself
            server.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        if wait_ready(server, api):
            introduce(dns, api, GEO_DATABASE.exists())
        return server.wait()
    finally:
        stop_webs()


if __name__ == "__main__":
    sys.exit(main())
