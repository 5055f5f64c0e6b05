"""The observer that doubts itself: when everything falls silent at once, the likelier fault is here.

Judged before a silent value is turned down, and only then. It never explains away an answer: refused, reset or a wrong
status prove that the path works. It holds no verdicts and takes no action; `prober` withholds votes and is loud on its
word.
"""

from __future__ import annotations

from collections import OrderedDict

from geodns.prober.outcome import Evidence

MIN_ADDRESSES = 5
"""Below five distinct addresses a common fault of theirs (one rack, one switch) is as likely as one of ours."""

MIN_SILENT_SHARE = 0.8
"""Not all: a vantage that is cut off still reaches what stands in its own network."""

MIN_SENTINELS = 2
"""One sentinel may be down itself."""

MEMORY_S = 0.05
"""A suspicion found stands for this long without being counted again: in a black-out of 10,000 endpoints a thousand
silent outcomes a second would each count two thousand addresses."""


class Suspicion:
    """Latest results by address, and by sentinel. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, tuple[float, bool]] = OrderedDict()  # address -> (when, was it silent), newest last
        self._sentinels: dict[str, bool | None] = {}  # endpoint id -> was its latest result silent; None = no result yet
        self._found: tuple[float, float, str] | None = None  # (until, window, reason)

    def set_sentinels(self, endpoint_ids: frozenset[str]) -> None:
        """Names the checks that stand for "our own way out works". Two or more replace the count of addresses."""
        self._sentinels = {endpoint_id: self._sentinels.get(endpoint_id) for endpoint_id in sorted(endpoint_ids)}

    def record_sentinel(self, endpoint_id: str, evidence: Evidence) -> None:
        """Notes a sentinel's outcome; no evidence leaves what was known."""
        if endpoint_id in self._sentinels and evidence is not Evidence.NO_EVIDENCE:
            self._sentinels[endpoint_id] = evidence is Evidence.SILENT
            self._found = None

    def record(self, address: str, evidence: Evidence, now_s: float) -> None:
        """Notes the latest result of an address. No evidence is not a result."""
        if evidence is Evidence.NO_EVIDENCE:
            return
        self._latest[address] = (now_s, evidence is Evidence.SILENT)
        self._latest.move_to_end(address)

    def forget(self, addresses: frozenset[str]) -> None:
        """Drops addresses that are no longer checked."""
        for address in addresses:
            self._latest.pop(address, None)

    def judge(self, now_s: float, window_s: float) -> str | None:
        """Why silence should not be believed now, in words, or None. `window_s` is the timeout of the check in question.

        Only results from within the window count: older ones may have been won before the path broke.
        """
        if self._found and now_s < self._found[0] and self._found[1] == window_s:
            return self._found[2]
        reason = self._judge_sentinels() if len(self._sentinels) >= MIN_SENTINELS else self._judge_addresses(now_s, window_s)
        self._found = (now_s + MEMORY_S, window_s, reason) if reason else None
        return reason

    def _judge_sentinels(self) -> str | None:
        if all(was_silent for was_silent in self._sentinels.values()):
            return f"all {len(self._sentinels)} sentinels are silent"
        return None

    def _judge_addresses(self, now_s: float, window_s: float) -> str | None:
        seen = silent = 0
        for when_s, was_silent in reversed(self._latest.values()):
            if now_s - when_s > window_s:
                break
            seen += 1
            silent += was_silent
        if seen >= MIN_ADDRESSES and silent >= MIN_SILENT_SHARE * seen:
            return f"{silent} of {seen} addresses fell silent within {window_s:g} s"
        return None
