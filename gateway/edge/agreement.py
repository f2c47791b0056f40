"""What charge point, registry and CSMS have agreed on before the 101: version, compression, tolerances used. Sends nothing."""

from gateway.edge.csms import Dialled
from gateway.identity.evidence import Admission, Claim, PasswordProof, Tolerance
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.websocket.handshake import UpgradeRequest

__all__ = ["chosen_version", "deflates", "may_deflate", "passed_on", "used_tolerances"]


def chosen_version(dialled: Dialled, admission: Admission) -> OCPPVersion:
    """What the CSMS agreed to speak. Raises Refusal, closing the CSMS connection, if that is nothing or it has gone."""
    if dialled.transport.is_closing():
        raise Refusal(Reason.CSMS_UNREACHABLE, "connection closed right after the answer")
    if dialled.subprotocol is not None:
        version = OCPPVersion.from_subprotocol(dialled.subprotocol)
        if version is not None:
            return version
    elif admission.assumed_version is not None:
        return admission.assumed_version
    dialled.transport.abort()
    raise Refusal(Reason.SUBPROTOCOL, "the CSMS chose no version")


def deflates(version: OCPPVersion, admission: Admission) -> bool:
    """Whether permessage-deflate is for this version: 2.x, and 1.6 only with the tolerance."""
    return version.is_2x or "deflate-1.6" in admission.tolerances


def may_deflate(admission: Admission) -> bool:
    """Whether a version that the CSMS could still choose has permessage-deflate."""
    versions = map(OCPPVersion.from_subprotocol, admission.subprotocols)
    return any(deflates(version, admission) for version in versions if version is not None)


def passed_on(upgrade: UpgradeRequest, claim: Claim, admission: Admission) -> str | None:
    """The Authorization header that a CSMS may see: not one that names another than who has proven himself otherwise."""
    by_password = isinstance(admission.proof, PasswordProof)
    return upgrade.authorization if by_password or (claim.basic and claim.basic.username_matches) else None


def used_tolerances(claim: Claim, admission: Admission, version: OCPPVersion, *, deflated: bool) -> list[Tolerance]:
    """Without which of its tolerances this charge point would have been refused, or served differently."""
    used = list(claim.needs)
    basic = claim.basic
    if isinstance(admission.proof, PasswordProof) and basic is not None:
        same = basic.username_matches or (basic.username_differs_in_case and version.is_2x)  # T-04
        if not same:
            used.append("username-differs")
    if deflated and not version.is_2x:
        used.append("deflate-1.6")
    return used
