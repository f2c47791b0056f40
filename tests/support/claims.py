"""What a charge point brings to the door, as the edge would tell control."""

import base64

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.identity.basic_auth import read_basic
from gateway.identity.evidence import Claim, Peer, TLSFacts, Tolerance, Transport
from gateway.ocpp.vocabulary import ChargePointId
from tests.support.rig import shared_authority

__all__ = ["basic_header", "make_claim"]


def basic_header(user: str | bytes, password: str | bytes) -> str:
    """An Authorization header; bytes stay as they are."""
    raw = [part.encode() if isinstance(part, str) else part for part in (user, password)]
    return "Basic " + base64.b64encode(b":".join(raw)).decode()


def make_claim(
    identity: str = "CP-1",
    *,
    password: str | bytes | None = None,
    user: str | None = None,
    tls: bool = True,
    leaf: bytes = b"",
    issuers: tuple[bytes, ...] | None = None,
    resumed: bool = False,
    address: str = "192.0.2.1",
    listener: str = "tls",
    subprotocols: tuple[str, ...] = ("ocpp1.6",),
    needs: tuple[Tolerance, ...] = (),
) -> Claim:
    """A claim; without `password` there is no Authorization header, without `leaf` no client certificate.

    `issuers`: the verified chain above the leaf; by default the tests' own root.
    """
    charge_point_id = ChargePointId(identity)
    header = None if password is None else basic_header(identity if user is None else user, password)
    if issuers is None:
        issuers = (shared_authority().root.public_bytes(Encoding.DER),) if leaf else ()
    facts = TLSFacts(
        version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", leaf_der=leaf, resumed=resumed, issuers_der=issuers
    )
    return Claim(
        charge_point_id=charge_point_id,
        transport=Transport(peer=Peer(address=address, port=50_000, listener=listener), tls=facts if tls else None),
        basic=read_basic(header, charge_point_id),
        subprotocols=subprotocols,
        needs=needs,
    )
