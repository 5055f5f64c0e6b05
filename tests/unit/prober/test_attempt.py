"""Attempts against real servers, good and hostile: the class of evidence, the cause in words, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from geodns.model.check import Check, Expect, Protocol, Timing, Tls
from geodns.prober.attempt import Surroundings, attempt
from geodns.prober.fault import AnsweredBadly, NoEvidence, Silent, local_fault, network_fault
from geodns.prober.outcome import Evidence
from geodns.prober.policy import AddressPolicy
from geodns.prober.probe import make_probe
from geodns.prober.resolve import SystemResolver
from geodns.prober.schedule import LoopWatch
from geodns.prober.stream import Progress
from geodns.prober.tls import judge_expiry, not_after
from tests.support.certificates import Authority
from tests.support.hostile import ADDRESS, HOSTILE, answering, black_hole, ok, read_request, serving
from tests.support.hostile_outcomes import CASES, NAME, Case, checks
from tests.unit.prober.conftest import PATIENCE_S, try_check

OK, BAD, SILENT, NONE = Evidence.OK, Evidence.ANSWERED_BADLY, Evidence.SILENT, Evidence.NO_EVIDENCE
SHORT_S = 0.5


def test_every_hostile_server_has_its_case() -> None:
    assert {case.server for case in CASES} == set(HOSTILE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.server.replace(" ", "-"))
async def test_hostile_servers(case: Case) -> None:
    async with HOSTILE[case.server]() as port:
        for check, (evidence, cause) in checks(case, port):
            outcome = await try_check(check, SHORT_S if evidence is SILENT else PATIENCE_S)
            assert outcome.evidence is evidence, f"{check.protocol} {outcome}"
            assert re.match(cause, outcome.cause), f"{check.protocol} {outcome}"
            assert outcome.address == ADDRESS


# ---- HTTP ----


@pytest.mark.parametrize(
    ("response", "expect", "evidence", "cause"),
    [
        (ok(), Expect(), OK, "status 200"),
        (ok(b"x" * 20_000), Expect(), OK, "status 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", Expect(), BAD, "status 302, wanted 200"),
        (b"HTTP/1.1 503 No\r\n\r\n", Expect(), BAD, "status 503, wanted 200"),
        (b"HTTP/1.1 503 No\r\n\r\n", Expect(status=((200, 299), (503, 503))), OK, "status 503"),
        (b"HTTP/1.1 404 No\r\n\r\n", Expect(status=((200, 299), (503, 503))), BAD, "status 404, wanted 200-299, 503"),
        (ok(b"all is well"), Expect(body="is well"), OK, "status 200"),
        (ok(b"all is lost: secret"), Expect(body="is well"), BAD, "status 200, body without the wanted text"),
        (ok(b"queue=17 ok"), Expect(body=r"/queue=\d\d? ok$/"), OK, "status 200"),
        (ok(b"queue=170 ok"), Expect(body=r"/queue=\d\d? ok$/"), BAD, "status 200, body without the wanted text"),
        (ok("grün".encode()), Expect(body="grün"), OK, "status 200"),
        (ok(b"." * 5118 + b"ok"), Expect(body="ok"), OK, "status 200"),
        (ok(b"." * 5119 + b"ok"), Expect(body="ok"), BAD, "status 200, body without the wanted text"),
    ],
)
async def test_http_answers(response: bytes, expect: Expect, evidence: Evidence, cause: str) -> None:
    async with serving(answering(response)) as port:
        outcome = await try_check(Check(Protocol.HTTP, ADDRESS, port, path="/", host=NAME, expect=expect))
    assert (outcome.evidence, outcome.cause) == (evidence, cause)
    assert outcome.latency_s is not None
    assert 0 < outcome.latency_s < PATIENCE_S


async def test_a_kept_open_connection_does_not_delay_the_outcome() -> None:
    async with serving(answering(ok(), stays_open=True)) as port:
        outcome = await try_check(Check(Protocol.HTTP, ADDRESS, port, host=NAME))
    assert outcome.evidence is OK


async def test_the_server_sees_one_request_with_host_and_no_other_connection() -> None:
    seen: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with serving(converse) as port:
        await try_check(Check(Protocol.HTTP, ADDRESS, port, path="/healthz", host=NAME, method="HEAD"))
    assert len(seen) == 1
    assert seen[0].startswith(b"HEAD /healthz HTTP/1.1\r\nHost: www.example.com\r\n")


async def test_ipv6() -> None:
    async with serving(answering(ok()), address="::1") as port:
        outcome = await try_check(Check(Protocol.HTTP, "::1", port, host=NAME))
    assert outcome.evidence is OK


# ---- HTTPS ----


@dataclass(frozen=True)
class Certified:
    """A server's certificate, what the check demands, and the outcome."""

    name: str
    tls: Tls
    evidence: Evidence
    cause: str
    days: int = 90
    validity: tuple[str, str] = ("", "")


EXPIRED = ("20200101000000Z", "20200201000000Z")


@pytest.mark.parametrize(
    "case",
    [
        Certified(NAME, Tls(), OK, "status 200"),
        Certified("other.example.net", Tls(), OK, "status 200"),
        Certified(NAME, Tls(), OK, "status 200", validity=EXPIRED),
        Certified(NAME, Tls(verify=True), OK, "status 200"),
        Certified("other.example.net", Tls(verify=True), BAD, "certificate not accepted: Hostname mismatch"),
        Certified("other.example.net", Tls(verify=True, name="other.example.net"), OK, "status 200"),
        Certified(NAME, Tls(verify=True), BAD, "certificate not accepted: certificate has expired", validity=EXPIRED),
        Certified(NAME, Tls(min_days=14), BAD, "certificate expires in 2 days, wanted 14", days=3),
        Certified(NAME, Tls(verify=True, min_days=14), BAD, "certificate expires in 2 days, wanted 14", days=3),
        Certified(NAME, Tls(min_days=14), OK, "status 200"),
        Certified(NAME, Tls(min_days=0), BAD, r"certificate expired \d+ days ago, wanted 0 days left", validity=EXPIRED),
    ],
    ids=str,
)
async def test_certificates(case: Certified, trusted: Authority) -> None:
    context = trusted.server_context(case.name, days=case.days, not_before=case.validity[0], not_after=case.validity[1])
    async with serving(answering(ok()), tls=context) as port:
        outcome = await try_check(Check(Protocol.HTTPS, ADDRESS, port, host=NAME, tls=case.tls))
    assert outcome.evidence is case.evidence, outcome
    assert re.match(case.cause, outcome.cause), outcome


async def test_an_untrusted_chain_fails_only_when_it_is_verified(authority: Authority) -> None:
    async with serving(answering(ok()), tls=authority.server_context(NAME)) as port:
        check = Check(Protocol.HTTPS, ADDRESS, port, host=NAME)
        assert (await try_check(check)).evidence is OK
        outcome = await try_check(replace(check, tls=Tls(verify=True)))
    assert outcome.evidence is BAD
    assert outcome.cause.startswith("certificate not accepted: unable to get local issuer")


async def test_the_server_name_is_the_host(authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.server_context(NAME)
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    async with serving(answering(ok()), tls=context) as port:
        for host, tls in ((NAME, Tls()), (f"{NAME}:8443", Tls()), (NAME, Tls(name="sni.example.com")), (None, Tls())):
            await try_check(Check(Protocol.HTTPS, ADDRESS, port, host=host, tls=tls))
    assert asked == [NAME, NAME, "sni.example.com", None]


async def test_a_tls_alert_is_an_answer() -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bytes.fromhex("15 0303 0002 02 28"))  # RFC 8446 §6: alert, fatal, handshake_failure
        await writer.drain()
        await reader.read()

    async with serving(converse) as port:
        outcome = await try_check(Check(Protocol.HTTPS, ADDRESS, port, host=NAME))
    assert outcome.evidence is BAD
    assert outcome.cause.startswith("TLS alert: "), outcome.cause


async def test_a_large_answer_over_tls_is_cut(authority: Authority) -> None:
    async with serving(answering(ok(b"x" * 1_000_000)), tls=authority.server_context(NAME)) as port:
        assert (await try_check(Check(Protocol.HTTPS, ADDRESS, port, host=NAME))).evidence is OK


# ---- TCP ----


async def test_tcp_sends_and_finds_what_it_expects() -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+PO" if await reader.readexactly(6) == b"PING\r\n" else b"-ER")
        await writer.drain()
        writer.write(b"NG\r\n")
        await reader.read()

    async with serving(converse) as port:
        check = Check(Protocol.TCP, ADDRESS, port, expect=Expect(send="PING\r\n", body="+PONG"))
        outcome = await try_check(check)
    assert (outcome.evidence, outcome.cause) == (OK, "answer as wanted")


async def test_what_tcp_sends_arrives_also_when_nothing_is_expected() -> None:
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set_result(await reader.read())

    async with serving(converse) as port:
        await try_check(Check(Protocol.TCP, ADDRESS, port, expect=Expect(send="hello")))
        async with asyncio.timeout(PATIENCE_S):
            assert await arrived == b"hello"


# ---- what is not the target's doing ----


@contextmanager
def few_descriptors() -> Iterator[None]:
    """No further file can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_out_of_descriptors_is_no_evidence() -> None:
    check = Check(Protocol.HTTP, ADDRESS, 80, host=NAME)
    with few_descriptors():
        outcome = await try_check(check)
    assert (outcome.evidence, outcome.cause) == (NONE, "out of file descriptors")


async def test_a_missing_address_family_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *arguments: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    outcome = await try_check(Check(Protocol.HTTP, "2001:db8::1", 80, host=NAME))
    assert (outcome.evidence, outcome.cause) == (NONE, "address family not available here")


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EPERM, errno.EMFILE, errno.EIO])
def test_what_the_kernel_says_by_itself_is_no_evidence(number: int) -> None:
    assert isinstance(local_fault(OSError(number, "")), NoEvidence)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, AnsweredBadly),
        (errno.ECONNRESET, AnsweredBadly),
        (errno.EHOSTUNREACH, Silent),
        (errno.ENETUNREACH, Silent),
        (errno.ETIMEDOUT, Silent),
        (errno.ENOBUFS, NoEvidence),
        (errno.EIO, NoEvidence),
    ],
)
def test_what_the_network_says(number: int, kind: type[Exception]) -> None:
    assert isinstance(network_fault(OSError(number, "")), kind)


async def test_our_own_lateness_is_no_evidence() -> None:
    loop = asyncio.get_running_loop()
    async with black_hole() as port:
        check = replace(Check(Protocol.TCP, ADDRESS, port), timing=Timing(timeout_s=0.4))
        watch = LoopWatch(loop)
        blocked, waker = os.pipe()
        loop.call_later(0.15, os.read, blocked, 1)
        try:
            waking = asyncio.create_task(asyncio.to_thread(_write_later, waker, 0.45))
            outcome = await attempt(check, make_probe(check), Surroundings(AddressPolicy(allow_loopback=True), SystemResolver(), watch))
            await waking
        finally:
            watch.close()
            os.close(blocked)
            os.close(waker)
    assert outcome.evidence is NONE
    assert re.fullmatch(r"this process was \d\.\d s late itself", outcome.cause)


def _write_later(descriptor: int, seconds: float) -> None:
    time.sleep(seconds)
    os.write(descriptor, b".")


async def test_a_defect_of_a_probe_neither_escapes_nor_counts() -> None:
    class Broken:
        async def attempt(self, address: str, progress: Progress) -> str:
            raise ZeroDivisionError("a defect")

    watch = LoopWatch(asyncio.get_running_loop())
    outcome = await attempt(
        Check(Protocol.TCP, ADDRESS, 1), Broken(), Surroundings(AddressPolicy(allow_loopback=True), SystemResolver(), watch)
    )
    watch.close()
    assert (outcome.evidence, outcome.cause) == (NONE, "defect in the check: ZeroDivisionError")


# ---- guarded addresses ----


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.HTTPS, Protocol.TCP])
@pytest.mark.parametrize("target", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::1", "::"])
async def test_guarded_addresses_are_not_contacted(protocol: Protocol, target: str) -> None:
    contacts = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal contacts
        contacts += 1

    async with serving(converse, address="::1" if target.startswith("::1") else ADDRESS) as port:
        outcome = await try_check(Check(protocol, target, port, host=NAME), allow_loopback=False)
    assert outcome.evidence is NONE
    assert "is guarded" in outcome.cause
    assert contacts == 0


class Rebinding:
    """A name that points elsewhere the second time."""

    def __init__(self) -> None:
        self.addresses = ["192.0.2.1", "127.0.0.1"]

    async def address(self, target: str) -> str:
        return self.addresses.pop(0)


class Contacts:
    """A probe that only notes whom it would have contacted."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def attempt(self, address: str, progress: Progress) -> str:
        self.addresses.append(address)
        return "connected"


async def test_a_name_is_judged_by_what_it_resolves_to_at_that_moment() -> None:
    watch, contacts = LoopWatch(asyncio.get_running_loop()), Contacts()
    around = Surroundings(AddressPolicy(), Rebinding(), watch)
    check = Check(Protocol.TCP, "rebind.example.net.", 80)
    outcomes = [(await attempt(check, contacts, around)).evidence for _ in range(2)]
    watch.close()
    assert outcomes == [OK, NONE]
    assert contacts.addresses == ["192.0.2.1"]


def test_expiry_is_read_from_both_forms_of_time(authority: Authority) -> None:
    for text, year in (("20491231235959Z", 2049), ("20500101000000Z", 2050)):
        certificate, _ = authority.issue(f"y{year}.example.com", not_before="20200101000000Z", not_after=text)
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        assert not_after(der) == datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        judge_expiry(der, 30, not_after(der) - timedelta(days=30))
        with pytest.raises(AnsweredBadly, match="certificate expires in 29 days, wanted 30"):
            judge_expiry(der, 30, not_after(der) - timedelta(days=29, hours=5))
        for length in range(0, len(der), 7):
            with pytest.raises(AnsweredBadly, match="cannot be read"):
                judge_expiry(der[:length], 0, datetime.now(UTC))
