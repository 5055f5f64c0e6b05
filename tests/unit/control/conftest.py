"""Databases for the tests of control."""

from tests.support.databases import database, database_url, empty_url, postgres_cluster, postgres_url, sqlite_url

__all__ = ["database", "database_url", "empty_url", "postgres_cluster", "postgres_url", "sqlite_url"]
