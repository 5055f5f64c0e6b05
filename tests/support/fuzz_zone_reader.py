"""Coverage-guided fuzzing of the zone-file reader with atheris: `python -m tests.support.fuzz_zone_reader`, then libFuzzer's arguments.

The first byte picks the form (even: master file, odd: YAML), the rest is the text. No text makes the reader raise, and a zone that was
read without an error is, written in either form, read back as the same zone.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["geodns.zonefile", "geodns.model"]):
    from geodns.errors import Severity
    from geodns.model import names
    from geodns.model.record import ZoneContents
    from geodns.zonefile import parse_zone_text, write_yaml, write_zone

APEX = names.parse_zone_name("example.com")
SERIAL = 1


def check(data: bytes) -> None:
    """One input."""
    # As the readers open files: a master file may hold any bytes, YAML is UTF-8.
    form, faults = ("yaml", "replace") if data[:1] and data[0] & 1 else ("zone", "surrogateescape")
    read = parse_zone_text(data[1:].decode("utf-8", faults), APEX, form)
    errors = [problem for problem in read.problems if problem.severity is Severity.ERROR]
    assert (read.contents is None) == bool(errors), read.problems
    assert all(problem.code and problem.message for problem in read.problems)
    if read.contents is not None:
        check_round_trip(read.contents)


def check_round_trip(contents: ZoneContents) -> None:
    """YAML carries everything; a master file everything but steering."""
    yaml = parse_zone_text("".join(write_yaml(contents)), APEX, "yaml")
    assert yaml.contents is not None, yaml.problems
    assert tuple(yaml.contents.rrsets) == tuple(contents.rrsets)
    if any(rrset.steering is not None for rrset in contents.rrsets):
        return
    master = parse_zone_text("".join(write_zone(contents, SERIAL)), APEX, "zone")
    assert master.contents is not None, master.problems
    assert tuple(master.contents.rrsets) == tuple(contents.rrsets)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
