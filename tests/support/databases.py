"""Databases for tests: every test that takes `database_url` or `database` runs on SQLite and on a real PostgreSQL.

One PostgreSQL server per pytest process (with xdist: per worker), started when the first test asks for it, in a temporary directory, on a
unix socket and a loopback port that the kernel gave; a fresh database per test. PostgreSQL's programs must be installed: a test that
cannot run is a failure that says what is missing, never a skip.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from geodns.store import migrate
from geodns.store.database import Database
from tests.support.ports import free_port

_START_S = 60


class PostgresCluster:
    """A private PostgreSQL server that can be stopped and started again on the same port with the same data."""

    def __init__(self, directory: Path, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        """It listens on `addresses`, and whoever reaches those is let in."""
        self.directory = directory
        self.addresses = tuple(addresses)
        self.port = 0
        self._bin = find_programs()
        # The server refuses to run as root; Debian's package makes this user.
        self._user = "postgres" if os.geteuid() == 0 else None

    def create(self) -> None:
        """Make the data directory; the server does not run yet."""
        if self._user is not None:
            shutil.chown(self.directory, self._user)
        self.port = free_port()
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "geodns", "-E", "UTF8", "--locale=C", "--no-sync", "-L", *self._share())
        settings = (
            f"port = {self.port}",
            f"listen_addresses = '{','.join(self.addresses)}'",
            f"unix_socket_directories = '{self.directory}'",
            "fsync = off",  # processes are killed in the tests, machines are not
            "max_connections = 200",
            "shared_buffers = 64MB",
        )
        with (self.directory / "data" / "postgresql.conf").open("a") as file:
            file.write("\n".join(settings) + "\n")
        with (self.directory / "data" / "pg_hba.conf").open("a") as file:
            file.writelines(f"host all all {address}/30 trust\n" for address in self.addresses if address != "127.0.0.1")

    def start(self) -> None:
        """Start and wait until it takes connections."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", str(_START_S), "-l", str(self.directory / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop at once, as a crash would (`immediate`), or orderly (`fast`)."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    def create_database(self) -> str:
        """The URL of a new empty database."""
        name = f"test_{uuid.uuid4().hex}"
        self._run("createdb", "-h", str(self.directory), "-p", str(self.port), "-U", "geodns", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove it, whoever is still connected."""
        self._run("dropdb", "--force", "-h", str(self.directory), "-p", str(self.port), "-U", "geodns", url.rsplit("/", 1)[-1])

    def url(self, name: str, address: str = "127.0.0.1") -> str:
        return f"postgresql://geodns@{address}:{self.port}/{name}"

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _share(self) -> tuple[str, ...]:
        """Where initdb finds its templates; it looks beside itself unless told, which fails behind symbolic links."""
        share = subprocess.run([str(self._bin / "pg_config"), "--sharedir"], check=True, capture_output=True, text=True).stdout.strip()
        return (share,)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            user=self._user,
            group=None if self._user is None else pwd.getpwnam(self._user).pw_gid,
            extra_groups=None if self._user is None else [],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self.directory)},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace').strip()}")


def find_programs() -> Path:
    """The directory with initdb and pg_ctl: on PATH, else the newest version where Debian and Red Hat put them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *Path("/usr").glob("pgsql-*/bin/initdb")]
    if not candidates:
        pytest.fail(
            "PostgreSQL is not installed: the store is tested on it as on SQLite (Debian: apt-get install postgresql)", pytrace=False
        )

    def version(initdb: Path) -> int:
        return int("".join(filter(str.isdigit, initdb.parent.parent.name)) or 0)

    return max(candidates, key=version).parent


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A database that is closed at the end of the block, as another node or process would have it open."""
    database = await Database.open(url)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """The running server of this pytest process."""
    with running_cluster() as cluster:
        yield cluster


@contextmanager
def running_cluster(addresses: Sequence[str] = ("127.0.0.1",)) -> Iterator[PostgresCluster]:
    """A server that runs at the start of the block, and is gone, with its data, at the end; stopped in between or not."""
    # Not below pytest's own temporary directory, which only its owner may enter; and a socket's path must be short.
    directory = Path(tempfile.mkdtemp(prefix="geodns-pg-"))
    try:
        cluster = PostgresCluster(directory, addresses)
        cluster.create()
        cluster.start()
        try:
            yield cluster
        finally:
            if (directory / "data" / "postmaster.pid").exists():
                cluster.stop()
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A new empty database on PostgreSQL."""
    url = postgres_cluster.create_database()
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where an SQLite database may be made; there is no file yet."""
    return f"sqlite:///{tmp_path / 'geodns.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without a schema, on each of the two."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def database_url(empty_url: str) -> str:
    """A database with the current schema and a lineage of its own."""
    await migrate.upgrade(empty_url)
    return empty_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The same, opened."""
    async with opened(database_url) as each:
        yield each
