"""Core: what may be said. Language, packs, engine, limits, lint, explain."""
