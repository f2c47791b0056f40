"""Whether a bundle is signed by a key that the configuration names; without keys nobody asks."""

from pathlib import Path

from gateway.config.policy import Policy
from gateway.config.policy_packs import PackProblem
from gateway.policy.signature import SignatureMissing, parse_bundle_key, verify_bundle

__all__ = ["read_signature", "signature_problem"]

_MAX_BYTES = 65_536


def read_signature(path: str) -> bytes:
    """The file of a signature. Raises SignatureMissing."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise SignatureMissing(f"the signature cannot be read: {error.strerror or error}") from error


def signature_problem(policy: Policy, revision: str) -> PackProblem | None:
    """What is wrong with the signature of a bundle that is otherwise good; None if nothing is, or nobody has to sign."""
    if not policy.keys:
        return None
    try:
        verify_bundle(read_signature(policy.signature), revision, map(parse_bundle_key, policy.keys))
    except SignatureMissing as missing:
        message = f"P092 {missing}; `ocpp-gateway policy sign` signs revision {revision[:12]}"
        return PackProblem(path=policy.signature, message=message, code="P092")
    return None
