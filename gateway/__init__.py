"""OCPP security gateway: the box in front of an unmodified CSMS. See docs/architecture.md for the map."""

__version__ = "0.1.0"
__all__ = ["__version__"]
