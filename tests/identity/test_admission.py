"""The admission procedure: required against used profile, upgrades, floor, listener, versions."""

import itertools

import pytest

from gateway.identity.admission import ListenerFacts, admit, floor_to_raise, profiles_to_try
from gateway.identity.evidence import Admission, Authenticated, CertificateProof, PasswordProof, Proof
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from tests.support.claims import make_claim
from tests.support.records import make_record

ONE, TWO, THREE = SecurityProfile
PROFILES = (ONE, TWO, THREE)
EVERYWHERE = ListenerFacts(name="all", security_profiles=PROFILES, csms="main")
BY_PASSWORD = PasswordProof(slot="current", reading="raw")
BY_CERTIFICATE = CertificateProof(sha256="aa", spki_sha256="bb", serial_number="1", common_name="SN-1", not_after=9.0)


def enter(
    record: ChargePointRecord,
    used: SecurityProfile,
    listener: ListenerFacts = EVERYWHERE,
    *,
    claim=None,
    identity: str = "CP-1",
    csms_versions: tuple[OCPPVersion, ...] = tuple(OCPPVersion),
) -> Admission:
    proof: Proof = BY_CERTIFICATE if used is THREE else BY_PASSWORD
    evidence = Authenticated(charge_point_id=ChargePointId(identity), proof=proof, used_security_profile=used)
    return admit(
        claim=claim or make_claim(),
        authenticated=evidence,
        record=record,
        listener=listener,
        csms_versions=csms_versions,
        generation=7,
        session="s-1",
    )


def refused(record: ChargePointRecord, used: SecurityProfile, *arguments, **options) -> Reason:
    with pytest.raises(Refusal) as caught:
        enter(record, used, *arguments, **options)
    return caught.value.reason


@pytest.mark.requirement("A00.FR.001", "A00.FR.002", "TC_083_CSMS", "TC_A_19_CSMS")
class TestMatrix:
    @pytest.mark.parametrize(("required", "used"), list(itertools.product(PROFILES, repeat=2)))
    def test_only_the_required_profile_gets_in(self, required: SecurityProfile, used: SecurityProfile) -> None:
        record = make_record(security_profile=required)
        if used is required:
            admission = enter(record, used)
            assert (admission.security_profile, admission.upgrade_pending) == (used, False)
        else:
            assert refused(record, used) is Reason.PROFILE_MISMATCH

    @pytest.mark.parametrize(("required", "pending", "used"), list(itertools.product(PROFILES, repeat=3)))
    def test_a_running_upgrade_lets_its_target_in_as_well_and_marks_it(self, required, pending, used) -> None:
        record = make_record(security_profile=required, pending_security_profile=pending)
        if used in {required, pending}:
            admission = enter(record, used)
            assert admission.upgrade_pending is (used is not required)
        else:
            assert refused(record, used) is Reason.PROFILE_MISMATCH

    @pytest.mark.requirement("A05.FR.07", "A05.FR.09", "A00.FR.005")
    @pytest.mark.parametrize(("floor", "used"), list(itertools.product(PROFILES, repeat=2)))
    def test_nothing_below_the_floor_gets_in_whatever_else_the_record_says(self, floor, used) -> None:
        for record in (
            make_record(security_profile=used, floor=floor),
            make_record(security_profile=THREE, pending_security_profile=used, floor=floor),
        ):
            if used >= floor:
                enter(record, used)
            else:
                assert refused(record, used) is Reason.PROFILE_BELOW_FLOOR

    @pytest.mark.requirement("A00.FR.006")
    @pytest.mark.parametrize(
        ("served", "used"), list(itertools.product([(ONE,), (TWO,), (THREE,), (TWO, THREE), ()], PROFILES))
    )
    def test_the_listener_must_serve_the_profile(self, served, used) -> None:
        listener = ListenerFacts(name="x", security_profiles=served, csms="main")
        if used in served:
            enter(make_record(security_profile=used), used, listener)
        else:
            assert refused(make_record(security_profile=used), used, listener) is Reason.PROFILE_NOT_ON_LISTENER


class TestOrder:
    def test_evidence_about_another_charge_point_is_a_programming_error(self) -> None:
        with pytest.raises(RuntimeError, match="another"):
            enter(make_record("CP-1", TWO), TWO, identity="cp-1")

    def test_disabled_comes_before_everything_about_profiles(self) -> None:
        assert refused(make_record(security_profile=3, enabled=False, floor=THREE), ONE) is Reason.DISABLED

    def test_a_listener_says_no_before_the_floor_does(self) -> None:
        listener = ListenerFacts(name="x", security_profiles=(TWO,), csms="main")
        assert refused(make_record(security_profile=3, floor=THREE), ONE, listener) is Reason.PROFILE_NOT_ON_LISTENER

    def test_a_flaw_needs_its_tolerance(self) -> None:
        claim = make_claim(needs=("trailing-slash",))
        assert refused(make_record(), TWO, claim=claim) is Reason.IDENTITY_CONFUSION
        enter(make_record(tolerances=("trailing-slash",)), TWO, claim=claim)

    def test_the_csms_must_speak_what_is_offered(self) -> None:
        assert refused(make_record(), TWO, csms_versions=(OCPPVersion.V2_1,)) is Reason.SUBPROTOCOL
        assert refused(make_record(), TWO, csms_versions=()) is Reason.SUBPROTOCOL


class TestContent:
    def test_everything_the_relay_needs_is_in_the_admission(self) -> None:
        record = make_record(
            security_profile=3,
            serial_number="SN-1",
            csms="second",
            group="depot",
            tolerances=("no-pong",),
            answers_pings=True,
            vendor="V",
            model="M",
            firmware="1.2",
        )
        assert enter(record, THREE, claim=make_claim(subprotocols=("ocpp2.1", "ocpp1.6"))) == Admission(
            charge_point_id=ChargePointId("CP-1"),
            security_profile=THREE,
            subprotocols=("ocpp2.1", "ocpp1.6"),
            assumed_version=None,
            csms="second",
            group="depot",
            generation=7,
            session="s-1",
            proof=BY_CERTIFICATE,
            expected_serial_number="SN-1",
            tolerances=("no-pong",),
            upgrade_pending=False,
            answers_pings=True,
            serial_number="SN-1",
            vendor="V",
            model="M",
            firmware="1.2",
        )

    def test_the_listeners_csms_is_taken_where_the_record_names_none(self) -> None:
        assert enter(make_record(), TWO).csms == "main"

    @pytest.mark.requirement("B01.FR.11")
    def test_a_serial_number_is_expected_only_of_who_came_with_a_certificate(self) -> None:
        assert enter(make_record(security_profile=2, serial_number="SN-1"), TWO).expected_serial_number == ""
        assert enter(make_record(security_profile=3, serial_number="SN-1"), THREE).expected_serial_number == "SN-1"

    def test_the_registrys_spelling_is_used_from_here_on(self) -> None:
        record = make_record("CP-1", 2, ocpp_versions=(OCPPVersion.V2_1,))
        assert enter(record, TWO, claim=make_claim("cp-1", subprotocols=("ocpp2.1",))).charge_point_id == "CP-1"


class TestFloorToRaise:
    @pytest.mark.requirement("A05.FR.07", "A05.FR.09")
    @pytest.mark.parametrize(
        ("floor", "used", "expected"),
        [
            (None, ONE, ONE),
            (None, THREE, THREE),
            (ONE, TWO, TWO),
            (TWO, THREE, THREE),
            (TWO, TWO, None),
            (ONE, ONE, None),
        ],
    )
    def test_a_higher_profile_than_ever_raises_it(self, floor, used, expected) -> None:
        record = make_record(security_profile=used, floor=floor)
        assert floor_to_raise(record, enter(record, used)) is expected

    def test_a_running_upgrade_raises_nothing_until_it_has_registered(self) -> None:
        record = make_record(security_profile=1, pending_security_profile=TWO)
        assert floor_to_raise(record, enter(record, TWO)) is None
        assert floor_to_raise(record, enter(record, ONE)) is ONE


@pytest.mark.requirement("A00.FR.002")
class TestProfilesToTry:
    """Requirements, appendix B, vector 5: required x presented."""

    @pytest.mark.parametrize("required", PROFILES)
    def test_a_plain_connection_is_profile_1_and_tls_without_certificate_is_2(self, required) -> None:
        record = make_record(security_profile=required)
        assert profiles_to_try(make_claim(tls=False, password="x"), record) == (ONE,)
        assert profiles_to_try(make_claim(password="x"), record) == (TWO,)

    @pytest.mark.parametrize("password", [None, "x"])
    @pytest.mark.parametrize(
        ("required", "pending", "expected"),
        [
            (THREE, None, (THREE,)),
            (ONE, None, (THREE,)),
            (ONE, THREE, (THREE,)),
            (TWO, None, (TWO,)),
            (ONE, TWO, (TWO,)),
            (TWO, ONE, (TWO,)),
            (TWO, THREE, (THREE, TWO)),
            (THREE, TWO, (THREE, TWO)),
        ],
    )
    def test_with_a_certificate_the_record_says_what_counts(self, required, pending, expected, password) -> None:
        record = make_record(security_profile=required, pending_security_profile=pending)
        assert profiles_to_try(make_claim(leaf=b"der", password=password), record) == expected

    def test_a_certificate_without_a_record_is_an_attempt_at_profile_3(self) -> None:
        assert profiles_to_try(make_claim(leaf=b"der", password="x"), None) == (THREE,)
