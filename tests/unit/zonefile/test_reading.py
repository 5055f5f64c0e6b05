"""Which sources there are, and one zone from both of its forms."""

from __future__ import annotations

import os
from pathlib import Path

from geodns.model import names
from geodns.zonefile import find_zone_sources, read_zone, unusable_sources

MASTER = "$TTL 60\n@ SOA ns1.example.net. host 5 3600 600 604800 60\n@ NS ns1.example.net.\nwww A 192.0.2.1\n"

ROOT_ZONE = """\
$TTL 60
. SOA a.root.example. host. 5 3600 600 604800 60
. NS a.root.example.
a.root.example. A 192.0.2.1
com NS ns.com
ns.com A 192.0.2.2
"""


def test_sources_are_found_by_their_zones(tmp_path: Path) -> None:
    for name in (
        "example.com.yaml",
        "example.com.zone",
        "@.zone",
        "0%2F25.2.0.192.in-addr.arpa.zone",
        "notes.txt",
        ".hidden.zone",
        "a..b.zone",
    ):
        (tmp_path / name).write_text("")
    (tmp_path / "sub.zone").mkdir()
    os.mkfifo(tmp_path / "pipe.zone")
    found = {names.zone_text(apex): [path.name for path in paths] for apex, paths in find_zone_sources(tmp_path).items()}
    assert found == {
        "example.com": ["example.com.yaml", "example.com.zone"],
        "@": ["@.zone"],
        "0/25.2.0.192.in-addr.arpa": ["0%2F25.2.0.192.in-addr.arpa.zone"],
    }
    assert [(problem.code, problem.source) for problem in unusable_sources(tmp_path)] == [
        ("empty-label", str(tmp_path / "a..b.zone")),
        ("not-a-file", str(tmp_path / "pipe.zone")),
        ("not-a-file", str(tmp_path / "sub.zone")),
    ]


def test_a_zone_may_have_both_forms_but_an_rrset_only_one(tmp_path: Path) -> None:
    master, yaml = tmp_path / "example.com.zone", tmp_path / "example.com.yaml"
    master.write_text(MASTER)
    yaml.write_text("api: {type: A, value: 192.0.2.2}\n")
    contents = read_zone([yaml, master], directory=tmp_path).contents
    assert contents
    assert contents.serial == 5
    assert [names.to_text(rrset.owner, contents.apex) for rrset in contents.rrsets] == ["@", "api", "www"]
    yaml.write_text("www: {type: A, value: 192.0.2.2}\n")
    read = read_zone([yaml, master], directory=tmp_path)
    assert read.contents is None
    assert [(problem.code, problem.source) for problem in read.problems] == [("rrset-in-both-sources", f"{master}:4")]


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    read = read_zone([tmp_path / "example.com.zone"], directory=tmp_path)
    assert [problem.code for problem in read.problems] == ["unreadable"]


def test_the_root_zone_has_a_file(tmp_path: Path) -> None:
    path = tmp_path / "@.zone"
    path.write_text(ROOT_ZONE)
    contents = read_zone([path], directory=tmp_path).contents
    assert contents
    assert [names.to_text(rrset.owner, contents.apex) for rrset in contents.rrsets] == ["@", "com", "ns.com", "a.root.example"]


def test_missing_name_servers_are_judged_only_when_the_setting_is_known(tmp_path: Path) -> None:
    path = tmp_path / "example.com.yaml"
    path.write_text("www: {type: A, value: 192.0.2.1}\n")
    assert read_zone([path], directory=tmp_path).contents
    assert [problem.code for problem in read_zone([path], directory=tmp_path, nameservers=()).problems] == ["missing-ns"]
