"""A real gRPC server with the gRPC project's own health service, in a process of its own; run as a program it is that process.

Arguments: its port, and certificate and key for TLS or nothing. It prints "up", and then takes lines on standard input: a service and its
new status ("example.Greeter NOT_SERVING"; "-" stands for the whole server). Each is acknowledged by a line.
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
from tests.support.ports import free_port

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
    port = free_port()
    arguments = [sys.executable, "-m", __name__, str(port), *(str(path) for path in certificate or ())]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"up\n", "the gRPC server did not start"
        yield GrpcServer(port, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        end(process)
        process.stdout.close()


def _serve(port: str, *files: str) -> None:
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if files:
        certificate, key = (Path(file).read_bytes() for file in files)
        server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    for line in sys.stdin:
        service, status = line.split()
        servicer.set("" if service == WHOLE else service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        sys.stdout.write("ok\n")
        sys.stdout.flush()
    server.stop(grace=None).wait()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
