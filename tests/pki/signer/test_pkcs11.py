"""Keys in a SoftHSM token: they sign what file keys sign, cannot be taken out, and the judges see no difference."""

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki.errors import KeyFailed, Misconfigured
from pki.keys import KeyKind
from pki.names import Subject
from pki.profiles import CHARGE_POINT, CHARGE_POINT_ISSUING_CA, OCSP_RESPONDER
from pki.signatures import sign
from pki.signer.settings import KeySettings, TokenSettings, load_issuers, open_key
from pki.template import Contents, certificate_builder
from tests.pki.hierarchy import HOUR, NOW, Hierarchy, openssl_verify
from tests.pki.signer.softhsm import Token, make_token

CA = Hierarchy()


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with make_token(tmp_path_factory.mktemp("softhsm")) as made:
        yield made


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-2048"])
def test_it_signs_as_a_file_key_does(token: Token, kind: KeyKind) -> None:
    from pki.signer.pkcs11 import generate_in_token, open_token_key

    made = generate_in_token(token.module, token.label, f"sign-{kind}", token.pin, kind)
    key = open_token_key(token.module, token.label, f"sign-{kind}", token.pin)
    assert key.public_key() == made.public_key()
    public = key.public_key()
    signature = sign(key, b"body")
    if isinstance(public, ec.EllipticCurvePublicKey):
        algorithm = hashes.SHA384() if kind == "ec-p384" else hashes.SHA256()
        public.verify(signature, b"body", ec.ECDSA(algorithm))
    else:
        public.verify(signature, b"body", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("kind", ["ec-p256", "rsa-2048"])
def test_it_cannot_be_taken_out(token: Token, kind: KeyKind) -> None:
    import pkcs11

    from pki.signer.pkcs11 import generate_in_token

    key = generate_in_token(token.module, token.label, f"kept-{kind}", token.pin, kind)
    with pytest.raises(NotImplementedError):
        key.private_numbers()
    with pytest.raises(NotImplementedError):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert copy.deepcopy(key) is key
    secret = pkcs11.Attribute.VALUE if kind == "ec-p256" else pkcs11.Attribute.PRIVATE_EXPONENT
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key._handle.key[secret]  # type: ignore[union-attr]


def test_cryptography_takes_it_for_certificates_requests_and_revocation_lists(token: Token, tmp_path: Path) -> None:
    from pki.signer.pkcs11 import generate_in_token

    key = generate_in_token(token.module, token.label, "builder", token.pin, "ec-p256")
    contents = Contents(
        profile=CHARGE_POINT_ISSUING_CA,
        subject=Subject("HSM", "CPO"),
        serial=5,
        not_before=NOW - HOUR,
        not_after=NOW + HOUR,
    )
    root_key = CA.keys["root"]
    issuing = certificate_builder(contents, key.public_key(), CA.root.subject, root_key.public_key()).sign(
        root_key, hashes.SHA256()
    )
    leaf_contents = Contents(
        profile=CHARGE_POINT, subject=Subject("SN-1", "CPO"), serial=6, not_before=NOW - HOUR, not_after=NOW + HOUR
    )
    leaf_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = certificate_builder(leaf_contents, leaf_key, issuing.subject, key.public_key()).sign(key, hashes.SHA256())
    assert openssl_verify(tmp_path, leaf, [issuing], CA.root) == "OK"
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.subject)
        .last_update(NOW)
        .next_update(NOW + HOUR)
        .sign(key, hashes.SHA256())
    )
    assert crl.is_signature_valid(key.public_key())
    csr = x509.CertificateSigningRequestBuilder().subject_name(issuing.subject).sign(key, hashes.SHA256())
    assert csr.is_signature_valid
    assert OCSP_RESPONDER.no_revocation_check


def test_a_signer_with_its_key_in_a_token(token: Token, tmp_path: Path) -> None:
    from pki.signer.pkcs11 import generate_in_token

    key = generate_in_token(token.module, token.label, "issuing", token.pin, "ec-p256")
    contents = Contents(
        profile=CHARGE_POINT_ISSUING_CA,
        subject=Subject("HSM", "CPO"),
        serial=7,
        not_before=NOW - HOUR,
        not_after=NOW + HOUR,
    )
    root_key = CA.keys["root"]
    issuing = certificate_builder(contents, key.public_key(), CA.root.subject, root_key.public_key()).sign(
        root_key, hashes.SHA256()
    )
    (tmp_path / "hsm.pem").write_bytes(issuing.public_bytes(Encoding.PEM))
    settings = (
        f'certificate = "hsm.pem"\norganizations = ["CPO"]\nprofiles = ["ChargePointCertificate"]\n[key.pkcs11]\n'
        f'module = "{token.module}"\ntoken = "{token.label}"\nlabel = "issuing"\npin_file = "pin"\n'
    )
    (tmp_path / "hsm.toml").write_text(settings)
    pin = tmp_path / "pin"
    pin.touch(0o600)
    pin.write_text(token.pin + "\n")
    issuer, loaded = load_issuers(tmp_path)["hsm"]
    assert loaded.public_key() == issuer.public_key
    pin.chmod(0o644)
    with pytest.raises(Misconfigured, match="can be read by others"):
        load_issuers(tmp_path)
    (tmp_path / "hsm.toml").write_text(settings.replace('pin_file = "pin"\n', ""))
    with pytest.raises(Misconfigured, match="needs a pin_file or a pin_credential"):
        load_issuers(tmp_path)


def test_a_token_that_was_away_for_a_moment_signs_again(token: Token) -> None:
    from pki.signer.pkcs11 import generate_in_token, open_token_key

    generate_in_token(token.module, token.label, "away", token.pin, "ec-p256")
    key: Any = open_token_key(token.module, token.label, "away", token.pin)
    key._handle.key.session.close()
    public = key.public_key()
    public.verify(sign(key, b"body"), b"body", ec.ECDSA(hashes.SHA256()))


def test_a_key_that_is_gone_is_told_as_such_to_whoever_asks(token: Token) -> None:
    from pki.signer.pkcs11 import generate_in_token, open_token_key

    generate_in_token(token.module, token.label, "gone", token.pin, "ec-p256")
    key: Any = open_token_key(token.module, token.label, "gone", token.pin)
    session = key._handle.key.session
    for each in list(session.get_objects({})):
        if each.label == "gone":
            each.destroy()
    with pytest.raises(KeyFailed, match="the token does not sign"):
        sign(key, b"body")


def test_without_the_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("pkcs11", "pki.signer.pkcs11"):
        monkeypatch.setitem(sys.modules, name, None)
    pin = tmp_path / "pin"
    pin.touch(0o600)
    pin.write_text("1234")
    there = TokenSettings(module="/m.so", token="t", label="l", pin_file="pin")
    with pytest.raises(Misconfigured, match=r"pip install 'ocpp-gateway\[pkcs11\]'"):
        open_key(KeySettings(pkcs11=there), tmp_path, "key")


class TestProblems:
    def problem(self, made: Token, **changes) -> str:
        from pki.signer.pkcs11 import open_token_key

        given: dict[str, Any] = {
            "module": made.module,
            "token": made.label,
            "label": "nothing",
            "pin": made.pin,
        } | changes
        with pytest.raises(Misconfigured) as problem:
            open_token_key(**given)
        assert given["pin"] not in str(problem.value)
        return str(problem.value)

    def test_each_is_a_sentence_that_does_not_show_the_pin(self, token: Token) -> None:
        assert "key 'nothing' in token" in self.problem(token)
        assert "token 'other'" in self.problem(token, token="other")
        assert "/nowhere.so" in self.problem(token, module=Path("/nowhere.so"))

    def test_a_wrong_pin_is_told_and_not_shown(self, token: Token) -> None:
        """In a process of its own: once logged in, a process stays so."""
        program = (
            "from pathlib import Path\nfrom pki.signer.pkcs11 import open_token_key\n"
            f"open_token_key(Path({str(token.module)!r}), {token.label!r}, 'k', '876543')"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        last = done.stderr.splitlines()[-1]
        assert "PinIncorrect" in last
        assert "876543" not in last

    def test_a_key_that_can_be_taken_out_is_refused(self, token: Token) -> None:
        import pkcs11

        session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)
        loose = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False, pkcs11.Attribute.TOKEN: True}
        session.generate_keypair(pkcs11.KeyType.RSA, 2048, label="loose", store=True, private_template=loose)
        assert "can be taken out" in self.problem(token, label="loose")

    def test_a_label_is_not_used_twice(self, token: Token) -> None:
        from pki.signer.pkcs11 import generate_in_token

        generate_in_token(token.module, token.label, "twice", token.pin, "ec-p256")
        with pytest.raises(Misconfigured, match="has a key 'twice' already"):
            generate_in_token(token.module, token.label, "twice", token.pin, "ec-p256")
