"""The policy: `[policy]` (docs/policy.md), and what is wrong in it."""

import msgspec

from gateway.audit.note import NoteInvalid
from gateway.config.findings import Findings
from gateway.policy.signature import parse_bundle_key

__all__ = ["Policy", "check_policy"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Rule packs. Names of shipped packs, or paths of YAML files; what they include comes with them."""

    packs: tuple[str, ...] = ("baseline",)
    """``baseline`` enforces what is safe in front of any fleet; add ``observe`` to watch with every rule there is.
    Empty: the gates alone."""
    site: str = ""
    """YAML file with the site's own values: parameters, modes, gates, groups (docs/policy.md)."""
    max_policy_age_s: float = 0.0
    """How old the policy in force may be, since it was last read and found good. An older one goes on to decide, and is told: an
    event, and `/readyz` says no until a reload. 0: however old."""
    keys: tuple[str, ...] = ()
    """Public keys, as ``ocpp-gateway policy sign`` prints them, one of which has to have signed the policy. An unsigned one does not
    come into force. Empty: nobody has to sign."""
    signature: str = ""
    """File with the signature. It says which policy it is for, so sign again after every change and every update of the gateway."""


def check_policy(policy: Policy, findings: Findings) -> None:
    """Add what is wrong to `findings`."""
    for index, key in enumerate(policy.keys):
        try:
            parse_bundle_key(key)
        except NoteInvalid as error:
            findings.error(
                ("policy", "keys", index), f"{error}; `ocpp-gateway policy sign` prints the line that belongs here"
            )
    if policy.keys and not policy.signature:
        findings.error(("policy", "keys"), "signature is missing: the file that `ocpp-gateway policy sign` makes")
    if policy.signature and not policy.keys:
        findings.error(("policy", "signature"), "nobody would look at it: name the keys that may sign under keys")
    if policy.max_policy_age_s < 0:
        findings.error(("policy", "max_policy_age_s"), "must not be negative")
