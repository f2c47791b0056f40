"""One object for what thousands of admissions say alike: decoding made a new one for each."""

from typing import Any, Final

import msgspec

from gateway.identity.evidence import Admission, PasswordProof

__all__ = ["SharedValues"]

_MAX_VALUES: Final = 4_096
_FIELDS: Final = (
    "subprotocols", "csms", "group", "tolerances", "expected_serial_number", "serial_number", "vendor", "model", "firmware",
)  # fmt: skip


class SharedValues:
    """Values by themselves; bounded."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, admission: Admission) -> Admission:
        """An equal admission with shared parts. The serial number is often the identity, which it then shares."""
        identity = str(admission.charge_point_id)
        parts = {name: self._shared(getattr(admission, name), identity) for name in _FIELDS}
        if isinstance(admission.proof, PasswordProof):
            parts["proof"] = self._shared(admission.proof, identity)
        return msgspec.structs.replace(admission, **parts)

    def _shared(self, value: Any, identity: str) -> Any:
        if value == identity:
            return identity
        if len(self._known) >= _MAX_VALUES:
            return self._known.get(value, value)
        return self._known.setdefault(value, value)
