"""What the tests of control share: databases, and writes that wait for their adoption."""

import pytest

from tests.support.databases import database, database_url, empty_url, postgres_cluster, postgres_url, sqlite_url

__all__ = ["database", "database_url", "empty_url", "postgres_cluster", "postgres_url", "sqlite_url"]


@pytest.fixture(autouse=True)
def adoption_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other suites may take longer than a client would be kept waiting."""
    monkeypatch.setattr("geodns.control.writer.ADOPTION_S", 60.0)
