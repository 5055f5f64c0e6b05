"""What one attempt of a check says, in the four classes of docs/health.md ("Evidence").

A value only: who makes it (`attempt`), what follows from it (`machine`) and who doubts it (`suspicion`) stand elsewhere.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Evidence(enum.Enum):
    """How far an outcome may be believed, and in which direction.

    `ANSWERED_BADLY` proves that the path works; `SILENT` may be our own fault; `NO_EVIDENCE` certainly says nothing about the target.
    """

    OK = "ok"
    ANSWERED_BADLY = "answered badly"
    SILENT = "silent"
    NO_EVIDENCE = "no evidence"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt's result. `cause` is for people and never quotes what the target sent beyond a status.

    `latency_s` is the time of the whole attempt and only stands for answers; `address` is what was contacted, None when nothing was.
    """

    evidence: Evidence
    cause: str
    latency_s: float | None = None
    address: str | None = None
