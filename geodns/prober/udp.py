"""The UDP check: send something, and expect a reply. A service that never replies cannot be told from a black hole, and
so counts as silent."""

from __future__ import annotations

from geodns.model.check import Check
from geodns.prober.datagram import Datagrams
from geodns.prober.expectation import BodyMatch
from geodns.prober.fault import AnsweredBadly
from geodns.prober.stream import Progress


class UdpProbe:
    """Made once for a check, used for all its attempts."""

    def __init__(self, check: Check) -> None:
        """Raises ValueError for a check that cannot be carried out."""
        if check.port is None:
            raise ValueError("a UDP check needs a port")
        self._port = check.port
        self._send = (check.expect.send or "").encode()
        self._match = BodyMatch(check.expect.body) if check.expect.body is not None else None

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`. Without `send` an empty datagram goes out; without `body` any reply will do."""
        progress.waiting_for = "a reply"
        datagrams = Datagrams.open(address, self._port)
        try:
            datagrams.send(self._send)
            reply = await datagrams.receive()
        finally:
            datagrams.close()
        if self._match and not self._match.holds(reply):
            raise AnsweredBadly("reply without the wanted text")
        return "reply as wanted" if self._match else "replied"
