"""What the node says of itself: the status document with its problems, readiness, and the figures for metrics.

It only reads what others hold, and waits for nobody: `status` must answer when everything else does not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from geodns import __version__
from geodns.control.follower import Follower
from geodns.control.geo import GeoWatcher
from geodns.control.housekeeping import Housekeeper
from geodns.control.keeper import DatabaseKeeper
from geodns.control.operator import OperatorDesk
from geodns.control.publisher import Publisher
from geodns.control.recorder import HealthRecorder
from geodns.control.supervisor import Supervisor
from geodns.control.zonefiles import ZoneFiles
from geodns.prober import Evidence, Prober, Verdict
from geodns.publish.client import LinkClient
from geodns.settings import Settings

# A dataplane that is this far behind the store is a problem, and not only between two frames.
LAG_S = 3.0

# The dataplane sends its status every second. One that is stopped, or waits for a dead disk, keeps its sockets open and answers nobody;
# shorter silences happen while a loaded machine adopts a large state.
SILENT_S = 5.0

Figures = Mapping[str, int | float | Mapping[Any, int | float]]


@dataclass(slots=True)
class Report:
    """Where everything is that status, readiness and metrics are made of."""

    settings: Settings
    supervisor: Supervisor
    keeper: DatabaseKeeper
    publisher: Publisher
    prober: Prober
    recorder: HealthRecorder
    desk: OperatorDesk
    follower: Follower
    geo: GeoWatcher
    files: ZoneFiles | None
    housekeeper: Housekeeper
    started_s: float = field(default_factory=time.monotonic)

    def status(self) -> dict[str, Any]:
        """The whole document; `problems` are sentences, worst first."""
        ready, reason = self.readiness()
        return {
            "problems": self.problems(),
            "node": self.settings.node.name,
            "version": __version__,
            "uptime_s": round(time.monotonic() - self.started_s, 1),
            "ready": ready,
            "not_ready_because": None if ready else reason,
            "dataplane": self._dataplane(),
            "store": self._store(),
            "histories": self._histories(),
            "zone_files": self._zone_files(),
            "geo": [file.to_json() for file in self.geo.files],
            "health": self._health(),
        }

    def readiness(self) -> tuple[bool, str]:
        """Whether every listen address is bound and the dataplane serves a state; else why not."""
        link = self.supervisor.link
        if link is None or link.closed:
            return False, self.supervisor.problem or "the dataplane is not linked"
        if self._is_silent(link):
            return False, self._silence(link)
        if link.served is None:
            return False, "the dataplane serves no state yet" + (f": {self.keeper.problem}" if self.keeper.problem else "")
        missing = self._unbound()
        return (False, f"the dataplane does not listen on {', '.join(missing)}") if missing else (True, "")

    def problems(self) -> list[str]:
        """Sentences, worst first: what takes answers away, then what makes them stale, then what refuses changes, then the rest."""
        found = [*self._dataplane_problems(), *self._history_problems()]
        if self.keeper.problem is not None:
            found.append(f"the database cannot be used: {self.keeper.problem}")
        if self.files is not None:
            found += self.files.problems()
        found += [*self._geo_problems(), *self._health_problems()]
        return found

    def counters(self) -> Figures:
        """The dataplane's counters, as last heard."""
        counters = self._dataplane_status().get("counters", {})
        return counters if isinstance(counters, dict) else {}

    def figures(self) -> Figures:
        """What the node knows, under the sources of `geodns.telemetry.NODE_METRICS`."""
        head, served = self.publisher.head, self.publisher.served
        prober = self.prober.status()
        found: dict[str, int | float | Mapping[Any, int | float]] = {
            "connected": int(self.supervisor.connected),
            "database_up": int(self.keeper.is_open.is_set()),
            "ready": int(self.readiness()[0]),
            "frozen": int(self.desk.frozen is not None),
            "problems": len(self.problems()),
            "geo_build": {str(file.path): file.build.timestamp() for file in self.geo.files if file.build is not None},
            "probe_transitions": dict(self.recorder.transitions),
            "health_suppressed": {"self-suspicion": prober.withheld, "brake": prober.braked},
            "event_loop_lag": prober.loop_late_recently_s,
        }
        if self.supervisor.link is not None:
            found["dataplane_silence"] = self.supervisor.link.silent_s
        if served is not None:
            found["state_revision"] = served.revision
        if head is not None:
            found["store_revision"] = head.revision
        if self.housekeeper.zones is not None:
            found["zones"] = self.housekeeper.zones
        return found | self._probe_figures()

    def _probe_figures(self) -> dict[str, Mapping[Any, int | float]]:
        up: dict[tuple[str, ...], int | float] = {}
        duration: dict[tuple[str, ...], int | float] = {}
        for report in self.prober.endpoints():
            for target in report.values:
                key = (target.zone, target.owner, target.rtype, target.pool, target.value)
                up[key] = int(report.state.verdict is Verdict.UP)
                if report.state.latency_s is not None:
                    duration[key] = report.state.latency_s
        return {"probe_up": up, "probe_duration": duration}

    # ---- parts of the document ----

    def _dataplane_status(self) -> Mapping[str, Any]:
        link = self.supervisor.link
        return {} if link is None or link.status is None else link.status

    def _dataplane(self) -> dict[str, Any]:
        hello, served = self.supervisor.hello, self.publisher.served
        told = {key: value for key, value in self._dataplane_status().items() if key not in ("counters", "served")}
        return {
            "connected": self.supervisor.connected,
            "pid": None if hello is None else hello.pid,
            "ownership": None if hello is None else hello.ownership.name.lower(),
            "restarts": self.supervisor.restarts,
            "lineage": None if served is None else str(served.lineage),
            "revision": None if served is None else served.revision,
            "lag_s": round(self.publisher.lag_s, 1),
            **told,
        }

    def _store(self) -> dict[str, Any]:
        head = self.publisher.head
        return {
            "database": str(self.keeper.database.location),
            "up": self.keeper.is_open.is_set(),
            "lineage": None if head is None else str(head.lineage),
            "revision": None if head is None else head.revision,
            "zones": self.housekeeper.zones,
        }

    def _histories(self) -> dict[str, str] | None:
        foreign = self.publisher.foreign
        return None if foreign is None else {"stored": str(foreign.stored), "served": str(foreign.served)}

    def _zone_files(self) -> dict[str, Any] | None:
        if self.files is None:
            return None
        return {
            "directory": str(self.files.directory),
            "mode": self.settings.zones.mode.value,
            "mirrors": self.files.mirrors,
            "broken": [sentence for sentences in self.files.broken.values() for sentence in sentences],
            "differing": list(self.files.differing.values()),
        }

    def _health(self) -> dict[str, Any]:
        status = self.prober.status()
        return {
            "endpoints": status.endpoints,
            "down": status.down,
            "unknown": status.unknown,
            "in_flight": status.in_flight,
            "vantages": sorted(status.live_vantages),
            "suspicion": status.suspicion,
            "braked": len(status.held_back),
            "frozen": self.desk.frozen,
            "overrides": len(self.desk.in_force(datetime.now(UTC))),
            "spooled": self.recorder.spooled,
            "loop_late_s": round(status.loop_late_s, 3),
        }

    # ---- problems ----

    def _unbound(self) -> list[str]:
        """Listen addresses that the dataplane does not name as bound; nothing is missing while it has not said."""
        workers = self._dataplane_status().get("workers")
        bound = workers.get("listen") if isinstance(workers, dict) else None
        if not isinstance(bound, list):
            return []
        return [str(address) for address in self.settings.dns.listen if str(address) not in bound]

    def _is_silent(self, link: LinkClient) -> bool:
        """Whether the dataplane is silent, and not merely this process late to hear it: then the next words are read within a moment."""
        return link.silent_s > SILENT_S and self.prober.status().loop_late_recently_s < SILENT_S

    def _silence(self, link: LinkClient) -> str:
        return f"the dataplane (pid {link.hello.pid}) has said nothing for {link.silent_s:.0f} s: it is stopped or stuck"

    def _dataplane_problems(self) -> list[str]:
        found = []
        link = self.supervisor.link
        if link is not None and not link.closed and self._is_silent(link):
            found.append(self._silence(link))
        if self.supervisor.problem is not None:
            found.append(self.supervisor.problem)
        elif not self.supervisor.connected:
            found.append("the dataplane is not linked: it answers alone, if it runs")
        missing = self._unbound()
        if missing:
            found.append(f"the dataplane does not listen on {', '.join(missing)}")
        if self.publisher.problem is not None:
            found.append(self.publisher.problem)
        disk = self._dataplane_status().get("disk")
        if isinstance(disk, dict) and disk.get("last_error"):
            found.append(f"the dataplane cannot keep its state on disk: {disk['last_error']}")
        if link is not None and link.config_refusal is not None:
            found.append(f"the dataplane refuses its configuration: {link.config_refusal}")
        return found

    def _history_problems(self) -> list[str]:
        if self.publisher.foreign is not None:
            return [str(self.publisher.foreign)]
        if self.publisher.lag_s > LAG_S and self.keeper.is_open.is_set():
            return [f"the dataplane has been behind the database for {self.publisher.lag_s:.0f} s"]
        return []

    def _geo_problems(self) -> list[str]:
        """Ours first, and the dataplane's word on files that we think sound; each with what serves meanwhile."""
        told = self._dataplane_status().get("geo")
        known = {file["path"]: file for file in told if isinstance(file, dict) and "path" in file} if isinstance(told, list) else {}
        found = [
            f"the location database {file.path} is {file.state}: {file.reason}; {_meanwhile(known.get(str(file.path)))}"
            for file in self.geo.files
            if file.state != "ok"
        ]
        if not self.geo.paths and self.follower.needs_location:
            found.append("no location database is configured (geo.databases): rules with geos or asns never match")
        for file in self.geo.files:
            word = known.get(str(file.path), {})
            if file.state == "ok" and word.get("state") == "refused":
                found.append(f"the dataplane refuses the location database {file.path}: {word.get('reason')}; {_meanwhile(word)}")
        return found

    def _health_problems(self) -> list[str]:
        status = self.prober.status()
        found = []
        if status.suspicion is not None:
            found.append(f"this vantage suspects its own network and withholds silent outcomes: {status.suspicion}")
        if status.held_back:
            found.append(f"brakes keep {len(status.held_back)} failing checks in service: {status.held_back[0]}")
        found += [
            f"the sentinel {report.check.target} does not answer: {report.state.cause}"
            for report in self.prober.sentinels()
            if report.evidence is Evidence.SILENT
        ]
        if self.desk.frozen is not None:
            found.append(f"health is frozen: {self.desk.frozen}")
        if self.recorder.problem is not None:
            found.append(self.recorder.problem)
        return found


def _meanwhile(word: Mapping[str, Any] | None) -> str:
    """What serves in place of a file that cannot be used; `word` is the dataplane's on it."""
    if word is None or not word.get("in_force"):
        return "nothing is known from it, and its rules match nobody"
    build = datetime.fromtimestamp(word.get("build_epoch") or 0, UTC)
    return f"the one before, built {build:%Y-%m-%d}, stays in service"
