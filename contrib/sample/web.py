"""One small web server of the sample: answers /healthz with 200 until somebody kills it.

    python contrib/sample/web.py fra1            runs in the foreground
    python contrib/sample/web.py fra1 --detach   returns when it listens; its pid is in var/sample/fra1.pid

It knows the sample's sites only; geodns itself has no part in it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8081
SITES = {"fra1": "127.0.0.11", "nyc1": "127.0.0.12", "sin1": "127.0.0.13"}
RUN = Path(__file__).resolve().parents[2] / "var" / "sample"


class Handler(BaseHTTPRequestHandler):
    """Says which site it is, whatever was asked."""

    site = ""

    def do_GET(self) -> None:
        """200 with the site's name."""
        body = f"{self.site}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 # the base class names it so
        """A check every four seconds is not worth a line."""


class Server(ThreadingHTTPServer):
    """Says nothing of a client that hung up: a check that timed out on a busy machine is no news, and a traceback would look like one."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Called in the except clause of whatever went wrong."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    """Serves one site, here or detached."""
    parser = argparse.ArgumentParser(description="A web server of the sample that `make run` serves.")
    parser.add_argument("site", choices=sorted(SITES))
    parser.add_argument("--detach", action="store_true", help="return once it listens")
    arguments = parser.parse_args()
    RUN.mkdir(parents=True, exist_ok=True)
    if arguments.detach:
        child = subprocess.Popen(  # noqa: S603 # ourselves
            [sys.executable, __file__, arguments.site], stdout=subprocess.PIPE, start_new_session=True
        )
        if child.stdout is None or not child.stdout.readline():
            sys.exit(f"{arguments.site} did not start; is {SITES[arguments.site]}:{PORT} taken?")
        print(f"{arguments.site} answers on http://{SITES[arguments.site]}:{PORT}/healthz")
        return
    Handler.site = arguments.site
    try:
        server = Server((SITES[arguments.site], PORT), Handler)
    except OSError as error:
        sys.exit(f"{arguments.site} cannot listen on {SITES[arguments.site]}:{PORT}: {error.strerror}")
    (RUN / f"{arguments.site}.pid").write_text(f"{os.getpid()}\n")
    print("listening", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
