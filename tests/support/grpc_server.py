"""A real gRPC server with the gRPC project's own health service, in a process of its own; run as a program it is that process.

Arguments: certificate and key for TLS, or none. It prints its port, and then takes lines on standard input: a service and its new status
("example.Greeter NOT_SERVING"; "-" stands for the whole server). Each is acknowledged by a line.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.ending import end

WHOLE = "-"


@dataclass(frozen=True)
class GrpcServer:
    """The running server, as its test sees it."""

    port: int
    _commands: IO[bytes]
    _replies: IO[bytes]

    def set_status(self, service: str, status: str) -> None:
        """Returns when the server answers so."""
        self._commands.write(f"{service or WHOLE} {status}\n".encode())
        self._commands.flush()
        assert self._replies.readline() == b"ok\n"


@contextmanager
def serving_grpc(certificate: tuple[Path, Path] | None = None) -> Iterator[GrpcServer]:
    """A server on loopback; services that nobody set are not known to it, and it as a whole is serving."""
    arguments = [sys.executable, "-m", __name__, *(str(path) for path in certificate or ())]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield GrpcServer(int(process.stdout.readline()), process.stdin, process.stdout)
    finally:
        process.stdin.close()
        end(process)
        process.stdout.close()


def _serve(files: list[str]) -> None:
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if files:
        certificate, key = (Path(file).read_bytes() for file in files)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        service, status = line.split()
        servicer.set("" if service == WHOLE else service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        sys.stdout.write("ok\n")
        sys.stdout.flush()
    server.stop(grace=None).wait()


if __name__ == "__main__":
    _serve(sys.argv[1:])
