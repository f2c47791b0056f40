"""The values that lead from a socket to an admission: they cross the link unchanged, and show no secret."""

import msgspec
import pytest

from gateway.identity.evidence import (
    Admission,
    Authenticated,
    BasicCredentials,
    CertificateProof,
    Claim,
    PasswordProof,
    Proof,
    TLSFacts,
)
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from tests.support.claims import make_claim

CERTIFICATE = CertificateProof(
    sha256="aa", spki_sha256="bb", serial_number="1", common_name="SN-1", issuer="CN=CA", not_after=9.5
)
PASSWORD = PasswordProof(slot="pending", reading="hex-decoded")


@pytest.mark.parametrize("proof", [CERTIFICATE, PASSWORD])
def test_proofs_of_both_kinds_cross_the_link_and_stay_what_they_are(proof: Proof) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(proof), type=Proof) == proof


def test_a_claim_crosses_the_link_with_its_bytes() -> None:
    claim = make_claim(password=b"\x00\xff\x80", leaf=b"\x30\x00", needs=("trailing-slash",))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(claim), type=Claim) == claim


@pytest.mark.parametrize("change", [{"needs": ["be-nice"]}, {"transport": None}, {"basic": {"password": b"x"}}])
def test_a_claim_of_another_shape_does_not_decode(change: dict[str, object]) -> None:
    plain = msgspec.to_builtins(make_claim(password="x"), builtin_types=(bytes,))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plain, **change}, Claim, builtin_types=(bytes,))


def test_a_password_is_in_no_repr() -> None:
    claim = make_claim(password="s3cr3t-s3cr3t")
    assert "s3cr3t" not in repr(claim)
    assert "s3cr3t" not in repr(BasicCredentials(username_matches=True, password=b"s3cr3t"))


@pytest.mark.parametrize("value", [make_claim(), CERTIFICATE, PASSWORD, TLSFacts(version="TLSv1.2", cipher="x")])
def test_evidence_cannot_be_changed(value: msgspec.Struct) -> None:
    name = value.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(value, name, "other")


def test_evidence_has_no_default_for_who_somebody_is_or_how_it_was_proven() -> None:
    with pytest.raises(TypeError):
        Authenticated(charge_point_id=ChargePointId("CP-1"), used_security_profile=SecurityProfile.BASIC)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Admission(charge_point_id=ChargePointId("CP-1"))  # type: ignore[call-arg]
