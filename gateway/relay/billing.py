"""Messages on which billing rests: one that is refused is lost, one that is not answered comes again."""

from typing import Final

from gateway.ocpp.wrapped import as_signed

__all__ = ["TRANSACTION_ACTIONS"]

TRANSACTION_ACTIONS: Final = frozenset(
    spelling
    for action in ("StartTransaction", "StopTransaction", "TransactionEvent", "MeterValues")
    for spelling in (action, as_signed(action))
)
"""Losing one of these costs revenue; neither a flood answer nor the lane for renewals refuses them."""
