"""octoDNS's YAML: what it says, what is wrong with it, and what cannot hurt."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from octodns.provider.yaml import YamlProvider
from octodns.zone import Zone

from geodns.errors import Severity
from geodns.model import names, rdata
from geodns.model.record import Rrset
from geodns.zonefile import ReadZone, parse_zone_text, read_zone, write_yaml, write_zone

APEX = names.parse_zone_name("example.com")
NS = "'': {type: NS, value: ns1.example.net.}\n"


def parse(text: str) -> ReadZone:
    return parse_zone_text(NS + text, APEX, "yaml")


def shown(read: ReadZone) -> list[str]:
    assert read.contents, [str(problem) for problem in read.problems]
    return [show(rrset) for rrset in read.contents.rrsets if rrset.owner != APEX]


def show(rrset: Rrset) -> str:
    values = rdata.to_json_values(rrset.rtype, rrset.rdatas)
    return f"{names.to_text(rrset.owner, APEX)} {rrset.ttl} {rdata.rtype_to_text(rrset.rtype)} {values}"


def errors(read: ReadZone) -> list[tuple[int, str]]:
    """Line and code, lines counted from the one behind the NS."""
    return [
        (int((problem.source or ":0").rpartition(":")[2]) - 1, problem.code)
        for problem in read.problems
        if problem.severity is Severity.ERROR
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("www: {type: A, value: 192.0.2.1}", ["www 3600 A ['192.0.2.1']"]),
        ("www: [{type: A, ttl: 5, value: 192.0.2.1}, {type: TXT, value: x}]", ["www 5 A ['192.0.2.1']", "www 3600 TXT ['x']"]),
        ("10: {type: PTR, value: h.example.net.}", ["10 3600 PTR ['h.example.net.']"]),
        ("x: &x {type: A, value: 192.0.2.1}\ny: *x", ["x 3600 A ['192.0.2.1']", "y 3600 A ['192.0.2.1']"]),
        ("x: &x {type: A, ttl: 5, value: 192.0.2.1}\ny: {<<: *x, ttl: 6}", ["x 5 A ['192.0.2.1']", "y 6 A ['192.0.2.1']"]),
        ("x: {type: TXT, value: 2024-01-01}", ["x 3600 TXT ['2024-01-01']"]),
        ("", []),
    ],
)
def test_an_entry_means_its_records(text: str, expected: list[str]) -> None:
    assert shown(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("www:\n  type: A\n  values:\n  - 192.0.2.1\n  - x\n", [(5, "bad-address")]),
        ("www:\n- type: A\n  value: 192.0.2.1\n- type: A\n  value: 192.0.2.2\n", [(4, "repeated-rrset")]),
        ("www: {type: A, value: 192.0.2.1}\nWWW: {type: A, value: 192.0.2.2}\n", [(2, "repeated-rrset")]),
        ("www: {type: A, value: 192.0.2.1}\nwww: {type: TXT, value: x}\n", [(2, "duplicate-key")]),
        ("www: {type: A, type: A, value: 192.0.2.1}\n", [(1, "duplicate-key")]),
        ("www: 5\n", [(1, "bad-record")]),
        ("www: [\n", [(2, "bad-yaml")]),
        ("www: !!python/object:os.system {}\n", [(1, "bad-tag")]),
        ("www: !include x\n", [(1, "bad-include")]),
        ("www: *nowhere\n", [(1, "bad-alias")]),
        ("www: &a [*a]\n", [(1, "bad-alias")]),
        ("www: {<<: 5}\n", [(1, "bad-merge")]),
        ("[a]: b\n", [(1, "bad-key")]),
        ("www:\n  type: A\n  ttl: x\n  value: 192.0.2.1\n  octodns: {geodns: {\n    answers: 0}}\n", [(3, "bad-ttl"), (6, "bad-answers")]),
        ("www: " + "[" * 100 + "\n", [(1, "too-deep")]),
    ],
)
def test_every_problem_has_its_line(text: str, expected: list[tuple[int, str]]) -> None:
    read = parse(text)
    assert read.contents is None
    assert errors(read) == expected


def test_a_document_that_is_no_mapping_is_refused() -> None:
    assert errors(parse_zone_text("- a\n", APEX, "yaml")) == [(0, "not-a-mapping")]
    assert errors(parse_zone_text("a: {type: A, value: 192.0.2.1}\n---\nb: 1\n", APEX, "yaml")) == [(1, "several-documents")]


def test_aliases_do_not_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    read = parse("\n".join(lines))
    assert read.contents is None
    assert read.problems[-1].code in ("too-large", "too-many-problems")


def test_a_name_that_yaml_takes_for_something_else_is_warned_of() -> None:
    read = parse("no: {type: A, value: 192.0.2.1}")
    assert [problem.code for problem in read.problems] == ["odd-owner-name"]


def test_includes_reach_below_the_directory_only(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    (tmp_path / "secret.yaml").write_text("{type: A, value: 192.0.2.1}\n")
    (zones / "parts").mkdir()
    (zones / "parts" / "www.yml").write_text("type: A\nvalue: 192.0.2.1\n")
    (zones / "parts" / "more.yml").write_text("more: {type: A, value: 192.0.2.2}\n")
    (zones / "parts" / "circle.yml").write_text("!include circle.yml\n")
    path = zones / "example.com.yaml"
    path.write_text("<<: !include parts/more.yml\n" + NS + "www: !include parts/www.yml\n")
    assert shown(read_zone([path], directory=zones)) == ["more 3600 A ['192.0.2.2']", "www 3600 A ['192.0.2.1']"]
    for written in ("../secret.yaml", "parts/circle.yml", "/etc/hostname", "none"):
        path.write_text(NS + f"www: !include {written}\n")
        assert [problem.code for problem in read_zone([path], directory=zones).problems] == ["bad-include"], written


def test_a_broken_included_record_is_told_at_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "www.yml").write_text("type: A\nvalue:\n  x\n")
    path = tmp_path / "example.com.yaml"
    path.write_text(NS + "www: !include www.yml\n")
    (problem,) = read_zone([path], directory=tmp_path).problems
    assert (problem.source, problem.pointer) == (f"{tmp_path / 'www.yml'}:3", "/www/value")


STEERED = """\
'':
  type: NS
  values: [ns1.example.net., ns2.example.net.]
host2: {type: A, value: 192.0.2.2}
host10: {type: A, ttl: 60, values: [192.0.2.10, 192.0.2.9]}
"no": {type: TXT, values: ["a\\\\;b", "x y"]}
www:
  type: A
  value: 192.0.2.1
  dynamic:
    pools: {a: {values: [{value: 192.0.2.1, weight: 1}]}}
    rules: [{pool: a}]
  octodns: {geodns: {healthcheck: off, select: sticky}}
"""


def test_what_is_written_is_read_back_and_sorted_as_octodns_sorts() -> None:
    contents = parse_zone_text(STEERED, APEX, "yaml").contents
    assert contents
    text = "".join(write_yaml(contents))
    assert parse_zone_text(text, APEX, "yaml").contents == contents
    keys = [line.rstrip(":") for line in text.splitlines() if line and line[0] not in " -"]
    assert keys == ["''", "host2", "host10", "'no'", "www"]


def test_octodns_reads_what_is_written(tmp_path: Path) -> None:
    contents = parse_zone_text(STEERED, APEX, "yaml").contents
    assert contents
    (tmp_path / "example.com.yaml").write_text("".join(write_yaml(contents)))
    records = read_with_octodns(tmp_path, "example.com.")
    assert records == {"NS ''", "A 'host2'", "A 'host10'", "TXT 'no'", "A 'www'"}


def read_with_octodns(directory: Path, zone: str) -> set[str]:
    """Type and name of every record that octoDNS loads from a directory, its order enforced."""
    logging.getLogger("Record").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = Zone(zone, [])
        YamlProvider("test", str(directory), escaped_semicolons=True).populate(loaded)
        loaded.validate()
    return {f"{record._type} {record.name!r}" for record in loaded.records}


def test_a_master_file_names_what_it_cannot_say() -> None:
    contents = parse_zone_text(STEERED, APEX, "yaml").contents
    assert contents
    lines = list(write_zone(contents, 7))
    assert any(line.startswith("; www is steered") for line in lines)
    assert "www IN A 192.0.2.1\n" in lines
