"""The real `dig`, asked once or in batches, its answers as values."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A machine that stands still for seconds is no claim about the server, and a query is asked but once: its loss is one.
PATIENCE = ("+tries=1", "+time=10")


@dataclass(frozen=True, slots=True)
class Answer:
    """What dig printed: rcode, flags, the answer and authority sections as (owner, ttl, type, rdata), and the client subnet line."""

    rcode: str
    flags: frozenset[str]
    answer: tuple[tuple[str, int, str, str], ...]
    authority: tuple[tuple[str, int, str, str], ...]
    client_subnet: str | None
    text: str

    @property
    def values(self) -> list[str]:
        """The rdata of the answer section, in the order of the message."""
        return [rdata for _, _, _, rdata in self.answer]

    @property
    def ttls(self) -> set[int]:
        """The ttls of the answer section."""
        return {ttl for _, ttl, _, _ in self.answer}

    @property
    def scope(self) -> int | None:
        """The scope prefix of the reply's client subnet option (RFC 7871 §6), None without the option."""
        return int(self.client_subnet.rsplit("/", 1)[1]) if self.client_subnet else None


def dig(port: int, name: str, rtype: str = "A", *options: str, server: str = "127.0.0.1") -> Answer:
    """One query with the real dig; any dig option may follow ("+tcp", "+subnet=192.0.2.0/24", "-b", "127.0.0.5")."""
    command = ["dig", f"@{server}", "-p", str(port), name, rtype, *PATIENCE, "+norecurse", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return parse(done.stdout)


def dig_batch(port: int, questions: Sequence[str], directory: Path, *options: str, server: str = "127.0.0.1") -> list[str]:
    """Asks every line of `questions` ("www.example.com A +subnet=…") in one dig process; the `+short` lines of all answers, in order."""
    batch = directory / "questions.txt"
    batch.write_text("".join(f"{question}\n" for question in questions))
    command = ["dig", f"@{server}", "-p", str(port), "+short", *PATIENCE, "+norecurse", *options, "-f", str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"dig ended with {done.returncode}: {done.stderr}{done.stdout[-500:]}"
    return done.stdout.split()


def parse(text: str) -> Answer:
    """dig's output as an Answer; fails the test when no reply came."""
    header = re.search(r"status: (\w+),", text)
    assert header is not None, f"dig got no reply:\n{text}"
    flags = re.search(r";; flags: ([a-z ]*);", text)
    subnet = re.search(r"; CLIENT-SUBNET: (\S+)", text)
    return Answer(
        rcode=header.group(1),
        flags=frozenset(flags.group(1).split()) if flags else frozenset(),
        answer=_section(text, "ANSWER"),
        authority=_section(text, "AUTHORITY"),
        client_subnet=subnet.group(1) if subnet else None,
        text=text,
    )


def _section(text: str, title: str) -> tuple[tuple[str, int, str, str], ...]:
    match = re.search(rf";; {title} SECTION:\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    if match is None:
        return ()
    records = []
    for line in match.group(1).splitlines():
        owner, ttl, _, rtype, rdata = line.split(None, 4)
        records.append((owner, int(ttl), rtype, rdata))
    return tuple(records)
