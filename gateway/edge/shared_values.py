"""One object for what thousands of sessions have alike: decoding, or a handshake, made a new one for each."""

from typing import Any, Final

import msgspec

from gateway.identity.evidence import Admission, CertificateProof, Transport

__all__ = ["SharedValues"]

_MAX_VALUES: Final = 4_096
_FIELDS: Final = (
    "subprotocols", "csms", "group", "tolerances", "expected_serial_number", "serial_number", "vendor", "model", "firmware",
)  # fmt: skip
_PROOF_FIELDS: Final = ("common_name", "issuer", "issuers", "trust", "anchor", "organization")
"""Of a certificate, what others have too, or the charge point itself in another place."""


class SharedValues:
    """Values by themselves; bounded."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, admission: Admission) -> Admission:
        """An equal admission with shared parts. The serial number is often the identity, which it then shares."""
        identity = str(admission.charge_point_id)
        parts = {name: self._shared(getattr(admission, name), identity) for name in _FIELDS}
        proof = admission.proof
        if isinstance(proof, CertificateProof):
            own = {name: self._shared(getattr(proof, name), identity) for name in _PROOF_FIELDS}
            parts["proof"] = msgspec.structs.replace(proof, **own)
        else:
            parts["proof"] = self._shared(proof, identity)
        return msgspec.structs.replace(admission, **parts)

    def without_certificate(self, facts: Transport) -> Transport:
        """The same facts but for the client certificate, whose proof is in the admission: nothing else is needed of it."""
        if facts.tls is None:
            return facts
        tls = msgspec.structs.replace(facts.tls, leaf_der=b"")
        return Transport(peer=facts.peer, tls=self._shared(tls, ""))

    def _shared(self, value: Any, identity: str) -> Any:
        if value == identity:
            return identity
        if len(self._known) >= _MAX_VALUES:
            return self._known.get(value, value)
        return self._known.setdefault(value, value)
