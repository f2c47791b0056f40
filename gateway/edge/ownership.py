"""Which kinds of messages the gateway owns, by the configuration of a CSMS."""

from gateway.config.model import CSMS
from gateway.relay.interception import CERTIFICATES, Owned

__all__ = ["owned_messages"]


def owned_messages(csms: CSMS) -> frozenset[Owned]:
    """Whoever gives the certificates owns what goes with them, but for what `owners` says otherwise."""
    owned: set[Owned] = set(CERTIFICATES) if csms.certificates == "gateway" else set()
    for kind, owner in csms.owners.items():
        if owner == "gateway":
            owned.add(kind)
        else:
            owned.discard(kind)
    return frozenset(owned)
