"""A02, A03: request, waiting, receipt; its own checks, and what it does when the new certificate does not work."""

import datetime
from typing import Any

import pytest

from gateway.simulator.core.effects import Connect, Disconnect, MakeKey, Reboot
from gateway.simulator.core.events import PowerCut
from gateway.simulator.core.model import Model
from tests.simulator.scenario import Error, Scenario, answers, authority, calls, connects, own_certificate, pem, sign

TRIGGER = {
    "1.6": ("ExtendedTriggerMessage", "SignChargePointCertificate"),
    "2.0.1": ("TriggerMessage", "SignChargingStationCertificate"),
    "2.1": ("TriggerMessage", "SignChargingStationCertificate"),
}
EVERY = list(TRIGGER)


def trigger(s: Scenario, status: str = "Accepted") -> Scenario:
    action, wanted = TRIGGER[str(s.version)]
    return s >> s.csms(action, requestedMessage=wanted) << answers(status=status)


def requested(version: str, profile: int = 3, *quirks: str, **options: Any) -> Scenario:
    """Its request is accepted, it waits."""
    s = trigger(Scenario(version, profile, *quirks, **options).up())
    s << MakeKey
    s >> s.key_made() << calls("SignCertificate")
    s >> s.answer()
    return s


def deliver(s: Scenario, chain: str, status: str, **fields: Any) -> Scenario:
    if s.version == "2.1":
        fields = {"requestId": s.memory.request.request_id if s.memory.request else 1} | fields
    return s >> s.csms("CertificateSigned", certificateChain=chain, **fields) << answers(status=status)


def csr(s: Scenario) -> str:
    assert s.memory.request is not None
    return s.memory.request.csr_pem


@pytest.mark.parametrize("version", EVERY)
def test_new_certificate_is_used_at_once_and_the_old_one_goes_when_it_works(version: str) -> None:
    s = requested(version)
    chain = sign(csr(s))
    deliver(s, chain, "Accepted") << Disconnect
    s >> s.disconnected()
    s >> s.due("connect") << connects(certificate_pem=chain)
    assert len(s.memory.certificates) == 2
    s >> s.connected()
    s >> s.csms("Reset", type="Hard" if version == "1.6" else "Immediate") << answers(status="Accepted")
    s.wire.clear()
    s >> s.started() << connects(certificate_pem=chain)
    s >> s.connected()
    s.settle()
    # 1.6 keeps the old one for a month, 2.x discards it after a successful connection (A02.FR.10).
    assert len(s.memory.certificates) == (2 if version == "1.6" else 1)


def test_the_request_says_what_the_version_wants() -> None:
    for version, keys in (("1.6", {"csr"}), ("2.0.1", {"csr", "certificateType"})):
        s = trigger(Scenario(version, 3).up()) << MakeKey
        s >> s.key_made() << calls("SignCertificate")
        assert set(s.last) == keys
    s = trigger(Scenario("2.1", 3).up()) << MakeKey
    s >> s.key_made() << calls("SignCertificate", certificateType="ChargingStationCertificate", requestId=1)


def test_each_request_has_a_new_key() -> None:
    s = requested("1.6")
    first = csr(s)
    trigger(s) << MakeKey
    s >> s.key_made() << calls("SignCertificate")
    assert csr(s) != first


@pytest.mark.parametrize("version", EVERY)
def test_without_an_organization_there_is_no_request(version: str) -> None:
    trigger(Scenario(version, 3, organization="").up(), "Rejected")


DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize(
    "case", ["another key", "another name", "expired", "not yet", "another root", "nonsense", "too long"]
)
def test_unfit_certificate_is_rejected_with_an_event_and_nothing_is_lost(version: str, case: str) -> None:
    s = requested(version, model=Model(max_chain_chars=2_000))
    chain = {
        "another key": lambda: own_certificate().chain_pem,
        "another name": lambda: sign(csr(s), serial_number="SN-2"),
        "expired": lambda: sign(csr(s), start=-900 * DAY, end=-800 * DAY),
        "not yet": lambda: sign(csr(s), start=3_000 * DAY, end=3_001 * DAY),
        "another root": lambda: sign(csr(s), by=authority("Other Root")),
        "nonsense": lambda: "nonsense",
        "too long": lambda: sign(csr(s)) + "\n" * 2_000,
    }[case]()
    deliver(s, chain, "Rejected")
    name = "InvalidChargePointCertificate" if version == "1.6" else "InvalidChargingStationCertificate"
    s << calls("SecurityEventNotification", type=name)
    assert s.memory.certificates == [own_certificate()]
    s >> s.answer()
    assert "csr" not in s.timers  # A02.FR.20
    deliver(s, "late", "Rejected")


@pytest.mark.parametrize("version", EVERY)
def test_root_in_the_chain_does_no_harm(version: str) -> None:
    s = requested(version)
    deliver(s, sign(csr(s)) + pem(authority().root), "Accepted") << Disconnect


def test_2_1_wants_its_request_id_back() -> None:
    s = requested("2.1")
    deliver(s, sign(csr(s)), "Rejected", requestId=99) << calls("SecurityEventNotification")
    assert s.memory.request is not None
    s >> s.answer()
    deliver(s, sign(csr(s)), "Accepted") << Disconnect


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_no_certificate_comes_so_it_asks_again_with_doubled_waits_and_stops(version: str) -> None:
    s = requested(version)
    request = csr(s)
    for wait in (300, 600, 1_200):
        assert s.timers["csr"] == wait
        s >> s.due("csr") << calls("SignCertificate", csr=request)
        s >> s.answer()
    assert "csr" not in s.timers


def test_1_6_does_not_ask_again_unless_it_has_the_quirk() -> None:
    assert "csr" not in requested("1.6").timers
    s = requested("1.6", 3, "resends-csr=30")
    for wait in (30, 60, 120):
        assert s.timers["csr"] == wait
        s >> s.due("csr") << calls("SignCertificate")
        s >> s.answer()


@pytest.mark.parametrize("version", EVERY)
def test_request_whose_answer_was_lost_is_sent_again(version: str) -> None:
    s = trigger(Scenario(version, 3).up()) << MakeKey
    s >> s.key_made() << calls("SignCertificate")
    request = csr(s)
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("SignCertificate", csr=request)
    s >> s.answer()
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected()  # it was accepted: nothing more to say


@pytest.mark.parametrize("version", EVERY)
def test_request_survives_a_power_cut_with_its_key(version: str) -> None:
    s = requested(version)
    chain = sign(csr(s))
    s >> PowerCut(now=s.now) << Reboot
    s.back()
    deliver(s, chain, "Accepted") << Disconnect


def test_request_rejected_is_forgotten() -> None:
    s = trigger(Scenario("2.0.1", 3).up()) << MakeKey
    s >> s.key_made() << calls("SignCertificate")
    s >> s.answer(status="Rejected")
    assert (s.memory.request, "csr" in s.timers) == (None, False)


@pytest.mark.parametrize("version", EVERY)
def test_new_certificate_that_does_not_work_gives_way_to_the_old_one(version: str) -> None:
    s = requested(version)
    chain = sign(csr(s))
    deliver(s, chain, "Accepted") << Disconnect
    s >> s.disconnected()
    s >> s.due("connect") << connects(certificate_pem=chain)
    s >> s.failed("tls")
    s >> s.due("connect") << connects(certificate_pem=own_certificate().chain_pem)
    s >> s.connected()
    if version != "1.6":
        s << calls("SecurityEventNotification", type="DiscardedRenewedClientCertificate")
    assert s.memory.certificates == [own_certificate()]


def test_unreachable_says_nothing_about_a_certificate() -> None:
    s = requested("2.0.1")
    chain = sign(csr(s))
    deliver(s, chain, "Accepted") << Disconnect
    s >> s.disconnected()
    for _ in range(2):
        s >> s.due("connect") << connects(certificate_pem=chain)
        s >> s.failed("unreachable")


def test_certificate_on_a_lower_profile_is_kept_for_later() -> None:
    s = requested("1.6", 2)
    deliver(s, sign(csr(s)), "Accepted")
    assert len(s.memory.certificates) == 1


def test_renews_by_itself_in_the_last_month() -> None:
    s = Scenario("2.0.1", 3, model=Model(renew_before_s=1e9))
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << MakeKey
    s.settle()
    s >> s.key_made() << calls("SignCertificate")
    early = Scenario("2.0.1", 3, model=Model(renew_before_s=0)).up()
    assert early.memory.request is None


def test_v2g_certificate_is_not_its_own() -> None:
    s = Scenario("2.0.1", 2).up()
    s >> s.csms("TriggerMessage", requestedMessage="SignV2GCertificate") << answers(status="Accepted") << MakeKey
    s >> s.key_made() << calls("SignCertificate", certificateType="V2GCertificate")
    s >> s.answer()
    deliver(s, sign(csr(s)), "Rejected", certificateType="ChargingStationCertificate")
    s << calls("SecurityEventNotification")


def test_quirks_of_chains() -> None:
    s = requested("1.6", 3, "wants-root-in-chain")
    deliver(s, sign(csr(s)), "Rejected") << calls("SecurityEventNotification")
    s = requested("1.6", 3, "wants-root-in-chain")
    deliver(s, sign(csr(s)) + pem(authority().root), "Accepted") << Disconnect
    s = requested("1.6", 3, "wants-leaf-only")
    deliver(s, sign(csr(s)) + pem(authority().root), "Rejected") << calls("SecurityEventNotification")
    s = requested("1.6", 3, "wants-leaf-only")
    deliver(s, sign(csr(s)), "Accepted") << Disconnect
    s = requested("1.6", 3, "rejects-certificate")
    deliver(s, sign(csr(s)), "Rejected") << calls("SecurityEventNotification")


def test_quirk_key_forgotten() -> None:
    s = requested("2.0.1", 3, "drops-csr-key=2")
    chain = sign(csr(s))
    assert s.timers["csr-key"] == 120
    s >> s.due("csr-key")
    deliver(s, chain, "Rejected") << calls("SecurityEventNotification")


def test_quirk_triggers_ignored_while_waiting() -> None:
    s = requested("1.6", 3, "ignores-triggers")
    request = csr(s)
    trigger(s)
    assert csr(s) == request


def test_quirk_alternates() -> None:
    s = requested("2.0.1", 3, "alternates-certificates")
    chain, old = sign(csr(s)), own_certificate().chain_pem
    deliver(s, chain, "Accepted") << Disconnect
    shown = []
    for _ in range(4):
        s >> s.disconnected()
        s >> s.due("connect")
        shown.append(s.wire.pop().certificate_pem)  # type: ignore[union-attr]
        s >> s.connected()
    assert shown[:2] == shown[2:]
    assert set(shown) == {chain, old}


@pytest.mark.parametrize("version", EVERY)
def test_quirk_no_security_actions(version: str) -> None:
    s = Scenario(version, 3, "no-security-actions").up()
    action, wanted = TRIGGER[version]
    expected: Any = Error("NotSupported") if version == "1.6" else answers(status="NotImplemented")
    s >> s.csms(action, requestedMessage=wanted) << expected
    s >> s.csms("CertificateSigned", certificateChain="x") << Error("NotSupported")


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_request_answered_with_an_error_is_sent_again(version: str) -> None:
    s = trigger(Scenario(version, 3).up()) << MakeKey
    s >> s.key_made() << calls("SignCertificate")
    request = csr(s)
    s >> s.error("InternalError")
    s >> s.due("csr") << calls("SignCertificate", csr=request)
    s >> s.error("InternalError")
    s >> s.disconnected()
    s >> s.due("csr")  # not connected: nothing is sent, and its time comes again
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("SignCertificate", csr=request)


def test_key_that_nobody_waits_for_any_more_is_not_used() -> None:
    s = trigger(Scenario("1.6", 3).up()) << MakeKey
    made = s.key_made()
    s >> PowerCut(now=s.now) << Reboot
    s >> made
    assert s.memory.request is None


def test_chain_whose_links_do_not_fit_is_rejected() -> None:
    s = requested("1.6")
    deliver(s, sign(csr(s)) + pem(authority("Other Root").root), "Rejected") << calls("SecurityEventNotification")
