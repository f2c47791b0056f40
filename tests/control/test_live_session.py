"""Sessions that live: judged again when anything changes, and what they prove by registering."""

import sqlite3
import time
from typing import Any

import msgspec
import pytest
import structlog

from gateway.config.model import Limits
from gateway.control.node import Node
from gateway.identity.evidence import CertificateProof
from gateway.identity.record import StoredPassword
from gateway.link.messages import Disconnect
from gateway.ocpp.vocabulary import SecurityProfile
from tests.control.conftest import OPERATOR, OTHER_PASSWORD, PASSWORD, NodeSite, phc_of, record_of, stored
from tests.support.claims import make_claim
from tests.support.edges import LinkEdge
from tests.support.rig import shared_authority
from tests.support.tls_material import Authority

ONE, TWO, THREE = SecurityProfile
CERTIFICATE = shared_authority().charge_point("SN-1", OPERATOR).der


def claim(identity: str = "CP-1", password: str | None = PASSWORD, **more: Any):
    return make_claim(identity, password=password, **more)


def known(node: Node, identity: str = "CP-1") -> dict[str, Any] | None:
    return next((one for one in node.status()["sessions"] if one["charge_point_id"] == identity), None)


def keeping(site: NodeSite) -> Any:
    return site.config(limits=Limits(duplicate_probe_timeout_s=2.0, revoked_sessions="keep"))


async def revoke(site: NodeSite, edge: LinkEdge, proof: Any) -> None:
    """Until the edge has the TLS settings that come after it."""
    before = edge.settings
    site.registry.revoke_certificate(sha256=proof.sha256, reason="superseded", now=1.0)
    await edge.until(lambda: edge.settings != before)


class TestJudgedAgain:
    """Sockets live for weeks: what would not be admitted any more ends within a moment."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"enabled": False}, "disabled"),
            ({"security_profile": THREE}, "security profile changed"),
            ({"password": stored(OTHER_PASSWORD)}, "password replaced"),
            ({"group": "lockdown"}, "group changed"),
        ],
    )
    async def test_a_change_of_its_record(self, site: NodeSite, change: dict[str, Any], reason: str) -> None:
        site.registry.add(record_of())
        site.registry.add(record_of("CP-2"))
        async with site.running(), site.edge() as edge:
            opened, other = await edge.enter(claim()), await edge.enter(claim("CP-2"))
            site.registry.update("CP-1", **change)
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, reason)]
            assert other.session in edge.sessions
        assert [event["detail"] for event in site.events("session.revoked")] == [f"CP-1: {reason}"]

    async def test_its_removal(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(), site.edge() as edge:
            opened = await edge.enter(claim())
            site.registry.remove("CP-1")
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "removed from the registry")]

    async def test_a_change_that_does_not_concern_it_leaves_it_alone(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            await edge.enter(claim())
            site.registry.update("CP-1", notes="x", pending_password=stored(OTHER_PASSWORD))
            await edge.until(lambda: (node._directory.get("CP-1") or record_of()).notes == "x")
            site.registry.update("CP-1", notes="y")
            await edge.until(lambda: (node._directory.get("CP-1") or record_of()).notes == "y")
            assert edge.disconnected == []

    @pytest.mark.requirement("A00.FR.702")
    @pytest.mark.parametrize("by", ["sha256", "issuer and serial"])
    async def test_its_certificate_revoked_by_fingerprint_or_by_number(self, site: NodeSite, by: str) -> None:
        site.registry.add(record_of("CP-1", 3, serial_number="SN-1"))
        site.registry.add(record_of("CP-2"))
        async with site.running(), site.edge() as edge:
            opened = await edge.enter(make_claim(leaf=CERTIFICATE))
            await edge.enter(claim("CP-2"))
            proof = opened.proof
            assert isinstance(proof, CertificateProof) and edge.settings is not None
            before = edge.settings
            name = (
                {"sha256": proof.sha256} if by == "sha256" else {"issuer": proof.issuer, "serial": proof.serial_number}
            )
            site.registry.revoke_certificate(**name, reason="lost", now=1.0)
            await edge.until(lambda: edge.disconnected and edge.settings != before)
            assert edge.disconnected == [Disconnect(opened.session, "certificate revoked")]
            assert edge.settings.trust_generation > before.trust_generation
            assert (await edge.refused(make_claim(leaf=CERTIFICATE))).reason == "certificate-revoked"

    @pytest.mark.requirement("A00.FR.702")
    async def test_revoked_and_kept_by_choice_until_the_choice_is_taken_back(self, site: NodeSite) -> None:
        """The session goes on, one event says so, and nobody comes in with the certificate."""
        site.registry.add(record_of("CP-1", 3, serial_number="SN-1"))
        site.registry.add(record_of("CP-2", 3, serial_number="SN-2"))
        other = shared_authority().charge_point("SN-2", OPERATOR).der
        async with site.running(config=keeping(site)) as node, site.edge() as edge:
            opened = await edge.enter(make_claim(leaf=CERTIFICATE))
            stays = await edge.enter(make_claim("CP-2", leaf=other))
            await revoke(site, edge, opened.proof)
            await revoke(site, edge, msgspec.structs.replace(opened.proof, sha256="ab" * 32))
            assert (await edge.refused(make_claim(leaf=CERTIFICATE))).reason == "certificate-revoked"
            assert await node.reload(keeping(site)) == ""
            assert edge.disconnected == []
            assert await node.reload(site.config()) == ""
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "certificate revoked")]
            assert stays.session in edge.sessions
        kept = site.events("session.kept")
        assert [event["detail"].partition(":")[0] for event in kept] == ["CP-1"]

    @pytest.mark.parametrize("by", ["record", "root"])
    async def test_a_revoked_one_that_is_kept_ends_for_every_other_reason(self, site: NodeSite, by: str) -> None:
        site.registry.add(record_of("CP-1", 3, serial_number="SN-1"))
        async with site.running(config=keeping(site)) as node, site.edge() as edge:
            opened = await edge.enter(make_claim(leaf=CERTIFICATE))
            await revoke(site, edge, opened.proof)
            assert edge.disconnected == []
            if by == "record":
                site.registry.update("CP-1", enabled=False)
            else:
                site.root.write_bytes(Authority().pem)
                assert await node.reload(keeping(site)) == ""
            await edge.until(lambda: edge.disconnected)
            why = "disabled" if by == "record" else "trust in its root withdrawn"
            assert edge.disconnected == [Disconnect(opened.session, why)]

    async def test_another_serial_number_in_the_registry(self, site: NodeSite) -> None:
        site.registry.add(record_of("CP-1", 3, serial_number="SN-1"))
        async with site.running(), site.edge() as edge:
            opened = await edge.enter(make_claim(leaf=CERTIFICATE))
            site.registry.update("CP-1", serial_number="SN-2")
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "serial number changed")]

    @pytest.mark.parametrize("kept", [True, False])
    async def test_its_root_taken_out_by_a_reload(self, site: NodeSite, kept: bool) -> None:
        site.registry.add(record_of("CP-1", 3, serial_number="SN-1"))
        site.registry.add(record_of("CP-2"))
        async with site.running() as node, site.edge() as edge:
            opened, other = await edge.enter(make_claim(leaf=CERTIFICATE)), await edge.enter(claim("CP-2"))
            site.root.write_bytes(Authority().pem + (shared_authority().pem if kept else b""))
            assert await node.reload(site.config()) == ""
            if kept:
                assert (known(node) or {})["state"] == "open"
                return
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "trust in its root withdrawn")]
            assert other.session in edge.sessions
            assert (await edge.refused(make_claim(leaf=CERTIFICATE))).reason == "certificate-untrusted"

    async def test_disabled_while_the_edge_still_dials_the_csms(self, site: NodeSite) -> None:
        """The edge has no session yet that it could end; it must not get one."""
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            granted = await edge.admit(claim())
            site.registry.update("CP-1", enabled=False)
            await edge.until(lambda: not (node._directory.get("CP-1") or record_of()).enabled)
            await edge.until(lambda: edge.disconnected)
            opened = edge.open(granted)
            await edge.until(lambda: opened.session not in edge.sessions)
            assert edge.disconnected[-1] == Disconnect(opened.session, "disabled")

    async def test_disabled_while_the_link_was_down(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        edge = LinkEdge()
        async with site.running() as node:
            async with site.edge(edge=edge):
                opened = await edge.enter(claim())
                await edge.until(lambda: (known(node) or {}).get("state") == "open")
            site.registry.update("CP-1", enabled=False)
            await edge.until(lambda: not (node._directory.get("CP-1") or record_of()).enabled)
            async with site.edge(edge=edge):
                await edge.until(lambda: edge.disconnected)
                assert edge.disconnected == [Disconnect(opened.session, "disabled")]

    @pytest.mark.parametrize(
        ("change", "ends"),
        [
            ({}, False),
            ({"notes": "x"}, False),
            ({"enabled": False}, True),
            ({"security_profile": THREE, "floor": None}, True),
            ({"password": StoredPassword(phc=phc_of(OTHER_PASSWORD), created_at=2_000.0)}, True),
            ({"password": StoredPassword(phc=phc_of(OTHER_PASSWORD), created_at=500.0)}, False),
            ({"password": None}, True),
        ],
    )
    async def test_what_has_changed_while_control_was_away(
        self, site: NodeSite, change: dict[str, Any], ends: bool
    ) -> None:
        site.registry.add(record_of())
        edge = LinkEdge()
        async with site.running(), site.edge(edge=edge):
            opened = await edge.enter(claim(), opened_at=1_000.0)
        change.pop("floor", None)
        if change:
            site.registry.update("CP-1", **change)
        async with site.running() as node, site.edge(edge=edge):
            await edge.until(lambda: edge.disconnected if ends else known(node))
            assert [message.session for message in edge.disconnected] == ([opened.session] if ends else [])

    async def test_a_password_that_is_replaced_after_a_restart_ends_the_session_that_rests_on_it(self, site) -> None:
        site.registry.add(record_of())
        edge = LinkEdge()
        async with site.running(), site.edge(edge=edge):
            opened = await edge.enter(claim(), opened_at=time.time())
        async with site.running() as node, site.edge(edge=edge):
            await edge.until(lambda: known(node))
            site.registry.set_password("CP-1", phc_of(OTHER_PASSWORD), "current")
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "password replaced")]

    async def test_removed_and_registered_in_another_case_is_another_charge_point(self, site: NodeSite) -> None:
        site.registry.add(record_of("CP-1"))
        async with site.running(), site.edge() as edge:
            opened = await edge.enter(claim())
            site.registry.remove("CP-1")
            site.registry.add(record_of("cp-1"))
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "removed from the registry")]
            await edge.enter(claim("cp-1"))


@pytest.mark.requirement("A05.FR.07", "A05.FR.09", "TC_083_CSMS", "TC_A_19_CSMS")
class TestUpgrade:
    @staticmethod
    def pending(site: NodeSite) -> None:
        site.registry.add(record_of(security_profile=1, pending_security_profile=TWO))

    async def test_it_is_proven_by_registering_and_from_then_on_nothing_lower_gets_in(self, site: NodeSite) -> None:
        self.pending(site)
        plain = claim(tls=False, listener="plain")
        async with site.running(), site.edge() as edge:
            old = await edge.enter(plain)
            edge.end(old.session)
            opened = await edge.enter(claim())
            assert (site.registry.get("CP-1") or record_of()).floor is ONE
            edge.register(opened, vendor="V", model="M\n2")
            await edge.until(lambda: (site.registry.get("CP-1") or record_of()).floor is TWO)
            record = site.registry.get("CP-1") or record_of()
            assert (record.security_profile, record.pending_security_profile) == (TWO, None)
            # The event comes after control's own memory of the record, which follows the disk.
            await edge.until(lambda: bool(site.events("profile.upgraded")))
            assert (await edge.refused(plain)).reason == "security-profile-below-floor"
            assert edge.disconnected == []
            await edge.until(lambda: (site.registry.get("CP-1") or record_of()).vendor == "V")
            assert (site.registry.get("CP-1") or record_of()).model == "M\\x0a2"
        assert [event["detail"] for event in site.events("profile.upgraded")] == ["CP-1 is on security profile 2"]
        async with site.running(), site.edge() as edge:
            assert (await edge.refused(plain)).reason == "security-profile-below-floor"

    async def test_it_is_on_record_before_the_floor_is_raised(self, site: NodeSite, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.upgrades._RETRY_STORE_S", 0.01)
        monkeypatch.setattr("gateway.control.record_gate._AGAIN_S", 0.01)
        self.pending(site)
        async with site.running() as node, site.edge() as edge:
            opened = await edge.enter(claim())
            with structlog.testing.capture_logs() as logs:
                node._trail.writer._queue.refuse_waiting(0)
                edge.register(opened)
                await edge.until(lambda: any(entry["event"] == "credentials_wait_for_audit_log" for entry in logs))
                assert (site.registry.get("CP-1") or record_of()).floor is None
                assert [event["event"] for event in site.events("profile.proven")] == ["profile.proven"]
                assert not site.events("profile.upgraded")
                node._trail.writer._queue.accept_waiting()
                await edge.until(lambda: (site.registry.get("CP-1") or record_of()).floor is TWO)

    async def test_until_then_the_old_profile_stays_open(self, site: NodeSite) -> None:
        self.pending(site)
        async with site.running(), site.edge() as edge:
            opened = await edge.enter(claim())
            edge.end(opened.session)
            await edge.enter(claim(tls=False, listener="plain"))

    async def test_registering_on_the_old_profile_or_with_an_old_session_proves_nothing(self, site: NodeSite) -> None:
        self.pending(site)
        async with site.running(), site.edge() as edge:
            old = await edge.enter(claim(tls=False, listener="plain"))
            edge.register(old, vendor="first")
            edge.end(old.session)
            opened = await edge.enter(claim())
            edge.register(msgspec.structs.replace(opened, generation=opened.generation - 1), vendor="second")
            await edge.until(lambda: (site.registry.get("CP-1") or record_of()).vendor == "second")
            assert (site.registry.get("CP-1") or record_of()).pending_security_profile is TWO

    async def test_it_is_recorded_as_soon_as_the_registry_can_be_written_again(self, site, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.upgrades._RETRY_STORE_S", 0.01)
        self.pending(site)
        async with site.running(), site.edge() as edge:
            opened = await edge.enter(claim())
            with (
                sqlite3.connect(site.directory / "registry.sqlite") as database,
                structlog.testing.capture_logs() as logs,
            ):
                database.execute(
                    "CREATE TRIGGER full BEFORE UPDATE ON charge_points BEGIN SELECT RAISE(FAIL, 'disk full'); END"
                )
                edge.register(opened)
                await edge.until(lambda: any(entry["event"] == "upgrade_not_recorded_yet" for entry in logs))
                database.execute("DROP TRIGGER full")
            await edge.until(lambda: (site.registry.get("CP-1") or record_of()).floor is TWO)

    async def test_registering_while_control_was_away_counts_when_it_is_back(self, site: NodeSite) -> None:
        self.pending(site)
        edge = LinkEdge()
        async with site.running(), site.edge(edge=edge):
            opened = await edge.enter(claim(), opened_at=time.time())
        edge.sessions[opened.session] = msgspec.structs.replace(opened, registered=True)
        async with site.running(), site.edge(edge=edge):
            await edge.until(lambda: (site.registry.get("CP-1") or record_of()).floor is TWO)

    async def test_registering_after_a_restart_of_control_does_too(self, site: NodeSite) -> None:
        self.pending(site)
        edge = LinkEdge()
        async with site.running(), site.edge(edge=edge):
            opened = await edge.enter(claim(), opened_at=time.time())
        async with site.running() as node, site.edge(edge=edge):
            await edge.until(lambda: known(node))
            edge.register(opened)
            await edge.until(lambda: (site.registry.get("CP-1") or record_of()).floor is TWO)

    async def test_a_charge_point_that_was_removed_meanwhile_is_no_endless_story(self, site: NodeSite) -> None:
        self.pending(site)
        async with site.running() as node, site.edge() as edge:
            opened = await edge.enter(claim())
            entry = next(iter(node._sessions))
            site.registry.remove("CP-1")
            with structlog.testing.capture_logs() as logs:
                await node.parts.upgrades._prove(entry)
            assert [each["event"] for each in logs if "upgrade" in each["event"]] == ["upgrade_not_recorded"]
            assert opened.charge_point_id == "CP-1"
