"""What is learnt about kinds of charge points, and when it stands in the way of a campaign."""

from typing import Any

import msgspec
import pytest

from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.capability import (
    Count,
    Fact,
    call_fact,
    campaign_fact,
    counted,
    enrolment_facts,
    obstacles,
    tallied,
    took,
)
from gateway.provisioning.capability_file import read, written
from gateway.provisioning.enrolment import (
    CertificateRequested,
    Enrolment,
    Given,
    Timing,
    asked_for,
    delivery_rejected,
    delivery_sent,
    discarded,
    expired,
    issued,
    seen,
    station_accepted,
    trigger_sent,
    wanted,
)
from tests.support.records import make_record

CP = make_record("CP-1").charge_point_id
GIVEN = Given(request="r", serial="1f", sha256="aa", spki_sha256="bb", not_after=9e9, chain="pem")
REQUEST = CertificateRequested(charge_point_id=CP, csr="csr", csr_sha256="c")


@pytest.mark.parametrize(
    ("outcome", "status", "error", "fact"),
    [
        ("result", "Accepted", "", Fact("call:Reset Hard", "Accepted")),
        ("result", "", "", Fact("call:Reset Hard", "result")),
        ("error", "", "NotSupported", Fact("call:Reset Hard", "error NotSupported")),
        ("timeout", "", "", Fact("call:Reset Hard", "no answer")),
        ("not_sent", "", "", None),
        ("gone", "", "", None),
    ],
)
def test_what_came_of_a_call(outcome: str, status: str, error: str, fact: Fact | None) -> None:
    assert call_fact("Reset", "Hard", outcome, status, error) == fact


def test_what_a_charge_point_says_is_cut_and_printable() -> None:
    fact = call_fact("Reset", "", "error", "", "x\x1b" * 500)
    assert fact is not None
    assert len(fact.value) < 60
    assert fact.value.isprintable()


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "<=10s"), (10.1, "<=30s"), (3_600.0, "<=3600s"), (1e9, ">3600s")])
def test_times_are_coarse(seconds: float, text: str) -> None:
    assert took(seconds) == text


def test_what_an_enrolment_shows() -> None:
    triggered = msgspec.structs.replace(trigger_sent(wanted(CP, 1.0, ""), 2.0, Timing()), number=1)
    asked, _ = asked_for(REQUEST, 5.0, triggered)
    sent = delivery_sent(issued(asked, 6.0, GIVEN), 7.0, Timing())
    accepted = station_accepted(sent, 8.0)
    used = seen(accepted, 60.0, "aa")
    assert used is not None

    def values(before: Enrolment | None, after: Enrolment) -> list[tuple[str, str]]:
        return [tuple(fact) for fact in enrolment_facts(before, after)]  # type: ignore[misc]

    assert values(triggered, asked) == [("certificate-trigger", "asks"), ("certificate-request-after", "<=10s")]
    assert values(triggered, expired(triggered, 9.0, "x")) == [("certificate-trigger", "does not ask")]
    assert values(sent, accepted) == [("certificate", "accepted")]
    assert values(sent, delivery_rejected(sent, 9.0, "no")) == [("certificate", "rejected")]
    gone = discarded(accepted, 9.0, "old", accepted.changed_at)
    assert gone is not None
    assert values(accepted, gone) == [("certificate", "discarded")]
    assert values(accepted, used) == [("certificate-in-use-after", "<=60s")]
    assert values(None, asked) == values(asked, asked) == []
    assert values(triggered, msgspec.structs.replace(asked, number=2)) == []


def test_only_who_was_told_counts_for_a_campaign() -> None:
    told = {state for state in MemberState if campaign_fact("certificate", state) is not None}
    assert told == {MemberState.COMMITTED, MemberState.FELL_BACK, MemberState.LOST}


class TestObstacles:
    TRIGGER = "call:TriggerMessage SignChargingStationCertificate"

    @pytest.mark.parametrize(
        ("kind", "facts", "words"),
        [
            ("certificate", {TRIGGER: {"error NotSupported": 3}}, "does not understand TriggerMessage of Sign"),
            ("certificate", {"certificate-trigger": {"does not ask": 3}}, "does not ask for a certificate"),
            ("certificate", {"certificate": {"rejected": 3}}, "has rejected every certificate"),
            ("password", {"call:ChangeConfiguration AuthorizationKey": {"Rejected": 3}}, "refused every new password"),
            (
                "password",
                {"call:SetVariables SecurityCtrlr.BasicAuthPassword": {"Rejected": 2, "UnknownVariable": 1}},
                "refused every new password",
            ),
            ("certificate", {"campaign:certificate": {"lost": 1}}, "were lost in such a campaign"),
            ("password", {"campaign:password": {"fell-back": 3}}, "3 of this kind fell back in such a campaign"),
            ("security-profile", {"call:SetNetworkProfile": {"Rejected": 3}}, "refused every SetNetworkProfile"),
            (
                "root",
                {"call:InstallCertificate CSMSRootCertificate": {"Rejected": 3}},
                "refused every InstallCertificate",
            ),
            ("root", {"call:GetInstalledCertificateIds": {"NotSupported": 3}}, "does not say which roots it has"),
        ],
    )
    def test_what_never_worked(self, kind: str, facts: dict[str, dict[str, int]], words: str) -> None:
        (found,) = obstacles(kind, facts)
        assert words in found

    @pytest.mark.parametrize(
        "facts",
        [
            {},
            {TRIGGER: {"error NotSupported": 2}},
            {TRIGGER: {"error NotSupported": 30, "Accepted": 1}},
            {TRIGGER: {"no answer": 30}},
            {"certificate": {"rejected": 30, "accepted": 1}},
            {"campaign:certificate": {"lost": 1, "committed": 1}},
            {"campaign:password": {"lost": 9}},
            {"campaign:certificate": {"fell-back": 2}},
            {"campaign:certificate": {"fell-back": 9, "committed": 1}},
            {"call:SetNetworkProfile": {"Rejected": 3}},
            {"call:ChangeConfiguration AuthorizationKey": {"Rejected": 3}},
        ],
    )
    def test_what_is_no_proof(self, facts: dict[str, dict[str, int]]) -> None:
        assert obstacles("certificate", facts) == []

    def test_a_password_that_was_taken_once_or_another_variable_is_no_obstacle(self) -> None:
        name = "call:SetVariables SecurityCtrlr.BasicAuthPassword"
        assert obstacles("password", {name: {"Rejected": 9, "Accepted": 1}}) == []
        assert obstacles("password", {"call:SetVariables SecurityCtrlr.OrganizationName": {"Rejected": 9}}) == []


def test_the_registry_is_counted_by_kind() -> None:
    kind: dict[str, Any] = {"vendor": "V", "model": "M"}
    records = [
        make_record("A", password_reading="raw", answers_pings=True, last_seen_at=3.0, **kind),
        make_record("B", password_reading="raw", last_seen_at=5.0, **kind),
        make_record("C", password_reading="raw"),
    ]
    found = {(each.fact, each.value): each.count for each in counted(records)}
    assert found == {("authorization-key", "raw"): 2, ("answers-pings", "yes"): 1}


def test_a_file_holds_what_is_known_and_nothing_else() -> None:
    count = Count(stratum=Stratum("V", "M", "1"), fact="f", value="v", count=2, first_at=5.0, last_at=6.0)
    (back,) = read(written([count, msgspec.structs.replace(count, evidence="imported")]), 9.0)
    assert back == msgspec.structs.replace(count, count=4, evidence="imported", first_at=9.0, last_at=9.0)
    assert tallied([count, back]) == {"f": {"v": 6}}
    assert written([]) == written([])
