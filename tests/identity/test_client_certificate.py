"""Our own policy for leaf certificates: who may be whom, with which certificate, now."""

import datetime
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.client_certificate import LeafCertificate, parse_leaf, verify_leaf
from gateway.identity.evidence import CertificateName, CertificateProof
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import ChargePointId
from tests.support.records import make_record

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())
SHA256 = hashes.SHA256()
SERIAL, OPERATOR = "SN-4711", "Example CPO"
RECORD = make_record("CP-1", 3, serial_number=SERIAL)
_TYPES = {
    name: getattr(_ASN1Type, name)
    for name in ("UTF8String", "BMPString", "PrintableString", "T61String", "UniversalString")
}
ONLY_SIGNATURE = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
ONLY_ENCIPHERMENT = x509.KeyUsage(False, False, True, False, False, False, False, False, False)


def attribute(oid: x509.ObjectIdentifier, value: str, kind: str = "UTF8String") -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value, _type=_TYPES[kind])


def usual_subject(common_name: str = SERIAL, organization: str = OPERATOR, kind: str = "UTF8String") -> x509.Name:
    names = [
        attribute(NameOID.ORGANIZATION_NAME, organization, kind),
        attribute(NameOID.COMMON_NAME, common_name, kind),
    ]
    return x509.Name(names)


def certificate(
    subject: x509.Name | None = None,
    *,
    key: Any = KEY,
    algorithm: Any = SHA256,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    serial: int = 0x0ABC,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or usual_subject())
        .issuer_name(x509.Name([attribute(NameOID.COMMON_NAME, "Issuing CA")]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


DER = certificate()
USUAL = parse_leaf(DER)


def verify(leaf: LeafCertificate | bytes = USUAL, record: Any = RECORD, **more: Any) -> CertificateProof:
    leaf = parse_leaf(leaf) if isinstance(leaf, bytes) else leaf
    options: dict[str, Any] = {
        "operator_names": (OPERATOR,),
        "now": NOW.timestamp(),
        "is_revoked": lambda _: False,
        "key_owner": None,
        **more,
    }
    return verify_leaf(leaf, record, **options)


def refused(leaf: LeafCertificate | bytes = USUAL, record: Any = RECORD, **more: Any) -> Reason:
    with pytest.raises(Refusal) as caught:
        verify(leaf, record, **more)
    return caught.value.reason


def unreadable(der: bytes) -> bool:
    with pytest.raises(Refusal) as caught:
        parse_leaf(der)
    return caught.value.reason is Reason.CERT_INVALID


class TestParse:
    def test_facts_of_a_usual_certificate(self) -> None:
        der = certificate()
        spki = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert parse_leaf(der) == LeafCertificate(
            sha256=hashlib.sha256(der).hexdigest(),
            spki_sha256=hashlib.sha256(spki).hexdigest(),
            issuer="CN=Issuing CA",
            serial_number="abc",
            common_names=(SERIAL,),
            organizations=(OPERATOR,),
            not_before=(NOW - DAY).timestamp(),
            not_after=(NOW + DAY).timestamp(),
            key_kind="ec",
            key_bits=256,
            signature_hash="sha256",
            version_3=True,
            is_ca=False,
            client_auth=None,
            digital_signature=None,
        )

    @pytest.mark.parametrize(
        ("extension", "field", "value"),
        [
            (x509.BasicConstraints(ca=True, path_length=None), "is_ca", True),
            (x509.BasicConstraints(ca=False, path_length=None), "is_ca", False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), "client_auth", True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), "client_auth", False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), "client_auth", False),
            (ONLY_SIGNATURE, "digital_signature", True),
            (ONLY_ENCIPHERMENT, "digital_signature", False),
        ],
    )
    def test_extensions_that_matter_are_read(self, extension, field, value) -> None:
        assert getattr(parse_leaf(certificate(extensions=[(extension, True)])), field) is value

    @pytest.mark.parametrize(
        ("key", "algorithm", "facts"),
        [
            (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), ("ec", 384, "sha384")),
            (ec.generate_private_key(ec.SECP192R1()), hashes.SHA256(), ("ec", 192, "sha256")),
            (ed25519.Ed25519PrivateKey.generate(), None, ("ed25519", 256, "eddsa")),
            (ed448.Ed448PrivateKey.generate(), None, ("ed448", 448, "eddsa")),
            (dsa.generate_private_key(1024), hashes.SHA256(), ("other", 0, "sha256")),
        ],
    )
    def test_kinds_of_keys_are_told_apart(self, key, algorithm, facts) -> None:
        leaf = parse_leaf(certificate(key=key, algorithm=algorithm))
        assert (leaf.key_kind, leaf.key_bits, leaf.signature_hash) == facts

    def test_rsa_and_its_size(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        leaf = parse_leaf(certificate(key=key))
        assert (leaf.key_kind, leaf.key_bits) == ("rsa", 2048)

    @pytest.mark.parametrize("kind", sorted(_TYPES))
    def test_a_name_is_the_same_text_in_every_string_type(self, kind: str) -> None:
        leaf = parse_leaf(certificate(usual_subject(kind=kind)))
        assert (leaf.common_names, leaf.organizations) == ((SERIAL,), (OPERATOR,))
        assert verify(leaf).common_name == SERIAL

    @pytest.mark.parametrize(
        "der",
        [b"", b"\x30\x00", b"not a certificate", certificate()[:-1], certificate() + b"\0"],
        ids=["nothing", "empty", "text", "short", "long"],
    )
    def test_what_is_no_certificate_is_invalid(self, der: bytes) -> None:
        assert unreadable(der)

    def test_text_that_is_not_utf8_is_invalid(self) -> None:
        assert unreadable(certificate().replace(b"SN-4711", b"SN-\xff711"))

    def test_a_version_that_does_not_exist_is_invalid(self) -> None:
        der = certificate()
        assert der.count(b"\xa0\x03\x02\x01\x02") == 1
        assert unreadable(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"))

    def test_an_extension_that_is_there_twice_is_invalid(self) -> None:
        oids = [x509.ObjectIdentifier(f"1.2.3.4.{number}") for number in (5, 6)]
        der = certificate(extensions=[(x509.UnrecognizedExtension(oid, b"\x05\x00"), False) for oid in oids])
        parse_leaf(der)
        assert unreadable(der.replace(b"\x2a\x03\x04\x06", b"\x2a\x03\x04\x05"))

    @pytest.mark.filterwarnings("ignore:Parsed a serial number")
    @pytest.mark.parametrize("serial", [b"\x00\x00", b"\x8a\xbc"])
    def test_a_serial_number_that_is_not_positive_is_invalid(self, serial: bytes) -> None:
        """RFC 5280, and no revocation could name it."""
        assert DER.count(b"\x02\x02\x0a\xbc") == 1
        assert unreadable(DER.replace(b"\x02\x02\x0a\xbc", b"\x02\x02" + serial))

    @pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
    @given(st.data())
    def test_a_damaged_certificate_is_facts_or_a_refusal(self, data: st.DataObject) -> None:
        der = bytearray(DER)
        for _ in range(data.draw(st.integers(1, 3))):
            der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        try:
            parse_leaf(bytes(der))
        except Refusal as refusal:
            assert refusal.reason is Reason.CERT_INVALID


@pytest.mark.requirement("A00.FR.401", "TC_A_07_CSMS", "TC_087_CSMS")
def test_the_right_certificate_is_proof() -> None:
    assert verify() == CertificateProof(
        sha256=USUAL.sha256,
        spki_sha256=USUAL.spki_sha256,
        serial_number="abc",
        common_name=SERIAL,
        organization="Example CPO",
        issuer="CN=Issuing CA",
        not_after=(NOW + DAY).timestamp(),
    )


class TestNow:
    @pytest.mark.requirement("A00.FR.407", "A00.FR.429", "TC_A_08_CSMS")
    def test_expired_a_second_ago_is_refused_and_on_the_last_second_it_is_not(self) -> None:
        verify(now=USUAL.not_after)
        assert refused(now=USUAL.not_after + 1) is Reason.CERT_EXPIRED

    @pytest.mark.requirement("A00.FR.407", "TC_A_08_CSMS")
    def test_not_valid_for_another_second_is_refused_and_from_the_first_second_on_it_is_not(self) -> None:
        verify(now=USUAL.not_before)
        assert refused(now=USUAL.not_before - 1) is Reason.CERT_NOT_YET_VALID

    @pytest.mark.requirement("A00.FR.702", "A00.FR.705")
    def test_revoked_is_refused_even_if_all_else_is_right_and_asked_about_this_very_certificate(self) -> None:
        asked: list[CertificateName] = []

        def is_revoked(name: CertificateName) -> bool:
            asked.append(name)
            return False

        verify(is_revoked=is_revoked)
        assert asked == [CertificateName(USUAL.sha256, USUAL.issuer, USUAL.serial_number)]
        assert refused(is_revoked=lambda _: True) is Reason.CERT_REVOKED


@pytest.mark.requirement("A00.FR.407")
class TestUse:
    def test_a_ca_certificate_is_nobodys(self) -> None:
        assert (
            refused(certificate(extensions=[(x509.BasicConstraints(ca=True, path_length=0), True)]))
            is Reason.CERT_NOT_LEAF
        )

    def test_version_1_is_refused(self) -> None:
        assert refused(msgspec.structs.replace(USUAL, version_3=False)) is Reason.CERT_NOT_LEAF

    @pytest.mark.requirement("A00.FR.514")
    @pytest.mark.parametrize(
        ("usages", "fits"),
        [
            (None, True),
            ([ExtendedKeyUsageOID.CLIENT_AUTH], True),
            ([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], True),
            ([ExtendedKeyUsageOID.SERVER_AUTH], False),
            ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], False),
        ],
    )
    def test_extended_key_usage_may_be_absent_but_not_leave_out_client_authentication(self, usages, fits) -> None:
        extensions = [] if usages is None else [(x509.ExtendedKeyUsage(usages), False)]
        der = certificate(extensions=extensions)
        if fits:
            verify(der)
        else:
            assert refused(der) is Reason.CERT_NOT_LEAF

    def test_key_usage_may_be_absent_but_not_leave_out_signatures(self) -> None:
        verify(certificate(extensions=[(ONLY_SIGNATURE, True)]))
        assert refused(certificate(extensions=[(ONLY_ENCIPHERMENT, True)])) is Reason.CERT_NOT_LEAF


class TestStrength:
    @pytest.mark.requirement("A00.FR.502", "A00.FR.503", "A00.FR.504")
    @pytest.mark.parametrize(
        ("kind", "bits", "signature", "strong"),
        [
            ("rsa", 2048, "sha256", True),
            ("rsa", 4096, "sha512", True),
            ("rsa", 2047, "sha256", False),
            ("rsa", 1024, "sha256", False),
            ("ec", 224, "sha256", True),
            ("ec", 256, "sha384", True),
            ("ec", 223, "sha256", False),
            ("ec", 192, "sha256", False),
            ("ed25519", 256, "eddsa", True),
            ("ed448", 448, "eddsa", True),
            ("other", 0, "sha256", False),
            ("other", 4096, "sha256", False),
            ("ec", 256, "sha3-256", True),
            ("ec", 256, "sha224", False),
            ("ec", 256, "sha1", False),
            ("rsa", 4096, "md5", False),
        ],
    )
    def test_key_and_signature_reach_112_bits(self, kind, bits, signature, strong) -> None:
        leaf = msgspec.structs.replace(USUAL, key_kind=kind, key_bits=bits, signature_hash=signature)
        if strong:
            verify(leaf)
        else:
            assert refused(leaf) is Reason.CERT_WEAK

    @pytest.mark.requirement("A00.FR.504")
    def test_a_real_certificate_signed_with_sha1_is_weak(self, tmp_path: Path) -> None:
        """Made by openssl, as our own library refuses to."""
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1", "-nodes"]
        command += ["-subj", f"/O={OPERATOR}/CN={SERIAL}", "-addext", "basicConstraints=critical,CA:FALSE"]
        command += ["-keyout", str(tmp_path / "key"), "-outform", "DER", "-out", str(tmp_path / "der"), "-days", "2"]
        subprocess.run(command, check=True, capture_output=True)
        leaf = parse_leaf((tmp_path / "der").read_bytes())
        assert refused(leaf, now=leaf.not_before + 1) is Reason.CERT_WEAK


class TestOperator:
    @pytest.mark.requirement("A00.FR.404", "TC_A_08_CSMS")
    @pytest.mark.parametrize(
        "organization",
        ["Example", "Example CPO Ltd", "example cpo", "Example CPO ", "ExampleCPO", "Example CPO\0", "Еxample CPO"],
    )
    def test_o_is_exactly_the_operators_name(self, organization: str) -> None:
        assert refused(certificate(usual_subject(organization=organization))) is Reason.CERT_WRONG_OPERATOR

    @pytest.mark.requirement("A00.FR.404")
    def test_any_of_several_operators_will_do(self) -> None:
        verify(operator_names=("Other", OPERATOR))
        assert refused(operator_names=("Other", "Third")) is Reason.CERT_WRONG_OPERATOR

    @pytest.mark.requirement("A00.FR.404")
    def test_the_records_own_names_stand_in_for_the_configured_ones(self) -> None:
        mine = make_record("CP-1", 3, serial_number=SERIAL, operator_names=("Mine",))
        assert refused(record=mine) is Reason.CERT_WRONG_OPERATOR
        verify(certificate(usual_subject(organization="Mine")), mine)

    def test_where_no_operator_is_named_nobody_fits(self) -> None:
        assert refused(operator_names=()) is Reason.CERT_WRONG_OPERATOR

    @pytest.mark.parametrize("organizations", [[], [OPERATOR, OPERATOR], [OPERATOR, "Other"], ["Other", OPERATOR]])
    def test_none_or_two_is_not_one(self, organizations: list[str]) -> None:
        subject = x509.Name(
            [
                attribute(NameOID.COMMON_NAME, SERIAL),
                *(attribute(NameOID.ORGANIZATION_NAME, name) for name in organizations),
            ]
        )
        assert refused(certificate(subject)) is Reason.CERT_WRONG_OPERATOR


class TestSerialNumber:
    @pytest.mark.requirement("A00.FR.405", "TC_A_08_CSMS")
    @pytest.mark.parametrize(
        "common_name", ["SN-471", "SN-47111", "sn-4711", "XSN-4711", "SN-4711 ", "CP-1", "SN-4711\0"]
    )
    def test_cn_is_exactly_the_registered_serial_number(self, common_name: str) -> None:
        with pytest.raises(Refusal) as caught:
            verify(certificate(usual_subject(common_name)))
        assert caught.value.reason is Reason.CERT_WRONG_IDENTITY
        assert SERIAL in caught.value.detail

    @pytest.mark.requirement("A00.FR.405")
    def test_where_no_serial_number_is_registered_no_certificate_fits(self) -> None:
        assert refused(record=make_record("CP-1", 3)) is Reason.CERT_WRONG_IDENTITY

    @pytest.mark.requirement("A00.FR.405")
    @pytest.mark.parametrize("names", [[], [SERIAL, SERIAL], [SERIAL, "SN-2"], ["SN-2", SERIAL]])
    def test_none_or_two_common_names_is_not_one(self, names: list[str]) -> None:
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
        subject = x509.Name([attribute(NameOID.ORGANIZATION_NAME, OPERATOR), *parts])
        assert refused(certificate(subject)) is Reason.CERT_WRONG_IDENTITY

    def test_two_common_names_in_one_relative_name_are_two(self) -> None:
        both = x509.RelativeDistinguishedName(
            [attribute(NameOID.COMMON_NAME, SERIAL), attribute(NameOID.COMMON_NAME, "SN-2")]
        )
        subject = x509.Name([x509.RelativeDistinguishedName([attribute(NameOID.ORGANIZATION_NAME, OPERATOR)]), both])
        assert refused(certificate(subject)) is Reason.CERT_WRONG_IDENTITY

    def test_a_serial_number_attribute_is_no_common_name(self) -> None:
        names = [(NameOID.ORGANIZATION_NAME, OPERATOR), (NameOID.SERIAL_NUMBER, SERIAL)]
        assert refused(certificate(x509.Name([attribute(*name) for name in names]))) is Reason.CERT_WRONG_IDENTITY


@pytest.mark.requirement("A00.FR.427")
def test_a_key_that_belongs_to_another_charge_point_is_refused_and_ones_own_is_not() -> None:
    verify(key_owner=ChargePointId("CP-1"))
    assert refused(key_owner=ChargePointId("CP-11")) is Reason.CERT_KEY_SHARED


@pytest.mark.requirement("A00.FR.408")
def test_every_refusal_of_a_certificate_has_ocpps_name_for_it() -> None:
    refusals = [
        refused(now=USUAL.not_after + 1),
        refused(operator_names=()),
        refused(record=make_record("CP-1", 3)),
        refused(key_owner=ChargePointId("X")),
        refused(is_revoked=lambda _: True),
        refused(msgspec.structs.replace(USUAL, is_ca=True)),
        refused(msgspec.structs.replace(USUAL, key_bits=1)),
    ]
    assert {reason.ocpp_event for reason in refusals} == {"InvalidChargingStationCertificate"}
