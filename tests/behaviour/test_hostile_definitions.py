"""Check definitions that try to turn the prober against its own host, through a real node on a host where every address would answer."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile_definitions import DEFINITIONS, PERMITTED, Definition, Fate


def play(directory: Path) -> Any:
    """What became of every definition, and what was contacted: the program runs where it cannot touch anything real."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *as_root, "--net", "--mount", "--", sys.executable, "-m", "tests.support.hostile_definitions", str(directory)],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def with_fate(*fates: Fate) -> list[tuple[str, Definition]]:
    """The definitions that must come to this, by key."""
    return [(key, definition) for key, definition in DEFINITIONS.items() if definition.fate in fates]


@pytest.mark.timeout(200)
def test_none_of_them_reaches_a_guarded_listener(tmp_path: Path) -> None:
    """One run of the world for all claims: it takes some seconds."""
    outcome = play(tmp_path)
    check_what_was_written(outcome)
    check_what_was_sent(outcome)
    check_what_was_asked_for(outcome)


def check_what_was_written(outcome: Any) -> None:
    """What is guarded as it stands is refused; what only turns out to be says so as the cause."""
    refused = with_fate(Fate.REFUSED)
    assert [definition for key, definition in refused if outcome["written"][key][0] != 422] == []
    assert len(refused) >= 60
    for key, definition in with_fate(Fate.GUARDED, Fate.HARMLESS):
        status, body = outcome["written"][key]
        assert status == 201, (definition, body)
        cause = outcome["causes"][key]
        assert definition.cause in cause, (definition, cause)
        assert cause != "not checked yet", definition
    assert outcome["causes"]["own"].endswith("is guarded (this node's own listener)")


def check_what_was_sent(outcome: Any) -> None:
    """No connection, datagram or echo request to a guarded address."""
    strangers = [address for address in outcome["contacted"] if not any(ipaddress.ip_address(address) in network for network in PERMITTED)]
    assert strangers == []
    assert "192.0.2.10" in outcome["contacted"], "the wire was listened to"
    assert outcome["own_api_contacted"] == ["127.0.0.1"], "its API was asked by its operator alone"


def check_what_was_asked_for(outcome: Any) -> None:
    """No redirect is followed, and no path leaves its line."""
    paths = {path for _, path in outcome["requests"]}
    assert "/followed" not in paths
    assert {"/redirect/0", "/huge", "/endless", "//127.0.0.1/"} <= paths, "the others were asked for"
    assert {address for address, _ in outcome["requests"]} == {"192.0.2.10"}
