"""Who can be part of a campaign, and in which order."""

from typing import Any

import pytest

from gateway.provisioning.campaign_plan import Plan, Stratum
from gateway.provisioning.campaign_preflight import KINDS, Candidate, obstacles, planned
from gateway.provisioning.campaign_states import MemberState
from tests.support.records import make_record

FIT: dict[str, Any] = {"vendor": "V", "model": "M", "firmware": "1", "serial_number": "SN", "security_profile": 2}


def found(
    kind: str = "certificate", *, gives_certificates: bool = True, to_profile: int = 3, **fields: Any
) -> list[str]:
    other = fields.pop("other", "")
    record = make_record("CP-1", **(FIT | fields))
    return obstacles(kind, record, {}, gives_certificates=gives_certificates, other=other, to_profile=to_profile)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stands_in_the_way(kind: str) -> None:
    assert found(kind) == []


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("certificate", {"enabled": False}, "it is disabled"),
        ("certificate", {"vendor": "", "model": "", "firmware": ""}, "never been connected"),
        ("certificate", {"other": "spring"}, "in the campaign spring"),
        ("certificate", {"gives_certificates": False}, "does not give it its certificates"),
        ("certificate", {"serial_number": ""}, "no serial number"),
        ("certificate", {"security_profile": 1}, "security profile 1"),
        ("password", {"security_profile": 3}, "security profile 3"),
        ("security-profile", {"security_profile": 3}, "on security profile 3 already"),
        ("security-profile", {"to_profile": 2}, "on security profile 2 already"),
        ("security-profile", {"serial_number": ""}, "no serial number"),
        ("old-root", {"security_profile": 1}, "on which it verifies nobody"),
        ("security-profile", {"gives_certificates": False}, "does not give it its certificates"),
    ],
)
def test_what_stands_in_the_way(kind: str, fields: dict[str, Any], words: str) -> None:
    (why,) = found(kind, **fields)
    assert words in why


@pytest.mark.parametrize("fields", [{"serial_number": ""}, {"gives_certificates": False}, {"security_profile": 1}])
def test_what_a_certificate_needs_a_password_does_not(fields: dict[str, Any]) -> None:
    assert found("password", **fields) == []
    assert found("security-profile", **(fields | {"to_profile": 2, "security_profile": 1})) == []
    assert found("root", **fields) == []


class TestPlanned:
    def candidates(self, count: int, **fields: Any) -> list[Candidate]:
        return [Candidate(record=make_record(f"CP-{n:02}", **(FIT | fields)), obstacles=()) for n in range(count)]

    def test_named_first_then_in_an_order_of_its_own(self) -> None:
        first = (make_record("CP-07").charge_point_id,)
        _, members = planned("a", "certificate", Plan(first=first), self.candidates(20), "anna", 1.0)
        ids = [each.charge_point_id for each in members]
        assert ids[0] == "CP-07"
        assert ids[1:] != sorted(ids[1:])
        assert [each.rank for each in members] == list(range(20))
        _, again = planned("a", "certificate", Plan(first=first), reversed(self.candidates(20)), "anna", 1.0)
        assert [each.charge_point_id for each in again] == ids
        _, other = planned("b", "certificate", Plan(), self.candidates(20), "anna", 1.0)
        assert [each.charge_point_id for each in other] != ids

    def test_a_stratum_for_each_kind_and_reasons_for_who_is_out(self) -> None:
        out = Candidate(record=make_record("OUT", **FIT), obstacles=("one", "two"))
        everybody = [*self.candidates(2), *self.candidates(1, firmware="2"), out]
        campaign, members = planned("a", "certificate", Plan(), everybody, "anna", 1.0)
        assert [each.stratum for each in campaign.strata] == [Stratum("V", "M", "1"), Stratum("V", "M", "2")]
        by_id = {each.charge_point_id: each for each in members}
        assert (by_id[out.record.charge_point_id].state, by_id[out.record.charge_point_id].detail) == (
            MemberState.INELIGIBLE,
            "one; two",
        )


def test_what_cannot_be_undone_says_so() -> None:
    assert {name for name, kind in KINDS.items() if not kind.is_reversible} == {
        "password",
        "security-profile",
        "old-root",
    }
