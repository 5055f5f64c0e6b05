"""The sample zones, and every record in the documentation: sound here, and sound for octodns 1.22."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from octodns.record import Record
from octodns.zone import Zone

from geodns.errors import Severity, errors_in
from geodns.model.findings import Policy
from geodns.model.names import parse_zone_name, zone_text
from geodns.model.records import parse_record
from geodns.zonefile import find_zone_sources, read_zone
from tests.unit.zonefile.test_octodns_yaml import read_with_octodns

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "zones"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)

# The samples check loopback addresses, which `make run` allows; so may a document that shows them.
POLICY = Policy(allow_loopback=True)


def test_samples_have_neither_errors_nor_warnings() -> None:
    for apex, paths in find_zone_sources(SAMPLES).items():
        read = read_zone(paths, directory=SAMPLES, policy=POLICY, nameservers=())
        assert [str(problem) for problem in read.problems] == [], zone_text(apex)


def test_octodns_reads_the_sample_as_it_stands() -> None:
    assert "A 'www'" in read_with_octodns(SAMPLES, "example.com.")


def test_the_samples_show_what_the_product_does() -> None:
    apex = parse_zone_name("example.com")
    contents = read_zone(find_zone_sources(SAMPLES)[apex], directory=SAMPLES, policy=POLICY).contents
    assert contents
    steered = {rrset.owner.labels[0]: rrset.steering for rrset in contents.rrsets if rrset.steering}
    assert set(steered) == {b"www", b"app", b"cdn", b"play"}
    checks = [value.check for steering in steered.values() for pool in steering.pools for value in pool.values]
    assert {(check.target, check.port, check.path) for check in checks if check} == {
        (f"127.0.0.{last}", 8081, "/healthz") for last in (11, 12, 13)
    }


def documented_records(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Owner name and record of each record in the YAML blocks of a document: whole zones or single records."""
    for block in FENCE.findall(text):
        document = yaml.safe_load(block)
        if not isinstance(document, dict):
            continue
        if isinstance(document.get("type"), str):
            yield "www", document
            continue
        for name, records in document.items():
            for record in records if isinstance(records, list) else [records]:
                if isinstance(record, dict) and isinstance(record.get("type"), str):
                    yield str(name), record


def check_record(name: str, data: dict[str, Any]) -> None:
    """Both verdicts on one documented record."""
    parsed = parse_record(parse_zone_name("example.com"), name, copy.deepcopy(data), policy=POLICY)
    assert not errors_in(parsed.problems), [str(problem) for problem in parsed.problems]
    assert not [problem for problem in parsed.problems if problem.severity is Severity.WARNING and problem.code == "unknown-key"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Record.new(Zone("example.com.", []), name, {"ttl": 3600} | copy.deepcopy(data))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_documented_record_is_sound_for_both(path: Path) -> None:
    for name, data in documented_records(path.read_text(encoding="utf-8")):
        check_record(name, data)


def test_records_are_found_in_fenced_blocks() -> None:
    text = "x\n```yaml\nwww: {type: A, value: 192.0.2.1}\n```\n```yaml\ntype: TXT\nvalue: x\n```\n```yaml\n- no record\n```\n"
    assert [(name, data["type"]) for name, data in documented_records(text)] == [("www", "A"), ("www", "TXT")]
