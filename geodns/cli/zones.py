"""`geodns check`, `apply` and `export`: zones as files.

Files are read here, with the very code that `serve` reads them with, so that includes work and problems name file and line; `apply`
sends what was read as JSON lines (`POST /zones/{zone}/import`), and the server judges it again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from geodns.api.models import Format
from geodns.api.problems import show_problems
from geodns.cli.client import Client, Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.exits import Exit
from geodns.cli.exits import show_problems as show_problems_of
from geodns.cli.output import say, say_json
from geodns.errors import InvalidInput, Problem
from geodns.model import names
from geodns.model.findings import Policy, UnknownKeys
from geodns.model.record import ZoneContents
from geodns.model.records import record_to_json
from geodns.settings import Settings
from geodns.zonefile import find_zone_sources, read_zone, unusable_sources

LINES_AT_ONCE = 500
"""Records sent in one chunk: some tens of kilobytes."""

PathsArgument = Annotated[
    list[Path],
    typer.Argument(help="Zone sources (`<zone>.yaml`, `<zone>.zone`), or directories of them.", metavar="PATH…", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Adds the three verbs."""
    app.command("check", epilog="Examples:\n\n`geodns check zones`\n\n`geodns check zones/example.com.yaml --json`")(check)
    app.command(
        "apply", epilog="Examples:\n\n`geodns apply zones --dry-run`\n\n`geodns apply zones/example.com.yaml zones/example.com.zone`"
    )(apply)
    app.command(
        "export", epilog="Examples:\n\n`geodns export example.com > example.com.yaml`\n\n`geodns export example.com --format zone`"
    )(export)


@dataclass(frozen=True, slots=True)
class Source:
    """One zone and the files that make it up; `directory` is the only place that they may include from."""

    apex: names.Name
    paths: tuple[Path, ...]
    directory: Path


@dataclass(frozen=True, slots=True)
class Judged:
    """A source as it was read; `contents` None when something in it is wrong."""

    source: Source
    contents: ZoneContents | None
    problems: tuple[Problem, ...]

    @property
    def zone(self) -> str:
        return names.zone_text(self.source.apex)

    def to_json(self) -> dict[str, Any]:
        files = [str(path) for path in self.source.paths]
        rrsets = None if self.contents is None else len(self.contents.rrsets)
        return {
            "zone": self.zone,
            "files": files,
            "ok": self.contents is not None,
            "rrsets": rrsets,
            "problems": show_problems(self.problems),
        }


def check(
    paths: PathsArgument,
    allow_unknown_keys: Annotated[
        bool, typer.Option("--allow-unknown-keys", help="Unknown keys inside `dynamic` are warnings, as in octoDNS, not errors.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Judge zone sources and change nothing: every problem with file and line. Exit code 1 when there is an error."""
    settings = Settings.load(file=config)
    policy = Policy(
        unknown_keys=UnknownKeys.WARNING if allow_unknown_keys else UnknownKeys.ERROR, allow_loopback=settings.prober.allow_loopback
    )
    nameservers = [names.parse_name(name, None) for name in settings.zones.nameservers]
    found = find_sources(paths)
    judged = read_all(found.sources, policy, nameservers)
    if as_json:
        say_json({"zones": [zone.to_json() for zone in judged], "problems": show_problems(found.problems)})
    else:
        show_problems_of(found.problems)
        for zone in judged:
            show_problems_of(zone.problems)
            rrsets = "" if zone.contents is None else f", {len(zone.contents.rrsets)} rrsets"
            say(f"{escape(zone.zone)}: {'[red]refused[/]' if zone.contents is None else '[green]ok[/]'}{rrsets}")
    if found.problems or any(zone.contents is None for zone in judged):
        raise typer.Exit(Exit.REFUSED)


def apply(
    paths: PathsArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Release the brakes: remove more than 30 % of a zone's rrsets; let a master file end the steering of records."
        ),
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Make the store's zones equal to their sources. Nothing is sent while any source has an error."""
    # Whether loopback may be checked, and which name servers a zone without them gets, is the server's to say.
    found = find_sources(paths)
    if found.problems:
        raise InvalidInput(found.problems, str(found.problems[0]) if len(found.problems) == 1 else None)
    judged = read_all(found.sources, Policy(allow_loopback=True), None)
    if any(zone.contents is None for zone in judged):
        problems = [problem for zone in judged for problem in zone.problems]
        raise InvalidInput(problems, hint="nothing was sent; mend them and apply again")
    for zone in judged:
        show_problems_of(zone.problems)
    results = call(Target(url, token), config, lambda client: _send_all(client, judged, dry_run=dry_run, force=force))
    if as_json:
        say_json({"zones": results})
        return
    for result in results:
        say(_describe_result(result, dry_run=dry_run))


def export(
    zone: Annotated[str, typer.Argument(help="The zone's name.", metavar="ZONE")],
    form: Annotated[Format, typer.Option("--format", help="octoDNS `yaml`, or a `zone` (master) file.")] = Format.YAML,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Print a zone in octoDNS's YAML or in master-file form."""
    answer = call(
        Target(url, token), config, lambda client: client.request("GET", "zones", _path_name(zone), "export", query={"format": form.value})
    )
    sys.stdout.write(answer.body.decode())


@dataclass(frozen=True, slots=True)
class Found:
    """The zones among the paths of a command line, and a problem for each thing there that is no source."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]


def find_sources(paths: Sequence[Path]) -> Found:
    """Every zone among files and directories.

    Both files of a zone belong together: named alone, one of them would mean to delete what the other holds.
    """
    found: dict[names.Name, Source] = {}
    problems: list[Problem] = []
    for path in paths:
        directory = path if path.is_dir() else path.parent
        sources, unusable = (find_zone_sources(directory), unusable_sources(directory)) if directory.is_dir() else ({}, [])
        if not path.is_dir():
            sources = {apex: files for apex, files in sources.items() if any(_is_same(file, path) for file in files)}
            unusable = [problem for problem in unusable if problem.source == str(path)]
        problems += unusable if sources or unusable else [_why_no_source(path)]
        found.update((apex, Source(apex, tuple(files), directory)) for apex, files in sources.items())
    return Found(tuple(found.values()), tuple(problems))


def _why_no_source(path: Path) -> Problem:
    if not path.exists():
        return Problem("", "no-file", f"{path} does not exist")
    if path.is_dir():
        return Problem("", "no-source", f"{path} holds no zone; sources are called <zone>.yaml or <zone>.zone")
    return Problem("", "no-source", f"{path} is not called <zone>.yaml or <zone>.zone")


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def read_all(sources: Sequence[Source], policy: Policy, nameservers: Sequence[names.Name] | None) -> list[Judged]:
    """Reads every source, with a bar that grows with the records on a terminal."""
    judged = []
    with _progress() as watch:
        for source in sources:
            progress = watch(names.zone_text(source.apex))
            read = read_zone(source.paths, directory=source.directory, policy=policy, nameservers=nameservers, progress=progress)
            judged.append(Judged(source, read.contents, tuple(read.problems)))
    return judged


@contextmanager
def _progress() -> Iterator[Callable[[str], Callable[[int], None]]]:
    """Gives, for each zone, a callback for the number of records read. Nothing is drawn where nobody looks, or for what is quick."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} records"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def watch(zone: str) -> Callable[[int], None]:
            task = progress.add_task(zone, total=None)
            return lambda count: progress.update(task, completed=count)

        yield watch


async def _send_all(client: Client, judged: Sequence[Judged], *, dry_run: bool, force: bool) -> list[dict[str, Any]]:
    """One import a zone, in order; the first that is refused ends it, and what was sent before stays."""
    results = []
    query = {"dry_run": str(dry_run).lower(), "force": str(force).lower()}
    with _progress() as watch:
        for zone in judged:
            if zone.contents is None:
                continue
            # The server judges and stores the whole once it is there, which takes as long again.
            lines = Lines(zone.contents, watch(f"sending {zone.zone}"), partial(watch, f"storing {zone.zone}"))
            answer = await client.request(
                "POST", "zones", _path_name(zone.zone), "import", query=query, raw=("application/jsonl", lines.chunks)
            )
            results.append({"zone": zone.zone, **answer.json()})
    return results


@dataclass(frozen=True, slots=True)
class Lines:
    """A zone as the JSON lines of an import, made while they are sent."""

    contents: ZoneContents
    report: Callable[[int], None]
    all_sent: Callable[[], object]

    async def chunks(self) -> AsyncIterator[bytes]:
        """A few hundred lines at a time."""
        held = [self._head()]
        for number, rrset in enumerate(self.contents.rrsets, start=1):
            held.append(json.dumps(record_to_json(rrset, self.contents.apex), ensure_ascii=False).encode())
            if len(held) >= LINES_AT_ONCE:
                yield b"\n".join(held) + b"\n"
                held = []
                self.report(number)
        yield b"\n".join(held) + b"\n"
        self.all_sent()

    def _head(self) -> bytes:
        contents, soa = self.contents, self.contents.soa
        head: dict[str, Any] = {"default_ttl": contents.default_ttl, "serial": contents.serial, "master": contents.is_master, "soa": None}
        if soa is not None:
            names_of_soa = {"mname": soa.mname.to_text(), "rname": soa.rname.to_text()}
            numbers = {"refresh": soa.refresh, "retry": soa.retry, "expire": soa.expire, "minimum": soa.minimum, "ttl": soa.ttl}
            head["soa"] = {**names_of_soa, **numbers}
        return json.dumps(head).encode()


def _path_name(zone: str) -> str:
    """A zone as it stands in a path. Raises InvalidInput."""
    return names.zone_text(names.parse_zone_name(zone))


def _describe_result(result: dict[str, Any], *, dry_run: bool) -> str:
    zone = escape(result["zone"])
    if not result["changed"]:
        return f"{zone}: no change"
    word = "would change" if dry_run else "changed"
    counts = f"{result['upserted']} put, {result['deleted']} deleted"
    served = "" if dry_run or result["applied"] else "; stored, and this node does not serve it yet"
    return f"{zone}: {word}: {counts}" + ("" if dry_run else f", serial {result['serial']}") + served
