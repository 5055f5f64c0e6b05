"""Logs and metrics: how they look, not what is worth saying.

Logs are structlog's, on standard error: lines for people on a terminal, else one JSON object a line with `ts` (RFC 3339, UTC),
`level`, `logger`, `event` and the event's own fields. What libraries log through the standard library goes the same way.

Metrics are read when they are scraped: the dataplane's counters live in the dataplane, control's state in the node; here
they only get Prometheus names. No label is ever taken from a query or a client, and label values that could grow without bound are folded
into `_other`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from geodns import __version__
from geodns.settings import LogFormat, LogLevel

MAX_SERIES = 20_000
"""Series of one metric in one scrape. Twice the 10,000 checked values that an installation is built for; more would be a leak of labels."""

OTHER = "_other"


def configure_logs(level: LogLevel, style: LogFormat) -> None:
    """Sets up structlog and the standard library's logging; called once, by the command line."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    renderers: list[structlog.types.Processor]
    if style is LogFormat.JSON:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    else:
        # Plain: the pretty tracebacks show local variables, and with them tokens and passwords.
        plain = structlog.dev.plain_traceback
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts", exception_formatter=plain)]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.value.upper())
    # Their information is our noise: a migration step, a slow callback, every statement.
    for name in ("asyncio", "aiohttp", "aiosqlite", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


@dataclass(frozen=True, slots=True)
class KnownMetric:
    """One metric. `source` is its key in what the node hands over; `labels` name the parts of a series' key, in order."""

    name: str
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily]
    source: str
    labels: tuple[str, ...]
    help: str


# Counters of the dataplane; totals since its start. The source is the name in its STATUS (docs/link-protocol.md section 5).
DATAPLANE_METRICS: tuple[KnownMetric, ...] = (
    KnownMetric("geodns_dns_queries", CounterMetricFamily, "queries", ("transport",), "Queries received, by transport and address family."),
    KnownMetric("geodns_dns_queries_by_type", CounterMetricFamily, "queries_by_type", ("type",), "Queries received, by type asked."),
    KnownMetric("geodns_dns_responses", CounterMetricFamily, "responses", ("rcode",), "Responses sent, by rcode."),
    KnownMetric("geodns_dns_truncated", CounterMetricFamily, "truncated", (), "Responses sent with TC set."),
    KnownMetric("geodns_dns_edns", CounterMetricFamily, "edns", (), "Queries with EDNS."),
    KnownMetric("geodns_dns_client_subnets", CounterMetricFamily, "client_subnets", (), "Queries with a client subnet that was believed."),
    KnownMetric("geodns_dns_cookies", CounterMetricFamily, "cookies", ("state",), "Queries with a cookie, by what it proved."),
    KnownMetric("geodns_dns_dropped", CounterMetricFamily, "dropped", ("reason",), "Messages that got no response, by reason."),
    KnownMetric(
        "geodns_dns_rate_limited",
        CounterMetricFamily,
        "rate_limited",
        ("action",),
        "Responses over the rate limit that were sent: truncated (`slipped`), or whole in a dry run (`would_…`).",
    ),
    KnownMetric("geodns_routing_decisions", CounterMetricFamily, "steered", ("outcome",), "Steered answers, by how they came about."),
    KnownMetric("geodns_dns_unsent", CounterMetricFamily, "unsent", (), "Responses that the kernel did not take."),
    KnownMetric("geodns_dns_receive_errors", CounterMetricFamily, "receive_errors", (), "Errors of receiving sockets."),
    KnownMetric("geodns_tcp_connections", CounterMetricFamily, "tcp_connections", ("event",), "TCP connections, by what became of them."),
    KnownMetric("geodns_tcp_open", GaugeMetricFamily, "tcp_open", (), "TCP connections that are open."),
    KnownMetric("geodns_worker_panics", CounterMetricFamily, "panics", (), "Panics that a worker survived; each is a bug."),
    KnownMetric("geodns_state_rejected", CounterMetricFamily, "refused", ("reason",), "Transfers that the dataplane refused, by reason."),
)

# What the node knows; a missing source leaves the metric out of the scrape.
NODE_METRICS: tuple[KnownMetric, ...] = (
    KnownMetric("geodns_control_connected", GaugeMetricFamily, "connected", (), "1 while control is linked to the dataplane."),
    KnownMetric(
        "geodns_dataplane_silence_seconds",
        GaugeMetricFamily,
        "dataplane_silence",
        (),
        "For how long the dataplane has said nothing; it does every second.",
    ),
    KnownMetric("geodns_database_up", GaugeMetricFamily, "database_up", (), "1 while the database can be reached."),
    KnownMetric("geodns_ready", GaugeMetricFamily, "ready", (), "1 while /readyz is 200."),
    KnownMetric("geodns_state_revision", GaugeMetricFamily, "state_revision", (), "Revision that the dataplane serves."),
    KnownMetric("geodns_store_revision", GaugeMetricFamily, "store_revision", (), "Newest revision that this node has seen in the store."),
    KnownMetric("geodns_zones", GaugeMetricFamily, "zones", (), "Zones in the store."),
    KnownMetric("geodns_health_frozen", GaugeMetricFamily, "frozen", (), "1 while the freeze stops all health changes."),
    KnownMetric(
        "geodns_geo_database_build_timestamp_seconds",
        GaugeMetricFamily,
        "geo_build",
        ("path",),
        "When a location database was built, unix time.",
    ),
    KnownMetric(
        "geodns_event_loop_lag_seconds",
        GaugeMetricFamily,
        "event_loop_lag",
        (),
        "For how long control's event loop did nothing else, at worst within the last minute.",
    ),
    KnownMetric("geodns_problems", GaugeMetricFamily, "problems", (), "Problems that `geodns status` names."),
    KnownMetric(
        "geodns_probe_up",
        GaugeMetricFamily,
        "probe_up",
        ("zone", "record", "type", "pool", "value"),
        "1 while the verdict on a checked value is up.",
    ),
    KnownMetric(
        "geodns_probe_duration_seconds",
        GaugeMetricFamily,
        "probe_duration",
        ("zone", "record", "type", "pool", "value"),
        "Smoothed duration of a value's checks.",
    ),
    KnownMetric(
        "geodns_probe_transitions",
        CounterMetricFamily,
        "probe_transitions",
        ("verdict",),
        "Transitions of verdicts on this node, by new verdict.",
    ),
    KnownMetric(
        "geodns_health_suppressed", CounterMetricFamily, "health_suppressed", ("reason",), "Transitions withheld on this node, by reason."
    ),
)

BUILD_INFO = KnownMetric("geodns_build_info", GaugeMetricFamily, "build", ("version",), "1, with the program's version.")
OTHER_COUNTERS = KnownMetric(
    "geodns_dataplane_other",
    CounterMetricFamily,
    "",
    ("counter", "label"),
    "Counters of a dataplane newer than this control, by their own names.",
)

KNOWN_METRICS: tuple[KnownMetric, ...] = (*DATAPLANE_METRICS, *NODE_METRICS, BUILD_INFO, OTHER_COUNTERS)

Measured = Mapping[str, int | float | Mapping[Any, int | float]]
"""Source → total, or source → {label, or a tuple of labels: total}."""


@dataclass(frozen=True, eq=False)  # the registry keeps collectors by identity
class Snapshot(Collector):
    """Figures taken at one moment; an unreachable part is an absent source. Printing it touches nothing that the event loop changes."""

    dataplane: Measured
    node: Measured

    def collect(self) -> Iterator[Metric]:
        yield make_family(BUILD_INFO, {__version__: 1})
        yield from _collect_known(DATAPLANE_METRICS, self.dataplane)
        yield from _collect_known(NODE_METRICS, self.node)
        known = {metric.source for metric in DATAPLANE_METRICS}
        rest = {name: value for name, value in self.dataplane.items() if name not in known}
        if rest:
            yield make_family(OTHER_COUNTERS, _flatten(rest))

    def describe(self) -> Sequence[Metric]:
        """Nothing: registration must not scrape."""
        return ()


def print_metrics(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Our metrics and the process's own, in the format that the scraper accepts, with its media type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(snapshot)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def _collect_known(metrics: Sequence[KnownMetric], measured: Measured) -> Iterator[Metric]:
    for metric in metrics:
        if metric.source in measured:
            yield make_family(metric, measured[metric.source])


def make_family(metric: KnownMetric, measured: int | float | Mapping[Any, int | float]) -> Metric:
    """One metric with its series; past MAX_SERIES the rest is summed up under `_other`."""
    family = metric.kind(metric.name, metric.help, labels=metric.labels)
    if not isinstance(measured, Mapping):
        # A bare total where labels are known: a dataplane that does not tell them apart.
        family.add_metric([OTHER] * len(metric.labels), measured)
        return family
    rest = 0.0
    for number, (key, value) in enumerate(measured.items()):
        if number < MAX_SERIES:
            family.add_metric(_fit(key, len(metric.labels)), value)
        else:
            rest += value
    if len(measured) > MAX_SERIES:
        family.add_metric([OTHER] * len(metric.labels), rest)
    return family


def _fit(key: str | tuple[str, ...], count: int) -> list[str]:
    parts = [key] if isinstance(key, str) else list(key)
    return (parts + [""] * count)[:count]


def _flatten(counters: Measured) -> dict[tuple[str, str], int | float]:
    flat: dict[tuple[str, str], int | float] = {}
    for name, value in counters.items():
        if isinstance(value, Mapping):
            flat.update({(name, key if isinstance(key, str) else ",".join(key)): total for key, total in value.items()})
        else:
            flat[name, ""] = value
    return flat
