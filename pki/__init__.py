"""A certificate authority that fits in one head: X.509, not OCPP. So far the development hierarchy; it never imports gateway."""

__all__: list[str] = []
