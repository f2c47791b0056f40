"""Ceremonies: what is done with a root key, offline. One reviewed file in, one record out."""

__all__: list[str] = []
