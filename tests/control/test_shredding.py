"""What is found of a driver, a charge point or days; and that nobody's text is kept in silence after a shred."""

import base64
import calendar
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.record import envelope
from gateway.audit.relayed import head_of
from gateway.control.frame_bodies import MAX_SUBJECTS, FrameBodies
from gateway.control.operator_requests import RequestRefused
from gateway.control.privacy import HoldRequest, Privacy, ShredRequest, SubjectRequest, TextReading
from gateway.control.shredding import Selection, Shredding
from gateway.control.trail.holds import HoldRefused, Holds
from gateway.control.trail.payloads import PayloadGone, PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys
from gateway.control.trail.stamp import Stamper
from gateway.link.relayed import FrameSource, RelayedFrame
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from tests.support.trail import opened

DAY, NOW = "2026-11-28", 1_795_824_000.0
MANY = 1000


def local_list(*tokens: str) -> dict[str, Any]:
    return {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [{"idTag": each} for each in tokens]}


def tokens(count: int) -> list[str]:
    return [f"DRIVER-{number:05}" for number in range(count)]


class Site:
    """A log whose messages have texts, and what destroys them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.payloads = PayloadStore(place / "payload", place / "keys")
        self.pseudonyms = PseudonymKeys(place / "pseudonyms")
        self.bodies = FrameBodies(self.pseudonyms, self.payloads, lambda: NOW)
        self.writer, _ = opened(place / "log" / "0001")
        self.stamper = Stamper("edge-0", "e")
        self.records: list[dict[str, Any]] = []
        self.shredding = Shredding(place / "log", self.payloads, self.pseudonyms, Holds(place / "holds"))
        self.reported: list[tuple[str, ...]] = []
        self.before_it_happens: list[Any] = []
        self.can_be_written = True
        self.privacy = Privacy(
            self.shredding, lambda *event: self.reported.append(event), self.may_happen, self.is_recorded
        )

    async def may_happen(self) -> bool:
        for each in self.before_it_happens:
            each()
        return True

    async def is_recorded(self) -> bool:
        return self.can_be_written

    def keep(self, action: str, payload: dict[str, Any], version: OCPPVersion = OCPPVersion.V1_6) -> int:
        source = FrameSource("s", ChargePointId("CP-1"), version)
        data = json.dumps([2, "m", action, payload]).encode()
        body, subjects = self.bodies.body(RelayedFrame(1, source, True, NOW, data, head_of(None)))
        self.bodies.flush()
        made = envelope(
            "ocpp.message", self.stamper.stamp(), cp="CP-1", ocpp={"version": version.value}, body=body, subj=list(subjects)
        )  # fmt: skip
        self.writer.commit([made])
        self.writer.grow([made])
        self.records.append(json.loads(made))
        return len(self.records) - 1

    def is_kept(self, index: int) -> bool:
        try:
            self.payloads.of(DAY).text(self.records[index]["body"]["commit"])
        except PayloadGone:
            return False
        return True

    async def shred(self, token: str) -> dict[str, Any]:
        return await self.privacy.shred(ShredRequest(reason="case 17", token=token))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_driver_deep_in_a_list_is_found_and_a_list_without_him_is_kept(site: Site) -> None:
    long, other = site.keep("SendLocalList", local_list(*tokens(MANY))), site.keep(
        "SendLocalList", local_list(*(f"ELSE-{n}" for n in range(MANY)))
    )  # fmt: skip
    short = site.keep("Authorize", {"idTag": tokens(MANY)[-1].lower()})
    record = site.records[long]
    assert (len(record["subj"]), record["body"]["drivers"]) == (MAX_SUBJECTS, MANY)
    assert "drivers" not in site.records[short]["body"]
    answer = await site.shred(tokens(MANY)[-1])
    assert (answer["destroyed"], answer["unreadable"], answer["years_without_key"]) == (2, [], [])
    assert [site.is_kept(each) for each in (long, other, short)] == [False, True, False]
    assert (await site.shred(tokens(MANY)[-1]))["destroyed"] == 0


@pytest.mark.parametrize("count", [MAX_SUBJECTS, MAX_SUBJECTS + 1])
async def test_the_last_one_of_a_list_at_the_limit_and_behind_it(site: Site, count: int) -> None:
    index = site.keep("SendLocalList", local_list(*tokens(count)))
    assert ("drivers" in site.records[index]["body"]) is (count > MAX_SUBJECTS)
    assert (await site.shred(tokens(count)[-1]))["destroyed"] == 1


async def test_also_in_a_signed_list(site: Site) -> None:
    inside = json.dumps({"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [
        {"idToken": {"idToken": each, "type": "ISO14443"}} for each in tokens(MAX_SUBJECTS + 5)
    ]})  # fmt: skip
    wrapped = {
        "payload": base64.urlsafe_b64encode(inside.encode()).rstrip(b"=").decode(), "protected": "x", "signature": "y"
    }  # fmt: skip
    index = site.keep("SendLocalList-Signed", wrapped, OCPPVersion.V2_0_1)
    assert site.records[index]["body"]["drivers"] == MAX_SUBJECTS + 5
    assert (await site.shred("nobody"))["destroyed"] == 0
    assert (await site.shred(tokens(MAX_SUBJECTS + 5)[-1]))["destroyed"] == 1


async def test_what_cannot_be_looked_into_is_said_unless_it_is_gone_anyway(site: Site) -> None:
    damaged, gone = (site.keep("SendLocalList", local_list(*tokens(MANY))) for _ in range(2))
    site.payloads.destroy(DAY, [site.records[gone]["body"]["commit"]])
    path = site.place / "payload" / DAY
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    answer = await site.shred(tokens(MANY)[-1])
    assert (answer["destroyed"], answer["unreadable"]) == (0, [f"0001/{damaged}"])
    assert "could not be looked into" in site.reported[-1][3]
    # By days it goes without being looked into.
    asked = ShredRequest(reason="case 17", since=DAY)
    assert (await site.privacy.shred(asked))["destroyed"] == 1
    assert (await site.shred(tokens(MANY)[-1]))["unreadable"] == []


async def test_a_year_whose_key_is_gone_is_said(site: Site) -> None:
    site.keep("Authorize", {"idTag": "DRIVER"})
    (site.place / "pseudonyms" / "2026.key").rename(site.place / "pseudonyms" / "2025.key")
    assert (await site.shred("DRIVER"))["years_without_key"] == ["2026"]


async def test_what_comes_while_it_is_recorded_goes_as_well(site: Site) -> None:
    first = site.keep("Authorize", {"idTag": "DRIVER"})
    site.before_it_happens.append(lambda: site.keep("Authorize", {"idTag": "DRIVER"}))
    assert (await site.shred("DRIVER"))["destroyed"] == 2
    assert not any(site.is_kept(each) for each in (first, first + 1))


async def test_a_hold_that_comes_meanwhile_is_respected(site: Site) -> None:
    index = site.keep("Authorize", {"idTag": "DRIVER"})
    await site.privacy.hold(HoldRequest(name="court", since=DAY, reason="order"))
    assert (await site.shred("DRIVER"))["held"] == {DAY: ["court"]}
    await site.privacy.hold(HoldRequest(name="court", lift=True, reason="closed"))
    found = site.shredding.find(Selection(subjects=frozenset(site.pseudonyms.all_of("DRIVER"))))
    await site.privacy.hold(HoldRequest(name="court", since=DAY, reason="order"))
    with pytest.raises(HoldRefused, match="since a moment ago"):
        site.shredding.destroy(found)
    assert site.is_kept(index)


async def test_without_a_name_nothing_is_destroyed(site: Site) -> None:
    index = site.keep("Authorize", {"idTag": "DRIVER"})
    with pytest.raises(RequestRefused, match="nothing is named"):
        await site.privacy.shred(ShredRequest(reason="case 17"))
    assert site.is_kept(index)


async def test_who_reads_texts_is_on_record_or_refused_whatever_the_failure_mode(site: Site) -> None:
    places = [f"0001/{number}" for number in range(102)]
    assert await site.privacy.text_read(TextReading(records=places[:1], purpose="shown")) == {"refused": ""}
    assert await site.privacy.text_read(TextReading(records=places, purpose="shown", reason="case 17")) == {
        "refused": ""
    }
    said = [each[3] for each in site.reported if each[0] == "privacy.text_read"]
    assert said[0] == "1 texts, of 0001/0: shown"
    assert said[1].startswith("102 texts, of 0001/0, 0001/1, ")
    assert said[1].endswith("0001/99 and 2 more: shown: case 17")
    site.can_be_written = False  # `may_happen` goes on saying yes, as in mode open
    with pytest.raises(RequestRefused, match="recorded first"):
        await site.privacy.text_read(TextReading(records=places[:1], purpose="shown"))


async def test_whoever_only_asks_what_would_be_destroyed_has_asked_for_the_driver(site: Site) -> None:
    index = site.keep("Authorize", {"idTag": "DRIVER"})
    found = await site.privacy.shred(ShredRequest(reason="case 17", token="DRIVER", dry_run=True))
    assert (found["records"], site.is_kept(index)) == (1, True)
    ((event, _, _, said),) = site.reported
    assert (event, said.endswith(" asked for: case 17")) == ("privacy.subject", True)
    await site.privacy.shred(ShredRequest(reason="r", charge_point_id="CP-1", dry_run=True))
    assert len(site.reported) == 1, "of a charge point nobody is asked for"


async def test_a_driver_is_forgotten_however_stations_have_spelled_him(site: Site) -> None:
    plain, hyphens = (
        site.keep("Authorize", {"idTag": "DE8AACA2B3C4D5L"}),
        site.keep("Authorize", {"idTag": "DE-8AA-CA2B3C4D5-L"}),
    )
    deep = site.keep("SendLocalList", local_list(*tokens(40), "de-8aa-ca2b3c4d5"))
    other = site.keep("Authorize", {"idTag": "DE8AACA2B3C4D6L"})
    found = await site.privacy.subject(SubjectRequest(token="DE-8AA-CA2B3C4D5-L", reason="case 17"))
    assert (found["records"], len(found["subjects"])) == (3, 3)
    assert (await site.shred("DE8AACA2B3C4D5L"))["destroyed"] == 3
    assert [site.is_kept(each) for each in (plain, hyphens, deep, other)] == [False, False, False, True]


async def test_a_list_of_the_last_second_of_a_year_is_looked_into_with_that_years_key(site: Site) -> None:
    last = calendar.timegm((2026, 12, 31, 23, 59, 59))
    moments = iter((last + 0.9999, last + 1.0, last + 1.1))
    site.bodies = FrameBodies(site.pseudonyms, site.payloads, lambda: next(moments))
    index = site.keep("SendLocalList", local_list(*tokens(40), "DRIVER"))
    day = site.records[index]["body"]["day"]
    assert {each[:4] for each in site.records[index]["subj"]} == {day[:4]}
    assert (await site.shred("DRIVER"))["destroyed"] == 1
