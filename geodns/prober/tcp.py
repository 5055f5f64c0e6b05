"""The TCP check: connect; optionally send, and expect something in what comes back."""

from __future__ import annotations

from geodns.model.check import Check
from geodns.prober.expectation import BodyMatch
from geodns.prober.fault import AnsweredBadly
from geodns.prober.stream import Progress, TcpStream

MAX_ANSWER_BYTES = 5 * 1024
"""As for HTTP bodies: what is not found in the first 5 KiB is not there."""


class TcpProbe:
    """Made once for a check, used for all its attempts."""

    def __init__(self, check: Check) -> None:
        """Raises ValueError for a check that cannot be carried out."""
        if check.port is None:
            raise ValueError("a TCP check needs a port")
        self._port = check.port
        self._send = check.expect.send.encode() if check.expect.send else b""
        self._match = BodyMatch(check.expect.body) if check.expect.body is not None else None

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`."""
        stream = await TcpStream.open(address, self._port)
        is_answer_wanted = self._match is not None
        try:
            if self._send:
                await stream.send(self._send)
            if self._match is None:
                return "connected"
            return await self._read(stream, self._match, progress)
        finally:
            stream.close(gracefully=bool(self._send) and not is_answer_wanted)

    async def _read(self, stream: TcpStream, match: BodyMatch, progress: Progress) -> str:
        progress.waiting_for = "an answer"
        answer = b""
        while len(answer) < MAX_ANSWER_BYTES:
            data = await stream.receive()
            if not data:
                break
            progress.waiting_for = "the wanted text in the answer"
            answer = (answer + data)[:MAX_ANSWER_BYTES]
            if match.holds(answer):
                return "answer as wanted"
        raise AnsweredBadly("answer without the wanted text" if answer else "closed without an answer")
