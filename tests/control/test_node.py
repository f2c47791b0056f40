"""The control process as one object, with edges that speak the link protocol over a real Unix socket."""

import asyncio
import contextlib
import functools
import os
import sqlite3
import time
from typing import Any

import msgspec
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.event import SecurityEvent
from gateway.config.model import CSMS, Limits
from gateway.config.policy import Policy
from gateway.config.policy_site import load_policy
from gateway.control.node import Node
from gateway.link.messages import AdmitGranted, BudgetRequest, Disconnect, Registered
from gateway.link.policy_counts import CountersKept
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.policy.counter_table import CounterKey
from gateway.policy.signature import BundleSigner
from gateway.policy.verdict import FleetAsk, RuleMatch
from tests.control.conftest import OPERATOR, PASSWORD, NodeSite, record_of
from tests.support.claims import make_claim
from tests.support.edges import LinkEdge
from tests.support.rig import shared_authority

CP = ChargePointId("CP-1")
ONE, TWO, THREE = SecurityProfile
CERTIFICATE = shared_authority().charge_point("SN-1", OPERATOR).der


def claim(identity: str = "CP-1", password: str | None = PASSWORD, **more: Any):
    return make_claim(identity, password=password, **more)


def known(node: Node, identity: str = "CP-1") -> dict[str, Any] | None:
    return next((one for one in node.status()["sessions"] if one["charge_point_id"] == identity), None)


class TestLife:
    async def test_ready_once_every_edge_has_the_settings_in_force(self, site: NodeSite) -> None:
        async with site.running(edges=2) as node:
            assert not node.is_ready()
            async with site.edge(0) as first:
                assert first.settings is not None
                assert not node.is_ready()
                async with site.edge(1, pid=4712) as second:
                    await second.until(node.is_ready)
                    status = node.status()
                    assert [edge["slot"] for edge in status["edges"]] == [0, 1]
                    assert (status["ready"], status["generation"]) == (True, first.settings.generation)
                await first.until(lambda: not node.is_ready())

    async def test_an_edge_that_cannot_use_the_settings_keeps_the_node_from_being_ready_and_says_why(
        self, site
    ) -> None:
        edge = LinkEdge()
        edge.refuses_settings = "bad certificate"
        async with site.running() as node, site.edge(edge=edge):
            await edge.until(node.settings_refused)
            assert (node.is_ready(), node.settings_refused()) == (False, "bad certificate")
            assert node.status()["edges"][0]["error"] == "bad certificate"

    async def test_settings_that_were_in_force_before_a_restart_stay_in_force_under_new_numbers(self, site) -> None:
        async with site.running() as node:
            before = node.settings()
        assert before is not None
        changed = site.config(csms=(CSMS(name="main", urls=("ws://other/",), password_file="/gone"),))
        async with site.running(config=changed, settings=before) as node, site.edge() as edge:
            assert edge.settings is not None
            assert edge.settings.csms == before.csms
            assert edge.settings.generation > 0
            assert edge.settings.trust_generation == edge.settings.generation

    async def test_a_draining_node_is_not_ready(self, site: NodeSite) -> None:
        async with site.running() as node, site.edge() as edge:
            await edge.until(node.is_ready)
            node.draining = True
            assert not node.is_ready()

    async def test_admissions_open_by_themselves_when_an_edge_is_missing(self, site, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.node._COUNT_SESSIONS_S", 0.0)
        site.registry.add(record_of())
        async with site.running(edges=2) as node, site.edge() as edge:
            await edge.until(lambda: node._desk.open)
            await edge.admit(claim())

    async def test_before_that_nobody_is_admitted(self, site: NodeSite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.control.node._COUNT_SESSIONS_S", 3_600.0)
        site.registry.add(record_of())
        async with site.running(edges=2), site.edge() as edge:
            assert (await edge.refused(claim())).reason == "control-down"

    async def test_what_is_not_a_message_ends_the_link_and_no_other(self, site: NodeSite) -> None:
        async with site.running(edges=2) as node, site.edge(0) as first, site.edge(1) as second:
            with structlog.testing.capture_logs() as logs:
                first.send_raw(b"\0\0\0\1\xc1")
                await second.until(lambda: not first.connected)
            assert [entry["event"] for entry in logs] == ["link_broken"]
            assert second.connected
            await second.until(lambda: len(node.status()["edges"]) == 1)


class TestSessions:
    async def test_a_session_is_in_the_status_from_grant_to_end(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            granted = await edge.admit(claim())
            assert (known(node) or {})["state"] == "connecting"
            opened = edge.open(granted)
            await edge.until(lambda: (known(node) or {}).get("state") == "open")
            session = known(node) or {}
            assert (session["session"], session["security_profile"], session["edge"]) == (opened.session, 2, 0)
            edge.end(opened.session, answers_pings=True)
            await edge.until(lambda: known(node) is None)
            await edge.until(lambda: (node._directory.get("CP-1") or record_of()).answers_pings)
            assert (await edge.admit(claim())).answers_pings
        assert (site.registry.get("CP-1") or record_of()).answers_pings

    async def test_what_a_charge_point_says_it_is_goes_into_its_next_admission(self, site: NodeSite) -> None:
        site.registry.add(record_of(serial_number="SN-1"))
        async with site.running() as node, site.edge() as edge:
            granted = await edge.admit(claim())
            assert (granted.serial_number, granted.vendor, granted.model) == ("SN-1", "", "")
            opened = edge.open(granted)
            edge.send(Registered(opened.session, CP, granted.generation, vendor="V", model="M", firmware="1\n2"))
            edge.end(opened.session)
            await edge.until(lambda: known(node) is None)
            again = await edge.admit(claim())
            assert (again.vendor, again.model, again.firmware) == ("V", "M", r"1\x0a2")

    async def test_a_duplicate_is_refused_while_the_first_one_answers_and_replaces_it_when_it_does_not(
        self, site
    ) -> None:
        site.registry.add(record_of())
        async with site.running(edges=2) as node, site.edge(0) as first, site.edge(1) as second:
            opened = await first.enter(claim())
            assert (await second.refused(claim())).reason == "duplicate"
            assert [probe.session for probe in first.probed] == [opened.session]
            first.silent.add(opened.session)
            replacement = await second.enter(claim())
            assert opened.session not in first.sessions
            await second.until(lambda: (known(node) or {}).get("session") == replacement.session)

    async def test_an_edge_that_answers_no_probe_is_believed_to_have_the_session(self, site, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.link_server._PROBE_SLACK_S", -1.95)
        site.registry.add(record_of())
        async with site.running(edges=2), site.edge(0) as first, site.edge(1) as second:
            await first.enter(claim())
            first.hangs = True
            assert (await second.refused(claim())).reason == "duplicate"

    async def test_a_link_that_breaks_during_a_probe_decides_nothing_against_the_old_session(self, site) -> None:
        site.registry.add(record_of())
        async with site.running(edges=2), site.edge(0) as first, site.edge(1) as second:
            await first.enter(claim())
            first.breaks_off = True
            assert (await second.refused(claim())).reason == "duplicate"

    async def test_an_edge_that_dies_takes_its_sessions_with_it(self, site, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_GRACE_S", 0.0)
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_WAIT_S", 0.0)
        site.registry.add(record_of())
        async with site.running(edges=2), site.edge(0) as first, site.edge(1) as second:
            await first.enter(claim())
            await first.close()
            await second.enter(claim())

    async def test_a_new_edge_in_the_slot_of_one_whose_end_went_unnoticed_takes_its_place(
        self, site, monkeypatch
    ) -> None:
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_WAIT_S", 0.0)
        site.registry.add(record_of())
        async with site.running() as node, site.edge(0, pid=1) as first:
            await first.enter(claim())
            async with site.edge(0, pid=2) as second:
                await second.enter(claim())
                assert [edge["pid"] for edge in node.status()["edges"]] == [2]

    async def test_a_control_that_restarts_learns_its_sessions_from_the_edges_before_it_admits(self, site) -> None:
        site.registry.add(record_of())
        edge = LinkEdge()
        async with site.running(), site.edge(edge=edge):
            opened = await edge.enter(claim(), opened_at=time.time())
        async with site.running() as node, site.edge(edge=edge):
            await edge.until(lambda: known(node))
            assert (known(node) or {})["generation"] == opened.generation
            assert (await edge.refused(claim())).reason == "duplicate"
            edge.silent.add(opened.session)
            granted = await edge.admit(claim())
            assert granted.generation > opened.generation


class TestReload:
    async def test_a_good_one_is_in_force_everywhere(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            assert edge.settings is not None
            before = edge.settings
            assert await node.reload(site.config(limits=Limits(max_headers=7))) == ""
            assert edge.settings.limits.max_headers == 7
            assert edge.settings.generation > before.generation
            assert edge.settings.trust_generation == before.trust_generation
            assert (node.is_ready(), node.status()["last_reload"]["ok"]) == (True, True)
        assert len(site.events("config.reloaded")) == 1

    async def test_one_that_an_edge_cannot_use_changes_nothing(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            assert edge.settings is not None
            before = edge.settings
            edge.refuses_settings = "no such cipher"
            changed = site.config(csms=(CSMS(name="renamed", urls=("ws://x/",)),), limits=Limits(max_headers=7))
            reload = asyncio.ensure_future(node.reload(changed))
            await edge.until(lambda: len(edge.updates) == 2)
            edge.refuses_settings = ""
            assert await reload == "no such cipher"
            await edge.until(node.is_ready)
            assert edge.settings == before
            assert node.settings() == before
            assert isinstance(await edge.ask(claim()), AdmitGranted)
            assert node.status()["last_reload"]["why"] == "no such cipher"
            assert b"ocpp_gateway_reload_ok 0.0" in node.metrics()
        (event,) = site.events("config.reload_failed")
        assert (event["decision"], event["detail"]) == ("keep_last_good", "no such cipher")

    async def test_a_file_that_is_missing_or_a_place_for_events_that_cannot_be_written(self, site: NodeSite) -> None:
        async with site.running() as node, site.edge() as edge:
            base = site.config()
            nowhere = msgspec.structs.replace(base.security_events, path=str(site.directory / "a" / "b"))
            for broken in (
                site.config(
                    csms=(CSMS(name="main", urls=("ws://x/",), authentication="basic", password_file="/none"),)
                ),
                msgspec.structs.replace(base, security_events=nowhere),
            ):
                assert "No such file" in await node.reload(broken)
            assert len(edge.updates) == 1
            assert node.is_ready()
        assert len(site.events("config.reload_failed")) == 2

    async def test_without_any_edge_it_cannot_be_tried(self, site: NodeSite, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.rollout._TRY_S", 0.05)
        async with site.running() as node:
            assert await node.reload(site.config()) == "no edge worker is there to try it"

    async def test_an_edge_that_says_nothing_makes_it_fail(self, site: NodeSite, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.rollout._TRY_S", 0.05)
        async with site.running() as node, site.edge() as edge:
            edge.hangs = True
            assert await node.reload(site.config()) == "an edge worker does not answer"

    async def test_an_edge_that_comes_in_the_middle_gets_the_new_settings(self, site: NodeSite) -> None:
        async with site.running(edges=2) as node, site.edge(0) as first:
            first.slow_to_apply = True
            reload = asyncio.ensure_future(node.reload(site.config(limits=Limits(max_headers=7))))
            await first.until(lambda: len(first.updates) == 2)
            async with site.edge(1, pid=2) as second:
                first.apply()
                assert await reload == ""
                await second.until(lambda: second.settings is not None and second.settings.limits.max_headers == 7)
                await second.until(node.is_ready)

    async def test_the_registry_is_read_anew_and_judged_even_if_the_rest_fails(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            opened = await edge.enter(claim())
            await edge.until(lambda: (known(node) or {}).get("state") == "open")
            site.registry.update("CP-1", enabled=False)
            broken = site.config(
                csms=(CSMS(name="m", urls=("ws://x/",), authentication="basic", password_file="/none"),)
            )
            assert await node.reload(broken) != ""
            await edge.until(lambda: edge.disconnected)
            # Once by the reload; again if the registry is followed just then.
            assert set(edge.disconnected) == {Disconnect(opened.session, "disabled")}

    @pytest.mark.requirement("A00.FR.702")
    async def test_a_revocation_during_a_reload_is_part_of_it_or_follows_it(self, site: NodeSite) -> None:
        async with site.running() as node, site.edge() as edge:
            assert edge.settings is not None
            before = edge.settings
            site.registry.revoke_certificate(sha256="ab" * 32, reason="lost", now=1.0)
            assert await node.reload(site.config()) == ""
            await edge.until(lambda: not node._trust_is_stale)
            await edge.until(lambda: edge.settings != before)
            assert edge.settings.trust_generation > before.trust_generation
            await edge.until(node.is_ready)

    async def test_what_a_reload_changes_for_admissions_holds_at_once(self, site: NodeSite) -> None:
        site.registry.add(record_of("CP-1", 3, serial_number="SN-1"))
        async with site.running() as node, site.edge() as edge:
            assert await node.reload(site.config(operator_names=("Other",))) == ""
            assert (await edge.refused(make_claim(leaf=CERTIFICATE))).reason == "certificate-of-another-operator"
            assert await node.reload(site.config()) == ""
            await edge.admit(make_claim(leaf=CERTIFICATE))

    async def test_the_event_file_is_opened_again(self, site: NodeSite) -> None:
        async with site.running() as node, site.edge() as edge:
            edge.report(SecurityEvent(event="net.reset", time=1.0))
            await edge.until(lambda: site.events("net.reset"))
            rotated = site.events_path.with_suffix(".1")
            site.events_path.rename(rotated)
            assert await node.reload(site.config()) == ""
            await edge.until(lambda: site.events("config.reloaded"))
            assert rotated.exists()


class TestEvidence:
    async def test_events_of_edges_and_refusals_are_on_record_for_why(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            await edge.refused(claim(password="x"))
            edge.report(SecurityEvent(event="http.limit", time=2.0, reason="http-limit", peer="203.0.113.1"))
            await edge.until(lambda: len(site.registry.refusals()) == 2)
            assert {entry.reason for entry in site.registry.refusals()} == {"password-wrong", "http-limit"}
            await edge.until(lambda: len(site.events()) == 2)
            assert node.status()["events"] == {"auth.failed": 1, "http.limit": 1}
            assert b'ocpp_gateway_events_recorded_total{event="auth.failed"} 1.0' in node.metrics()

    async def test_refusals_that_the_registry_does_not_take_are_lost_there_and_in_no_other_place(self, site) -> None:
        async with site.running(), site.edge() as edge:
            with sqlite3.connect(site.directory / "registry.sqlite") as database:
                database.execute("ALTER TABLE refusals RENAME TO away")
            with structlog.testing.capture_logs() as logs:
                await edge.refused(claim())
                await edge.until(lambda: any(entry["event"] == "refusals_lost" for entry in logs))
            with sqlite3.connect(site.directory / "registry.sqlite") as database:
                database.execute("ALTER TABLE away RENAME TO refusals")
            await edge.until(lambda: site.events("identity.unknown"))

    async def test_events_lost_while_a_write_hangs_stay_counted_when_it_goes_on(self, site, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.event_log._MAX_BUFFERED", 2_000)
        os.mkfifo(site.events_path)
        reader = os.open(site.events_path, os.O_RDONLY | os.O_NONBLOCK)
        events = [SecurityEvent(event="net.reset", time=1.0, detail="x" * 200, peer=str(n)) for n in range(3_000)]
        async with site.running() as node, site.edge() as edge:
            edge.report(*events[:1_000])  # more than a pipe takes
            await edge.until(lambda: node.status()["events"] == {"net.reset": 1_000} and not node._events._buffer)
            edge.report(*events)
            await edge.until(lambda: node._events.lost)
            monkeypatch.setattr("gateway.control.event_log._MAX_BUFFERED", 50_000)
            lost, read = node._events.lost, 0
            while read < 1_000 + 3_000 - lost:
                with contextlib.suppress(BlockingIOError):
                    read += os.read(reader, 1 << 20).count(b"\n")
                await asyncio.sleep(0.001)
            await edge.until(lambda: not node._events._buffer)
            assert node._events.lost == lost
        os.close(reader)

    async def test_no_secret_is_in_the_event_file(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(), site.edge() as edge:
            await edge.refused(claim(password="s3cr3t-s3cr3t"))
            await edge.enter(claim())
            await edge.until(lambda: site.events("auth.failed"))
        text = site.events_path.read_text()
        assert "s3cr3t" not in text
        assert PASSWORD not in text
        assert "argon2" not in text

    async def test_a_database_that_is_locked_holds_up_no_event(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(), site.edge() as edge:
            lock = sqlite3.connect(site.directory / "registry.sqlite", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            await edge.refused(claim(password="x"))
            await edge.until(lambda: site.events("auth.failed"))
            edge.report(SecurityEvent(event="net.reset", time=1.0))
            await edge.until(lambda: site.events("net.reset"))
            lock.execute("ROLLBACK")
            lock.close()
            await edge.until(site.registry.refusals)

    async def test_counters_of_an_edge_whose_link_broke_are_not_counted_twice(self, site: NodeSite) -> None:
        edge = LinkEdge(pid=7)
        async with site.running() as node:
            for total in (5.0, 8.0):
                async with site.edge(edge=edge):
                    edge.count(ocpp_gateway_connections_total=total)
                    shown = f"connections_total {total}".encode()
                    await edge.until(lambda shown=shown: shown in node.metrics())  # type: ignore[misc]
                await edge.until(lambda: not node.status()["edges"])
                assert shown in node.metrics()

    async def test_the_last_words_of_an_edge_are_heard_at_the_end(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(), site.edge() as edge:
            await edge.refused(claim(password="x"))
        assert site.events("auth.failed")
        assert len(site.registry.refusals()) == 1


class TestBudgets:
    async def test_a_budget_of_the_whole_node_is_shared_by_its_edges(self, site: NodeSite) -> None:
        rule = load_policy(Policy(packs=("fleet",)), now=1.0).packs[0].rules[0]
        ask = FleetAsk(RuleMatch(rule, enforced=True), CounterKey("r", "CP", "key"), "", 1.0, "rate", 2.0, 3_600.0)
        async with site.running(edges=2), site.edge(0) as first, site.edge(1, pid=2) as second:
            for edge, number, heard in ((first, 1, 1), (second, 2, 1), (first, 3, 2)):
                edge.send(BudgetRequest(number, (ask,)))
                await edge.until(functools.partial(_has_heard, edge, heard))
            answers = [first.budgets[0], second.budgets[0], first.budgets[1]]
            assert [answer.answers[rule.id] for answer in answers] == [True, True, False]

    async def test_what_a_worker_has_counted_is_with_the_next_one_before_the_session_is(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(edges=2), site.edge(0) as first, site.edge(1, pid=2) as second:
            opened = await first.enter(claim())
            kept = CountersKept(opened.charge_point_id, time.time() + 60.0, b"kept")
            first.send(kept)
            first.end(opened.session)
            again = await second.enter(claim())
            assert second.kept == [kept]
            second.end(again.session)
            await first.enter(claim())
            assert first.kept == []

    async def test_rule_packs_that_are_wrong_are_refused_at_a_reload(self, site: NodeSite) -> None:
        async with site.running() as node, site.edge() as edge:
            before = node.status()["policy_revision"]
            assert "no-such-pack" in await node.reload(site.config(policy=Policy(packs=("no-such-pack",))))
            assert (node.status()["policy_revision"], len(edge.updates)) == (before, 1)
            assert await node.reload(site.config(policy=Policy(packs=("fleet",)))) == ""
            assert node.status()["policy_revision"] != before

    async def test_a_policy_that_nobody_has_signed_is_refused_and_the_last_good_one_stays(self, site: NodeSite) -> None:
        signer, path = BundleSigner("ops.example.com", Ed25519PrivateKey.generate()), site.directory / "policy.sig"
        wanted = load_policy(Policy(packs=("fleet",)), now=1.0).revision
        signed = site.config(policy=Policy(packs=("fleet",), keys=(signer.key.vkey,), signature=str(path)))
        async with site.running() as node, site.edge():
            before = node.status()["policy_revision"]
            assert "P092 the signature cannot be read" in await node.reload(signed)
            path.write_bytes(signer.sign(before))
            assert "another bundle" in await node.reload(signed)
            assert node.status()["policy_revision"] == before
            assert node.is_ready()
            path.write_bytes(signer.sign(wanted))
            assert await node.reload(signed) == ""
            assert node.status()["policy_revision"] == wanted
        assert len(site.events("policy.reload_failed")) == 2

    async def test_a_policy_that_is_too_old_makes_the_node_not_ready_until_it_is_read_again(
        self, site: NodeSite
    ) -> None:
        async with site.running() as node, site.edge():
            assert node.is_ready()
            assert await node.reload(site.config(policy=Policy(max_policy_age_s=1e-9))) == ""
            assert not node.is_ready()
            assert node.status()["policy"]["stale"]
            assert await node.reload(site.config(policy=Policy(max_policy_age_s=3_600.0))) == ""
            assert node.is_ready()


class TestFollowing:
    async def test_work_that_fails_once_is_done_again(self, site: NodeSite) -> None:
        """A task that ended here would leave the registry unread for the rest of the process's life."""
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            with structlog.testing.capture_logs() as logs:
                real, node._directory.refresh = node._directory.refresh, _fail  # type: ignore[method-assign, assignment]
                await edge.until(lambda: any(entry["event"] == "work_failed" for entry in logs))
                node._directory.refresh = real  # type: ignore[method-assign]
            opened = await edge.enter(claim())
            site.registry.update("CP-1", enabled=False)
            await edge.until(lambda: edge.disconnected)
            assert edge.disconnected == [Disconnect(opened.session, "disabled")]

    async def test_a_registry_that_cannot_be_read_for_a_while_is_followed_again_afterwards(
        self, site: NodeSite
    ) -> None:
        site.registry.add(record_of())
        async with site.running(), site.edge() as edge:
            await edge.enter(claim())
            with (
                structlog.testing.capture_logs() as logs,
                sqlite3.connect(site.directory / "registry.sqlite") as database,
            ):
                database.execute("ALTER TABLE meta RENAME TO away")
                database.commit()
                await edge.until(lambda: any(entry["event"] == "registry_not_read" for entry in logs))
                database.execute("ALTER TABLE away RENAME TO meta")
            site.registry.update("CP-1", enabled=False)
            await edge.until(lambda: edge.disconnected)

    async def test_addresses_of_old_are_known_from_the_start(self, site: NodeSite) -> None:
        site.registry.add(record_of(last_address="198.51.100.7"))
        async with site.running() as node:
            assert node._limiter.has_proven("198.51.100.7", "CP-1")
            assert not node._limiter.has_proven("198.51.100.8", "CP-1")


def _has_heard(edge: LinkEdge, answers: int) -> bool:
    return len(edge.budgets) == answers


async def _fail(store: object) -> None:
    del store
    raise LookupError("anything")
