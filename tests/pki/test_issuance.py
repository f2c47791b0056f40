"""The issuance procedure on real files: what is issued, what is held, what is refused and why, and what is remembered."""

import dataclasses
import datetime
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pki.approval import ApprovalRules, Operator, PresentedCertificate, Rule, Unproven
from pki.blocked_keys import BlockedKeys, spki_sha256
from pki.errors import JournalDamaged, Reason, Refused, RolledBack, SignerUnavailable
from pki.inventory import RequestState
from pki.issuance import Application, Issuance, IssuancePolicy, IssuedCertificate
from pki.key_policy import KeyPolicy
from pki.keys import write_key
from pki.lint import lint
from pki.names import Subject
from pki.profiles import CHARGE_POINT, CHARGE_POINT_ISSUING_CA, CSMS, OCSP_RESPONDER
from pki.records import RevocationReason
from pki.template import Constraints, Contents, Publication, certificate_builder
from tests.pki.hierarchy import DAY, HOUR, NOW, Hierarchy, openssl_verify, write_pem
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import SECRET, NearSigner, make_signer_directory

CA = Hierarchy()
CPO = Subject("SN-1", "CPO")
OPERATOR = Operator("alice")
COMPROMISED = RevocationReason.KEY_COMPROMISE


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


STRICT = IssuancePolicy()


class Site:
    """A CA directory with its issuance procedure, which can be closed and opened again."""

    def __init__(self, directory: Path, policy: IssuancePolicy = STRICT) -> None:
        self.directory = directory
        self.now = NOW
        self.policy = policy
        make_signer_directory(directory / "signer", CA)
        self._open()

    def _open(self) -> None:
        ids = itertools.count(len(list(self.directory.iterdir())) * 1000)
        self.signer = NearSigner(self.directory / "signer", lambda: self.now)
        try:
            self.ca = Issuance(
                self.directory / "journal",
                self.signer,
                self.policy,
                self.now,
                lambda: f"r{next(ids)}-{os.urandom(4).hex()}",
            )
        except BaseException:
            self.signer.core.close()
            raise

    def close(self) -> None:
        self.ca.close()
        self.signer.core.close()

    def reopen(self) -> None:
        self.close()
        self._open()

    def request(
        self,
        key=None,
        subject: Subject = CPO,
        applicant=OPERATOR,
        profile: str = CHARGE_POINT.name,
        csr: str = "",
        **more,
    ):
        text = csr or csr_pem(key or new_key(), common_name=subject.common_name, organization=subject.organization)
        return self.ca.request(
            text, Application(profile=profile, subject=subject, applicant=applicant, **more), self.now
        )

    def issue(self, *arguments, **more) -> IssuedCertificate:
        return self.ca.issue(self.request(*arguments, **more).id, self.now)

    def refusal(self, *arguments, **more) -> Reason:
        with pytest.raises(Refused) as refused:
            self.request(*arguments, **more)
        return refused.value.reason


@pytest.fixture
def site(tmp_path: Path):
    made = Site(tmp_path)
    yield made
    made.close()


class TestIssued:
    def test_the_key_is_the_requests_and_everything_else_the_registrys(self, site: Site) -> None:
        key = new_key()
        wanted = (
            x509.BasicConstraints(ca=True, path_length=None),
            x509.SubjectAlternativeName([x509.DNSName("evil.example")]),
        )
        csr = csr_pem(key, extensions=wanted, organization="")
        request = site.request(csr=csr, subject=Subject("SN-1", "CPO"))
        issued = site.ca.issue(request.id, site.now)
        certificate = issued.certificate
        assert certificate.public_key() == key.public_key()
        assert certificate.subject.rfc4514_string() == "CN=SN-1,O=CPO"
        assert lint(certificate, CHARGE_POINT, issuer=CA.issuing) == ()
        assert "ignored: basicConstraints CA:TRUE" in request.notes
        assert issued.chain == (CA.issuing,)

    @pytest.mark.requirement("A02.FR.06", "A03.FR.02")
    def test_it_begins_an_hour_ago_and_lives_ninety_days(self, site: Site) -> None:
        site.now = NOW + datetime.timedelta(hours=5, microseconds=7)
        certificate = site.issue().certificate
        assert certificate.not_valid_before_utc == NOW + 4 * HOUR
        assert certificate.not_valid_after_utc == NOW + 5 * HOUR + 90 * DAY

    def test_it_does_not_begin_before_its_issuer(self, site: Site) -> None:
        site.now = NOW - HOUR / 2
        certificate = site.issue().certificate
        assert certificate.not_valid_before_utc == CA.issuing.not_valid_before_utc == NOW - HOUR

    def test_serial_numbers_are_random_and_fit(self, site: Site) -> None:
        serials = {site.issue().certificate.serial_number for _ in range(5)}
        assert len(serials) == 5
        assert all(serial.bit_length() == 159 for serial in serials)

    @pytest.mark.requirement("A00.FR.509", "A00.FR.510", "A00.FR.511")
    @pytest.mark.parametrize("kind", ["ec", "p384", "rsa"])
    def test_openssl_accepts_it_for_its_purpose(self, site: Site, tmp_path: Path, kind: str) -> None:
        key = {
            "ec": new_key,
            "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "rsa": lambda: rsa.generate_private_key(65537, 2048),
        }[kind]()
        client = site.issue(key)
        server = site.issue(
            subject=Subject("gw.example.com", "CPO"), profile=CSMS.name, names=("gw.example.com", "b.example.com")
        )
        assert openssl_verify(tmp_path, client.certificate, list(client.chain), CA.root) == "OK"
        assert openssl_verify(tmp_path, server.certificate, list(server.chain), CA.root, "sslserver") == "OK"
        assert openssl_verify(tmp_path, client.certificate, list(client.chain), CA.root, "sslserver") != "OK"

    def test_gnutls_accepts_it(self, site: Site, tmp_path: Path, certtool: str) -> None:
        issued = site.issue()
        chain = write_pem(tmp_path / "chain.pem", issued.certificate, *issued.chain)
        command = [certtool, "--verify", "--verify-purpose", "1.3.6.1.5.5.7.3.2", "--infile", chain]
        root = write_pem(tmp_path / "root.pem", CA.root)
        done = subprocess.run([*command, "--load-ca-certificate", root], capture_output=True, text=True, check=False)
        assert "The certificate is trusted" in done.stdout

    def test_pkilint_finds_nothing(self, site: Site, tmp_path: Path, lint_pkix_cert: str) -> None:
        server = site.issue(subject=Subject("gw.example.com", "CPO"), profile=CSMS.name)
        client, rsa_client = site.issue(), site.issue(rsa.generate_private_key(65537, 2048), Subject("SN-2", "CPO"))
        leaves = [each.certificate for each in (client, rsa_client, server)]
        for certificate in (*leaves, CA.root, CA.issuing, CA.server_issuing):
            path = write_pem(tmp_path / "c.pem", certificate)
            done = subprocess.run(
                [lint_pkix_cert, "lint", "-s", "WARNING", path], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout.strip()) == (0, ""), certificate.subject


class TestAgain:
    def test_the_same_request_gets_the_same_certificate(self, site: Site) -> None:
        csr = csr_pem(new_key())
        first = site.issue(csr=csr)
        assert site.request(csr=csr).state is RequestState.ISSUED
        assert site.issue(csr=csr).certificate == first.certificate

    def test_the_same_key_in_another_request_gets_the_same_certificate(self, site: Site) -> None:
        key = new_key()
        first = site.issue(key)
        site.now += 30 * DAY
        assert site.issue(key).certificate == first.certificate

    def test_in_the_last_third_of_its_life_it_is_a_renewal_and_needs_a_new_key(self, site: Site) -> None:
        key = new_key()
        site.issue(key)
        site.now += 61 * DAY
        assert site.refusal(key) is Reason.KEY_USED_BEFORE
        assert site.request(new_key()).state is RequestState.APPROVED

    def test_unless_old_keys_are_accepted(self, tmp_path: Path) -> None:
        site = Site(tmp_path, IssuancePolicy(unsafe_accept_old_keys=True))
        key = new_key()
        first = site.issue(key)
        site.now += 61 * DAY
        second = site.issue(key)
        assert second.certificate.serial_number != first.certificate.serial_number
        assert "renewed with its old key" in second.request.notes
        site.close()

    def test_the_key_of_a_server_for_one_more_name_gets_another_certificate(self, site: Site) -> None:
        key, host = new_key(), Subject("gw.example.com", "CPO")
        more = ("gw.example.com", "b.example.com")
        first = site.issue(key, host, profile=CSMS.name)
        assert site.issue(key, host, profile=CSMS.name, names=("GW.example.com",)).certificate == first.certificate
        second = site.issue(key, host, profile=CSMS.name, names=more).certificate
        names = second.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == list(more)
        assert site.issue(key, host, profile=CSMS.name, names=more[::-1]).certificate == second

    def test_a_request_that_is_held_is_the_same_request(self, site: Site) -> None:
        csr = csr_pem(new_key())
        first = site.request(csr=csr, applicant=Unproven("profile 2"))
        assert first.state is RequestState.HELD
        assert site.request(csr=csr, applicant=Unproven("profile 2")) is first

    def test_all_of_that_survives_a_restart(self, site: Site) -> None:
        csr = csr_pem(new_key())
        first = site.issue(csr=csr)
        site.reopen()
        assert site.issue(csr=csr).certificate == first.certificate
        assert site.ca.certificate(first.certificate.serial_number).certificate == first.certificate


class TestRefused:
    def test_keys_of_others(self, site: Site) -> None:
        key = new_key()
        site.issue(key)
        assert site.refusal(key, Subject("SN-2", "CPO")) is Reason.KEY_OF_ANOTHER_IDENTITY

    def test_a_key_that_another_identity_asked_for_in_vain_is_nobodys(self, site: Site) -> None:
        key = new_key()
        request = site.request(key, applicant=Unproven("profile 2"))
        assert site.refusal(key, Subject("SN-2", "CPO")) is Reason.KEY_OF_ANOTHER_IDENTITY
        site.ca.decide(request.id, approved=False, by="alice", note="wrong name", now=site.now)
        assert site.request(key, Subject("SN-2", "CPO")).state is RequestState.APPROVED

    def test_keys_of_another_use(self, site: Site) -> None:
        key, responder = new_key(), Subject("SN-1", "CPO")
        site.issue(key)
        issuers = dict(site.ca.issuers)
        asked = Publication(ocsp_url="http://o.example/")
        site.ca.issuers["issuing"] = dataclasses.replace(issuers["issuing"], publication=asked)
        assert site.refusal(key, responder, profile=OCSP_RESPONDER.name) is Reason.KEY_OF_ANOTHER_USE
        assert site.request(new_key(), responder, profile=OCSP_RESPONDER.name).state is RequestState.APPROVED

    def test_keys_of_authorities_and_of_servers(self, tmp_path: Path) -> None:
        server = new_key()
        site = Site(tmp_path, IssuancePolicy(authority_keys=frozenset({spki_sha256(server.public_key())})))
        assert site.refusal(server) is Reason.KEY_OF_AUTHORITY
        assert site.refusal(CA.keys["issuing"]) is Reason.KEY_OF_AUTHORITY
        assert site.refusal(CA.keys["root"]) is Reason.KEY_OF_AUTHORITY
        assert site.request().state is RequestState.APPROVED
        site.close()

    def test_keys_that_are_blocked_or_were_revoked(self, tmp_path: Path) -> None:
        blocked, revoked = new_key(), new_key()
        policy = IssuancePolicy(keys=KeyPolicy(blocked=BlockedKeys([spki_sha256(blocked.public_key())])))
        site = Site(tmp_path, policy)
        assert site.refusal(blocked) is Reason.KEY_BLOCKED
        issued = site.issue(revoked)
        site.ca.revoke(issued.certificate.serial_number, COMPROMISED, by="alice", note="", now=site.now)
        assert site.refusal(revoked) is Reason.KEY_REVOKED
        assert site.refusal(revoked, Subject("SN-2", "CPO")) is Reason.KEY_REVOKED
        site.close()

    @pytest.mark.parametrize(
        ("subject", "profile", "reason"),
        [
            (Subject("SN-1", "Other"), CHARGE_POINT.name, Reason.ORGANIZATION_NOT_SERVED),
            (Subject("gw.example.org", "CPO"), CSMS.name, Reason.NAME_OTHER_DOMAIN),
            (Subject("AL.P1", "CPO"), CHARGE_POINT.name, Reason.NAME_IS_HOST_NAME),
            (CPO, "V2GSECCCertificate", Reason.PROFILE_NOT_SERVED),
        ],
    )
    def test_names_and_profiles_that_no_issuer_serves(self, site: Site, subject, profile, reason: Reason) -> None:
        assert site.refusal(subject=subject, profile=profile) is reason

    def test_names_that_are_not_those_of_the_registry(self, site: Site) -> None:
        assert site.refusal(csr=csr_pem(common_name="SN-2")) is Reason.CSR_OTHER_COMMON_NAME
        assert site.refusal(csr=csr_pem(organization="Other")) is Reason.CSR_OTHER_ORGANIZATION

    def test_nothing_that_was_refused_is_journalled(self, site: Site) -> None:
        before = site.ca.head
        site.refusal(csr="nonsense")
        site.refusal(csr=csr_pem(common_name="SN-2"))
        assert site.ca.head == before

    def test_a_certificate_that_would_outlive_its_issuer(self, site: Site) -> None:
        site.now = CA.issuing.not_valid_after_utc - 89 * DAY
        request = site.request()
        with pytest.raises(Refused) as refused:
            site.ca.issue(request.id, site.now)
        assert refused.value.reason is Reason.ISSUER_EXPIRES
        assert request.state is RequestState.ABANDONED
        site.now -= 2 * DAY
        assert site.issue().certificate.not_valid_after_utc <= CA.issuing.not_valid_after_utc


class TestSeveralIssuers:
    """Two issuing CAs for the same: while one replaces the other, or one for each family of keys."""

    def add(self, site: Site, name: str, key, lifetime: datetime.timedelta) -> None:
        subject = Subject(f"Issuing {name}", "CPO")
        limits = Constraints(organizations=("CPO",), exclude_hosts=True).extension()
        contents = Contents(
            profile=CHARGE_POINT_ISSUING_CA,
            subject=subject,
            serial=x509.random_serial_number(),
            not_before=NOW - HOUR,
            not_after=NOW + lifetime,
            constraints=limits,
        )
        root = CA.keys["root"]
        certificate = certificate_builder(contents, key.public_key(), CA.root.subject, root.public_key()).sign(
            root, hashes.SHA256()
        )
        directory = site.directory / "signer"
        write_pem(directory / f"{name}.pem", certificate, CA.root)
        write_key(key, directory / f"{name}.key", SECRET)
        settings = (directory / "issuing.toml").read_text().replace("issuing.", f"{name}.")
        (directory / f"{name}.toml").write_text(settings)
        site.reopen()

    def test_the_one_of_the_keys_family_is_taken(self, site: Site) -> None:
        self.add(site, "another", rsa.generate_private_key(65537, 2048), 1000 * DAY)
        assert site.request().issuer == "issuing"
        assert site.request(rsa.generate_private_key(65537, 2048), Subject("SN-2", "CPO")).issuer == "another"
        issued = site.issue(rsa.generate_private_key(65537, 3072), Subject("SN-3", "CPO"))
        issued.certificate.verify_directly_issued_by(issued.chain[0])

    def test_one_that_ends_too_early_is_not_taken_if_there_is_another(self, site: Site) -> None:
        self.add(site, "ending", new_key(), 89 * DAY)
        self.add(site, "a-new-one", new_key(), 1000 * DAY)
        assert site.request().issuer in {"issuing", "a-new-one"}
        assert sorted(site.ca.issuers) == ["a-new-one", "ending", "issuing", "servers"]
        (site.directory / "signer" / "issuing.toml").unlink()
        (site.directory / "signer" / "a-new-one.toml").unlink()
        site.reopen()
        assert site.request(subject=Subject("SN-2", "CPO")).issuer == "ending"


class TestApproval:
    def test_what_is_held_is_not_issued_before_somebody_decides(self, site: Site) -> None:
        request = site.request(applicant=Unproven("profile 2"))
        assert (request.state, request.rule) == (RequestState.HELD, "first-enrolment")
        with pytest.raises(Refused) as refused:
            site.ca.issue(request.id, site.now)
        assert refused.value.reason is Reason.REQUEST_NOT_APPROVED
        site.reopen()
        site.ca.decide(request.id, approved=True, by="alice", note="", now=site.now)
        assert site.ca.issue(request.id, site.now).certificate.subject == CPO.name()

    def test_what_is_denied_stays_so(self, site: Site) -> None:
        csr = csr_pem(new_key())
        request = site.request(csr=csr, applicant=Unproven("profile 2"))
        site.ca.decide(request.id, approved=False, by="alice", note="stolen", now=site.now)
        with pytest.raises(Refused) as refused:
            site.ca.decide(request.id, approved=True, by="bob", note="", now=site.now)
        assert refused.value.reason is Reason.REQUEST_CLOSED
        again = site.request(csr=csr, applicant=Unproven("profile 2"))
        assert (again.state, again.reason) == (RequestState.DENIED, "stolen")

    def test_an_operator_can_still_issue_what_was_denied(self, site: Site) -> None:
        csr = csr_pem(new_key())
        denied = site.request(csr=csr, applicant=Unproven("profile 2"))
        site.ca.decide(denied.id, approved=False, by="alice", note="by mistake", now=site.now)
        assert site.issue(csr=csr).certificate.subject == CPO.name()

    def test_a_queue_has_one_request_of_each_identity(self, site: Site) -> None:
        first = site.request(applicant=Unproven("profile 2"))
        other = site.request(subject=Subject("SN-2", "CPO"), applicant=Unproven("profile 2"))
        second = site.request(applicant=Unproven("profile 2"))
        site.reopen()
        states = {name: site.ca.inventory.requests[name] for name in (first.id, other.id, second.id)}
        assert [each.state for each in states.values()] == [RequestState.DENIED, RequestState.HELD, RequestState.HELD]
        assert states[first.id].reason == f"superseded by {second.id}"

    def test_a_renewal_with_a_certificate_of_the_same_identity_is_not_held(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        request = site.request(applicant=PresentedCertificate(serial))
        assert (request.state, request.rule) == (RequestState.APPROVED, "renewal")

    def test_anything_short_of_that_is_held(self, site: Site) -> None:
        mine, other = site.issue(ec.generate_private_key(ec.SECP384R1())), site.issue(subject=Subject("SN-2", "CPO"))
        serial = mine.certificate.serial_number

        def rule(presented: int, key=None) -> str:
            request = site.request(key, applicant=PresentedCertificate(presented))
            assert request.state is RequestState.HELD
            return str(request.rule)

        assert rule(4711) == "unknown-certificate"
        assert rule(other.certificate.serial_number) == "changed-identity"
        assert rule(serial, new_key()) == "weaker-key"
        site.now += 91 * DAY
        assert rule(serial) == "certificate-expired"
        site.now -= 91 * DAY
        site.ca.revoke(serial, COMPROMISED, by="alice", note="", now=site.now)
        assert rule(serial) == "certificate-revoked"

    def test_what_a_thief_has_renewed_does_not_renew_itself_after_the_theft_is_known(self, site: Site) -> None:
        first = site.issue().certificate.serial_number
        stolen = site.issue(applicant=PresentedCertificate(first)).certificate.serial_number
        site.now += DAY
        site.ca.revoke(first, COMPROMISED, by="alice", note="", now=site.now)
        request = site.request(applicant=PresentedCertificate(stolen))
        assert (request.state, request.rule) == (RequestState.HELD, "identity-revoked")
        # Somebody has looked: from here on it goes by itself again.
        site.now += HOUR
        site.ca.decide(request.id, approved=True, by="alice", note="on site", now=site.now)
        looked_at = site.ca.issue(request.id, site.now).certificate.serial_number
        assert site.request(applicant=PresentedCertificate(looked_at)).rule == "renewal"

    def test_a_certificate_that_was_merely_replaced_distrusts_nobody(self, site: Site) -> None:
        first = site.issue().certificate.serial_number
        second = site.issue(applicant=PresentedCertificate(first)).certificate.serial_number
        site.ca.revoke(first, RevocationReason.SUPERSEDED, by="alice", note="", now=site.now)
        assert site.request(applicant=PresentedCertificate(second)).rule == "renewal"
        other = site.issue(subject=Subject("SN-2", "CPO")).certificate.serial_number
        site.ca.revoke(other, COMPROMISED, by="alice", note="", now=site.now)
        assert site.request(applicant=PresentedCertificate(second)).rule == "renewal"

    def test_a_key_that_was_blocked_meanwhile_does_not_keep_its_charge_point_from_a_new_one(
        self, tmp_path: Path
    ) -> None:
        site, old = Site(tmp_path), new_key()
        serial = site.issue(old).certificate.serial_number
        site.policy = IssuancePolicy(keys=KeyPolicy(blocked=BlockedKeys([spki_sha256(old.public_key())])))
        site.reopen()
        request = site.request(applicant=PresentedCertificate(serial))
        assert (request.state, request.rule) == (RequestState.HELD, "blocked-key")
        site.close()

    def test_more_renewals_in_a_day_than_anybody_needs_are_held(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        for _ in range(5):
            serial = site.issue(applicant=PresentedCertificate(serial)).certificate.serial_number
        assert site.request(applicant=PresentedCertificate(serial)).rule == "too-many"
        site.now += 2 * DAY
        assert site.request(applicant=PresentedCertificate(serial)).rule == "renewal"

    def test_new_requests_without_end_are_refused_and_the_last_one_still_waits(self, site: Site) -> None:
        csr = ""
        for _ in range(48):
            csr = csr_pem(new_key())
            site.request(csr=csr, applicant=Unproven("profile 2"))
        before = site.ca.head
        assert site.refusal(applicant=Unproven("profile 2")) is Reason.TOO_MANY_REQUESTS
        assert site.ca.head == before
        assert site.request(csr=csr, applicant=Unproven("profile 2")).state is RequestState.HELD
        assert site.request(subject=Subject("SN-2", "CPO"), applicant=Unproven("profile 2")).state is RequestState.HELD
        assert site.request().state is RequestState.APPROVED  # an operator's
        site.now += 2 * DAY
        assert site.request(applicant=Unproven("profile 2")).state is RequestState.HELD

    def test_a_site_can_let_first_enrolments_pass(self, tmp_path: Path) -> None:
        site = Site(tmp_path, IssuancePolicy(approval=ApprovalRules(frozenset({Rule.FIRST_ENROLMENT}))))
        assert site.request(applicant=Unproven("profile 2")).state is RequestState.APPROVED
        assert (
            site.request(applicant=PresentedCertificate(4711), subject=Subject("SN-2", "CPO")).state
            is RequestState.HELD
        )
        site.close()


class TestSignerThatIsNotItself:
    def test_what_it_sends_is_compared_and_not_taken(self, site: Site) -> None:
        request = site.request()
        honest = site.signer.sign
        site.signer.sign = lambda *order: honest(*order)[:-1] + b"x"  # type: ignore[method-assign]
        with pytest.raises(SignerUnavailable, match="not what was asked for"):
            site.ca.issue(request.id, site.now)
        assert [each.id for each in site.ca.inventory.started()] == [request.id]
        site.signer.sign = honest  # type: ignore[method-assign]
        assert site.ca.issue(request.id, site.now).certificate.subject == CPO.name()

    def test_what_it_refuses_is_abandoned_and_may_be_asked_for_anew(self, site: Site) -> None:
        """Its settings are stricter than ours: it was started anew with others."""
        csr = csr_pem(new_key())
        request = site.request(csr=csr)
        site.signer.core.close()
        settings = site.directory / "signer" / "issuing.toml"
        before = settings.read_text()
        settings.write_text(before.replace("[key]", "[lifetime_days]\nChargePointCertificate = 30\n[key]"))
        site.ca._signer = strict = NearSigner(site.directory / "signer", lambda: site.now)
        with pytest.raises(Refused) as refused:
            site.ca.issue(request.id, site.now)
        assert refused.value.reason is Reason.LINT
        assert request.state is RequestState.ABANDONED
        assert "validity" in request.reason
        site.ca.close()
        strict.core.close()
        settings.write_text(before)
        site._open()
        assert site.issue(csr=csr).certificate.subject == CPO.name()

    def test_a_token_is_good_for_one_signature(self, site: Site) -> None:
        from pki.issuance import _Token

        request = site.request()
        site.ca.issue(request.id, site.now)
        assert request.serial is not None
        token = _Token(request, site.ca.signed_parts(request.serial)[0], site.ca.head)
        token.redeem(site.signer)
        with pytest.raises(RuntimeError, match="good for one signature"):
            token.redeem(site.signer)


class TestRevocation:
    def test_it_is_once_and_for_all(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        site.ca.revoke(serial, COMPROMISED, by="alice", note="stolen", now=site.now)
        site.reopen()
        entry = site.ca.inventory.certificates[serial]
        assert entry.revocation is not None
        assert (entry.revocation.reason, entry.revocation.by, entry.is_valid_at(site.now)) == (
            COMPROMISED,
            "alice",
            False,
        )
        with pytest.raises(Refused) as refused:
            site.ca.revoke(serial, COMPROMISED, by="alice", note="", now=site.now)
        assert refused.value.reason is Reason.ALREADY_REVOKED
        with pytest.raises(Refused) as refused:
            site.ca.revoke(4711, COMPROMISED, by="alice", note="", now=site.now)
        assert refused.value.reason is Reason.CERTIFICATE_UNKNOWN

    def test_a_signer_that_was_not_told_is_told_at_the_next_start(self, site: Site) -> None:
        serials = [site.issue(subject=Subject(f"SN-{n}", "CPO")).certificate.serial_number for n in range(3)]
        told = site.signer.remember

        def silent(*_: object) -> None:
            raise SignerUnavailable("gone")

        site.signer.remember = silent  # type: ignore[assignment, method-assign]
        for serial in serials[:2]:
            with pytest.raises(SignerUnavailable):
                site.ca.revoke(serial, COMPROMISED, by="alice", note="", now=site.now)
        site.signer.remember = told  # type: ignore[method-assign]
        assert site.signer.revoked() == []
        # By a later order the signer learns that the journal has gone on, and not what it has missed.
        site.issue(subject=Subject("SN-9", "CPO"))
        site.reopen()
        assert site.signer.revoked() == serials[:2]


class TestRollback:
    def test_an_old_journal_does_not_start(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        site.close()
        shutil.copy(site.directory / "journal", site.directory / "backup")
        site._open()
        site.ca.revoke(serial, COMPROMISED, by="alice", note="", now=site.now)
        site.close()
        newest = (site.directory / "journal").read_bytes()
        shutil.copy(site.directory / "backup", site.directory / "journal")
        with pytest.raises(RolledBack, match="un-revoked"):
            site._open()
        (site.directory / "journal").write_bytes(newest)
        site._open()

    def test_a_journal_with_another_history_does_not_start(self, site: Site) -> None:
        site.issue()
        site.close()
        lines = (site.directory / "journal").read_bytes().splitlines(keepends=True)
        (site.directory / "journal").write_bytes(b"".join(lines[:2]))
        (site.directory / "signer" / "signed").rename(site.directory / "list")
        site._open()
        for _ in range(3):
            site.issue()
        site.close()
        (site.directory / "list").rename(site.directory / "signer" / "signed")
        with pytest.raises(RolledBack, match="another journal"):
            site._open()
        (site.directory / "journal").write_bytes(b"".join(lines))
        site._open()

    def test_an_old_list_of_the_signer_does_not_start(self, site: Site) -> None:
        site.issue()
        site.close()
        shutil.copy(site.directory / "signer" / "signed", site.directory / "backup")
        site._open()
        site.issue()
        site.close()
        newest = (site.directory / "signer" / "signed").read_bytes()
        shutil.copy(site.directory / "backup", site.directory / "signer" / "signed")
        with pytest.raises(RolledBack, match="an old copy of the list"):
            site._open()
        (site.directory / "signer" / "signed").write_bytes(newest)
        site._open()

    def test_a_journal_whose_records_cannot_follow_each_other_does_not_start(self, site: Site) -> None:
        from pki.chained_file import ChainedFile
        from pki.records import Issued, JournalRecord

        site.close()
        forged: ChainedFile[JournalRecord] = ChainedFile(site.directory / "journal", JournalRecord, lambda *_: None)
        forged.append(Issued(at=NOW, request="r", serial="1", signature=b""))
        forged.close()
        with pytest.raises(JournalDamaged, match="cannot follow"):
            site._open()
        lines = (site.directory / "journal").read_bytes().splitlines(keepends=True)
        (site.directory / "journal").write_bytes(b"".join(lines[:-1]))
        site._open()


def test_pem_of_the_chain_is_leaf_first(site: Site) -> None:
    issued = site.issue()
    texts = [each.public_bytes(Encoding.PEM) for each in (issued.certificate, *issued.chain)]
    assert len(b"".join(texts)) < 10_000
