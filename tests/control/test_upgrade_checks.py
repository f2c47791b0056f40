"""Where a charge point is sent to: to a listener of the CSMS that it has, and to no other."""

from typing import Any

import pytest

from gateway.config.model import Config, Listener
from gateway.control.sessions import Entry
from gateway.control.upgrade_checks import UpgradeChecks
from gateway.identity.evidence import PasswordProof
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import LiveSession
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import upgrade as core

CP = ChargePointId("CP-1")
ONE, TWO = SecurityProfile(1), SecurityProfile(2)
PROOF = PasswordProof(slot="current", reading="raw")


def listener(csms: str, profile: SecurityProfile, url: str = "") -> Listener:
    return Listener(name=f"{csms}-{profile}", address="127.0.0.1:0", security_profiles=(profile,), csms=csms, url=url)


A, B, QUIET = listener("a", TWO, "wss://a/ocpp/"), listener("b", TWO, "wss://b/ocpp"), listener("a", TWO)


def checks(*listeners: Listener) -> UpgradeChecks:
    nothing: Any = None
    made = UpgradeChecks(nothing, nothing, nothing)
    made.use(
        Config(path="", state_dir="", database_url="", edge_workers=1, log_level="info", listeners=listeners, csms=())
    )
    return made


def record(csms: str = "") -> ChargePointRecord:
    return ChargePointRecord(charge_point_id=CP, security_profile=ONE, csms=csms)


def connected(csms: str) -> Entry:
    live = LiveSession("s-1", CP, 7, ONE, "ocpp2.0.1", "192.0.2.1", "plain", csms, 1.0, PROOF)
    return Entry(
        charge_point_id=CP, session="s-1", generation=7, security_profile=ONE, proof=PROOF, edge=None, granted_at=1.0,
        live=live,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("listeners", "own", "by", "url"),
    [
        ((A, B), "", "b", "wss://b/ocpp"),
        ((A, B), "", "a", "wss://a/ocpp"),
        ((A, B), "b", "a", "wss://b/ocpp"),  # its record counts, whatever listener it comes by
        ((A,), "b", "b", "wss://a/ocpp"),  # the same: on the listener of a, it is b's
        ((QUIET, A), "", "a", "wss://a/ocpp"),
        ((A,), "", None, "wss://a/ocpp"),
        ((A,), "", "b", ""),
        ((A, B), "", None, ""),
    ],
)
def test_it_stays_with_its_csms(listeners: tuple[Listener, ...], own: str, by: str | None, url: str) -> None:
    entry = connected(by) if by is not None else None
    assert checks(*listeners).url_for(TWO, record(own), entry) == url


def test_what_could_not_be_known_before_it_was_connected_is_known_then() -> None:
    wanted = core.wanted(CP, ONE, TWO, 1.0, url=checks(A, B).url_for(TWO, record(), None))
    assert checks(A, B).placed(connected("b"), record(), wanted).url == "wss://b/ocpp"
    named = core.wanted(CP, ONE, TWO, 1.0, url="wss://c/ocpp")
    assert checks(A, B).placed(connected("b"), record(), named) == named
