"""A TCP relay that a test can cut: the network between a node and its database."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Relays connections on a free loopback port to `target`.

    `cut` makes it a black hole: nothing is refused and nothing passes. `mend` undoes it.
    Connections that existed when it was cut are closed by `mend`, as a peer's reset would end them after a real outage.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self) -> None:
        """From now on no byte passes in either direction."""
        self._open.clear()

    def mend(self) -> None:
        """Ends what hung and lets new connections through."""
        stale, self._pairs = self._pairs, []
        for pair in stale:
            _close(*pair)
        self._open.set()

    def close(self) -> None:
        """Ends everything."""
        self._open.set()
        _close(self._listener)
        for pair in self._pairs:
            _close(*pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.wait()
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _close(client)
            return
        server.settimeout(None)
        self._pairs.append((client, server))
        threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
        self._copy(server, client)

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                self._open.wait()
                sink.sendall(block)
        _close(source, sink)


def _close(*sockets: socket.socket) -> None:
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            sock.close()
