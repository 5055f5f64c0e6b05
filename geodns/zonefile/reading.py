"""From zone sources to a whole zone: which files there are, and one zone from one or both of its forms.

Nothing here raises for what an author wrote: every problem is a value with its file and line.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geodns.errors import InvalidInput, Problem, errors_in
from geodns.model import names, rdata, zones
from geodns.model.findings import STRICT, Policy
from geodns.model.names import Name
from geodns.model.record import ZoneContents
from geodns.zonefile.master import read_master, read_master_text
from geodns.zonefile.octodns_yaml import read_yaml, read_yaml_text
from geodns.zonefile.source import DEFAULT_TTL, Progress, Sink, TooManyProblems
from geodns.zonefile.spool import Place, Spool, SpooledOwners, SpooledRrsets

YAML_SUFFIX, MASTER_SUFFIX = ".yaml", ".zone"

# Up to here a zone's rrsets are handed over as a tuple, a few hundred bytes each; beyond, they stay in the spool.
MAX_HELD = 50_000


@dataclass(frozen=True, slots=True)
class ReadZone:
    """A zone, or None when there is an error among the problems."""

    contents: ZoneContents | None
    problems: tuple[Problem, ...]


def find_zone_sources(directory: Path) -> dict[Name, list[Path]]:
    """The sources of each zone in a directory, sorted; what looks like a source and is none is told by `unusable_sources`."""
    sources: dict[Name, list[Path]] = {}
    for path in _list_sources(directory):
        if path.is_file():
            with contextlib.suppress(InvalidInput):
                sources.setdefault(zone_of(path), []).append(path)
    return sources


def unusable_sources(directory: Path) -> list[Problem]:
    """A problem for each entry that is called like a zone source and is no file, or is not named after a zone."""
    problems: list[Problem] = []
    for path in _list_sources(directory):
        if not path.is_file():
            problems.append(Problem("", "not-a-file", "this is not a file; move it elsewhere or rename it", source=str(path)))
            continue
        try:
            zone_of(path)
        except InvalidInput as error:
            problems += [replace(problem, source=str(path)) for problem in error.problems]
    return problems


def zone_of(path: Path) -> Name:
    """The zone that a source is named after. Raises InvalidInput."""
    return names.parse_zone_file_stem(path.name.removesuffix(path.suffix))


def read_zone(
    paths: Sequence[Path],
    *,
    directory: Path,
    policy: Policy = STRICT,
    nameservers: Collection[Name] | None = None,
    progress: Progress | None = None,
) -> ReadZone:
    """One zone from its YAML file, its master file, or both.

    `nameservers` are those of the setting; None leaves the question whether the apex has NS to whoever stores the zone. `progress` is
    called with the number of records now and then.
    """
    try:
        apex = zone_of(paths[0])
    except InvalidInput as error:
        return ReadZone(None, tuple(replace(problem, source=str(paths[0])) for problem in error.problems))
    sink = Sink(apex, Spool(apex), directory, policy, progress)

    def read_all() -> None:
        for path in paths:
            read = read_yaml if path.suffix == YAML_SUFFIX else read_master
            try:
                read(path, sink)
            except OSError as error:
                sink.report(Place(path, 1), "unreadable", f"the file cannot be read: {error.strerror or error}")

    return finish_zone(read_all, sink, nameservers, is_master=all(path.suffix == MASTER_SUFFIX for path in paths))


def parse_zone_text(text: str, apex: Name, form: str, policy: Policy = STRICT, *, nameservers: Collection[Name] | None = None) -> ReadZone:
    """One zone from a text in the form `yaml` or `zone`, which may include no files."""
    sink = Sink(apex, Spool(apex), None, policy)
    name = names.zone_file_stem(apex)

    def read_text() -> None:
        if form == "yaml":
            read_yaml_text(text, name + YAML_SUFFIX, sink)
        else:
            read_master_text(text, name + MASTER_SUFFIX, sink)

    return finish_zone(read_text, sink, nameservers, is_master=form == "zone")


def finish_zone(read: Callable[[], None], sink: Sink, nameservers: Collection[Name] | None, *, is_master: bool) -> ReadZone:
    """Read, then judge what shows only when everything is there; a broken source is not judged as a zone.

    `read` puts everything into the sink. `nameservers` are as in `read_zone`, `is_master` as in ZoneContents.
    """
    spool = sink.spool
    try:
        read()
    except TooManyProblems:
        return ReadZone(None, tuple(sink.problems))
    spool.close_input()
    spool.judge_meetings()
    problems = [*sink.problems, *spool.problems]
    if not errors_in(problems):
        problems += _judge_zone(sink, nameservers)
    if errors_in(problems):
        return ReadZone(None, tuple(problems))
    count = spool.count_rrsets()
    rrsets = tuple(spool.rrsets()) if count <= MAX_HELD else SpooledRrsets(spool)
    default_ttl = DEFAULT_TTL if sink.default_ttl is None else sink.default_ttl
    return ReadZone(ZoneContents(sink.apex, rrsets, sink.soa, sink.serial, default_ttl, is_master), tuple(problems))


def _judge_zone(sink: Sink, nameservers: Collection[Name] | None) -> list[Problem]:
    spool = sink.spool
    assumed = (sink.apex,) if nameservers is None else nameservers
    judged = zones.check_zone(sink.apex, SpooledOwners(spool), assumed)
    placed: list[Problem] = []
    for problem in judged:
        owner, rtype = _read_pointer(problem.pointer, sink.apex)
        place = spool.find_place(owner, rtype)
        placed.append(problem if place is None else problem.at(str(place)))
    return placed


def _read_pointer(pointer: str, apex: Name) -> tuple[Name, int]:
    """Owner and type of a problem that `zones` found."""
    _, owner, rtype = pointer.split("/")
    return names.parse_name(owner.replace("~1", "/").replace("~0", "~"), apex), rdata.rtype_from_text(rtype)


def _list_sources(directory: Path) -> list[Path]:
    """What is called like a source, whatever it is."""
    entries = os.listdir(directory)
    return sorted(directory / name for name in entries if name.endswith((YAML_SUFFIX, MASTER_SUFFIX)) and not name.startswith("."))
