"""The registry on SQLAlchemy Core: charge points, credentials, key bindings, revocations, recent refusals.

Synchronous; control calls it from one thread. SQLite for one node, written so that PostgreSQL works.
Use `gateway.store.registry.Registry`; the other modules are its parts. Nothing is decided here: see
`gateway.identity`.
"""

__all__: list[str] = []
