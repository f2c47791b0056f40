"""Who is it? Passwords and certificates against the record, guessing, and what a stranger can learn."""

import asyncio

import bcrypt
import pytest
from msgspec.structs import replace

from gateway.control import authentication
from gateway.identity.admission import ListenerFacts
from gateway.identity.evidence import CertificateProof
from gateway.identity.refusal import Reason
from gateway.identity.trust import TrustBundle, TrustBundles
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from tests.control.conftest import OPERATOR, OTHER_PASSWORD, OWN_ANCHOR, PASSWORD, Control, record_of, stored
from tests.support.claims import make_claim
from tests.support.rig import shared_authority
from tests.support.tls_material import DAY

TWO, THREE = SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CLIENT_CERTIFICATE
ONLY_2X = (OCPPVersion.V2_0_1, OCPPVersion.V2_1)
GOOD, FACTORY = (shared_authority().charge_point("SN-1", who).der for who in (OPERATOR, "Factory"))


def claim(identity: str = "CP-1", password: str | bytes | None = PASSWORD, **more):
    return make_claim(identity, password=password, **more)


class TestPassword:
    @pytest.mark.requirement("A00.FR.207", "A00.FR.324", "TC_085_CSMS", "TC_A_01_CSMS", "TC_A_03_CSMS")
    async def test_the_right_password_gets_in_and_a_wrong_one_does_not(self, control: Control) -> None:
        await control.add(record_of())
        answer = await control.enter(claim())
        assert answer.admission.security_profile is TWO
        assert await control.refused(claim(password=PASSWORD + "x")) is Reason.PASSWORD_WRONG

    @pytest.mark.requirement("A00.FR.202", "A00.FR.203", "A00.FR.301", "A00.FR.302")
    async def test_credentials_are_demanded_on_every_connection(self, control: Control) -> None:
        await control.add(record_of())
        await control.enter(claim())
        assert await control.refused(claim(password=None)) is Reason.AUTH_MISSING
        await control.enter(claim())

    @pytest.mark.requirement("A00.FR.004")
    async def test_who_is_not_registered_is_unknown_whatever_he_brings(self, control: Control) -> None:
        await control.add(record_of())
        for attempt in (claim("CP-2"), claim("CP-2", None), claim("CP-2", user="CP-1"), claim("CP-2", leaf=GOOD)):
            assert await control.refused(attempt) is Reason.IDENTITY_UNKNOWN

    async def test_a_case_variant_of_a_registered_identity_is_named_to_the_operator_alone(
        self, control: Control
    ) -> None:
        await control.add(record_of("CP-A"))
        assert await control.refused(claim("cp-a")) is Reason.IDENTITY_UNKNOWN
        assert control.events[-1].detail == "CP-A is registered, which differs in case"

    async def test_a_record_without_a_password_says_what_it_is_for(self, control: Control) -> None:
        await control.add(
            record_of(security_profile=3, password=None, serial_number="SN-1"), record_of("CP-2", password=None)
        )
        assert await control.refused(claim()) is Reason.PROFILE_MISMATCH
        assert await control.refused(claim("CP-2")) is Reason.PASSWORD_WRONG

    @pytest.mark.requirement("A00.FR.002")
    async def test_a_right_password_on_the_wrong_profile_is_a_mismatch(self, control: Control) -> None:
        await control.add(record_of(security_profile=3))
        assert await control.refused(claim()) is Reason.PROFILE_MISMATCH
        assert await control.refused(claim(tls=False, listener="plain")) is Reason.PROFILE_MISMATCH


@pytest.mark.requirement("A00.FR.204", "A00.FR.303", "TC_A_02_CSMS")
class TestUserName:
    async def test_it_is_the_identity_in_the_url(self, control: Control) -> None:
        await control.add(record_of())
        for user in ("CP-2", "", "CP-11", " CP-1"):
            assert await control.refused(claim(user=user)) is Reason.IDENTITY_MISMATCH

    async def test_another_case_will_do_only_where_all_is_2x(self, control: Control) -> None:
        await control.add(record_of("CP-A"), record_of("CP-B", ocpp_versions=ONLY_2X))
        assert await control.refused(claim("CP-A", user="cp-a")) is Reason.IDENTITY_MISMATCH
        for identity, user in (("CP-B", "cp-b"), ("cp-b", "CP-B"), ("cp-b", "cp-b")):
            answer = await control.enter(claim(identity, user=user, subprotocols=("ocpp2.1",)))
            assert answer.admission.charge_point_id == "CP-B"

    async def test_a_tolerance_lets_any_name_pass_but_no_wrong_password(self, control: Control) -> None:
        await control.add(record_of(tolerances=("username-differs",)))
        await control.enter(claim(user="fixed"))
        assert await control.refused(claim(user="fixed", password="x")) is Reason.PASSWORD_WRONG

    async def test_a_remembered_password_does_not_make_another_name_right(self, control: Control) -> None:
        await control.add(record_of())
        await control.enter(claim())
        assert await control.refused(claim(user="CP-2")) is Reason.IDENTITY_MISMATCH


class TestNothingStale:
    """A remembered password is worth what the registry says now."""

    async def test_after_a_change_the_old_password_is_dead_at_once(self, control: Control) -> None:
        await control.add(record_of())
        await control.enter(claim())
        control.registry.update("CP-1", password=stored(OTHER_PASSWORD))
        await control.follow()
        assert await control.refused(claim()) is Reason.PASSWORD_WRONG
        await control.enter(claim(password=OTHER_PASSWORD))

    async def test_disabled_removed_or_without_password_it_does_not_get_in(self, control: Control) -> None:
        await control.add(record_of("A"), record_of("B"), record_of("C"))
        for identity in "ABC":
            await control.enter(claim(identity))
        control.registry.update("A", enabled=False)
        control.registry.remove("B")
        control.registry.set_password("C", None, "current")
        await control.follow()
        assert await control.refused(claim("A")) is Reason.DISABLED
        assert await control.refused(claim("B")) is Reason.IDENTITY_UNKNOWN
        assert await control.refused(claim("C")) is Reason.PASSWORD_WRONG


class TestCertificate:
    @pytest.mark.requirement("A00.FR.401", "A00.FR.405", "TC_087_CSMS", "TC_A_07_CSMS", "TC_A_08_CSMS")
    async def test_the_registered_serial_number_gets_in_and_no_other_charge_points(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"), record_of("B", 3, serial_number="SN-2"))
        answer = await control.enter(claim("A", None, leaf=GOOD))
        assert (answer.admission.security_profile, answer.admission.expected_serial_number) == (THREE, "SN-1")
        assert await control.refused(claim("B", None, leaf=GOOD)) is Reason.CERT_WRONG_IDENTITY

    @pytest.mark.requirement("A00.FR.404", "TC_A_08_CSMS")
    async def test_another_operators_certificate_does_not(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"))
        assert await control.refused(claim("A", None, leaf=FACTORY)) is Reason.CERT_WRONG_OPERATOR
        control.trust(OPERATOR, "Factory")
        await control.enter(claim("A", None, leaf=FACTORY))

    @pytest.mark.requirement("A00.FR.002")
    async def test_with_profile_3_required_the_header_does_not_count(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"))
        assert (await control.enter(claim("A", "nonsense", leaf=GOOD))).admission.security_profile is THREE
        assert await control.refused(claim("A", PASSWORD, leaf=FACTORY)) is Reason.CERT_WRONG_OPERATOR

    @pytest.mark.requirement("A00.FR.702", "A00.FR.705")
    async def test_a_revoked_certificate_is_refused_on_a_resumed_connection_too(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"))
        await control.enter(claim("A", None, leaf=GOOD))
        leaf = control.authenticator._leaf(GOOD)
        control.registry.revoke_certificate(issuer=leaf.issuer, serial=leaf.serial_number, reason="lost", now=1.0)
        await control.follow()
        for resumed in (False, True):
            assert await control.refused(claim("A", None, leaf=GOOD, resumed=resumed)) is Reason.CERT_REVOKED

    @pytest.mark.requirement("A00.FR.407", "A00.FR.429")
    async def test_one_that_has_expired_since_the_session_ticket_was_given_is_refused(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"))
        control.now += 31 * 86_400
        assert await control.refused(claim("A", None, leaf=GOOD, resumed=True)) is Reason.CERT_EXPIRED

    @pytest.mark.requirement("A00.FR.429")
    async def test_an_expired_one_comes_in_only_where_its_listener_says_so(self, control: Control) -> None:
        """A resumed handshake does not say it: TLS looks at no times in it."""
        await control.add(record_of("A", 3, serial_number="SN-1", expired_certificate_until=control.now + 3_600))
        expired = shared_authority().charge_point("SN-1", OPERATOR, start=-9 * DAY, end=-DAY)
        shown = claim("A", None, leaf=expired.der, resumed=True)
        assert await control.refused(shown) is Reason.CERT_EXPIRED
        listener = replace(control.desk.listeners["tls"], takes_expired=True)
        control.desk.listeners = control.authenticator.listeners = {"tls": listener}
        limited = (await control.enter(shown)).admission.proof
        assert isinstance(limited, CertificateProof) and limited.renewal_only == "expired"

    async def test_what_cannot_be_read_is_refused(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"))
        assert await control.refused(claim("A", None, leaf=b"\x30\x00")) is Reason.CERT_INVALID

    async def test_parsed_certificates_are_remembered_in_limited_number(self, control, monkeypatch) -> None:
        monkeypatch.setattr(authentication, "_MAX_LEAVES", 1)
        first = control.authenticator._leaf(GOOD)
        assert control.authenticator._leaf(GOOD) is first
        control.authenticator._leaf(FACTORY)
        assert control.authenticator._leaf(GOOD) is not first


@pytest.mark.requirement("A00.FR.002", "TC_083_CSMS", "TC_A_19_CSMS")
class TestFactoryCertificates:
    """Many charge points show a certificate to whoever asks, long before they are on profile 3."""

    async def test_on_profile_2_the_password_counts(self, control: Control) -> None:
        await control.add(record_of())
        for leaf in (FACTORY, GOOD):
            assert (await control.enter(claim(leaf=leaf))).admission.security_profile is TWO
        assert await control.refused(claim(password="x", leaf=GOOD)) is Reason.PASSWORD_WRONG

    async def test_one_that_sends_its_password_only_when_asked_is_asked(self, control: Control) -> None:
        await control.add(record_of())
        assert await control.refused(claim(password=None, leaf=FACTORY)) is Reason.AUTH_MISSING
        await control.enter(claim(leaf=FACTORY))

    async def test_from_1_to_2_it_does_not_stand_in_the_way(self, control: Control) -> None:
        await control.add(record_of(security_profile=1, pending_security_profile=TWO))
        answer = await control.enter(claim(leaf=FACTORY))
        assert (answer.admission.security_profile, answer.admission.upgrade_pending) == (TWO, True)

    async def test_while_an_upgrade_to_3_runs_the_old_way_stays_open(self, control: Control) -> None:
        await control.add(record_of(pending_security_profile=THREE, serial_number="SN-1"))
        assert (await control.enter(claim(leaf=FACTORY))).admission.security_profile is TWO
        assert await control.refused(claim(password=None, leaf=FACTORY)) is Reason.AUTH_MISSING
        assert "certificate-of-another-operator" in control.events[-1].detail
        assert await control.refused(claim(password="x", leaf=FACTORY)) is Reason.PASSWORD_WRONG
        answer = await control.enter(claim(leaf=GOOD))
        assert (answer.admission.security_profile, answer.admission.upgrade_pending) == (THREE, True)

    async def test_one_that_is_good_for_its_renewal_does_not_stand_in_the_way_either(self, control: Control) -> None:
        """The maker's roots are in a bundle: the certificate counts, but for less than the password."""
        self.trust_the_maker(control)
        names = (OPERATOR, "Factory")
        await control.add(
            record_of(pending_security_profile=THREE, serial_number="SN-1", operator_names=names),
            record_of(
                "CP-2", 2, pending_security_profile=THREE, serial_number="SN-1", operator_names=names, password=None
            ),
        )
        assert (await control.enter(claim(leaf=FACTORY))).admission.security_profile is TWO
        assert await control.refused(claim(password=None, leaf=FACTORY)) is Reason.AUTH_MISSING
        assert "good for its renewal only" in control.events[-1].detail
        assert await control.refused(claim(password="x", leaf=FACTORY)) is Reason.PASSWORD_WRONG
        limited = (await control.enter(claim("CP-2", None, leaf=FACTORY))).admission.proof
        assert isinstance(limited, CertificateProof) and limited.renewal_only == "factory"

    async def test_where_no_password_is_taken_it_comes_in_for_its_renewal(self, control: Control) -> None:
        self.trust_the_maker(control)
        await control.add(
            record_of(pending_security_profile=THREE, serial_number="SN-1", operator_names=(OPERATOR, "Factory"))
        )
        listener = ListenerFacts(name="tls", security_profiles=(THREE,), csms="main")
        control.desk.listeners = control.authenticator.listeners = {"tls": listener}
        limited = (await control.enter(claim(password=None, leaf=FACTORY))).admission.proof
        assert isinstance(limited, CertificateProof) and limited.renewal_only == "factory"

    @staticmethod
    def trust_the_maker(control: Control) -> None:
        maker = TrustBundle(
            name="maker", use="manufacturer", anchors=frozenset({OWN_ANCHOR}), operator_names=("Factory",)
        )
        control.authenticator.trust = TrustBundles((maker,), frozenset(), (OPERATOR,))

    async def test_once_on_profile_3_it_is_closed(self, control: Control) -> None:
        await control.add(record_of(security_profile=3, serial_number="SN-1"))
        await control.enter(claim(leaf=GOOD))
        assert await control.refused(claim(leaf=FACTORY)) is Reason.CERT_WRONG_OPERATOR
        assert await control.refused(claim()) is Reason.PROFILE_BELOW_FLOOR


class TestGuessing:
    async def test_after_enough_failures_a_guess_is_not_even_checked(self, control: Control) -> None:
        control.limiter.limit(3, 100)
        await control.add(record_of())
        for number in range(3):
            assert await control.refused(claim(user=f"X{number}")) is Reason.IDENTITY_MISMATCH
        answer = await control.refusal(claim())
        assert answer.reason == Reason.GUESSING.code
        assert answer.retry_after_s > 0

    async def test_somebody_elses_guesses_do_not_keep_the_real_one_out_with_a_new_address(
        self, control: Control
    ) -> None:
        await control.add(record_of())
        for number in range(12):
            await control.refused(claim(user="X", address=f"203.0.113.{number}"))
        assert await control.refused(claim(user="X", address="203.0.113.1")) is Reason.GUESSING
        await control.enter(claim(address="198.51.100.1"))

    async def test_where_it_has_proven_itself_it_is_never_slowed_down(self, control: Control) -> None:
        control.limiter.limit(3, 100)
        await control.add(record_of())
        await control.enter(claim())
        for _ in range(3):
            await control.refused(claim("CP-2", user="X"))
        assert await control.refused(claim("CP-3", user="X")) is Reason.GUESSING
        await control.enter(claim())
        assert await control.refused(claim(user="X")) is Reason.IDENTITY_MISMATCH

    async def test_a_charge_point_that_waits_to_be_asked_uses_up_no_guesses(self, control: Control) -> None:
        control.limiter.limit(2, 2)
        await control.add(record_of())
        for _ in range(10):
            assert await control.refused(claim(password=None)) is Reason.AUTH_MISSING
        await control.enter(claim())

    async def test_known_and_unknown_names_are_slowed_down_alike(self, control: Control) -> None:
        control.limiter.limit(3, 3)
        await control.add(*(record_of(f"CP-{number}") for number in range(5)))
        for names in ("CP-{}", "NO-{}"):
            for password in (None, "wrong"):
                address = f"192.0.2.{len(names)}{len(control.events)}"
                reasons = []
                for number in range(5):
                    made = claim(
                        names.format(number), password, user=None if password is None else "X", address=address
                    )
                    reasons.append(await control.refused(made))
                assert [reason is Reason.GUESSING for reason in reasons] == [False, False, False, True, True]

    async def test_five_names_failing_from_one_address_are_reported_as_a_sweep_once(self, control: Control) -> None:
        for number in (1, 2, 3, 3, 4, 5, 5, 6):
            await control.refused(claim(f"CP-{number}", user="X"))
        sweeps = [event for event in control.events if event.event == "auth.enumeration"]
        assert [(event.decision, event.detail) for event in sweeps] == [
            ("rate_limit", "5 different identities from one address")
        ]

    async def test_strangers_queue_for_key_derivation_in_limited_number_and_known_ones_pass(
        self, control, monkeypatch
    ) -> None:
        monkeypatch.setattr(authentication, "_MAX_STRANGERS", 2)
        slow = stored().__class__(phc=bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode())
        await control.add(*(record_of(name, password=slow) for name in ("A", "B", "C", "D")))
        control.limiter.proven("198.51.100.4", ChargePointId("D"))
        asked = [control.ask(claim(name, address=f"198.51.100.{number}")) for number, name in enumerate("ABCxD")]
        answers = await asyncio.gather(*asked)
        reasons = [getattr(answer, "reason", "in") for answer in answers]
        assert reasons == ["in", "in", "control-down", "control-down", "in"]
        await control.ask(claim("C", address="198.51.100.2"))
        assert control.authenticator._strangers == 0
