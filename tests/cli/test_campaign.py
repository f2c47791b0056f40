"""`campaign` and `capability` without a gateway: plans, orders and reports are in the registry."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.exit_codes import NOT_OK, OK
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
from gateway.provisioning.campaign import Member
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.capability import Count
from tests.cli.admin_socket import answering
from tests.cli.conftest import Cli, Place
from tests.support.records import make_record
from tests.support.tls_material import Authority

pytestmark = pytest.mark.usefixtures("fleet")
PLAN = ("campaign", "plan", "spring", "--kind", "certificate", "--by", "anna")
KIND: dict[str, Any] = {"vendor": "V", "model": "M", "firmware": "1"}


@pytest.fixture
def fleet(place: Place, certificates: Path) -> Place:
    """Three that can take part and two that cannot."""
    place.write(certificates, csms={"certificates": "gateway"}, pki={"ca": str(place.directory)})
    registry = place.registry()
    for number in range(3):
        registry.add(make_record(f"CP-{number}", serial_number=f"SN-{number}", group="depot", last_seen_at=9.0, **KIND))
    registry.add(make_record("NEVER", serial_number="SN-N", group="depot"))
    registry.add(make_record("NO-SERIAL", serial_number="", group="depot", last_seen_at=9.0, **KIND))
    registry.close()
    return place


def change(place: Place, state: CampaignState, **members: MemberState) -> None:
    """What a gateway would have done."""
    registry = place.registry()
    campaign, _ = registry.campaigns.get("spring")
    changed = [_in(each, members) for each in registry.campaigns.members(campaign.number)]
    registry.campaigns.put(msgspec.structs.replace(campaign, state=state), changed)
    registry.close()


def _in(member: Member, members: dict[str, MemberState]) -> Member:
    state = members.get(member.charge_point_id.replace("-", "_"), member.state)
    return msgspec.structs.replace(member, state=state, changed_at=20.0, switched_at=10.0, detail="because")


class TestPlan:
    def test_who_is_in_and_who_is_not_and_why(self, cli: Cli) -> None:
        found = cli(*PLAN, "--group", "depot", "--json").json()
        assert (found["eligible"], found["reversible"], found["needs_approval"]) == (3, True, False)
        assert {each["stratum"]: each["waves"] for each in found["strata"]}["V / M / 1"] == [1, 2]
        why = {each["charge_point_id"]: each["why"] for each in found["ineligible"]}
        assert why["NEVER"].startswith("it has never been connected")
        assert "no serial number" in why["NO-SERIAL"]
        text = cli("campaign", "report", "spring").out
        assert "NO-SERIAL" in text
        assert "nothing was changed: the registry has no serial number" in text

    def test_the_roots_of_a_rollover(self, cli: Cli, tmp_path: Path) -> None:
        old, new = (tmp_path / name for name in ("old.pem", "new.pem"))
        old.write_bytes(Authority("Old").pem)
        new.write_bytes(Authority("New").pem)
        plan = ("campaign", "plan", "roll", "--all", "--dry-run", "--json")
        found = cli(*plan, "--kind", "root", "--old-root", str(old), "--new-root", str(new)).json()
        assert (found["reversible"], found["eligible"]) == (True, 4)
        found = cli(*plan, "--kind", "old-root", "--old-root", str(old), "--new-root", str(new)).json()
        assert (found["reversible"], found["needs_approval"]) == (False, True)
        for words, why in (
            (("--kind", "root", "--new-root", str(new)), "say which root follows on which"),
            (("--kind", "root", "--old-root", str(new), "--new-root", str(new)), "must be two roots"),
            (
                ("--kind", "root", "--old-root", str(old), "--new-root", str(new), "--link", str(old)),
                "and the link the new one",
            ),
            (("--kind", "password", "--new-root", str(new)), "of the kinds root and old-root"),
        ):
            result = cli(*plan, *words)
            assert (result.code, why in result.json()["error"]) == (2, True), result

    def test_good_firmware_is_a_rule(self, cli: Cli, fleet: Place) -> None:
        rule = '\n[[known_firmware]]\nvendor = "V"\nminimum = "2"\n'
        fleet.config.write_text(fleet.config.read_text() + rule)
        plan = ("campaign", "plan", "up", "--id", "CP-1", "--kind", "security-profile", "--to-profile", "3", "--json")
        assert "firmware 1 is below 2" in cli(*plan, "--dry-run").json()["ineligible"][0]["why"]
        found = cli(*plan, "--dry-run", "--unsafe-any-firmware").json()
        assert "firmware" not in str(found["ineligible"])

    def test_a_dry_run_keeps_nothing(self, cli: Cli) -> None:
        result = cli(*PLAN, "--all", "--dry-run")
        assert result.code == 0
        assert "Nothing was kept." in result.out
        assert cli("campaign", "status", "--json").json() == []

    def test_nobody_can_take_part_without_a_ca(self, cli: Cli, fleet: Place, certificates: Path) -> None:
        fleet.write(certificates)
        result = cli(*PLAN, "--id", "CP-1")
        assert result.code == 1
        assert "does not give it its certificates" in result.out

    def test_somebody_in_another_campaign_is_left_out(self, cli: Cli) -> None:
        cli(*PLAN, "--id", "CP-1")
        found = cli("campaign", "plan", "autumn", "--kind", "certificate", "--group", "depot", "--json").json()
        why = {each["charge_point_id"]: each["why"] for each in found["ineligible"]}
        assert why["CP-1"] == "it is in the campaign spring"

    def test_what_is_known_of_a_kind_keeps_it_out(self, cli: Cli, fleet: Place) -> None:
        registry = fleet.registry()
        count = Count(
            stratum=Stratum("V", "M", "1"), fact="certificate", value="rejected", count=3, first_at=1.0, last_at=1.0
        )
        registry.capabilities.learn([count])
        result = cli(*PLAN, "--id", "CP-1", "--json")
        assert result.json()["ineligible"] == [{"charge_point_id": "CP-1", "why": "it has rejected every certificate"}]
        assert cli(*PLAN, "--group", "depot", "--dry-run", "--despite-known-failures", "--json").json()["eligible"] == 3
        registry.capabilities.learn([msgspec.structs.replace(count, value="accepted", count=1)])
        registry.close()
        assert cli("campaign", "plan", "b", "--kind", "certificate", "--id", "CP-1", "--json").json()["eligible"] == 1

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ((), "Say who"),
            (("--group", "x"), "no charge point in the group 'x'"),
            (("--id", "CP-9"), "Did you mean 'CP-"),
            (("--all", "--growth", "99"), "waves grow by a factor"),
            (("--all", "--window", "25:00-26:00"), "is no window"),
            (("--all", "--time-zone", "Mars/Olympus"), "no time zone"),
            (("--all", "--soak", "soon"), "is no duration"),
            (("--all", "--by", " "), "A name of 1 to"),
            (("--all", "--to-profile", "3"), "are of the kind security-profile"),
            (("--all", "--kind", "security-profile"), "--to-profile says to which"),
        ],
    )
    def test_what_is_no_plan_is_a_sentence(self, cli: Cli, words: tuple[str, ...], expected: str) -> None:
        result = cli(*PLAN, *words)
        assert result.code in {1, 2}
        assert expected in result.err

    def test_a_name_is_a_word(self, cli: Cli) -> None:
        result = cli("campaign", "plan", "../x", "--kind", "certificate", "--all")
        assert (result.code, "is no name" in result.err) == (2, True)
        cli(*PLAN, "--all")
        assert "There is a campaign 'spring' already" in cli(*PLAN, "--all").err


class TestOrders:
    def test_an_order_waits_for_the_gateway(self, cli: Cli) -> None:
        cli(*PLAN, "--all")
        result = cli("campaign", "start", "spring")
        assert (result.code, "No gateway runs" in result.out) == (0, True)
        assert cli("campaign", "status", "spring", "--json").json()["ordered"] == "start"
        assert "ordered and not done yet: start" in cli("campaign", "status", "spring").out

    @pytest.mark.parametrize("order", ["pause", "resume"])
    def test_what_does_not_fit_is_refused(self, cli: Cli, order: str) -> None:
        cli(*PLAN, "--all")
        result = cli("campaign", order, "spring", "--json")
        assert result.code == 1
        assert result.json()["error"] == f"Refused: it is planned, so it cannot {order}."

    def test_a_second_person_and_not_the_first(self, cli: Cli) -> None:
        cli(*PLAN, "--all")
        assert "somebody else has to approve" in cli("campaign", "approve", "spring", "--by", "Anna").err
        assert cli("campaign", "approve", "spring", "--by", "bert", "--json").json()["approved_by"] == "bert"

    def test_removed_unless_it_is_under_way(self, cli: Cli, fleet: Place) -> None:
        cli(*PLAN, "--all")
        change(fleet, CampaignState.RUNNING)
        assert cli("campaign", "remove", "spring").code == 1
        change(fleet, CampaignState.FINISHED)
        assert cli("campaign", "remove", "spring").code == 0
        assert "no campaign 'spring'" in cli("campaign", "report", "spring").err


class TestReport:
    def test_the_lost_are_a_sheet_and_everybody_has_a_sentence(self, cli: Cli, fleet: Place) -> None:
        cli(*PLAN, "--group", "depot")
        change(
            fleet,
            CampaignState.FINISHED,
            CP_0=MemberState.LOST,
            CP_1=MemberState.COMMITTED,
            CP_2=MemberState.FELL_BACK,
        )
        found = cli("campaign", "report", "spring", "--json").json()
        explained = {each["charge_point_id"]: each["explanation"] for each in found["charge_points"]}
        assert explained["CP-0"] == "it was told, and is not connected any more: because"
        assert explained["CP-2"] == "it can be reached, on what it had before: because"
        assert all(explained.values())
        (visit,) = found["site_visits"]
        assert (visit["charge_point_id"], visit["serial_number"], visit["came_back"]) == ("CP-0", "SN-0", False)
        sheet = cli("campaign", "report", "spring", "--site-visits").out
        assert "1 to be visited" in sheet
        assert "serial number SN-0" in sheet

    def test_one_that_was_seen_since_is_marked(self, cli: Cli, fleet: Place) -> None:
        cli(*PLAN, "--group", "depot")
        change(fleet, CampaignState.FINISHED, CP_0=MemberState.LOST)
        registry = fleet.registry()
        registry.learn("CP-0", last_seen_at=50.0)
        registry.close()
        assert "before you drive" in cli("campaign", "report", "spring", "--site-visits").out

    def test_one_with_its_history(self, cli: Cli, fleet: Place) -> None:
        cli(*PLAN, "--group", "depot")
        change(fleet, CampaignState.RUNNING, CP_1=MemberState.SOAK)
        text = cli("campaign", "report", "spring", "--id", "CP-1").out
        assert text.index("eligible") < text.rindex("soak")
        assert "CP-2" not in text
        other = cli("campaign", "report", "spring", "--id", "CP-9")
        assert (other.code, "'CP-9' is not in this campaign" in other.err) == (1, True)

    def test_who_is_stuck_and_on_what(self, cli: Cli, fleet: Place) -> None:
        cli(*PLAN, "--group", "depot")
        change(fleet, CampaignState.RUNNING, CP_1=MemberState.SOAK, CP_2=MemberState.SWITCH)
        stuck = {
            each["charge_point_id"]: each["why"]
            for each in cli("campaign", "report", "spring", "--json").json()["stuck"]
        }
        assert stuck == {
            "CP-1": "its time is over, and it is not connected",
            "CP-2": "there is no answer: is the gateway running?",
        }

    def test_watched_to_the_end(self, cli: Cli, fleet: Place) -> None:
        cli(*PLAN, "--group", "depot")
        assert cli("campaign", "watch", "spring", "--for", "0.1s").code == 1
        change(fleet, CampaignState.FINISHED, CP_0=MemberState.COMMITTED)
        result = cli("campaign", "watch", "spring")
        assert (result.code, "committed 1" in result.out) == (0, True)
        change(fleet, CampaignState.FINISHED, CP_0=MemberState.LOST)
        assert cli("campaign", "watch", "spring", "--json").code == 1


@pytest.mark.usefixtures("known")
class TestCapabilities:
    @pytest.fixture
    def known(self, fleet: Place) -> Place:
        registry = fleet.registry()
        registry.learn("CP-1", password_reading="hex-decoded")
        registry.capabilities.learn(
            [
                Count(
                    stratum=Stratum("V", "M", "1"),
                    fact="call:Reset Hard",
                    value="Accepted",
                    count=2,
                    first_at=1.0,
                    last_at=2.0,
                )
            ]
        )
        registry.close()
        return fleet

    def facts(self, cli: Cli) -> list[tuple[Any, ...]]:
        found = cli("capability", "show", "V", "M", "--json").json()
        return [(each["fact"], each["value"], each["count"], each["evidence"]) for each in found]

    def test_what_was_learnt_and_what_the_registry_says(self, cli: Cli) -> None:
        assert self.facts(cli) == [
            ("authorization-key", "hex-decoded", 1, "here"),
            ("call:Reset Hard", "Accepted", 2, "here"),
        ]
        assert cli("capability", "list", "--json").json() == [KIND | {"facts": 2, "seen": 3}]
        assert cli("capability", "show", "V", "Other").code == 1
        assert cli("capability", "show", "V", "M", "2").code == 1

    def test_an_export_has_no_identity_and_comes_back_as_imported(self, cli: Cli, known: Place) -> None:
        assert cli("capability", "export", "known.json").code == 0
        text = (known.directory / "known.json").read_text()
        assert "CP-" not in text
        assert "SN-" not in text
        assert cli("capability", "export", "known.json").code == 1
        assert cli("capability", "import", "known.json").code == 0
        assert cli("capability", "import", "known.json").code == 0
        assert self.facts(cli)[2:] == [
            ("call:Reset Hard", "Accepted", 2, "here"),
            ("call:Reset Hard", "Accepted", 2, "imported"),
        ]
        again = json.loads(text)
        cli("capability", "export", "again.json")
        assert json.loads((known.directory / "again.json").read_text()) == again

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            '{"format": "x", "version": 1, "kinds": []}',
            '{"format": "ocpp-gateway-capabilities", "version": 1, "kinds": [{"vendor": "V", "model": "", "firmware": "", "facts": {"f": {"v": 0}}}]}',
            '{"format": "ocpp-gateway-capabilities", "version": 1, "kinds": [{"vendor": "", "model": "", "firmware": "", "facts": {"f": {"v": 1}}}]}',
            '{"format": "ocpp-gateway-capabilities", "version": 1, "kinds": [{"vendor": "V\\u001b", "model": "", "firmware": "", "facts": {"f": {"v": 1}}}]}',
        ],
    )
    def test_what_is_no_export_is_refused(self, cli: Cli, text: str) -> None:
        result = cli("capability", "import", "-", stdin=text.encode())
        assert (result.code, "is no export of capabilities" in result.err) == (1, True)
        assert len(self.facts(cli)) == 2


class TestRecord:
    """Who plans, approves and removes is on record before it is done."""

    @staticmethod
    def records(cli: Cli) -> list[tuple[str, dict[str, Any]]]:
        lines = cli("audit", "tail", "-n", "100", "--json").out.splitlines()
        found = [json.loads(line)["record"] for line in lines]
        return [(each["text"], each["actor"]) for each in found if each["type"] == "admin.request"]

    def test_by_the_command_itself_while_no_gateway_runs(self, cli: Cli, place: Place) -> None:
        writer = AuditWriter(Audit(directory=str(place.state / "audit"), reserve_bytes=0), place.state / "audit-keys")
        writer.open()
        writer.close()
        assert cli(*PLAN, "--group", "depot", "--dry-run").code == OK
        assert self.records(cli) == [], "nothing was kept"
        assert cli(*PLAN, "--group", "depot").err == ""
        assert cli("campaign", "approve", "spring", "--by", "ben").code == OK
        assert cli("campaign", "remove", "spring").code == OK
        told = self.records(cli)
        assert [text.partition(";")[0].partition(" [")[0] for text, _ in told] == [
            "/campaigns/plan: spring, by anna",
            "/campaigns/approve: spring, by ben",
            "/campaigns/remove: spring",
        ]
        assert {(actor["known_by"], actor["uid"]) for _, actor in told} == {("command", os.getuid())}

    def test_a_log_that_somebody_else_writes_is_a_warning(self, cli: Cli, place: Place) -> None:
        writer = AuditWriter(Audit(directory=str(place.state / "audit"), reserve_bytes=0), place.state / "audit-keys")
        writer.open()
        try:
            assert cli(*PLAN, "--group", "depot").err.startswith("warning: this is not on record: Another process")
            found = cli("campaign", "remove", "spring", "--json").json()
            assert (found["removed"], found["not_on_record"].startswith("Another process")) == (True, True)
        finally:
            writer.close()
        assert self.records(cli) == []

    def test_where_a_gateway_runs_and_cannot_record_it_nothing_is_done(self, cli: Cli, place: Place) -> None:
        with answering(place.state, {"refused": "the audit log cannot be written"}, post="/campaigns/plan"):
            result = cli(*PLAN, "--group", "depot")
            assert (result.code, "Not done: the audit log cannot be written." in result.err) == (NOT_OK, True)
        registry = place.registry()
        assert registry.campaigns.all() == []
        registry.close()
        (place.state / "run" / "admin.sock").unlink()
        with answering(place.state, {"refused": ""}, post="/campaigns/plan"):
            assert cli(*PLAN, "--group", "depot").code == OK
