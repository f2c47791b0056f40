"""The signer's own look at every order: what another process made of it counts for nothing."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pki.chained_file import START, Position
from pki.errors import JournalDamaged, KeyFailed, Misconfigured, Reason, Refused
from pki.kept_keys import KeptECKey
from pki.keys import certificate_key, write_key
from pki.names import Subject
from pki.profiles import CHARGE_POINT, CHARGE_POINT_ISSUING_CA, CSMS, OCSP_RESPONDER
from pki.signer.core import SigningCore
from pki.signer.settings import load_issuers
from pki.signing import certificate_of, random_serial, unsigned_certificate, verify_signed
from pki.template import Contents, Publication, certificate_builder
from tests.pki.hierarchy import DAY, HOUR, NOW, Hierarchy
from tests.pki.signer_directory import SECRET, make_signer_directory

CA = Hierarchy()
ISSUERS = {"issuing": CA.issuing, "servers": CA.server_issuing}
AT = Position(5, b"d" * 32)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_signer_directory(tmp_path, CA)


@pytest.fixture
def core(directory: Path):
    made = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)
    yield made
    made.close()


def body(profile=CHARGE_POINT, issuer: str = "issuing", key=None, algorithm=None, **changes) -> bytes:
    given = Contents(
        profile=profile,
        subject=Subject("SN-1", "CPO"),
        serial=random_serial(),
        not_before=NOW - HOUR,
        not_after=NOW + profile.lifetime,
    )
    given = dataclasses.replace(given, **changes)
    public = (key or ec.generate_private_key(ec.SECP256R1())).public_key()
    builder = certificate_builder(given, public, ISSUERS[issuer].subject, certificate_key(ISSUERS[issuer]))
    throw_away = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(throw_away, algorithm or hashes.SHA256()).tbs_certificate_bytes


def refusal(
    core: SigningCore, tbs: bytes, *, issuer: str = "issuing", profile: str = CHARGE_POINT.name, journal: Position = AT
) -> Reason:
    before = (core.book.signed_count, core.book.listed(0))
    with pytest.raises(Refused) as refused:
        core.sign(issuer, profile, tbs, journal)
    assert (core.book.signed_count, core.book.listed(0)) == before
    return refused.value.reason


PUBLICATION = Publication(
    crl_url="http://p.example/{shard}.crl",
    crl_shards=4,
    ocsp_url="http://o.example/",
    issuer_url="http://p.example/i.crt",
)


def published(directory: Path) -> SigningCore:
    """The core; what the CA for charge points publishes stands in its certificates."""
    issuers = load_issuers(directory)
    issuer, key = issuers["issuing"]
    issuers["issuing"] = (dataclasses.replace(issuer, publication=PUBLICATION), key)
    return SigningCore(issuers, directory / "signed", lambda: NOW)


class TestSigns:
    def test_what_is_as_the_profile_says(self, directory: Path) -> None:
        core = published(directory)
        for profile, issuer, more in (
            (CHARGE_POINT, "issuing", {"publication": PUBLICATION}),
            (CSMS, "servers", {"subject": Subject("gw.example.com", "CPO")}),
        ):
            tbs = body(profile, issuer, **more)
            signature = core.sign(issuer, profile.name, tbs, AT)
            certificate = x509.load_der_x509_certificate(certificate_of(tbs, signature))
            verify_signed(certificate, tbs, certificate_key(ISSUERS[issuer]))
            certificate.verify_directly_issued_by(ISSUERS[issuer])
        core.close()

    def test_the_same_body_again_with_the_same_signature(self, core: SigningCore, directory: Path) -> None:
        tbs = body()
        first = core.sign("issuing", CHARGE_POINT.name, tbs, AT)
        assert core.sign("issuing", CHARGE_POINT.name, tbs, AT) == first
        core.close()
        again = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)
        assert again.sign("issuing", CHARGE_POINT.name, tbs, AT) == first
        assert (again.book.signed_count, again.book.remembered) == (1, AT)
        entries, following = again.book.listed(0)
        assert ([(entry.tbs, entry.signature) for entry in entries], following) == ([(tbs, first)], 0)
        again.close()


class TestRefuses:
    def test_issuers_and_profiles_that_are_not_configured(self, core: SigningCore) -> None:
        assert refusal(core, body(), issuer="other") is Reason.ISSUER_UNKNOWN
        assert refusal(core, body(), profile=CSMS.name) is Reason.PROFILE_NOT_SERVED
        assert refusal(core, body(), profile="") is Reason.PROFILE_NOT_SERVED

    @pytest.mark.parametrize(
        "tbs", [b"", b"\x30\x00", b"nonsense", body()[:-1], body() + b"\0", body(issuer="servers")]
    )
    def test_what_is_not_the_body_of_a_certificate_of_this_issuer(self, core: SigningCore, tbs: bytes) -> None:
        assert refusal(core, tbs) is Reason.LINT

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"subject": Subject("SN-1", "Other")}, Reason.ORGANIZATION_NOT_SERVED),
            ({"subject": Subject("10.0.0.1", "CPO")}, Reason.NAME_IS_ADDRESS),
            ({"subject": Subject("csms.example.com", "CPO")}, Reason.NAME_IS_HOST_NAME),
            ({"subject": Subject("SN\u202e1", "CPO")}, Reason.NAME_BIDI_CHARACTER),
            ({"profile": CSMS, "subject": Subject("SN-1", "CPO")}, Reason.NAME_NOT_FOR_PROFILE),
            ({"profile": CHARGE_POINT_ISSUING_CA}, Reason.LINT),
            ({"serial": 4711}, Reason.LINT),
            ({"not_after": NOW + 91 * DAY}, Reason.LINT),
            ({"not_before": NOW - 2 * DAY, "not_after": NOW - DAY}, Reason.LINT),
            ({"not_before": NOW + 300 * DAY, "not_after": NOW + 390 * DAY}, Reason.CLOCK),
            ({"not_after": NOW + 90 * DAY + HOUR / 4}, Reason.LINT),
            ({"not_before": NOW - HOUR / 2, "not_after": NOW + 90 * DAY + HOUR / 4}, Reason.CLOCK),
            ({"algorithm": hashes.SHA384()}, Reason.LINT),
            ({"key": CA.keys["issuing"]}, Reason.LINT),
        ],
    )
    def test_names_times_and_contents_that_its_own_settings_do_not_have(
        self, core: SigningCore, changes, reason: Reason
    ) -> None:
        assert refusal(core, body(**changes)) is reason

    @pytest.mark.parametrize(
        "subject",
        [
            Subject("SN-1", "CPO", unit="admin\u202e"),
            Subject("SN-1", "CPO", unit="Works"),
            Subject("SN-1", "CPO", country="DE"),
            Subject("SN-1", "CPO", domain_component="CPO"),
        ],
    )
    def test_parts_of_a_name_that_the_profile_does_not_have(self, core: SigningCore, subject: Subject) -> None:
        assert refusal(core, body(subject=subject)) in {Reason.NAME_CHARACTER, Reason.LINT}

    def test_a_part_of_a_name_twice(self, core: SigningCore) -> None:
        twice = x509.Name([*Subject("SN-1", "CPO").name(), x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "")])
        assert refusal(core, body(existing_name=twice)) is Reason.LINT
        other_order = x509.Name(reversed(list(Subject("SN-1", "CPO").name())))
        assert refusal(core, body(existing_name=other_order)) is Reason.LINT

    @pytest.mark.parametrize(
        "changes",
        [
            {"crl_url": "http://evil.example/{shard}.crl"},
            {"crl_shards": 8},
            {"ocsp_url": "http://evil.example/"},
            {"issuer_url": "http://evil.example/i.crt"},
            {"crl_url": "", "crl_shards": 1},
            {"ocsp_url": ""},
            {"issuer_url": ""},
        ],
    )
    def test_addresses_other_than_those_it_publishes_at(self, directory: Path, changes: dict[str, Any]) -> None:
        core = published(directory)
        serial = 8 << 155 | 5
        other = body(serial=serial, publication=dataclasses.replace(PUBLICATION, **changes))
        assert refusal(core, other) is Reason.LINT
        core.sign("issuing", CHARGE_POINT.name, body(serial=serial, publication=PUBLICATION), AT)
        core.close()

    def test_addresses_where_nothing_is_published(self, core: SigningCore) -> None:
        assert refusal(core, body(publication=PUBLICATION)) is Reason.LINT

    def test_a_responder_where_nobody_is_told_to_ask_one(self, core: SigningCore) -> None:
        found = refusal(core, body(OCSP_RESPONDER), profile=OCSP_RESPONDER.name)
        assert found is Reason.PROFILE_NOT_SERVED

    @pytest.mark.parametrize("name", ["server", "root"])
    def test_the_key_of_any_authority(self, core: SigningCore, name: str) -> None:
        assert refusal(core, body(key=CA.keys[name])) is Reason.KEY_OF_AUTHORITY

    def test_a_host_in_another_domain(self, core: SigningCore) -> None:
        tbs = body(
            CSMS, "servers", subject=Subject("gw.example.com", "CPO"), names=("gw.example.com", "gw.example.org")
        )
        assert refusal(core, tbs, issuer="servers", profile=CSMS.name) is Reason.NAME_OTHER_DOMAIN

    def test_a_second_certificate_with_a_serial_number(self, core: SigningCore) -> None:
        serial = random_serial()
        core.sign("issuing", CHARGE_POINT.name, body(serial=serial), AT)
        assert refusal(core, body(serial=serial)) is Reason.SERIAL_USED

    def test_a_journal_that_has_gone_back(self, core: SigningCore) -> None:
        core.remember(Position(9, b"e" * 32), "1")
        assert refusal(core, body(), journal=Position(8, b"d" * 32)) is Reason.JOURNAL_STEP_BACK
        assert refusal(core, body(), journal=Position(9, b"f" * 32)) is Reason.JOURNAL_STEP_BACK
        with pytest.raises(Refused):
            core.remember(START, "")
        core.sign("issuing", CHARGE_POINT.name, body(), Position(9, b"e" * 32))
        core.sign("issuing", CHARGE_POINT.name, body(), Position(10, b"f" * 32))
        assert core.book.remembered == Position(10, b"f" * 32)


class TestSettings:
    def problem(self, directory: Path) -> str:
        with pytest.raises(Misconfigured) as problem:
            core = SigningCore(
                load_issuers(directory), directory / "signed", lambda: datetime.datetime.now(datetime.UTC)
            )
            core.close()
        assert SECRET.decode() not in str(problem.value)
        return str(problem.value)

    def test_a_directory_without_issuers_is_a_mistake(self, tmp_path: Path) -> None:
        assert "no issuing CA" in self.problem(tmp_path)

    @pytest.mark.parametrize("name", ["issuing.key", "secret"])
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
    def test_keys_and_secrets_that_others_can_touch_are_refused(self, directory: Path, name: str, mode: int) -> None:
        (directory / name).chmod(mode)
        assert f"chmod 600 {directory / name}" in self.problem(directory)

    @pytest.mark.parametrize("name", ["issuing.toml", "issuing.pem"])
    def test_settings_and_certificates_that_others_can_change_are_refused(self, directory: Path, name: str) -> None:
        (directory / name).chmod(0o664)
        assert f"chmod go-w {directory / name}" in self.problem(directory)
        (directory / name).chmod(0o644)
        assert len(load_issuers(directory)) == 2

    def test_read_only_ones_are_fine(self, directory: Path) -> None:
        (directory / "issuing.key").chmod(0o400)
        assert len(load_issuers(directory)) == 2

    def test_a_key_of_another_certificate_is_refused(self, directory: Path) -> None:
        write_key(CA.keys["server"], directory / "issuing.key", SECRET)
        assert "does not belong to its certificate" in self.problem(directory)

    def test_a_wrong_secret_is_refused(self, directory: Path) -> None:
        (directory / "secret").write_bytes(SECRET[::-1])
        assert "the secret does not fit" in self.problem(directory)

    def test_a_short_secret_is_refused(self, directory: Path) -> None:
        (directory / "secret").write_text("password\n")
        assert "too short" in self.problem(directory)

    def test_an_unencrypted_key_is_refused_unless_that_is_said(self, directory: Path) -> None:
        write_key(CA.keys["issuing"], directory / "issuing.key")
        text = (directory / "issuing.toml").read_text()
        (directory / "issuing.toml").write_text(text.replace('secret_file = "secret"', ""))
        assert "needs a secret_file" in self.problem(directory)
        (directory / "issuing.toml").write_text(text.replace('secret_file = "secret"', "unsafe_unencrypted = true"))
        assert len(load_issuers(directory)) == 2

    def test_a_systemd_credential_serves_as_secret(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = (directory / "issuing.toml").read_text()
        (directory / "issuing.toml").write_text(text.replace('secret_file = "secret"', 'secret_credential = "ca"'))
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        assert "LoadCredentialEncrypted=ca" in self.problem(directory)
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (directory / "secret").rename(credentials / "ca")
        (directory / "servers.toml").unlink()
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
        assert list(load_issuers(directory)) == ["issuing"]
        (directory / "issuing.toml").write_text(text.replace('secret_file = "secret"', 'secret_credential = "../ca"'))
        assert "not a name" in self.problem(directory)

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("organizations", "organisations", "organisations"),
            (
                "ChargePointCertificate",
                "ChargepointCertificate",
                "no certificate profile 'ChargepointCertificate'; there are",
            ),
            ('["ChargePointCertificate", "OCSPResponder"]', '["CSMSCertificate"]', "CSMSCertificate has a use"),
            ('["CPO"]', '["CPO", "Other"]', "do not permit O=Other"),
            ("[key]", "[lifetime_days]\nChargePointCertificate = -1\n[key]", "lifetime is not positive"),
            ("[key]", "[lifetime_days]\nChargePointCertificate = 1e9\n[key]", "more than 3660"),
            ("[key]", "[lifetime_days]\nChargePointCertificate = nan\n[key]", "more than 3660"),
            ("[key]", "[lifetime_days]\nChargePointCertificate = inf\n[key]", "more than 3660"),
            ("[key]", "[publication]\ncrl_shards = 0\n[key]", "crl_shards is not between"),
            ('certificate = "issuing.pem"', 'certificate = "issuing.toml"', "issuing.toml"),
            ("[key]", "[key", "issuing.toml"),
            ('certificate = "issuing.pem"', 'certificate = "none.pem"', "none.pem: No such file"),
            (
                'certificate = "issuing.pem"',
                'certificate = "servers.pem"',
                "has a use that its own certificate does not have",
            ),
            ('file = "issuing.key"', "", "either a file or pkcs11"),
        ],
    )
    def test_settings_that_make_no_sense_are_told_with_their_file(
        self, directory: Path, old: str, new: str, problem: str
    ) -> None:
        path = directory / "issuing.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
        assert problem in self.problem(directory)

    def test_a_lifetime_can_be_chosen(self, directory: Path) -> None:
        path = directory / "issuing.toml"
        path.write_text(path.read_text().replace("[key]", "[lifetime_days]\nChargePointCertificate = 365\n[key]"))
        issuer, _ = load_issuers(directory)["issuing"]
        assert issuer.profile(CHARGE_POINT.name).lifetime == 365 * DAY


class TestWhatItRemembers:
    """A record that could not be read again, or that no journal could follow, would be the end of the CA."""

    @pytest.mark.parametrize("revoked", ["zz", "0x1f", "-1", "A1", "1" * 41])
    def test_what_is_no_serial_number_is_not_remembered(self, core: SigningCore, revoked: str) -> None:
        with pytest.raises(Refused):
            core.remember(Position(9, b"e" * 32), revoked)
        core.remember(Position(9, b"e" * 32), "1f")

    @pytest.mark.parametrize(
        "place", [Position(2**62, b"e" * 32), Position(2_000_000, b"e" * 32), Position(9, b""), Position(-1, b"e" * 32)]
    )
    def test_what_is_no_place_in_a_journal_is_not_remembered(
        self, core: SigningCore, directory: Path, place: Position
    ) -> None:
        with pytest.raises(Refused):
            core.remember(place)
        with pytest.raises(Refused):
            core.sign("issuing", CHARGE_POINT.name, body(), place)
        core.close()
        again = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)
        assert again.book.remembered == START
        again.remember(Position(900_000, b"e" * 32))  # long not asked, and many requests since
        again.close()

    def test_a_revocation_is_remembered_also_at_a_place_that_it_knows(self, core: SigningCore) -> None:
        core.remember(AT)
        core.remember(AT, "1f")
        assert list(core.book.revoked()) == [0x1F]
        before = core.book.place
        core.remember(AT, "1f")
        assert core.book.place == before

    def test_a_mere_place_of_the_journal_does_not_count_in_its_own(self, core: SigningCore) -> None:
        core.remember(AT)
        assert core.book.place == START
        core.remember(AT, "1f")
        assert core.book.place.sequence == 2

    def test_a_list_that_cannot_follow_is_damage_with_its_record(self, core: SigningCore, directory: Path) -> None:
        from pki.chained_file import ChainedFile
        from pki.signer.book import _Record, _Remembered

        core.close()
        forged: ChainedFile[_Record] = ChainedFile(directory / "signed", _Record, lambda *_: None)
        forged.append(_Remembered(NOW, AT, "zz"))
        forged.close()
        with pytest.raises(JournalDamaged, match="record 1 cannot follow"):
            SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)


class TestOrdersAgain:
    def test_what_is_signed_is_answered_whatever_its_settings_have_become(
        self, core: SigningCore, directory: Path
    ) -> None:
        tbs = body()
        first = core.sign("issuing", CHARGE_POINT.name, tbs, AT)
        core.close()
        settings = directory / "issuing.toml"
        settings.write_text(settings.read_text().replace('"ChargePointCertificate", ', ""))
        again = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW + 100 * DAY)
        assert again.sign("issuing", CHARGE_POINT.name, tbs, AT) == first
        with pytest.raises(Refused) as refused:
            again.sign("issuing", CHARGE_POINT.name, body(), AT)
        assert refused.value.reason is Reason.PROFILE_NOT_SERVED
        again.close()

    def test_a_number_that_is_revoked_is_not_signed_and_one_that_was_signed_is_answered(
        self, core: SigningCore
    ) -> None:
        tbs, other = body(), body()
        first = core.sign("issuing", CHARGE_POINT.name, tbs, AT)
        for each in (tbs, other):
            core.remember(Position(6, b"e" * 32), f"{unsigned_certificate(each).serial_number:x}")
        with pytest.raises(Refused) as refused:
            core.sign("issuing", CHARGE_POINT.name, other, Position(7, b"f" * 32))
        assert refused.value.reason is Reason.ALREADY_REVOKED
        assert core.sign("issuing", CHARGE_POINT.name, tbs, AT) == first


class _Faulty(KeptECKey):
    """Hardware whose first signature is none."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        super().__init__(key.public_key())
        self._key, self._is_faulty = key, True

    def sign(self, data, signature_algorithm):
        faulty, self._is_faulty = self._is_faulty, False
        return self._key.sign(data + b"x" if faulty else data, signature_algorithm)


def test_a_wrong_signature_is_not_listed_and_the_order_can_be_repeated(directory: Path) -> None:
    issuers = load_issuers(directory)
    issuers["issuing"] = (issuers["issuing"][0], _Faulty(CA.keys["issuing"]))
    core, tbs = SigningCore(issuers, directory / "signed", lambda: NOW), body()
    with pytest.raises(KeyFailed):
        core.sign("issuing", CHARGE_POINT.name, tbs, AT)
    assert [entry.signature for entry in core.book.listed(0)[0]] == [b""]
    signature = core.sign("issuing", CHARGE_POINT.name, tbs, AT)
    verify_signed(x509.load_der_x509_certificate(certificate_of(tbs, signature)), tbs, certificate_key(CA.issuing))
    core.close()
