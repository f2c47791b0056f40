"""Alembic migrations, run by `gateway.store.schema`."""
