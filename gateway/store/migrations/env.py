"""Alembic environment: runs in the transaction that `gateway.store.schema` hands over."""

from alembic import context

from gateway.store.tables import metadata

__all__: list[str] = []

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
