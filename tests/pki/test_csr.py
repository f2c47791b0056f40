"""The abuse list of certificate requests: each refused with its own reason, and its near-miss taken."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from pki.csr import MAX_CSR_CHARACTERS, CertificateRequest, parse_csr, verify_subject
from pki.csr import csr_der as handed_on
from pki.errors import Reason, Refused
from pki.key_policy import DEFAULT_KEY_POLICY
from pki.names import Subject
from tests.pki.request_material import CN, O, csr_der, csr_pem, pem, unsigned_rsa_csr
from tests.pki.roca_vectors import AFFECTED_CSR, SOUND_CSR

KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = csr_pem(KEY)


def parsed(text: str) -> CertificateRequest:
    return parse_csr(text, DEFAULT_KEY_POLICY)


def refusal(text: str) -> Reason:
    with pytest.raises(Refused) as refused:
        parsed(text)
    return refused.value.reason


class TestPEM:
    def test_an_ordinary_request_is_taken(self) -> None:
        request = parsed(GOOD)
        assert (request.common_name, request.organization, request.ignored) == ("SN-1", "CPO", ())
        assert request.public_key == KEY.public_key()

    def test_one_of_5500_characters_is_taken_and_one_of_5501_is_not(self) -> None:
        padded = GOOD + "\n" * (MAX_CSR_CHARACTERS - len(GOOD))
        assert parsed(padded).csr_sha256 == parsed(GOOD).csr_sha256
        assert refusal(padded + "\n") is Reason.CSR_TOO_LONG

    @pytest.mark.parametrize(
        "text",
        [
            GOOD.rstrip(),
            GOOD.replace("\n", "\r\n"),
            "\r\n  " + GOOD,
            GOOD.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
            pem(csr_der(GOOD)).replace("\n", "", 3).replace("REQUEST-----", "REQUEST-----\n", 1),
            GOOD.replace("\n", " \n"),
            GOOD.replace("\n", ""),
        ],
    )
    def test_dialects_of_pem_are_the_same_request(self, text: str) -> None:
        assert parsed(text).csr_sha256 == parsed(GOOD).csr_sha256

    @pytest.mark.parametrize(
        "text",
        [
            "",
            GOOD + GOOD,
            GOOD + "x",
            "-----Subject: CN=SN-1\n" + GOOD,
            GOOD.replace("-----END CERTIFICATE REQUEST-----\n", ""),
            GOOD.replace("-----END CERTIFICATE", "-----END NEW CERTIFICATE"),
            GOOD.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
            csr_der(GOOD).hex(),
            GOOD + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ],
    )
    def test_anything_but_one_block_is_refused(self, text: str) -> None:
        assert refusal(text) is Reason.CSR_NOT_ONE_PEM_BLOCK

    @pytest.mark.parametrize(("old", "new"), [("M", "-"), ("M", "M\0"), ("M", "Mé"), ("MI", "M")])
    def test_what_is_not_base64_is_refused(self, old: str, new: str) -> None:
        head, _, body = GOOD.partition("\n")
        assert refusal(f"{head}\n{body.replace(old, new, 1)}") is Reason.CSR_BAD_BASE64


class TestDER:
    def test_trailing_data_is_refused(self) -> None:
        assert refusal(pem(csr_der(GOOD) + b"\0")) is Reason.CSR_TRAILING_DATA
        assert refusal(pem(csr_der(GOOD) * 2)) is Reason.CSR_TRAILING_DATA

    def test_a_request_cut_short_is_refused(self) -> None:
        der = csr_der(GOOD)
        assert {refusal(pem(der[:length])) for length in range(1, len(der))} <= {Reason.CSR_BAD_DER}

    def test_nesting_is_limited(self) -> None:
        der = b"\x30\x00"
        for _ in range(40):
            der = b"\x30" + bytes([len(der)]) + der
        assert refusal(pem(der)) is Reason.CSR_TOO_COMPLEX

    def test_the_number_of_parts_is_limited(self) -> None:
        names = tuple((NameOID.ORGANIZATIONAL_UNIT_NAME, "x") for _ in range(170))
        assert refusal(csr_pem(KEY, *names)) is Reason.CSR_TOO_COMPLEX
        few = tuple((NameOID.ORGANIZATIONAL_UNIT_NAME, "x") for _ in range(50))
        assert parsed(csr_pem(KEY, *few, (CN, "SN-1"))).common_name == "SN-1"

    def test_a_certificate_in_the_block_is_refused(self, tmp_path: Path) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        made = subprocess.run(
            [*command, "-subj", "/CN=SN-1", "-keyout", tmp_path / "k"], capture_output=True, check=True
        )
        assert refusal(made.stdout.decode().replace("CERTIFICATE", "CERTIFICATE REQUEST")) is Reason.CSR_BAD_DER

    @given(st.binary(max_size=300))
    def test_no_bytes_do_anything_but_be_refused(self, data: bytes) -> None:
        assert refusal(pem(data)).code.startswith("csr-")

    @given(st.integers(0, len(csr_der(GOOD)) - 1), st.integers(1, 255))
    def test_no_changed_byte_gets_through(self, position: int, change: int) -> None:
        der = bytearray(csr_der(GOOD))
        der[position] ^= change
        refusal(pem(bytes(der)))


class TestKeys:
    @pytest.mark.requirement("A00.FR.502", "A00.FR.503")
    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            (rsa.generate_private_key(65537, 1024), Reason.KEY_TOO_SMALL),
            (rsa.generate_private_key(3, 2048), Reason.KEY_EXPONENT),
            (ec.generate_private_key(ec.SECP192R1()), Reason.KEY_CURVE),
            (ec.generate_private_key(ec.BrainpoolP256R1()), Reason.KEY_CURVE),
            (ed25519.Ed25519PrivateKey.generate(), Reason.KEY_TYPE),
            (dsa.generate_private_key(2048), Reason.KEY_TYPE),
        ],
    )
    def test_weak_and_foreign_keys_are_refused(self, key, reason: Reason) -> None:
        assert refusal(csr_pem(key)) is reason

    @pytest.mark.parametrize(
        "key",
        [
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP521R1()),
        ],
    )
    def test_strong_ones_are_taken(self, key) -> None:
        assert parsed(csr_pem(key)).public_key == key.public_key()

    def test_a_real_request_with_a_roca_key_is_refused_and_one_that_resembles_it_is_taken(self) -> None:
        assert refusal(AFFECTED_CSR) is Reason.KEY_ROCA
        assert parsed(SOUND_CSR).common_name == "crocs.fi.muni.cz"

    @pytest.mark.parametrize(
        ("modulus", "exponent", "reason"),
        [
            (1 << 12_000 | 1, 65537, Reason.KEY_SIZE),
            (1 << 2047 | 2, 65537, Reason.KEY_EVEN_MODULUS),
            (1 << 2047 | 1, 1, Reason.KEY_EXPONENT),
            (0, 65537, Reason.KEY_TOO_SMALL),
            (-(1 << 2047) - 1, 65537, Reason.KEY_TOO_SMALL),
        ],
        ids=["huge", "even", "exponent", "zero", "negative"],
    )
    def test_the_key_is_judged_before_the_signature(self, modulus: int, exponent: int, reason: Reason) -> None:
        assert refusal(unsigned_rsa_csr(modulus, exponent)) is reason

    def test_a_point_that_is_not_on_the_curve_is_refused(self) -> None:
        numbers = KEY.public_key().public_numbers()
        der = csr_der(GOOD)
        y = numbers.y.to_bytes(32, "big")
        assert der.count(y) == 1
        assert refusal(pem(der.replace(y, (numbers.y ^ 1).to_bytes(32, "big")))) is Reason.KEY_INVALID

    def test_explicit_parameters_of_a_known_curve_are_taken_by_its_name_and_changed_ones_are_refused(
        self, tmp_path: Path
    ) -> None:
        """CVE-2020-0601: a curve of one's own that differs from P-256 in its generator only."""
        key = tmp_path / "k"
        generate = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit"]
        subprocess.run([*generate, "-out", key], check=True, capture_output=True)
        made = subprocess.run(
            ["openssl", "req", "-new", "-key", key, "-subj", "/CN=SN-1"], capture_output=True, check=True
        )
        request = parsed(made.stdout.decode())
        assert len(request.spki) == len(parsed(GOOD).spki)
        der, generator = csr_der(made.stdout.decode()), bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f2")
        assert der.count(generator) == 1
        assert refusal(pem(der.replace(generator, generator[::-1]))) in {Reason.KEY_CURVE, Reason.KEY_INVALID}


class TestProofOfPossession:
    def test_a_request_for_somebody_elses_key_is_refused(self) -> None:
        mine, theirs = csr_der(GOOD), csr_der(csr_pem())
        spki = parsed(GOOD).spki
        assert refusal(pem(mine.replace(spki, parsed(pem(theirs)).spki))) is Reason.CSR_BAD_SIGNATURE

    @pytest.mark.requirement("A00.FR.504")
    @pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
    def test_weak_hashes_are_refused_and_strong_ones_taken(self, digest: str, tmp_path: Path) -> None:
        command = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=SN-1", f"-{digest}"]
        made = subprocess.run([*command, "-keyout", tmp_path / "k"], capture_output=True, check=True).stdout.decode()
        if digest in {"sha1", "sha224"}:
            assert refusal(made) is Reason.CSR_SIGNATURE_ALGORITHM
        else:
            assert parsed(made).common_name == "SN-1"


class TestNames:
    def test_two_common_names_are_refused_wherever_they_stand(self) -> None:
        assert refusal(csr_pem(KEY, (CN, "SN-1"), (O, "CPO"), (CN, "SN-2"))) is Reason.CSR_TWO_COMMON_NAMES
        assert refusal(csr_pem(KEY, (CN, "SN-1"), (CN, "SN-1"))) is Reason.CSR_TWO_COMMON_NAMES

    def test_one_is_needed(self) -> None:
        assert refusal(csr_pem(KEY, (O, "CPO"))) is Reason.CSR_NO_COMMON_NAME

    def test_two_organizations_are_refused_and_two_units_are_not(self) -> None:
        unit = NameOID.ORGANIZATIONAL_UNIT_NAME
        assert refusal(csr_pem(KEY, (O, "CPO"), (O, "Other"), (CN, "SN-1"))) is Reason.CSR_TWO_ORGANIZATIONS
        assert parsed(csr_pem(KEY, (unit, "A"), (unit, "B"), (CN, "SN-1"))).organization == ""

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("SN-1\0", Reason.NAME_CONTROL_CHARACTER),
            ("SN\n1", Reason.NAME_CONTROL_CHARACTER),
            ("SN\x7f", Reason.NAME_CONTROL_CHARACTER),
            ("SN\x85", Reason.NAME_CONTROL_CHARACTER),
            ("SN\u2028", Reason.NAME_CONTROL_CHARACTER),
            ("\u202e1-NS", Reason.NAME_BIDI_CHARACTER),
            ("SN\u20661\u2069", Reason.NAME_BIDI_CHARACTER),
            ("SN\u200b1", Reason.NAME_CHARACTER),
        ],
    )
    @pytest.mark.parametrize("oid", [CN, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.LOCALITY_NAME])
    def test_names_that_deceive_are_refused_in_every_part(self, value: str, reason: Reason, oid) -> None:
        assert refusal(csr_pem(KEY, (oid, value), (O, "CPO"))) is reason

    @pytest.mark.parametrize("value", ["Stadtwerke Köln", "東京電力", "a/b=c", "L'Été"])
    def test_other_writing_is_taken(self, value: str) -> None:
        assert parsed(csr_pem(KEY, (O, value), (CN, "SN-1"))).organization == value

    @pytest.mark.requirement("A00.FR.511", "A02.FR.13")
    def test_names_are_compared_with_the_registry_exactly(self) -> None:
        request = parsed(GOOD)
        verify_subject(request, Subject("SN-1", "CPO"))
        for subject, reason in (
            (Subject("SN-11", "CPO"), Reason.CSR_OTHER_COMMON_NAME),
            (Subject("sn-1", "CPO"), Reason.CSR_OTHER_COMMON_NAME),
            (Subject("SN-1", "CPO 2"), Reason.CSR_OTHER_ORGANIZATION),
        ):
            with pytest.raises(Refused) as refused:
                verify_subject(request, subject)
            assert refused.value.reason is reason

    def test_a_request_without_organization_or_with_another_where_that_is_tolerated_is_taken(self) -> None:
        verify_subject(parsed(csr_pem(KEY, organization="")), Subject("SN-1", "CPO"))
        verify_subject(parsed(GOOD), Subject("SN-1", "Other"), compare_organization=False)


class TestExtensions:
    def test_what_is_asked_for_is_reported_and_has_no_effect(self) -> None:
        wanted = (
            x509.BasicConstraints(ca=True, path_length=None),
            x509.SubjectAlternativeName([x509.DNSName("csms.example.com")]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        )
        assert parsed(csr_pem(KEY, extensions=wanted)).ignored == (
            "basicConstraints CA:TRUE",
            "subjectAltName",
            "extendedKeyUsage",
        )

    def test_an_extension_nobody_can_read_does_no_harm(self) -> None:
        broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x04\x00")
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        assert parsed(csr_pem(KEY, extensions=(unknown,))).ignored == ("1.2.3.4",)
        assert parsed(csr_pem(KEY, extensions=(broken,))).ignored[0].startswith("unreadable extensions")


@pytest.mark.parametrize(
    "options",
    [
        ("rsa:2048", "-sigopt", "rsa_padding_mode:pss"),
        ("rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"),
        ("ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"),
        ("ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha512"),
        ("rsa:3072", "-addext", "subjectAltName=DNS:x.example", "-addext", "basicConstraints=CA:TRUE"),
        ("rsa:2048", "-utf8", "-multivalue-rdn"),
    ],
    ids=["pss", "pss key", "named", "sha512", "extensions", "multi"],
)
def test_what_openssl_can_be_made_to_request_is_taken(tmp_path: Path, options: tuple[str, ...]) -> None:
    command = ["openssl", "req", "-new", "-newkey", *options, "-nodes", "-subj", "/O=CPO/OU=A/CN=SN-1", "-keyout"]
    made = subprocess.run([*command, tmp_path / "k"], capture_output=True, check=True)
    assert (parsed(made.stdout.decode()).common_name, parsed(made.stdout.decode()).organization) == ("SN-1", "CPO")


def test_a_key_with_a_compressed_point_is_taken_and_written_as_everybody_reads_it(tmp_path: Path) -> None:
    key = tmp_path / "k"
    generate = [
        "openssl",
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-conv_form",
        "compressed",
        "-out",
        str(key),
    ]
    subprocess.run(generate, check=True, capture_output=True)
    converted = tmp_path / "c"
    subprocess.run(
        ["openssl", "ec", "-in", key, "-conv_form", "compressed", "-out", converted], check=True, capture_output=True
    )
    made = subprocess.run(
        ["openssl", "req", "-new", "-key", converted, "-subj", "/CN=SN-1"], capture_output=True, check=True
    )
    assert len(parsed(made.stdout.decode()).spki) == len(parsed(GOOD).spki)


def test_openssl_requests_are_taken(tmp_path: Path) -> None:
    for algorithm in (["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], ["rsa:2048"]):
        command = ["openssl", "req", "-new", "-newkey", *algorithm, "-nodes", "-subj", "/O=CPO/CN=SN-1", "-keyout"]
        made = subprocess.run([*command, tmp_path / "k"], capture_output=True, check=True)
        assert parsed(made.stdout.decode()).common_name == "SN-1"


def test_whatever_the_spelling_what_is_handed_on_is_the_same_der() -> None:
    text = csr_pem()
    body = "".join(text.splitlines()[1:-1])
    spelled = f"\u00a0-----BEGIN NEW CERTIFICATE REQUEST-----\n{body}\n-----END NEW CERTIFICATE REQUEST-----\r\n"
    assert handed_on(spelled) == handed_on(text) == csr_der(text)
    with pytest.raises(Refused):
        handed_on(text + text)
