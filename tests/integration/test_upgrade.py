"""Upgrades of the security profile with a running gateway and simulated charge points: what works, and every way it ends."""

import asyncio
import json
import os
import signal
import time
from typing import Any

import msgspec
import pytest

from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.campaign_window import Window
from gateway.provisioning.window_hold import HELD
from gateway.simulator.core.events import ChargingStarted, ChargingStopped
from tests.provisioning.campaigning import campaign_of, plan
from tests.support.fleet import until
from tests.support.simulated import memory_of, simulated
from tests.support.upgrading import PASSWORD, UpgradeSite, command, upgrade_site

pytestmark = pytest.mark.integration
VERSIONS = {"CP-16": "1.6", "CP-201": "2.0.1", "CP-21": "2.1"}
OWN = {"Reset", "ChangeConfiguration", "SetNetworkProfile", "SetVariables", "GetVariables", "SignCertificate"}


async def abort(site: UpgradeSite, identity: str) -> tuple[int, dict[str, Any]]:
    return await command("charge-point", "upgrade", identity, "--abort", config=site.rig.config_path)


@pytest.mark.requirement("A05.FR.07", "A05.FR.09")
async def test_from_1_to_3_with_the_first_certificate(tmp_path: Any) -> None:
    async def one(site: UpgradeSite, identity: str, version: str) -> None:
        async with site.charge_point(identity, version) as cp:
            await site.upgrade(identity, 3)
            await site.approve(identity)
            found = await site.comes_to(identity, "proven")
            assert site.profiles(identity) == (3, 3, 0)
            await until(lambda: cp.memory.security_profile == 3, "it says so itself")
            with site.rig.registry() as registry:
                enrolment = registry.enrolments.newest(identity)
            assert enrolment is not None
            assert found.certificate_serial == enrolment.serial
            states = site.states(identity)
            assert states == ["wanted", "enrolling", "wanted", "both-accepted", "told", "switching", "proven"], states

    async with upgrade_site(tmp_path) as site:
        await asyncio.gather(*(one(site, identity, version) for identity, version in VERSIONS.items()))
        for identity in VERSIONS:
            frames = [json.loads(text) for text in site.csms.texts[identity]]
            assert not OWN & {frame[2] for frame in frames if frame[0] == 2}


@pytest.mark.requirement("TC_083_CSMS", "TC_A_19_CSMS")
async def test_certification_1_6_tc_083_and_2_0_1_tc_a_19(tmp_path: Any) -> None:
    """One profile up, Reset, the new one accepted, the old one refused everywhere, the new one accepted again."""
    async with upgrade_site(tmp_path) as site:
        for identity, version in (("CP-1", "1.6"), ("CP-2", "2.0.1")):
            async with site.charge_point(identity, version, to_profile=2) as cp:
                await site.upgrade(identity, 2)
                await site.comes_to(identity, "proven")
                assert site.profiles(identity) == (2, 2, 0)
                await until(lambda cp=cp: cp.memory.security_profile == 2, "it says so itself")  # type: ignore[misc]
            since = site.gateway.mark()
            old = memory_of(identity, site.url(1), 1, version, password=PASSWORD)
            async with simulated(old) as intruder:
                await intruder.until(lambda: intruder.said("connection failed"))
                assert {"failure": "refused", "detail": "HTTP 403"} in intruder.said("connection failed")
            refused = await site.gateway.event("profile.downgrade", since)
            assert refused["charge_point_id"] == identity
            async with simulated(cp.memory) as again:
                await again.registered()


class TestPreflight:
    async def test_shows_every_reason_and_changes_nothing(self, tmp_path: Any) -> None:
        async with upgrade_site(tmp_path) as site, site.charge_point("CP-1", "2.0.1"):
            given = ("CP-1", "--to-profile", "3", "--url", site.url(3), "--dry-run")
            code, found = await command("charge-point", "upgrade", *given, config=site.rig.config_path)
            assert (code, found["verdict"]) == (0, "enrol"), found
            assert {each["name"]: each["outcome"] for each in found["checks"]} == {
                "profile": "ok",
                "firmware": "told",
                "listener": "ok",
                "address": "ok",
                "idle": "ok",
                "root": "ok",
                "server certificate": "ok",
                "clock": "ok",
                "certificate": "enrol",
                "store": "ok",
                "fall-back": "ok",
            }
            assert "never over OCPP" in found["reversibility"]
            assert (site.newest("CP-1"), site.profiles("CP-1")[2]) == (None, 0)

    async def test_what_would_strand_it_is_refused(self, tmp_path: Any) -> None:
        async with upgrade_site(tmp_path) as site:
            cases: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
                ((), {"roots": ()}, "root"),
                (("rejects=GetInstalledCertificateIds",), {}, "root"),
                (("clock-off=60",), {}, "clock"),
            ]
            for number, (quirks, factory, name) in enumerate(cases):
                identity = f"CP-{number}"
                async with site.charge_point(identity, "2.0.1", 1, *quirks, **factory):
                    await site.upgrade(identity, 3)
                    found = await site.comes_to(identity, "refused")
                    assert found.detail.startswith(f"{name}: "), found.detail
                    assert site.profiles(identity)[2] == 0

    @pytest.mark.requirement("TC_M_19_CSMS")
    async def test_the_missing_root_is_installed_first_where_that_is_asked_for(self, tmp_path: Any) -> None:
        async def installed(site: UpgradeSite, identity: str, version: str, *quirks: str) -> None:
            async with site.charge_point(identity, version, 1, *quirks, to_profile=2, roots=()) as cp:
                await site.upgrade(identity, 2, "--install-root")
                await site.comes_to(identity, "proven")
                assert [root.pem for root in cp.memory.roots] == [site.root]
                states = site.states(identity)
                assert states[:4] == ["wanted", "installing-root", "wanted", "both-accepted"], states

        async def refused(site: UpgradeSite, identity: str, version: str, quirk: str, why: str) -> None:
            async with site.charge_point(identity, version, 1, quirk, to_profile=2, roots=()) as cp:
                await site.upgrade(identity, 2, "--install-root")
                found = await site.comes_to(identity, "refused")
                assert (found.detail, cp.memory.roots) == (f"root: {why}", [])
                assert site.profiles(identity) == (1, 1, 0)

        rejected = "InstallCertificate: Rejected"
        async with upgrade_site(tmp_path) as site:
            await asyncio.gather(
                installed(site, "CP-16", "1.6", "drops-before-answer=InstallCertificate"),
                installed(site, "CP-201", "2.0.1", "reboots-after=InstallCertificate"),
                installed(site, "CP-21", "2.1"),
                refused(site, "CP-FULL", "1.6", "store-full", rejected),
                refused(site, "CP-NO", "2.0.1", "rejects=InstallCertificate", rejected),
                refused(site, "CP-OLD", "1.6", "no-security-actions", "it does not say which roots it has"),
            )

    async def test_1_6_with_network_profiles_in_its_keys(self, tmp_path: Any) -> None:
        """The new URL beside the old one, which is the way back."""
        quirks = ("network-keys", "drops-before-answer=ChangeConfiguration")
        async with upgrade_site(tmp_path) as site, site.charge_point("CP-1", "1.6", 1, *quirks, to_profile=3) as cp:
            given = ("CP-1", "--to-profile", "2", "--url", site.url(2), "--dry-run")
            _, found = await command("charge-point", "upgrade", *given, config=site.rig.config_path)
            address = next(each["why"] for each in found["checks"] if each["name"] == "address")
            assert address == f"{site.url(2)}, in its NetworkConnectionProfile2"
            await site.upgrade("CP-1", 2)
            await site.comes_to("CP-1", "proven")
            assert cp.memory.slots[2].url == site.url(2)  # and not where it would have gone by itself

    async def test_firmware_that_is_not_known_to_be_good(self, tmp_path: Any) -> None:
        rules = [{"vendor": "Simulated", "minimum": "1.0.1"}]
        async with upgrade_site(tmp_path, known_firmware=rules) as site, site.charge_point("CP-1", "1.6"):
            await until(lambda: site.vendor("CP-1"), "it has said what it is")
            given = ["CP-1", "--to-profile", "2", "--url", site.url(2), "--dry-run"]
            code, found = await command("charge-point", "upgrade", *given, config=site.rig.config_path)
            assert (code, found["verdict"]) == (1, "no")
            assert "firmware 1.0.0 is below 1.0.1" in found["why"]
            given.append("--unsafe-any-firmware")
            code, found = await command("charge-point", "upgrade", *given, config=site.rig.config_path)
            assert (code, found["verdict"]) == (0, "ok")

    async def test_a_transaction_is_waited_for(self, tmp_path: Any) -> None:
        async with upgrade_site(tmp_path) as site, site.charge_point("CP-1", "1.6", to_profile=2) as cp:
            cp.player.happens(ChargingStarted(now=0.0))
            await until(lambda: cp.said("charging"), "it is charging")
            await site.upgrade("CP-1", 2)
            await until(lambda: site.detail("CP-1") == "idle: a transaction runs", "it waits")
            assert site.state("CP-1") == "wanted"
            cp.player.happens(ChargingStopped(now=0.0))
            await site.comes_to("CP-1", "proven")


class TestItComesBack:
    """On the old profile, which is accepted as it was; nothing goes back and forth."""

    @pytest.mark.requirement("A05.FR.08")
    async def test_a_charge_point_that_cannot_use_the_new_profile(self, tmp_path: Any) -> None:
        async def one(site: UpgradeSite, identity: str, version: str) -> None:
            async with site.charge_point(identity, version, 1, "falls-back", to_profile=2) as cp:
                await site.upgrade(identity, 2)
                await site.comes_to(identity, "fell-back")
                assert site.profiles(identity) == (1, 1, 2 if version == "1.6" else 0)  # 1.6 cannot take it back
                await until(lambda: cp.player.charge_point.is_registered, "it is there")
                if version != "1.6":
                    assert cp.memory.next_priority == [1]  # it does not try again after its next start
                states = [each for each in site.states(identity) if each in {"both-accepted", "returning", "fell-back"}]
                assert states == ["both-accepted", "returning", "fell-back"]

        async with upgrade_site(tmp_path, restart_s=2.0) as site:
            await asyncio.gather(*(one(site, identity, version) for identity, version in VERSIONS.items()))

    async def test_one_that_says_no_is_left_as_it_was(self, tmp_path: Any) -> None:
        async with upgrade_site(tmp_path) as site:
            for identity, version, action in (
                ("CP-1", "1.6", "ChangeConfiguration"),
                ("CP-2", "2.0.1", "SetNetworkProfile"),
                ("CP-3", "2.0.1", "SetVariables"),
            ):
                async with site.charge_point(identity, version, 1, f"rejects={action}", to_profile=2):
                    await site.upgrade(identity, 2)
                    await site.comes_to(identity, "refused")
                    assert site.profiles(identity) == (1, 1, 0)


async def test_one_that_stays_away_is_lost_and_both_ways_stay_open_over_crashes(tmp_path: Any) -> None:
    async with upgrade_site(tmp_path, lost_after_s=2.0) as site:
        async with site.charge_point("CP-1", "2.0.1", to_profile=2) as cp:
            await site.upgrade("CP-1", 2)
            await site.comes_to("CP-1", "switching", "proven")  # it may have been quicker than we
            memory = cp.memory
        await site.comes_to("CP-1", "lost", "proven")
        if site.state("CP-1") == "lost":  # it may have been quicker than we
            assert site.profiles("CP-1") == (1, 1, 2)
        for victim in ("control", "edge-0"):
            before = site.gateway.children()[victim]
            os.kill(before, signal.SIGKILL)
            await until(lambda v=victim, b=before: site.gateway.children().get(v, b) != b, f"another {victim}")  # type: ignore[misc]
        async with simulated(memory) as late:
            await late.registered()
            await site.comes_to("CP-1", "proven")
            assert site.profiles("CP-1") == (2, 2, 0)


async def outside_the_window_of_a_campaign(site: UpgradeSite, identity: str) -> None:
    """It is not sent to restart, until the window opens."""
    campaign, members = campaign_of((1,), plan(windows=(Window(days=(), from_minute=0, to_minute=1),)))
    who = msgspec.structs.replace(members[0], charge_point_id=ChargePointId(identity))
    with site.rig.registry() as registry:
        over = msgspec.structs.replace(campaign, kind="security-profile", state=CampaignState.FINISHED, number=0)
        stored = registry.campaigns.add(over, [who])
        told = msgspec.structs.replace(who, state=MemberState.LOST, switched_at=1.0, changed_at=time.time())
        registry.campaigns.put(stored, [told])
    await until(lambda: site.detail(identity) == HELD, "it waits for the window")
    newest = site.newest(identity)
    assert newest is not None
    assert newest.due_at > time.time() + 3_600.0
    with site.rig.registry() as registry:
        registry.campaigns.put(msgspec.structs.replace(stored, plan=plan()), [told])
    await (await site.csms.connected(identity)).close()  # that it is back is a reason to look again
    await until(lambda: site.detail(identity) != HELD, "it goes on")


async def test_stopped_by_an_operator(tmp_path: Any) -> None:
    async with upgrade_site(tmp_path, look_again_s=3.0) as site:  # so that it is not given up meanwhile
        site.memory("CP-AWAY", "2.0.1")
        await site.known(1)
        await site.upgrade("CP-AWAY", 2)
        code, found = await abort(site, "CP-AWAY")
        assert (code, found["state"], site.profiles("CP-AWAY")) == (0, "aborted", (1, 0, 0))
        async with site.charge_point("CP-TOLD", "2.0.1", 1, "rejects=Reset", to_profile=2) as cp:
            await site.upgrade("CP-TOLD", 2)
            await until(lambda: cp.memory.next_priority == [2, 1], "it was told")
            await outside_the_window_of_a_campaign(site, "CP-TOLD")
            assert (await abort(site, "CP-TOLD"))[0] == 0
            await site.comes_to("CP-TOLD", "aborted")
            assert (cp.memory.next_priority, site.profiles("CP-TOLD")) == ([1], (1, 1, 0))
        async with site.charge_point("CP-16", "1.6", 1, "rejects=Reset", to_profile=2) as cp:
            await site.upgrade("CP-16", 2)
            await site.comes_to("CP-16", "told")
            assert (await abort(site, "CP-16"))[0] == 0
            await site.comes_to("CP-16", "aborted")
            assert site.profiles("CP-16") == (1, 1, 2)  # nothing can be taken back: it may still use the new one
            memory = cp.memory
        async with simulated(memory) as late:
            await late.registered()
            await site.comes_to("CP-16", "proven")
            assert site.profiles("CP-16") == (2, 2, 0)


@pytest.mark.requirement("A05.FR.07", "A05.FR.09")
async def test_a_csms_that_raises_it_by_itself_is_followed(tmp_path: Any) -> None:
    """No operator, no command: what the charge point has taken from its CSMS is let in, and once proven it is required."""
    setting = {"key": "SecurityProfile", "value": "2"}
    async with upgrade_site(tmp_path) as site, site.charge_point("CP-16", "1.6", to_profile=2) as cp:
        csms = await site.csms.connected("CP-16")
        await csms.send(json.dumps([2, "raise", "ChangeConfiguration", setting | {"value": "1"}]))
        await csms.send(json.dumps([2, "raises", "ChangeConfiguration", setting]))
        await until(lambda: site.profiles("CP-16")[2] == 2, "both are accepted")
        assert site.profiles("CP-16") == (1, 1, 2)
        await csms.send(json.dumps([2, "reset", "Reset", {"type": "Hard"}]))
        await until(lambda: site.profiles("CP-16") == (2, 2, 0), "proven, and nothing lower will do")
        await until(lambda: cp.memory.security_profile == 2, "it says so itself")
    assert {"profile.taken", "profile.proven"} <= {event["event"] for event in site.gateway.events()}


async def test_a_profile_that_an_operator_sets_meanwhile_counts(tmp_path: Any) -> None:
    """What the upgrade has let in besides is let in no more, and another one can be begun."""
    async with upgrade_site(tmp_path) as site:
        async with site.charge_point("CP-16", "1.6", 1, "rejects=Reset", to_profile=2):
            await site.upgrade("CP-16", 2)
            await site.comes_to("CP-16", "told")
            assert site.profiles("CP-16") == (1, 1, 2)
            with site.rig.registry() as registry:
                registry.update("CP-16", security_profile=SecurityProfile(3))
            found = await site.comes_to("CP-16", "aborted")
        assert "set by hand" in found.detail
        assert site.profiles("CP-16") == (3, 1, 0)


async def test_what_cannot_be_done_is_said(tmp_path: Any) -> None:
    async with upgrade_site(tmp_path) as site:
        site.memory("CP-1", "1.6")
        site.memory("CP-2", "1.6", 2)
        await site.known(2)
        for words, why in (
            (("CP-NOBODY", "--to-profile", "2"), "no charge point of this identity"),
            (("CP-2", "--to-profile", "2"), "on security profile 2 already"),
            (("CP-1", "--abort"), "there has been no upgrade"),
            (("CP-1", "--to-profile", "2", "--dry-run"), "not connected"),
        ):
            code, found = await command("charge-point", "upgrade", *words, config=site.rig.config_path)
            assert code == 1
            assert why in found["error"]
