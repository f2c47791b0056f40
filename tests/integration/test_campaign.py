"""Campaigns on the running gateway, over charge points that misbehave in every way, with control killed in the middle."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.campaign_fleet import CampaignFleet, Planned, campaign_fleet, until

pytestmark = pytest.mark.integration
WAIT_S = 240.0
KEEPS_ITS_CERTIFICATE = {
    "silent=TriggerMessage",
    "silent=CertificateSigned",
    "rejects=TriggerMessage",
    "rejects-certificate",
    "no-security-actions",
}
"""What makes a charge point stay on what it had, or go back to it."""
GETS_THERE = {
    "ignores-triggers",
    "slow-answers=2",
    "reboots-on=CertificateSigned",
    "reboots-after=CertificateSigned",
    "reboots-on=TriggerMessage",
    "drops-before-answer=CertificateSigned",
    "drops-after-answer=TriggerMessage",
    "duplicate-ids",
    "no-pong",
    "store-full",
    "clock-off=10",
    "wants-leaf-only",
    "wants-root-in-chain",
    "boot-after-reconnect",
}


async def command(fleet: CampaignFleet, *words: str) -> tuple[int, Any]:
    """Exit code and JSON of `ocpp-gateway campaign ...`."""
    line = [sys.executable, "-m", "gateway", *words, "--json", "--config", str(fleet.rig.config_path)]
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert b"Traceback" not in error, error
    assert process.returncode is not None
    return process.returncode, json.loads(out)


async def planned(fleet: CampaignFleet, *options: str, kind: str = "certificate") -> dict[str, Any]:
    await until(lambda: fleet.registered == set(fleet.cast), "all are registered", 60.0)
    await until(lambda: all(kinds(fleet)), "the registry knows of which kind they are")
    words = ("campaign", "plan", "test", "--kind", kind, "--group", "fleet", "--by", "anna", *options)
    code, found = await command(fleet, *words)
    assert code == 0, found
    return dict(found)


def kinds(fleet: CampaignFleet) -> list[str]:
    with fleet.rig.registry() as registry:
        return [record.model for record in registry.find()]


def members(fleet: CampaignFleet) -> dict[str, str]:
    with fleet.rig.registry() as registry:
        campaign, _ = registry.campaigns.get("test")
        return {each.charge_point_id: each.state.value for each in registry.campaigns.members(campaign.number)}


def state(fleet: CampaignFleet) -> str:
    with fleet.rig.registry() as registry:
        return registry.campaigns.get("test")[0].state.value


async def over(fleet: CampaignFleet) -> dict[str, dict[str, Any]]:
    """The report by charge point, once nothing changes any more."""
    with contextlib.suppress(AssertionError):
        await until(lambda: state(fleet) in {"finished", "aborted"}, "the campaign is over", WAIT_S)
    _, report = await command(fleet, "campaign", "report", "test")
    assert report["status"]["state"] in {"finished", "aborted"}, report["status"]
    return {each["charge_point_id"]: each for each in report["charge_points"]}


QUICK = ("--proof-within", "12s", "--soak", "2s", "--retry", "1s", "--growth", "4")
FORGIVING = ("--max-failure-share", "0.99", "--max-lost", "1000")


SLOW = ("--proof-within", "30s", "--soak", "2s", "--retry", "1s", "--growth", "10")
"""With time enough for all of them on a busy machine."""


@pytest.mark.timeout(400)
async def test_thirty_six_of_which_many_misbehave_and_control_dies_in_the_middle(tmp_path: Path) -> None:
    odd = [*sorted(KEEPS_ITS_CERTIFICATE), *sorted(GETS_THERE), "never-reconnects", "alternates-certificates"]
    cast = {f"CP-{number:02}": Planned((odd[number],) if number < len(odd) else ()) for number in range(36)}
    async with campaign_fleet(tmp_path, cast, ramp_up_s=2.0) as fleet:
        good = [identity for identity, each in cast.items() if not each.quirks]
        await planned(fleet, *SLOW, *FORGIVING, *(word for each in good[:2] for word in ("--first", each)))
        assert (await command(fleet, "campaign", "start", "test", "--by", "anna"))[0] == 0
        await until(lambda: Counter(members(fleet).values())["waiting"] >= 3, "several are under way", WAIT_S)
        before = fleet.gateway.children()["control"]
        os.kill(before, signal.SIGKILL)
        await until(lambda: fleet.gateway.children().get("control", before) != before, "another control")
        report = await over(fleet)
        assert {
            each.quirks: report[identity] for identity, each in cast.items() if not as_expected(each, report[identity])
        } == {}
        lost = [identity for identity, found in report.items() if found["state"] == "lost"]
        assert [cast[identity].quirks for identity in lost] == [("never-reconnects",)]
        _, whole = await command(fleet, "campaign", "report", "test")
        assert [each["charge_point_id"] for each in whole["site_visits"]] == lost
        assert whole["site_visits"][0]["serial_number"] == f"SN-{lost[0]}"
        await until(lambda: fleet.connected() >= set(cast) - set(lost), "everybody else can be reached")


def as_expected(planned: Planned, found: dict[str, Any]) -> bool:
    """It has come to the end that its quirk leads to, once, and the report says why."""
    quirk = planned.quirks[0] if planned.quirks else ""
    expected = "fell-back" if quirk in KEEPS_ITS_CERTIFICATE else "committed"
    if quirk == "alternates-certificates":
        expected = found["state"] if found["state"] in {"committed", "fell-back"} else ""  # as often as it reconnects
    if quirk == "never-reconnects":
        expected = "lost"
    steps = [step["state"] for step in found["history"]]
    is_once = steps.count("committed") == (1 if expected == "committed" else 0)
    return found["state"] == expected and is_once and steps[0] == "eligible" and bool(found["explanation"])


async def test_a_kind_that_cannot_halts_alone_and_is_known_from_then_on(tmp_path: Path) -> None:
    cast = {f"GOOD-{n}": Planned(model="Good") for n in range(4)}
    cast |= {f"BAD-{n}": Planned(("rejects-certificate",), model="Bad", version="1.6") for n in range(4)}
    async with campaign_fleet(tmp_path, cast) as fleet:
        found = await planned(fleet, *QUICK)
        assert [(each["eligible"], each["waves"]) for each in found["strata"]] == [(4, [1, 3]), (4, [1, 3])]
        await command(fleet, "campaign", "start", "test")
        await until(
            lambda: [members(fleet)[each] for each in cast if each.startswith("GOOD")] == ["committed"] * 4,
            "the good ones are through",
            WAIT_S,
        )
        code, status = await command(fleet, "campaign", "status", "test")
        assert code == 1
        halted = {each["model"]: each["halted"] for each in status["strata"]}
        assert halted == {"Good": "", "Bad": "1 of 1 of wave 1 lost or fallen back, which is above the failure share"}
        event = await fleet.gateway.event("campaign.halted")
        assert event["severity"] == "high"
        assert Counter(state for each, state in members(fleet).items() if each.startswith("BAD")) == {
            "fell-back": 1,
            "eligible": 3,
        }
        for _ in range(2):
            mark = fleet.gateway.mark()
            assert (await command(fleet, "campaign", "resume", "test"))[0] == 0
            await fleet.gateway.event("campaign.halted", mark)
        assert (await command(fleet, "campaign", "abort", "test"))[0] == 0
        report = await over(fleet)
        assert Counter(each["state"] for each in report.values()) == {"committed": 4, "fell-back": 3, "withdrawn": 1}
        await until(lambda: learnt(fleet, "Bad").get("certificate") == {"rejected": 3}, "it is learnt")
        await until(
            lambda: learnt(fleet, "Bad").get("campaign:certificate", {}).get("fell-back") == 3, "and how it ended"
        )
        words = ("campaign", "plan", "again", "--kind", "certificate", "--group", "fleet", "--dry-run")
        _, again = await command(fleet, *words)
        why = {each["charge_point_id"]: each["why"] for each in again["ineligible"]}
        assert set(why) == {f"BAD-{n}" for n in range(4)}
        (words_of_all,) = set(why.values())
        assert words_of_all.endswith("it has rejected every certificate")
        assert words_of_all.startswith("3 of this kind fell back in such a campaign")


def learnt(fleet: CampaignFleet, model: str) -> dict[str, dict[str, int]]:
    from gateway.provisioning.campaign_plan import Stratum
    from gateway.provisioning.capability import tallied

    with fleet.rig.registry() as registry:
        return tallied(registry.capabilities.of(Stratum("Simulated", model, "1.0.0")))


async def test_nobody_is_told_outside_the_window_and_while_it_is_paused(tmp_path: Path) -> None:
    cast = {"CP-1": Planned(), "CP-2": Planned()}
    async with campaign_fleet(tmp_path, cast) as fleet:
        hour = (time.gmtime().tm_hour + 12) % 24
        await planned(fleet, *QUICK, "--window", f"{hour:02}:00-{hour:02}:30")
        await command(fleet, "campaign", "start", "test")
        await until(lambda: "prepared" in members(fleet).values(), "the canary waits for its window")
        await command(fleet, "campaign", "pause", "test")
        await until(lambda: state(fleet) == "paused", "paused")
        with fleet.rig.registry() as registry:
            assert all(registry.enrolments.newest(each) is None for each in cast)
        assert (await command(fleet, "campaign", "abort", "test"))[0] == 0
        report = await over(fleet)
        assert {each["state"] for each in report.values()} == {"withdrawn"}


async def test_passwords_after_a_second_person_has_agreed(tmp_path: Path) -> None:
    """1.6 and 2.0.1; who refuses keeps the old one, and everybody can be reached afterwards."""
    quirks: dict[str, tuple[str, ...]] = {
        "GOOD-1": (),
        "GOOD-2": (),
        "HEX": ("password-hex-text",),
        "REFUSES": ("rejects=ChangeConfiguration",),
        "REBOOTS": ("reboots-after=ChangeConfiguration",),
    }
    cast = {identity: Planned(each, version="1.6", security_profile=2) for identity, each in quirks.items()}
    async with campaign_fleet(tmp_path, cast) as fleet:
        words = ("--first", "GOOD-1", "--growth", "10")
        found = await planned(fleet, *QUICK, *FORGIVING, *words, kind="password")
        assert (found["needs_approval"], found["reversible"]) == (True, False)
        assert (await command(fleet, "campaign", "start", "test"))[0] == 1
        assert (await command(fleet, "campaign", "approve", "test", "--by", "bert"))[0] == 0
        assert (await command(fleet, "campaign", "start", "test", "--by", "anna"))[0] == 0
        report = await over(fleet)
        ended = {identity: each["state"] for identity, each in report.items()}
        assert ended == dict.fromkeys(cast, "committed") | {"REFUSES": "fell-back"}
        assert "approved by bert" in (await fleet.gateway.event("campaign.start"))["detail"]
        await until(lambda: fleet.connected() == set(cast), "everybody can be reached")


async def test_security_profiles_are_raised_and_who_cannot_goes_back(tmp_path: Path) -> None:
    """1.6 and 2.0.1 from profile 1 to 2; the floor follows only who has proven it."""
    cast = {
        "GOOD-16": Planned(version="1.6", security_profile=1),
        "GOOD-201": Planned(security_profile=1),
        "REBOOTS": Planned(("reboots-after=SetVariables",), security_profile=1),
        "FALLS-BACK": Planned(("falls-back",), security_profile=1),
        "REFUSES": Planned(("rejects=SetNetworkProfile",), security_profile=1),
    }
    async with campaign_fleet(tmp_path, cast) as fleet:
        target = ("--to-profile", "2", "--url", fleet.url(2), "--first", "GOOD-201", "--growth", "10")
        words = ("--proof-within", "90s", "--soak", "2s", "--retry", "1s")
        found = await planned(fleet, *words, *FORGIVING, *target, kind="security-profile")
        assert (found["eligible"], found["needs_approval"]) == (5, True)
        assert (await command(fleet, "campaign", "start", "test"))[0] == 1
        await command(fleet, "campaign", "approve", "test", "--by", "bert")
        assert (await command(fleet, "campaign", "start", "test", "--by", "anna"))[0] == 0
        report = await over(fleet)
        ended = {identity: (each["state"], each["explanation"]) for identity, each in report.items()}
        expected = dict.fromkeys(cast, "committed") | {"FALLS-BACK": "fell-back", "REFUSES": "fell-back"}
        assert {identity: state for identity, (state, _) in ended.items()} == expected, ended
        with fleet.rig.registry() as registry:
            profiles = {each.charge_point_id: (int(each.security_profile), each.floor) for each in registry.find()}
        assert {identity: profile for identity, (profile, _) in profiles.items()} == {
            identity: 2 if state == "committed" else 1 for identity, state in expected.items()
        }
        assert {identity for identity, (_, floor) in profiles.items() if floor == 2} == {
            identity for identity, state in expected.items() if state == "committed"
        }
        await until(lambda: fleet.connected() == set(cast), "everybody can be reached")
