"""Alembic migrations, shipped in the wheel as `geodns.migrations`."""
