"""Every verb against the API, and the exit codes: 0 done, 1 refused, 2 usage, 3 unreachable."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from geodns.cli import main
from geodns.cli.database import BASE_MAGIC, find_served_lineage_on_disk
from geodns.cli.durations import parse_duration
from geodns.control.simulation import Prefixes
from geodns.errors import DatabaseUnavailable, GeodnsError, InvalidInput, NotFound, Problem, SchemaTooNew
from geodns.settings import known_settings
from tests.support.ports import free_port
from tests.unit.api.conftest import ADMIN
from tests.unit.cli.conftest import Command, Run

DOCS = Path(__file__).parents[3] / "docs"

ZONE = """---
'':
  type: NS
  values: [ns1.example.com., ns2.example.com.]
ns1: {type: A, value: 192.0.2.53}
ns2: {type: A, value: 198.51.100.53}
www: {type: A, ttl: 60, values: [192.0.2.1]}
"""


def find_verbs() -> Iterator[tuple[str, Any]]:
    """Every verb that can be called: "token create" with its command."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if not children:
            yield " ".join(path), command
        else:
            for name, child in children.items():
                yield from walk(child, (*path, name))

    yield from walk(typer.main.get_command(main.make_app()), ())


VERBS = dict(find_verbs())


def test_the_verbs_are_those_of_the_contract() -> None:
    assert set(VERBS) == {
        "serve",
        "check",
        "apply",
        "export",
        "explain",
        "simulate",
        "status",
        "override set",
        "override list",
        "override clear",
        "freeze on",
        "freeze off",
        "list list",
        "list show",
        "list put",
        "list delete",
        "token create",
        "token list",
        "token revoke",
        "db upgrade",
        "db adopt",
        "dataplane",
    }


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_has_examples(verb: str, local: Run) -> None:
    result = local(*verb.split(), "--help")
    assert result.code == 0
    assert "Example" in result.stdout
    assert f"geodns {verb}" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_with_output_speaks_json(verb: str) -> None:
    if verb in ("serve", "dataplane", "export"):
        return  # two that end with the process, and one whose output is a file
    assert any("--json" in parameter.opts for parameter in VERBS[verb].params)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented(verb: str) -> None:
    assert f"`geodns {verb}" in (DOCS / "cli.md").read_text(encoding="utf-8")


def test_serve_has_a_flag_for_every_setting() -> None:
    flags = {option for parameter in VERBS["serve"].params for option in parameter.opts}
    assert {setting.flag for setting in known_settings()} <= flags


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["token", "create"], ["explain"], ["status", "--colour"], ["override", "set", "site/a", "sideways"]]
)
def test_a_usage_error_is_2(local: Run, arguments: list[str]) -> None:
    assert local(*arguments).code == 2


def test_a_bad_setting_is_a_sentence_and_1(local: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEODNS_DNS_WORKERS", "many")
    result = local("status")
    assert result.code == 1
    assert "environment variable GEODNS_DNS_WORKERS: dns.workers" in result.stderr


def test_an_unreachable_api_is_3_and_says_where(local: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("GEODNS_API_LISTEN", f"127.0.0.1:{port}")
    monkeypatch.setenv("GEODNS_API_TOKEN", "x")
    for arguments in (["token", "list"], ["status"], ["explain", "www.example.com"]):
        result = local(*arguments)
        assert result.code == 3, result
        assert f"127.0.0.1:{port}" in result.stderr
        assert "geodns serve" in result.stderr


def test_without_a_token_it_says_how_to_give_one(local: Run) -> None:
    result = local("token", "list")
    assert result.code == 1
    assert "--token" in result.stderr


def test_an_unexpected_error_is_one_sentence(local: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(main, "make_app", fail)
    result = local("status")
    assert result.code == 1
    assert "internal error" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatabaseUnavailable("the database is away"), 3),
        (NotFound("x"), 1),
        (SchemaTooNew("x"), 1),
        (InvalidInput([Problem("/a", "b", "c is wrong")]), 1),
    ],
)
async def test_an_error_of_the_api_has_the_code_of_its_class(command: Command, error: GeodnsError, code: int) -> None:
    command.api.node.error = error
    result = await command.run("list", "put", "office", "192.0.2.0/24", code=code)
    assert isinstance(error, InvalidInput) == ("c is wrong" in result.stderr)


async def test_tokens_are_made_listed_and_revoked(command: Command) -> None:
    made = await command.run("token", "create", "deploy", "--role", "write", "--expires", "90d")
    assert made.stdout.startswith("gdt_")
    assert "shown this once" in made.stderr
    listed = (await command.run("token", "list", "--json")).json["items"]
    assert [item["name"] for item in listed] == ["deploy"]
    assert "deploy" in (await command.run("token", "list")).stdout
    await command.run("token", "revoke", listed[0]["id"])
    refused = await command.run("token", "list", "--token", made.stdout.strip(), code=1)
    assert "not valid" in refused.stderr


async def test_the_token_file_is_found(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GEODNS_API_TOKEN")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "token").write_text(ADMIN + "\n")
    await command.run("token", "list", "--url", command.api.url)


async def test_zones_are_checked_applied_and_exported(command: Command, tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    file = zones / "example.com.yaml"
    file.write_text(ZONE)
    assert "example.com: ok, 4 rrsets" in (await command.run("check", str(zones))).stdout
    dry = await command.run("apply", str(zones), "--dry-run")
    assert "example.com: would change: 4 put, 0 deleted" in dry.stdout
    await command.api.check("GET", "/zones/example.com", status=404)
    applied = await command.run("apply", str(file), "--json")
    assert applied.json["zones"][0]["upserted"] == 4
    assert "example.com: no change" in (await command.run("apply", str(file))).stdout
    exported = await command.run("export", "example.com")
    assert yaml.safe_load(exported.stdout)["www"]["ttl"] == 60
    assert "192.0.2.53" in (await command.run("export", "example.com", "--format", "zone")).stdout
    assert "there is no zone" in (await command.run("export", "absent.example", code=1)).stderr


async def test_a_broken_zone_is_named_with_its_line_and_nothing_is_sent(command: Command, tmp_path: Path) -> None:
    (tmp_path / "example.com.yaml").write_text(ZONE + "bad: {type: A, value: 300.0.0.1}\n")
    (tmp_path / "example.net.yaml").write_text(ZONE.replace("example.com", "example.net"))
    for verb in ("check", "apply"):
        result = await command.run(verb, str(tmp_path), code=1)
        assert "example.com.yaml:8" in result.stderr, result
    assert (await command.api.check("GET", "/zones")).body["items"] == []
    checked = (await command.run("check", str(tmp_path), "--json", code=1)).json["zones"]
    assert {zone["zone"]: zone["ok"] for zone in checked} == {"example.com": False, "example.net": True}
    assert any(problem["source"].endswith("example.com.yaml:8") for zone in checked for problem in zone["problems"])


async def test_the_brake_is_named_and_force_releases_it(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "example.com.yaml"
    file.write_text(ZONE + "".join(f"n{number}: {{type: A, value: 192.0.2.{number}}}\n" for number in range(20)))
    await command.run("apply", str(file))
    file.write_text(ZONE)
    refused = await command.run("apply", str(file), code=1)
    assert "force" in refused.stderr
    assert "20 deleted" in (await command.run("apply", str(file), "--force")).stdout


@pytest.mark.parametrize("name", ["absent.yaml", "notes.txt", "empty"])
async def test_what_is_no_zone_source_is_refused(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    result = await command.run("check", str(tmp_path / name), code=1)
    assert name in result.stderr


async def test_check_names_each_entry_that_is_no_source_and_judges_the_others(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a..b.zone").write_text(ZONE)
    (tmp_path / "a.example.zone").mkdir()
    os.mkfifo(tmp_path / "b.example.yaml")
    (tmp_path / "example.com.yaml").write_text(ZONE)
    checked = await command.run("check", str(tmp_path), code=1)
    assert "example.com: ok, 4 rrsets" in checked.stdout
    for name in ("a..b.zone", "a.example.zone", "b.example.yaml"):
        assert name in checked.stderr
    shown = (await command.run("check", str(tmp_path), "--json", code=1)).json
    assert [problem["code"] for problem in shown["problems"]] == ["empty-label", "not-a-file", "not-a-file"]
    assert [zone["ok"] for zone in shown["zones"]] == [True]
    alone = await command.run("check", str(tmp_path / "b.example.yaml"), code=1)
    assert "not a file" in alone.stderr
    await command.run("apply", str(tmp_path), code=1)
    assert (await command.api.check("GET", "/zones")).body["items"] == []


async def test_overrides_are_set_listed_and_cleared(command: Command) -> None:
    done = await command.run("override", "set", "value/192.0.2.10", "down", "--reason", "disk", "--expires", "2h")
    assert "value/192.0.2.10 is down until" in done.stdout
    await command.run("override", "set", "pool/www.example.com/A/eu", "drain")
    listed = (await command.run("override", "list", "--json")).json["items"]
    assert {(item["kind"], item["target"]) for item in listed} == {("value", "192.0.2.10"), ("pool", "www.example.com/A/eu")}
    assert "disk" in (await command.run("override", "list")).stdout
    await command.run("override", "clear", "value/192.0.2.10")
    await command.run("override", "clear", "value/192.0.2.10", code=1)
    assert "is not an override's target" in (await command.run("override", "set", "zone/x", "up", code=1)).stderr


async def test_health_is_frozen_and_thawed(command: Command) -> None:
    assert (await command.run("freeze", "on", "--reason", "maintenance", "--json")).json == {"frozen": True, "reason": "maintenance"}
    assert "not frozen" in (await command.run("freeze", "off")).stdout


async def test_lists_are_put_shown_and_deleted(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "prefixes.txt"
    file.write_text("# ours\n192.0.2.0/24  # main\n\n2001:db8::/32\n")
    await command.run("list", "put", "my office", "198.51.100.0/24", "--file", str(file))
    assert (await command.run("list", "show", "my office")).stdout.split() == ["198.51.100.0/24", "192.0.2.0/24", "2001:db8::/32"]
    assert (await command.run("list", "list", "--json")).json["items"][0]["size"] == 3
    await command.run("list", "delete", "my office")
    assert "no lists" in (await command.run("list", "list")).stdout
    assert "absent" in (await command.run("list", "put", "x", "--file", str(tmp_path / "absent"), code=1)).stderr


async def test_status_shows_problems_first(command: Command) -> None:
    command.api.node.is_ready = False
    result = await command.run("status")
    assert result.stdout.startswith("1 problem")
    assert (await command.run("status", "--json")).json["problems"] == ["not ready"]


async def test_explain_asks_with_the_clients_prefix(command: Command) -> None:
    await command.run("explain", "WWW.example.com", "aaaa", "--client", "192.0.2.77/24")
    assert command.api.node.questions == [("www.example.com.", "AAAA", "192.0.2.0/24")]
    assert (await command.run("explain", "www.example.com", "--json")).json["question"]["name"] == "www.example.com."
    await command.run("explain", "www.example.com", "--client", "nobody", code=1)


async def test_simulate_asks_what_its_flags_say(command: Command, tmp_path: Path) -> None:
    record, clients = tmp_path / "www.yaml", tmp_path / "clients.txt"
    record.write_text("type: A\nvalues: [192.0.2.1, 192.0.2.2]\n")
    clients.write_text("# ours\n192.0.2.0/24 2.5\n\n2001:db8::/32\n")
    flags = ("--fail", "site/fra1", "--drain", "site/nyc", "--record", str(record), "--population", str(clients), "--seed", "5")
    assert (await command.run("simulate", "www.example.com", "a", *flags, "--json")).json["records"] == []
    (question,) = command.api.node.simulated
    assert question.record == {"type": "A", "values": ["192.0.2.1", "192.0.2.2"]}
    assert [assumed.value for assumed in question.assumptions.values()] == ["fail", "drain"]
    assert isinstance(question.population, Prefixes)
    assert [weight for _, weight in question.population.weights] == [2.5, 1.0]


async def test_simulate_refuses_files_that_are_none(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in ("192.0.2.0/24 many\n", "192.0.2.0/24 1 2\n", "192.0.2.0/24 nan\n", "# nothing\n"):
        file.write_text(text)
        assert str(file) in (await command.run("simulate", "a.example", "--population", str(file), code=1)).stderr
    for text in ("[1, 2]", "a: [", "a: !include b.yaml"):
        file.write_text(text)
        await command.run("simulate", "a.example", "--record", str(file), code=1)
    assert "absent" in (await command.run("simulate", "a.example", "--record", str(tmp_path / "absent"), code=1)).stderr
    assert "zone/x" in (await command.run("simulate", "--down", "zone/x", code=1)).stderr


def test_the_database_is_made_and_a_history_begun(local: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    made = local("db", "upgrade", "--json")
    assert made.code == 0, made
    assert made.json["found"] in ("absent", "empty")
    assert "nothing to do" in local("db", "upgrade").stdout
    first = local("db", "adopt", "--reason", "restored", "--json").json
    second = local("db", "adopt", "--reason", "restored again", "--json").json
    assert first["lineage"] != second["lineage"]
    assert second["revision"] == first["revision"] + 1


def test_a_history_takes_the_place_of_what_the_state_on_disk_holds(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(BASE_MAGIC + b"\x00\x01" + bytes(range(16)) + b"rest")
    assert str(find_served_lineage_on_disk(tmp_path / "base")) == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    (tmp_path / "base").write_bytes(b"something else entirely")
    assert find_served_lineage_on_disk(tmp_path / "base") is None
    assert find_served_lineage_on_disk(tmp_path / "absent") is None


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("90d", 7776000)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "2", "h", "-1h", "1.5h", "99999d"])
def test_other_durations_are_usage_errors(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_duration(text)


def test_examples_in_the_page_are_real_verbs() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for line in re.findall(r"^geodns ([a-z][a-z ]*)", page, flags=re.MULTILINE):
        words = line.split()
        assert words[0] in VERBS or " ".join(words[:2]) in VERBS, line
