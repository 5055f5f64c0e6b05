"""The listeners: what is bound, what is not HTTP, TLS and its reload, and that everything ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request

from geodns.api import binding, server
from geodns.api.app import make_app, make_metrics_app
from geodns.api.binding import describe_errors
from geodns.api.listener import bind
from geodns.api.tls import Certificate
from geodns.errors import StartupError
from geodns.settings import ListenAddress, Settings
from tests.support.certificates import Authority
from tests.support.logs import logged_by
from tests.unit.api.conftest import ADMIN, Api, StoreNode

LOOPBACK = ListenAddress("127.0.0.1", 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def hello() -> web.Application:
    """An application that says hello."""
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/", answer)
    return app


def install(authority: Authority, name: str, directory: Path) -> tuple[Path, Path]:
    """Puts a new pair where the old one was, as a renewal does."""
    pair = (directory / "cert.pem", directory / "key.pem")
    for source, target in zip(authority.issue(name), pair, strict=True):
        shutil.copy(source, target.with_suffix(".new"))
        os.replace(target.with_suffix(".new"), target)
    return pair


async def served_name(url: str, authority: Authority) -> str:
    """The name in the certificate that a handshake shows."""
    context = ssl.create_default_context(cafile=authority.certificate)
    context.check_hostname = False
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return str(certificate["subjectAltName"][0][1])


def test_a_busy_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=rf"api\.listen: 127\.0\.0\.1:{port} is already in use"):
            bind("api.listen", ListenAddress("127.0.0.1", port))


def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    with pytest.raises(StartupError, match=r"metrics\.listen: cannot listen on 192\.0\.2\.1:1"):
        bind("metrics.listen", ListenAddress("192.0.2.1", 1))


def test_an_ipv6_wildcard_is_ipv6_only() -> None:
    with bind("api.listen", ListenAddress("::", 0)) as listener:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize(
    ("environ", "exposed"),
    [
        ({}, False),
        ({"GEODNS_API_LISTEN": "0.0.0.0:8053"}, True),
        ({"GEODNS_API_LISTEN": "[2001:db8::1]:8053"}, True),
        ({"GEODNS_API_LISTEN": "[::1]:8053"}, False),
        ({"GEODNS_API_LISTEN": "0.0.0.0:8053", "GEODNS_API_TLS_CERTIFICATE": "c", "GEODNS_API_TLS_KEY": "k"}, False),
    ],
)
def test_listening_beyond_loopback_without_tls_warns(environ: dict[str, str], exposed: bool) -> None:
    assert server.warn_if_exposed(Settings.load(environ=environ)) is exposed


async def raw_exchange(url: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request)
    async with asyncio.timeout(10):
        reply = await reader.read()
    writer.close()
    return reply


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
        b"BREW /api/v1/zones HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/zones HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_answered_like_every_error(api: Api, request_bytes: bytes) -> None:
    head, _, body = (await raw_exchange(api.url, request_bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), head
    assert b"application/problem+json" in head
    assert b"aiohttp" not in head
    assert json.loads(body)["type"] == "urn:geodns:problem:malformed-request"


@pytest.mark.parametrize(("hung_up", "logged"), [(True, []), (False, ["error"])])
async def test_a_client_that_hangs_up_in_its_request_is_no_error(hung_up: bool, logged: list[str]) -> None:
    async def read_on(request: web.Request) -> web.StreamResponse:
        raise ConnectionResetError("Connection lost")

    transport = Mock(is_closing=Mock(return_value=hung_up))
    request = make_mocked_request("PUT", "/api/v1/zones/example.com/records/www/A", transport=transport, writer=Mock(output_size=0))
    with logged_by(binding) as logs, pytest.raises(ConnectionResetError) if hung_up else nullcontext():
        await describe_errors(request, read_on)
    assert [entry["log_level"] for entry in logs if entry["log_level"] != "debug"] == logged


async def test_connections_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    port = int(api.url.rpartition(":")[2])
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    async with asyncio.timeout(10):
        assert [await reader.read(1) for reader, _ in opened[3:]] == [b"", b""]
    for _, writer in opened:
        writer.close()


async def test_a_stranger_who_asks_nothing_is_shown_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_REQUEST_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.timing
async def test_streams_end_with_the_api(node: StoreNode) -> None:
    app = make_app(node, ADMIN)
    async with ClientSession() as session:
        async with server.serve(app, bind("api.listen", LOOPBACK)) as url:
            headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {ADMIN}"}
            response = await session.get(f"{url}/api/v1/events", headers=headers)
            assert await response.content.readline() == b": geodns\n"
            start_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - start_s < server.SHUTDOWN_S / 2
        response.close()


async def test_metrics_can_have_a_listener_of_their_own(node: StoreNode) -> None:
    node.settings = Settings.load({"metrics.listen": "127.0.0.1:1"}, environ={})
    async with (
        server.serve(make_app(node, ADMIN), bind("api.listen", LOOPBACK)) as url,
        server.serve(make_metrics_app(node), bind("metrics.listen", LOOPBACK)) as metrics_url,
        ClientSession() as session,
    ):
        assert (await session.get(f"{url}/metrics")).status == 404
        assert (await session.get(f"{metrics_url}/metrics")).status == 200
        assert (await session.get(f"{metrics_url}/healthz")).status == 404


async def test_a_changed_certificate_is_served_and_a_bad_one_is_not(hello: web.Application, authority: Authority, tmp_path: Path) -> None:
    certificate = Certificate(*install(authority, "one.example", tmp_path))
    async with server.serve(hello, bind("api.listen", LOOPBACK), certificate) as url:
        assert url.startswith("https://")
        assert await served_name(url, authority) == "one.example"
        assert certificate.reload_if_changed() is False
        install(authority, "two.example", tmp_path)
        assert certificate.reload_if_changed() is True
        assert await served_name(url, authority) == "two.example"
        (tmp_path / "cert.pem").write_text("nonsense")
        assert certificate.reload_if_changed() is False
        assert await served_name(url, authority) == "two.example"
        (tmp_path / "cert.pem").unlink()
        assert certificate.reload_if_changed() is False
        install(authority, "three.example", tmp_path)
        assert certificate.reload_if_changed() is True
        assert await served_name(url, authority) == "three.example"


def test_a_certificate_that_cannot_be_used_at_start_is_one_sentence(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = authority.issue("one.example")
    _, other_key = authority.issue("two.example")
    for pair in ((certificate, other_key), (tmp_path / "absent", other_key)):
        with pytest.raises(StartupError, match=r"api\.tls_certificate: .* cannot be used"):
            Certificate(*pair)
