"""Logs and metrics: their form, and that no label grows without bound."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from geodns.settings import LogFormat, LogLevel
from geodns.telemetry import KNOWN_METRICS, MAX_SERIES, Measured, Snapshot, configure_logs, print_metrics

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def scrape(dataplane: Measured, node: Measured) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    body, media_type = print_metrics(Snapshot(dataplane, node), "")
    assert media_type.startswith("text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def test_json_lines_have_time_level_logger_event_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(LogLevel.INFO, LogFormat.JSON)
    structlog.get_logger("geodns.test").warning("something happened", zone="example.com", revision=7)
    structlog.get_logger("geodns.test").debug("unseen")
    logging.getLogger("library").warning("from %s", "elsewhere")
    logging.getLogger("sqlalchemy.engine").info("unseen")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["ts"].endswith("Z")
    assert {key: first[key] for key in ("level", "logger", "event", "zone", "revision")} == {
        "level": "warning",
        "logger": "geodns.test",
        "event": "something happened",
        "zone": "example.com",
        "revision": 7,
    }
    assert (second["logger"], second["event"]) == ("library", "from elsewhere")


def test_text_lines_are_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(LogLevel.WARNING, LogFormat.TEXT)
    structlog.get_logger("geodns.test").warning("something happened", zone="example.com")
    structlog.get_logger("geodns.test").info("unseen")
    (line,) = stream.getvalue().splitlines()
    assert "something happened" in line
    assert "zone=example.com" in line


def test_counters_of_the_dataplane_become_prometheus_counters() -> None:
    samples = scrape({"queries": {"udp4": 5, "tcp6": 1}, "truncated": 2}, {"connected": 1, "state_revision": 17})
    assert samples["geodns_dns_queries_total", (("transport", "udp4"),)] == 5
    assert samples["geodns_dns_queries_total", (("transport", "tcp6"),)] == 1
    assert samples["geodns_dns_truncated_total", ()] == 2
    assert samples["geodns_control_connected", ()] == 1
    assert samples["geodns_state_revision", ()] == 17
    assert any(name == "geodns_build_info" for name, _ in samples)
    assert any(name == "process_resident_memory_bytes" for name, _ in samples)


def test_counters_of_a_newer_dataplane_keep_their_names() -> None:
    samples = scrape({"novel": {"a": 1}, "plain": 3}, {})
    assert samples["geodns_dataplane_other_total", (("counter", "novel"), ("label", "a"))] == 1
    assert samples["geodns_dataplane_other_total", (("counter", "plain"), ("label", ""))] == 3


def test_what_is_unreachable_is_absent_and_not_zero() -> None:
    assert not any(name.startswith("geodns_dns") for name, _ in scrape({}, {}))


def test_series_are_bounded_and_the_rest_is_summed_up() -> None:
    probes = {("example.com", f"n{number}", "A", "one", "192.0.2.1"): 1 for number in range(MAX_SERIES + 10)}
    samples = {key: value for key, value in scrape({}, {"probe_up": probes}).items() if key[0] == "geodns_probe_up"}
    assert len(samples) == MAX_SERIES + 1
    assert [value for (_, labels), value in samples.items() if ("zone", "_other") in labels] == [10]


def test_every_metric_is_documented() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for metric in KNOWN_METRICS:
        name = metric.name + ("_total" if metric.kind.__name__.startswith("Counter") else "")
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{name}` | {labels} | {metric.help} |" in page
