"""Alembic's environment: runs on the connection, and inside the transaction, that `geodns.store.migrate` hands over.

It opens nothing by itself, because the lock and the copy that protect a migration are taken there.
"""

from alembic import context

from geodns.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite's DDL is transactional when the driver does not commit behind our back, which `database.make_engine` sees to.
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
