"""Zones in octoDNS's YAML form: one mapping of owner name to a record or a list of records.

Reading goes entry by entry into a spool; a problem's pointer begins at the zone's mapping and its source is the line that it is about.
Writing sorts as octoDNS does: names and keys in natural order, `value` for one value and `values` for more, no ttl where it is the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import yaml

from geodns.errors import Problem, Severity
from geodns.model.findings import quote, token
from geodns.model.names import Name
from geodns.model.record import Rrset, ZoneContents
from geodns.model.records import parse_record, record_to_json
from geodns.zonefile.source import DEFAULT_TTL, BadInclude, Sink
from geodns.zonefile.spool import Place
from geodns.zonefile.yamltree import BadYaml, Node, read_entries

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDTH = 120  # columns after which long texts are folded; reading joins them again
_NUMBER = re.compile(r"(\d+)")


def read_yaml(path: Path, sink: Sink) -> None:
    """Read a YAML zone file and what it includes. Raises OSError when the file itself cannot be read."""
    with path.open(encoding="utf-8-sig") as file:
        _read(file, path, sink)


def read_yaml_text(text: str, name: str, sink: Sink) -> None:
    """Read a YAML zone that came as a text; `name` stands for the file in problems."""
    _read(text, Path(name), sink)


def write_yaml(contents: ZoneContents) -> Iterator[str]:
    """The zone as octoDNS's YAML, an owner name at a time. The SOA has no place in this form."""
    yield "---\n"
    rrsets = sorted(contents.rrsets, key=lambda rrset: (rrset.owner.labels, rrset.rtype))
    shown: dict[str, list[Rrset]] = {}
    for rrset in rrsets:
        shown.setdefault(_owner_text(rrset, contents.apex), []).append(rrset)
    for name in sorted(shown, key=natural_key):
        records = [_shown(rrset, contents.apex) for rrset in shown[name]]
        records.sort(key=lambda record: str(record["type"]))
        entry = {name: records[0] if len(records) == 1 else records}
        yield yaml.dump(entry, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=_WIDTH, sort_keys=False)
    if not shown:
        yield "{}\n"


def natural_key(text: str) -> list[str | int]:
    """Sorts digits by their number, so that www2 comes before www10; texts and numbers alternate, so any two keys compare."""
    return [int(part) if index % 2 else part for index, part in enumerate(_NUMBER.split(text))]


def _read(stream: TextIO | str, path: Path, sink: Sink) -> None:
    def open_include(written: str, place: Place, depth: int) -> tuple[Path, TextIO]:
        try:
            found = sink.find_include(written, place.file, depth)
            return found, found.open(encoding="utf-8-sig")
        except (BadInclude, OSError) as error:
            raise BadYaml("bad-include", f"!include: {error}", place) from None

    try:
        for key, node in read_entries(stream, path, open_include):
            _read_entry(key, node, sink)
    except BadYaml as error:
        sink.report(error.place, error.code, str(error))
    except UnicodeDecodeError as error:
        sink.report(Place(path, 1), "not-utf-8", f"the file is not UTF-8 (byte {error.start}); save it as that")


def _read_entry(key: Any, node: Node, sink: Sink) -> None:
    name = "" if key is None else str(key)
    if isinstance(key, bool | float):
        message = f"YAML reads this owner name as {key}; put it in quotes if it was meant as it is written"
        sink.report(node.place, "odd-owner-name", message, Severity.WARNING)
    if not isinstance(node.value, list):
        _read_record(name, node, f"/{token(name)}", sink)
        return
    for index, record in enumerate(node.value):
        _read_record(name, record, f"/{token(name)}/{index}", sink)


def _read_record(name: str, node: Node, pointer: str, sink: Sink) -> None:
    data = node.plain()
    if isinstance(data, Mapping):
        parsed = parse_record(sink.apex, name, data, default_ttl=DEFAULT_TTL, policy=sink.policy)
        for problem in parsed.problems:
            sink.add_problem(problem.below(pointer).at(str(node.find(problem.pointer).place)))
        if parsed.rrset is not None:
            sink.spool.add_rrset(parsed.rrset, node.place)
    else:
        message = f"{quote(data)} is not a record; write a mapping with type and value"
        sink.add_problem(Problem(pointer, "bad-record", message, source=str(node.place)))
    sink.count_record()


def _owner_text(rrset: Rrset, apex: Name) -> str:
    name = str(record_to_json(rrset, apex)["name"])
    return "" if name == "@" else name


def _shown(rrset: Rrset, apex: Name) -> dict[str, Any]:
    record = record_to_json(rrset, apex)
    del record["name"]
    if record["ttl"] == DEFAULT_TTL:
        del record["ttl"]
    values = record.get("values")
    if values is not None and len(values) == 1:
        record["value"] = record.pop("values")[0]
    shown: dict[str, Any] = _sorted_naturally(record)
    return shown


def _sorted_naturally(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted_naturally(value[key]) for key in sorted(value, key=natural_key)}
    return [_sorted_naturally(item) for item in value] if isinstance(value, list | tuple) else value
