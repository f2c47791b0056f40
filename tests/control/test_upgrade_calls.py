"""How a charge point is told its new profile: what is put back where it refuses, and what counts as no answer."""

from typing import Any

import pytest

from gateway.control.own_calls import CallAnswer
from gateway.control.sessions import Entry
from gateway.control.upgrade_calls import Heard, UpgradeCalls
from gateway.identity.evidence import PasswordProof
from gateway.link.messages import LiveSession
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import upgrade as core
from gateway.provisioning.upgrade import Upgrade

CP = ChargePointId("CP-1")
ONE, TWO = SecurityProfile(1), SecurityProfile(2)
PROOF = PasswordProof(slot="current", reading="raw")
OLD, NEW = "ws://gw.test/ocpp", "wss://gw.test:8443/ocpp"
URL_KEY = "CentralSystemURL"


def entry(version: str = "ocpp1.6") -> Entry:
    live = LiveSession("s-1", CP, 7, ONE, version, "192.0.2.1", "plain", "main", 1.0, PROOF)
    return Entry(
        charge_point_id=CP, session="s-1", generation=7, security_profile=ONE, proof=PROOF, edge=None, granted_at=1.0,
        live=live,
    )  # fmt: skip


class Station:
    """A charge point of 1.6 with a vendor's key for its address. `says`: the status for a key; None is no answer."""

    def __init__(self, **says: str | None) -> None:
        self.says = says
        self.address = OLD
        self.asked: list[tuple[str, str]] = []

    async def call(
        self, charge_point_id: str, entry: Entry, action: str, payload: Any, timeout_s: float, *, quiet_s: float = -1.0
    ) -> CallAnswer:
        del entry, timeout_s, quiet_s
        name = payload["key"] if action == "ChangeConfiguration" else action
        self.asked.append((name, payload.get("value", "")))
        answer: Any = {"status": self.says.get(name, "Accepted")}
        if action == "GetConfiguration":
            shown = {"key": URL_KEY.upper(), "readonly": False, "value": self.address}
            answer = {"configurationKey": [shown] if URL_KEY not in self.says else []}
        elif name == URL_KEY and answer["status"] == "Accepted":
            self.address = payload["value"]
        is_silent = self.says.get(name, "") is None
        return CallAnswer(
            charge_point_id=charge_point_id,
            session="s-1",
            request_id="1",
            action=action,
            outcome="timeout" if is_silent else "result",
            payload=None if is_silent else answer,
        )


def upgrade(url_key: str = URL_KEY) -> Upgrade:
    return core.wanted(CP, ONE, TWO, 1.0, url=NEW, url_key=url_key)


async def told(station: Station) -> Heard:
    return await UpgradeCalls(station).tell(entry(), upgrade())  # type: ignore[arg-type]


class TestVendorsKey:
    async def test_the_address_then_the_profile(self) -> None:
        station = Station()
        assert (await told(station)).yes
        assert station.asked[1:] == [(URL_KEY, NEW), ("SecurityProfile", "2")]

    async def test_where_the_profile_is_refused_the_old_address_is_put_back(self) -> None:
        station = Station(SecurityProfile="Rejected")
        heard = await told(station)
        assert (heard.no, heard.why, station.address) == (True, "ChangeConfiguration: Rejected", OLD)

    async def test_without_an_answer_about_the_profile_nothing_is_put_back(self) -> None:
        """It may have taken it."""
        station = Station(SecurityProfile=None)
        heard = await told(station)
        assert (heard.yes, heard.no, station.address) == (False, False, NEW)

    async def test_where_the_old_address_is_not_known_it_has_not_said_no(self) -> None:
        """Both profiles stay accepted: with the new address it is let in on the new one only."""
        station = Station(SecurityProfile="NotSupported")
        station.address = NEW  # told before, by a process that has died since
        heard = await told(station)
        assert (heard.yes, heard.no) == (False, False)
        assert heard.why == "ChangeConfiguration: NotSupported; its old address could not be put back"

    async def test_nothing_is_changed_before_the_old_address_could_be_asked_for(self) -> None:
        station = Station(GetConfiguration=None)
        heard = await told(station)
        assert (heard.yes, heard.no, station.asked) == (False, False, [("GetConfiguration", "")])

    @pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
    async def test_an_address_that_is_refused_ends_it_with_nothing_changed(self, status: str) -> None:
        station = Station(CentralSystemURL=status)
        heard = await told(station)
        assert (heard.no, station.address) == (True, OLD)
        assert station.asked[1:] == [(URL_KEY, NEW)]


class TestFacts:
    @pytest.mark.parametrize(
        ("says", "unheard"),
        [
            ({}, ""),
            ({"GetInstalledCertificateIds": "NotFound"}, ""),
            ({"GetInstalledCertificateIds": None}, "GetInstalledCertificateIds: timeout"),
            ({"GetConfiguration": None}, ""),  # of 1.6 nothing in it decides
        ],
    )
    async def test_what_decides_and_was_not_answered(self, says: dict[str, str | None], unheard: str) -> None:
        facts, not_idle = await UpgradeCalls(Station(**says)).facts(entry())  # type: ignore[arg-type]
        assert (facts.unheard, not_idle) == (unheard, "")

    async def test_of_2_x_the_variables_decide_too(self) -> None:
        facts, _ = await UpgradeCalls(Station(GetVariables=None)).facts(entry("ocpp2.0.1"))  # type: ignore[arg-type]
        assert (facts.unheard, facts.roots) == ("GetVariables: timeout", ())
