"""Ports that were free a moment ago, for UDP and TCP alike, outside the range from which the kernel serves clients.

Not a port that the kernel hands out: dig shares its own port with others of its user (SO_REUSEPORT), as our listeners do, so that one dig
among ten thousand would draw the very port of the server and receive its own query. Nor may any other client of the machine take a port
between the asking and the binding.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import socket
from collections.abc import Iterator

# Below the ephemeral range of Linux (32768 and up), above what well-known services use.
LOWEST = 12_000
HIGHEST = 32_000
# Test processes side by side get ports of their own each, and so does one that runs beside them.
SLICES = 16


def _ports_of_this_process() -> Iterator[int]:
    worker = re.search(r"\d+", os.environ.get("PYTEST_XDIST_WORKER", ""))
    slices = max(SLICES, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")) + 1)
    size = (HIGHEST - LOWEST) // slices
    first = LOWEST + size * (int(worker.group()) if worker else slices - 1)
    # Two runs on one machine rarely start at the same place.
    start = random.SystemRandom().randrange(size)
    return (first + offset % size for offset in itertools.count(start))


_ports = _ports_of_this_process()


def free_port(address: str = "127.0.0.1") -> int:
    """A port that both UDP and TCP can bind on `address`; the same one comes again after hundreds of others."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in itertools.islice(_ports, 1_000):
        with socket.socket(family, socket.SOCK_STREAM) as stream, socket.socket(family, socket.SOCK_DGRAM) as datagram:
            # As the servers do that will bind it: a connection of an earlier one that is still ending is no obstacle.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                stream.bind((address, port))
                datagram.bind((address, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port is free for both UDP and TCP on {address}")
