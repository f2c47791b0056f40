"""OCSP responders in the signer: for whose key a certificate is signed, and what a responder is made to say."""

import dataclasses
import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from pki.errors import Reason, Refused
from pki.ocsp import assembled
from pki.profiles import CHARGE_POINT, OCSP_RESPONDER
from pki.signer import responders
from pki.signer.core import SigningCore
from pki.signer.protocol import OCSPStatus, SignResponses
from pki.signer.responders import ResponderKeys
from pki.signer.settings import load_issuers, responder_secrets
from pki.signing import certificate_of
from tests.pki.hierarchy import DAY, HOUR, NOW
from tests.pki.signer.test_core import AT, CA, PUBLICATION, body
from tests.pki.signer_directory import make_signer_directory

KEYCOMPROMISE = "keyCompromise"
GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


class Signer:
    """The core with a responder, and whoever asks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.core = self.open()
        self.responder = self.certified(self.core.new_responder("issuing"))

    def open(self) -> SigningCore:
        issuers = load_issuers(self.directory)
        for name in issuers:
            issuer, key = issuers[name]
            more: dict[str, Any] = {"publication": PUBLICATION} if name == "issuing" else {}
            issuers[name] = (dataclasses.replace(issuer, **more), key)
        keys = ResponderKeys(self.directory / "responders", responder_secrets(self.directory))
        return SigningCore(issuers, self.directory / "signed", lambda: NOW, keys)

    def restart(self) -> None:
        self.core.close()
        self.core = self.open()

    def certified(self, csr: bytes) -> str:
        """The serial number of a responder's certificate."""
        return self.signed(OCSP_RESPONDER, _PublicOnly(x509.load_der_x509_csr(csr).public_key()))

    def signed(self, profile: Any = CHARGE_POINT, key: Any = None) -> str:
        tbs = body(profile, key=key, publication=PUBLICATION)
        signature = self.core.sign("issuing", profile.name, tbs, AT)
        return f"{x509.load_der_x509_certificate(certificate_of(tbs, signature)).serial_number:x}"

    def order(self, *statuses: OCSPStatus, **changes: Any) -> SignResponses:
        values: dict[str, Any] = {
            "issuer": "issuing",
            "responder": self.responder,
            "this_update": NOW,
            "next_update": NOW + 4 * DAY,
        }
        return SignResponses(**{**values, **changes}, statuses=list(statuses))

    def say(self, *statuses: OCSPStatus, **changes: Any) -> list[ocsp.OCSPResponse]:
        """What it signs, with SHA-256."""
        made = self.core.sign_responses(self.order(*statuses, **changes))
        return [ocsp.load_der_ocsp_response(assembled(each[1])) for each in made]

    def refusal(self, *statuses: OCSPStatus, **changes: Any) -> Reason:
        with pytest.raises(Refused) as refused:
            self.core.sign_responses(self.order(*statuses, **changes))
        return refused.value.reason


class _PublicOnly:
    """Half a key, for `body`."""

    def __init__(self, public: Any) -> None:
        self._public = public

    def public_key(self) -> Any:
        return self._public


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    made = Signer(make_signer_directory(tmp_path, CA))
    yield made
    made.core.close()


class TestKeys:
    def test_nobody_gets_a_responders_certificate_for_a_key_of_his_own(self, signer: Signer) -> None:
        with pytest.raises(Refused) as refused:
            signer.signed(OCSP_RESPONDER, ec.generate_private_key(ec.SECP256R1()))
        assert refused.value.reason is Reason.RESPONDER_KEY

    def test_a_request_of_the_signers_own_proves_its_key_and_its_name_is_the_issuers(self, signer: Signer) -> None:
        csr = x509.load_der_x509_csr(signer.core.new_responder("issuing"))
        assert csr.is_signature_valid
        assert csr.subject.rfc4514_string() == "CN=OCSP responder of issuing,O=CPO"

    def test_where_nobody_is_told_to_ask_one_there_is_none(self, signer: Signer) -> None:
        for name, reason in (("servers", Reason.PROFILE_NOT_SERVED), ("other", Reason.ISSUER_UNKNOWN)):
            with pytest.raises(Refused) as refused:
                signer.core.new_responder(name)
            assert refused.value.reason is reason
        assert not list((signer.directory / "responders").glob("servers/*"))

    def test_a_restart_needs_no_new_one_and_the_file_is_encrypted_and_nobody_elses(self, signer: Signer) -> None:
        serial = signer.signed()
        signer.restart()
        assert signer.say(OCSPStatus(serial))[0].certificate_status is GOOD
        [path] = (signer.directory / "responders").rglob("*.key")
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED")
        assert path.stat().st_mode & 0o777 == 0o600

    def test_one_that_is_gone_is_said_to_be(self, signer: Signer) -> None:
        [path] = (signer.directory / "responders").rglob("*.key")
        other = path.with_name("0" * 64 + ".key")
        path.rename(other)
        signer.restart()
        assert signer.refusal(OCSPStatus(signer.signed())) is Reason.RESPONDER_KEY
        other.rename(path)
        assert signer.say(OCSPStatus(signer.signed()))

    def test_a_file_with_another_key_than_its_name_says_is_not_used(self, signer: Signer) -> None:
        [path] = (signer.directory / "responders").rglob("*.key")
        signer.core.new_responder("issuing")
        [second] = {*(signer.directory / "responders").rglob("*.key")} - {path}
        second.replace(path)
        signer.restart()
        assert signer.refusal(OCSPStatus(signer.signed())) is Reason.RESPONDER_KEY
        signer.restart()
        path.write_text("damaged")
        assert signer.refusal(OCSPStatus(signer.signed())) is Reason.RESPONDER_KEY

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can begin a file for somebody else")
    def test_what_root_begins_belongs_to_the_signers_user(self, tmp_path: Path) -> None:
        directory = make_signer_directory(tmp_path, CA)
        os.chown(directory, 12_345, 12_345)
        signer = Signer(directory)
        made = [directory / "responders", *(directory / "responders").rglob("*")]
        assert (len(made), {path.stat().st_uid for path in made}) == (3, {12_345})
        signer.core.close()

    def test_old_ones_are_thrown_away(self, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responders, "_KEYS_KEPT", 2)
        for _ in range(3):
            signer.core.new_responder("issuing")
        assert len(list((signer.directory / "responders").rglob("*.key"))) == 2

    def test_without_a_secret_they_are_in_memory(self, tmp_path: Path) -> None:
        keys = ResponderKeys(tmp_path / "responders", {})
        [issuer] = [each for each in Signer(make_signer_directory(tmp_path, CA)).core.issuers if each.name == "issuing"]
        before = {*tmp_path.rglob("*.key")}
        assert x509.load_der_x509_csr(keys.request(issuer)).is_signature_valid
        assert {*tmp_path.rglob("*.key")} == before


class TestSays:
    def test_good_and_revoked_with_the_responders_key_for_both_hashes(self, signer: Signer) -> None:
        good, bad = signer.signed(), signer.signed()
        signer.core.remember(AT, bad)
        made = signer.core.sign_responses(signer.order(OCSPStatus(good), OCSPStatus(bad, NOW - HOUR, KEYCOMPROMISE)))
        for each, (status, reason) in zip(
            made, ((GOOD, None), (REVOKED, x509.ReasonFlags.key_compromise)), strict=True
        ):
            assert len(each) == 2
            for response in map(ocsp.load_der_ocsp_response, map(assembled, each)):
                assert (response.certificate_status, response.revocation_reason) == (status, reason)
                [responder] = response.certificates
                responder.verify_directly_issued_by(CA.issuing)
                assert f"{responder.serial_number:x}" == signer.responder
                key = responder.public_key()
                assert isinstance(key, ec.EllipticCurvePublicKey)
                key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))

    def test_good_of_none_that_it_was_told_is_revoked(self, signer: Signer) -> None:
        serial = signer.signed()
        assert signer.say(OCSPStatus(serial))
        signer.core.remember(AT, serial)
        assert signer.refusal(OCSPStatus(serial)) is Reason.OCSP_STATUS
        assert signer.refusal(OCSPStatus(signer.signed()), OCSPStatus(serial)) is Reason.OCSP_STATUS

    def test_good_of_none_that_it_has_not_signed(self, signer: Signer) -> None:
        assert signer.refusal(OCSPStatus("abc")) is Reason.OCSP_STATUS
        assert signer.say(OCSPStatus("abc", NOW, "superseded"))[0].certificate_status is REVOKED

    def test_nothing_of_another_issuing_ca(self, signer: Signer) -> None:
        from pki.names import Subject
        from pki.profiles import CSMS

        tbs = body(CSMS, "servers", subject=Subject("gw.example.com", "CPO"))
        signature = signer.core.sign("servers", CSMS.name, tbs, AT)
        serial = f"{x509.load_der_x509_certificate(certificate_of(tbs, signature)).serial_number:x}"
        assert signer.refusal(OCSPStatus(serial)) is Reason.OCSP_STATUS
        assert signer.refusal(OCSPStatus(serial, NOW, "superseded")) is Reason.OCSP_STATUS

    @pytest.mark.parametrize(
        "status",
        [
            OCSPStatus("zz"),
            OCSPStatus("0", NOW, "superseded"),
            OCSPStatus("f" * 41, NOW, "superseded"),
            OCSPStatus("abc", NOW, "certificateHold"),
            OCSPStatus("abc", NOW, "removeFromCRL"),
            OCSPStatus("abc", NOW, ""),
            OCSPStatus("abc", NOW + HOUR, "superseded"),
            OCSPStatus("abc", NOW.replace(tzinfo=None), "superseded"),
        ],
    )
    def test_what_makes_no_sense(self, signer: Signer, status: OCSPStatus) -> None:
        assert signer.refusal(status) is Reason.OCSP_STATUS

    @pytest.mark.parametrize(
        ("start", "end", "is_said"),
        [
            (NOW, NOW + 10 * DAY, True),
            (NOW + datetime.timedelta(minutes=5), NOW + DAY, True),
            (NOW, NOW + 10 * DAY + HOUR, False),
            (NOW + HOUR, NOW + DAY, False),
            (NOW - 11 * DAY, NOW - 10 * DAY, False),
            (NOW, NOW, False),
        ],
    )
    def test_only_for_now_and_for_a_while(
        self, signer: Signer, start: datetime.datetime, end: datetime.datetime, is_said: bool
    ) -> None:
        status = OCSPStatus(signer.signed())
        if is_said:
            assert signer.say(status, this_update=start, next_update=end)
        else:
            assert signer.refusal(status, this_update=start, next_update=end) is Reason.CLOCK

    def test_not_longer_than_the_responder_lives(self, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responders, "_LONGEST", 40 * DAY)
        refused = signer.refusal(OCSPStatus(signer.signed()), next_update=NOW + 31 * DAY)
        assert refused is Reason.OCSP_STATUS

    def test_by_a_responder_of_this_issuer_alone(self, signer: Signer) -> None:
        serial = signer.signed()
        for responder, reason in (
            (serial, Reason.RESPONDER_KEY),
            ("abc", Reason.RESPONDER_KEY),
            ("", Reason.OCSP_STATUS),
        ):
            assert signer.refusal(OCSPStatus(serial), responder=responder) is reason
        assert signer.refusal(OCSPStatus(serial), issuer="servers") is Reason.RESPONDER_KEY
        signer.core.remember(AT, signer.responder)
        assert signer.refusal(OCSPStatus(serial)) is Reason.ALREADY_REVOKED

    def test_so_many_at_once(self, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responders, "_MAX_STATUSES", 1)
        serial = OCSPStatus(signer.signed())
        assert signer.say(serial)
        assert signer.refusal(serial, serial) is Reason.OCSP_STATUS
