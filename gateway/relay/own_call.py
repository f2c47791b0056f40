"""Whether a call of the gateway's own may be sent: there is room, and where it matters, the charge point is idle. Pure."""

from typing import Final, Protocol

from gateway.ocpp.codec import Payload
from gateway.policy.transactions import Transactions
from gateway.relay.lanes import Lane
from gateway.relay.renewal import ONLY_RENEWAL, is_own_renewal

__all__ = ["Knowing", "why_not_idle", "why_not_sent"]

_STARTS: Final = frozenset({"StartTransaction", "TransactionEvent"})


class Knowing(Protocol):
    """A judge, as far as it matters here."""

    @property
    def transactions(self) -> Transactions:
        """What the charge point has going on."""


def why_not_sent(csms: Lane, action: str, payload: Payload, *, renewal_only: bool) -> str:
    """Why it is not, whatever the charge point does, or an empty string. `csms`: the lane that it would share."""
    if not csms.has_room_for_own:
        return "enough calls of the gateway wait already"
    return ONLY_RENEWAL if renewal_only and not is_own_renewal(action, payload) else ""


def why_not_idle(judge: Knowing | None, charge_point: Lane, csms: Lane, *, is_old: bool) -> str:
    """Why it is not, or an empty string. The lanes: calls of the charge point, and calls to it.

    A session that began without a BootNotification may have begun in the middle of a transaction. `is_old`: it has lived for
    so long that the charge point would have spoken of it.
    """
    if judge is None:
        return "nobody knows whether a transaction runs"
    transactions = judge.transactions
    if transactions.open or transactions.elsewhere is not None:
        return "a transaction runs"
    if any(each.action in _STARTS for each in charge_point.pending.values()):
        return "a transaction may be starting"
    if csms.pending or csms.waiting is not None:
        return "the CSMS is talking to it"
    if not transactions.history_complete and not is_old:
        return "it has not been connected for long enough to know whether it is charging"
    return ""
