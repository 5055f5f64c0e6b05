"""Waiting for a claim to become true, with a deadline; nothing here sleeps in the hope that something is up."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(claim: Callable[[], object], *, within_s: float, every_s: float = 0.02, what: str = "the claim") -> float:
    """Polls `claim` until it returns something true and gives the seconds that it took; AssertionError after `within_s`.

    An error inside the claim counts as "not yet", be it a refused connection or an item that is not there to be looked into, and is shown
    when time runs out. `pytest.fail` ends the waiting at once.
    """
    start = time.monotonic()
    last: Exception | None = None
    while True:
        try:
            if claim():
                return time.monotonic() - start
            last = None
        except Exception as error:
            last = error
        if time.monotonic() - start > within_s:
            raise AssertionError(f"{what} did not hold within {within_s} s" + (f" ({last!r})" if last else "")) from last
        time.sleep(every_s)
