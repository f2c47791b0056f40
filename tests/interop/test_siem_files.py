"""The files for SIEMs against records as the gateway renders them: each rule finds what it is for, and not its neighbours."""

import configparser
import datetime
import json
import re
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.siem import Located, render
from gateway.identity.refusal import Reason
from tests.support.judges import needs_sigma, sigma

SIEM = Path(__file__).parents[2] / "deploy" / "siem"
SIGMA = sorted((SIEM / "sigma").glob("*.yml"))
OTHERS = (
    "detect.takeover_attempt", "detect.shared_credential", "detect.brute_force", "detect.enumeration", "detect.flapping",
    "detect.impossible_travel", "detect.config_drift", "detect.time_poison", "detect.clock_wrong", "time.poison",
    "time.implausible", "audit.start", "audit.stop", "audit.gap", "audit.new_history", "audit.pruned",
    "config.reloaded",
    "privacy.text_read", "privacy.subject", "privacy.shredded", "privacy.hold_lifted", "privacy.held", "admin.request",
    "config.reload_failed", "policy.reload_failed", "session.opened", "session.closed", "policy.denied", "http.spoofed_header",
)  # fmt: skip
KINDS = sorted({reason.event for reason in Reason} | set(OTHERS))


def line_of(kind: str, index: int = 7) -> str:
    record = {
        "v": 1,
        "type": kind,
        "id": "0190",
        "ts": 1_795_818_437_949_939,
        "node": "gw1",
        "sev": "info" if kind.startswith(("session.", "audit.start", "config.")) else "high",
        "cp": "CP-1",
        "peer": {"ip": "192.0.2.1", "port": 4711},
        "dec": {"reason": "x"} if "." in kind and kind.split(".", maxsplit=1)[0] in {"auth", "cert"} else {},
        "text": "a sentence",
    }
    return render(Located("gw1.example/audit/0001", index, record), "ecs", "0").decode()


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in value.items():
        found |= flat(each, f"{prefix}{name}.") if isinstance(each, dict) else {prefix + name: each}
    return found


def wanted(path: Path) -> set[str]:
    """The actions that a rule names."""
    return set(
        re.findall(
            r"((?:[a-z]+\.)[a-z_]+)$", path.read_text().split("event.action:")[1].split("condition:")[0], re.MULTILINE
        )
    )


@needs_sigma
class TestSigma:
    def test_every_rule_is_valid(self) -> None:
        # Two validators look tags up in lists that they fetch from the network.
        checked = sigma("check", "--fail-on-issues", "-x", "attacktag", "-x", "d3_fendtag", SIEM / "sigma")
        assert checked.returncode == 0, checked.stdout.decode() + checked.stderr.decode()

    def test_the_judge_judges(self, tmp_path: Path) -> None:
        (tmp_path / "bad.yml").write_text(SIGMA[0].read_text().replace("condition: selection", "condition: nothing"))
        assert sigma("check", "--fail-on-issues", "-x", "attacktag", "-x", "d3_fendtag", tmp_path).returncode != 0

    @pytest.mark.parametrize("path", SIGMA, ids=lambda path: path.stem)
    def test_it_finds_what_it_is_for_and_nothing_else(self, path: Path) -> None:
        events = [flat(json.loads(line_of(kind))) for kind in KINDS]
        other = {**events[0], "event.dataset": "another.audit", "event.action": min(wanted(path))}
        columns = sorted({name for event in events for name in event if name != "message"})
        db = sqlite3.connect(":memory:")
        db.execute(f"create table logs ({', '.join(f'`{name}`' for name in columns)})")
        for event in (*events, other):
            values = [
                json.dumps(event[name]) if isinstance(event.get(name), list) else event.get(name) for name in columns
            ]
            db.execute(f"insert into logs values ({', '.join('?' * len(columns))})", values)
        converted = sigma("convert", "-t", "sqlite", "--without-pipeline", path)
        (query,) = [line for line in converted.stdout.decode().splitlines() if line.startswith("SELECT")]
        found = db.execute(query.replace("SELECT *", "SELECT `event.action`, `event.dataset`")).fetchall()
        assert {action for action, _ in found} == wanted(path)
        assert {dataset for _, dataset in found} == {"ocpp_gateway.audit"}
        assert wanted(path) <= set(KINDS), "a rule for something that the gateway never says"


class TestWazuh:
    def test_the_decoder_takes_our_lines(self) -> None:
        text = (SIEM / "wazuh/ocpp_gateway_decoders.xml").read_text()
        decoders = ET.fromstring(f"<all>{text}</all>")
        (prematch,) = [element.text for element in decoders.iter("prematch")]
        assert prematch is not None
        assert re.match(prematch.replace("{", r"\{"), line_of("auth.failed"))

    @pytest.mark.parametrize("kind", KINDS)
    def test_rules_name_what_there_is(self, kind: str) -> None:
        rules = ET.parse(SIEM / "wazuh/ocpp_gateway_rules.xml").getroot()
        event = flat(json.loads(line_of(kind)))
        matched = []
        for rule in rules.iter("rule"):
            field = rule.find("field")
            assert field is not None
            assert field.text is not None
            if re.search(field.text, str(event[field.attrib["name"]])):
                matched.append(int(rule.attrib["id"]))
        assert matched[0] == 118_000
        assert len([each for each in matched if each >= 118_010]) <= 1, "two rules for one record"

    def test_ids_are_their_own_and_parents_exist(self) -> None:
        rules = list(ET.parse(SIEM / "wazuh/ocpp_gateway_rules.xml").getroot().iter("rule"))
        ids = [rule.attrib["id"] for rule in rules]
        assert len(set(ids)) == len(ids)
        assert {parent for rule in rules for parent in (rule.findtext("if_sid") or "118000").split(",")} <= set(ids)
        named = set(re.findall(r"\^([a-z.]+[a-z_]+)\$", " ".join(rule.findtext("field") or "" for rule in rules)))
        assert named - {"ocpp_gateway.audit", "alert", "gateway.audit"} <= set(KINDS)


def test_the_elastic_pipeline_uses_fields_that_there_are() -> None:
    pipeline = json.loads((SIEM / "elastic/pipeline.json").read_text())
    assert all(len(processor) == 1 for processor in pipeline["processors"])
    known = flat(json.loads(line_of("auth.failed")))
    used = set(re.findall(r"\{\{\{([a-z.]+)\}\}\}", json.dumps(pipeline["processors"])))
    assert used
    assert used <= set(known)
    assert pipeline["processors"][2]["date"]["field"] in known


class TestSplunk:
    @pytest.fixture
    def stanza(self) -> Any:
        parser = configparser.RawConfigParser(strict=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(SIEM / "splunk/props.conf")
        return parser["ocpp:gateway:audit"]

    def test_the_time_is_found_and_read(self, stanza: Any) -> None:
        line = line_of("auth.failed")
        match = re.search(stanza["TIME_PREFIX"], line)
        assert match is not None
        text = line[match.end() :].split('"')[0]
        assert len(text) <= int(stanza["MAX_TIMESTAMP_LOOKAHEAD"])
        read = datetime.datetime.strptime(text, stanza["TIME_FORMAT"].replace("%6Q", "%f")).replace(tzinfo=datetime.UTC)
        assert int(read.timestamp()) == 1_795_818_437

    def test_aliases_are_of_fields_that_there_are(self, stanza: Any) -> None:
        known = flat(json.loads(line_of("auth.failed")))
        aliased = [
            re.match(r'"([a-z.]+)" AS \w+', value) for name, value in stanza.items() if name.startswith("FIELDALIAS")
        ]
        assert aliased
        assert all(match and match[1] in known for match in aliased)

    def test_the_place_in_the_log(self, stanza: Any) -> None:
        parser = configparser.RawConfigParser(strict=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(SIEM / "splunk/transforms.conf")
        match = re.search(parser[stanza["REPORT-place"]]["REGEX"], line_of("auth.failed", 4711))
        assert match is not None
        assert match.groups() == ("4711", "0001")
