"""Reports count what is there, say what is not, refer to the records they rest on, and escape what came from outside."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from typing_extensions import override

from gateway.audit.canonical import canonical
from gateway.audit.reports.build import build_report
from gateway.audit.reports.evidence import KINDS, Tally, moment
from gateway.audit.reports.frameworks import FRAMEWORKS
from gateway.audit.reports.html import to_html
from gateway.audit.reports.model import Log, Report
from gateway.audit.tree import leaf_hash

DAY = 86_400_000_000
T0 = 1_795_000_000_000_000
LOG = Log(origin="gw/0001", size=9, root="ab" * 32, verified=True, findings=())


def session(profile: int, cp: str = "CP-1") -> dict[str, Any]:
    return {"type": "session.opened", "cp": cp, "auth": {"profile": profile}, "sev": "info"}


def refused(kind: str = "auth.failed", **more: Any) -> dict[str, Any]:
    return {"type": kind, "cp": "CP-9", "sev": "high", "peer": {"ip": "198.51.100.9"}, "dec": {"reason": "x"}, **more}


def tally_of(*records: dict[str, Any], since: int = T0, until: int = T0 + DAY) -> Tally:
    tally = Tally(since, until)
    for index, record in enumerate(records):
        value = {"ts": T0 + index * 1_000_000, **record}
        tally.add(f"0001/{index}", canonical(value), value)
    return tally


def report(name: str, *records: dict[str, Any], aware: int | None = None) -> Report:
    return build_report(name, tally_of(*records), [LOG], T0, T0 + DAY, T0 + DAY, aware)


def statuses(made: Report) -> dict[str, str]:
    return {row.id: row.status for row in made.rows}


class TestControls:
    def test_records_show_it_and_exceptions_are_not_hidden_by_them(self) -> None:
        assert statuses(report("etsi-303645", session(2)))["5.5"] == "shown"
        assert statuses(report("etsi-303645", session(2), session(1, "CP-2")))["5.5"] == "exceptions"
        assert statuses(report("etsi-303645"))["5.5"] == "no-records"
        assert statuses(report("etsi-303645", session(2)))["5.2"] == "outside"

    def test_where_what_is_shown_lies_and_what_it_hashes_to(self) -> None:
        made = report("uk-smart-charge-points", *[session(2, f"CP-{n % 3}") for n in range(20)])
        (row,) = [row for row in made.rows if row.id == "5"]
        encrypted = row.shows[0]
        assert (encrypted.count, encrypted.charge_points) == (20, 3)
        assert encrypted.places == [f"0001/{n}" for n in (0, 1, 2, 3, 16, 17, 18, 19)]
        assert (encrypted.first, encrypted.last) == (moment(T0), moment(T0 + 19_000_000))
        (first, *_) = made.referred
        assert first.leaf_hash == leaf_hash(canonical({"ts": T0, **session(2, "CP-0")})).hex()

    def test_the_period_counts(self) -> None:
        tally = tally_of(refused(), refused(), refused(), since=T0 + 1_000_000, until=T0 + 2_000_000)
        assert (tally.records, tally.evidence("credential-refused").count) == (1, 1)

    def test_what_was_counted_together(self) -> None:
        assert tally_of(refused(n=40)).evidence("credential-refused").count == 40

    @pytest.mark.parametrize(
        ("record", "kinds"),
        [
            (session(3), {"encrypted", "certificate", "session"}),
            (session(1), {"unencrypted", "session"}),
            (refused("tls.downgrade"), {"tls-refused"}),
            (refused("cert.revoked"), {"certificate-refused", "revoked"}),
            ({"type": "cert.issued"}, {"credential-changed"}),
            ({"type": "audit.gap"}, {"log-gap"}),
            ({"type": "audit.start"}, {"log-kept"}),
            ({"type": "detect.enumeration"}, {"detection"}),
            ({"type": "detect.clock_wrong"}, {"clock"}),
            ({"type": "detect.flapping"}, set()),
            ({"type": "policy.denied", "dec": {"rule": "firmware/host"}}, {"message-judged", "firmware-judged"}),
            ({"type": "policy.denied", "dec": {"rule": "firmwarex/host"}}, {"message-judged"}),
            ({"type": "config.reloaded"}, {"configuration"}),
            ({"type": "policy.reload_failed"}, {"configuration"}),
            (
                {"type": "ocpp.message", "ocpp": {"action": "SecurityEventNotification", "kind": "call"}},
                {"station-event"},
            ),
            ({"type": "ocpp.message", "ocpp": {"action": "SecurityEventNotification", "kind": "result"}}, set()),
            ({"type": "ocpp.message", "dec": {"rule": "firmware/host"}}, set()),
            ({"type": ["odd"], "dec": 7, "auth": []}, set()),
        ],
    )
    def test_what_counts_as_what(self, record: dict[str, Any], kinds: set[str]) -> None:
        tally = tally_of(record)
        assert {kind for kind in KINDS if tally.evidence(kind).count} == kinds

    @pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=list(FRAMEWORKS))
    def test_each_control_names_evidence_there_is_or_says_what_is_outside(self, framework: Any) -> None:
        ids = [control.id for control in framework.controls]
        assert len(set(ids)) == len(ids)
        for control in framework.controls:
            assert {*control.shows, *control.against} <= set(KINDS), control.id
            assert control.shows or control.outside, control.id

    def test_memory_is_bounded(self) -> None:
        tally = tally_of(*[refused(cp=f"CP-{n}") for n in range(5_000)])
        assert len(tally._shown) <= 1_000
        assert len(tally.timeline) == 200
        assert tally.grave == 5_000
        made = tally.evidence("credential-refused")
        assert {shown.place for shown in tally.shown(made.places)} == set(made.places)


class TestIncident:
    AWARE = T0 + 3_600_000_000

    def test_three_stages_with_their_deadlines(self) -> None:
        made = report(
            "nis2",
            refused(),
            {"type": "detect.enumeration", "sev": "high", "peer": {"ip": "203.0.113.5"}},
            aware=self.AWARE,
        )
        assert [stage.due for stage in made.stages][:2] == [moment(self.AWARE + DAY), moment(self.AWARE + 3 * DAY)]
        warning, notification, final = (dict(stage.known) for stage in made.stages)
        assert (warning["charge points they are about"], warning["detections"]) == ("CP-9", "1")
        assert (
            notification["indicators: addresses, with their number of records"] == "198.51.100.9 (1), 203.0.113.5 (1)"
        )
        assert set(warning) < set(notification) < set(final)
        assert [shown.place for shown in made.timeline] == ["0001/0", "0001/1"]
        assert all(stage.open for stage in made.stages)

    @pytest.mark.parametrize(
        ("aware", "final"),
        [("2027-01-28T00:00:00Z", "2027-02-28T00:00:00Z"), ("2026-12-01T12:00:00Z", "2027-01-04T12:00:00Z")],
    )
    def test_a_month_is_a_month(self, aware: str, final: str) -> None:
        import datetime

        at = int(datetime.datetime.fromisoformat(aware).timestamp() * 1_000_000)
        assert final in report("nis2", aware=at).stages[2].due

    def test_without_an_incident_there_are_none(self) -> None:
        made = report("nis2", refused())
        assert (made.stages, made.timeline) == ((), ())


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestPage:
    def page(self, *records: dict[str, Any], **more: Any) -> tuple[str, _Page]:
        text = to_html(report("nis2", *records, **more))
        parser = _Page()
        parser.feed(text)
        assert parser.open == []
        return text, parser

    def test_it_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(self) -> None:
        text, page = self.page(session(3), session(1), refused(), aware=T0)
        assert not {"script", "img", "link", "iframe"} & set(page.tags)
        assert page.links
        assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
        assert len(page.ids) == len(set(page.ids))
        assert not re.search(r"url\(|@import|https?:", text)

    @pytest.mark.parametrize("field", ["cp", "text", "type", "peer"])
    def test_what_came_from_outside_is_text(self, field: str) -> None:
        evil = "<script>alert(1)</script>\"'&"
        value: Any = {"ip": evil} if field == "peer" else "auth." + evil if field == "type" else evil
        text, page = self.page(refused(**{"type": "auth.failed", field: value}), aware=T0)
        assert "script" not in page.tags
        assert "&lt;script&gt;" in text

    def test_a_log_that_is_not_what_was_signed_is_named(self) -> None:
        bad = Log(origin="gw/0001", size=9, root="", verified=False, findings=("entry-altered: record 3",))
        made = build_report("nevi", tally_of(), [bad], T0, T0 + DAY, T0)
        assert "NOT what was signed: entry-altered: record 3" in to_html(made)
        assert "NOT" not in to_html(build_report("nevi", tally_of(), [LOG], T0, T0 + DAY, T0))

    def test_it_is_json_as_well(self) -> None:
        import msgspec

        assert json.loads(msgspec.json.encode(report("nevi", session(2))))["framework"] == "nevi"
