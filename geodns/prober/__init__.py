"""Health: what is checked, when, with which outcome, and the verdict that follows. Knows no database and no link."""

from geodns.prober.brake import Brake
from geodns.prober.machine import Verdict
from geodns.prober.outcome import Evidence
from geodns.prober.policy import AddressPolicy
from geodns.prober.prober import Collaborators, EndpointReport, Prober, ProberStatus
from geodns.prober.recorder import CheckState, NoRecorder, Recorder, Transition
from geodns.prober.target import HealthEntry, Target
from geodns.prober.votes import Tally, Vote

__all__ = [
    "AddressPolicy",
    "Brake",
    "CheckState",
    "Collaborators",
    "EndpointReport",
    "Evidence",
    "HealthEntry",
    "NoRecorder",
    "Prober",
    "ProberStatus",
    "Recorder",
    "Tally",
    "Target",
    "Transition",
    "Verdict",
    "Vote",
]
