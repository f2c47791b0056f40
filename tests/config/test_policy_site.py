"""The site's file: what it does not say is as before, and what docs/policy.md shows can be used as it stands."""

import re
from pathlib import Path

import pytest

from gateway.config.policy import Policy
from gateway.config.policy_packs import Bundle
from gateway.config.policy_site import load_policy, read_site
from gateway.ocpp.size_limits import NO_LIMIT, SizeLimit
from gateway.policy.site import Gates
from tests.policy.build import session_of

HEAD = "apiVersion: ocpp-gateway/v1\nkind: PolicySite\n"
NOW = 1_767_225_600.0


def site_of(directory: Path, body: str):
    path = directory / "site.yaml"
    path.write_text(HEAD + body)
    return read_site(str(path))


@pytest.mark.parametrize(
    ("everyone", "group", "expected"),
    [
        ("{}", "{}", Gates()),
        ("{gates: {direction: monitor}}", "{}", Gates(direction="monitor")),
        ("{gates: {direction: monitor}}", "{level: 2}", Gates(direction="monitor")),
        ("{gates: {direction: monitor}}", "{gates: {schema: enforce}}", Gates(direction="monitor", schema="enforce")),
        ("{gates: {direction: monitor}}", "{gates: {direction: enforce}}", Gates()),
        ("{}", "{gates: {state: monitor}}", Gates(state="monitor")),
        (
            "{gates: {firmware_image: enforce}}",
            "{gates: {schema: enforce}}",
            Gates(schema="enforce", firmware_image="enforce"),
        ),
        ("{gates: {firmware_image: enforce}}", "{gates: {firmware_image: off}}", Gates()),
    ],
)
def test_a_group_keeps_what_holds_for_everyone_gate_by_gate(
    tmp_path: Path, everyone: str, group: str, expected: Gates
) -> None:
    site, problems = site_of(tmp_path, f"everyone: {everyone}\ngroups:\n  north: {group}\n")
    assert (site.gates("north"), problems) == (expected, [])


def test_a_gate_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    """It would be taken for one that protects."""
    _, (problem,) = site_of(tmp_path, "everyone:\n  gates: {size: enforce}\n")
    assert (problem.code, problem.line, problem.severity, problem.suggestion) == ("P003", 4, "error", "sizes")


SIZES = """
everyone:
  sizes:
    DataTransfer: {bytes: 4096, answer_bytes: 512}
    "@certificates": {bytes: 9000}
    "@disruptive": {bytes: 8000, items: 7}
    InstallCertificate: {bytes: 12000}
groups:
  north:
    sizes:
      DataTransfer: {items: 3}
      "@certificates": {bytes: 5000}
"""
SCHEMA = SizeLimit(20_000, 100)


@pytest.mark.parametrize(
    ("group", "action", "answer", "expected"),
    [
        ("", "Heartbeat", False, SCHEMA),
        ("", "DataTransfer", False, SizeLimit(4_096, 100)),
        ("", "DataTransfer", True, SizeLimit(512, 100)),
        ("north", "DataTransfer", False, SizeLimit(4_096, 3)),
        ("", "SignCertificate", False, SizeLimit(9_000, 100)),
        ("north", "SignCertificate", False, SizeLimit(5_000, 100)),
        ("", "DeleteCertificate", False, SizeLimit(8_000, 7)),
        ("", "InstallCertificate", False, SizeLimit(12_000, 7)),
        ("north", "InstallCertificate", False, SizeLimit(5_000, 7)),
        ("", "StopTransaction", False, NO_LIMIT),
        ("", "MeterValues", True, NO_LIMIT),
    ],
)
def test_what_a_site_says_of_sizes_goes_before_the_schema(
    tmp_path: Path, group: str, action: str, answer: bool, expected: SizeLimit
) -> None:
    site, problems = site_of(tmp_path, SIZES)
    assert problems == []
    assert site.size_limit(group, action, SCHEMA, answer=answer) == expected


@pytest.mark.parametrize(
    ("sizes", "code", "suggestion"),
    [
        ("{Reset: {bytes: 0}}", "P005", ""),
        ("{Reset: {bytes: many}}", "P005", ""),
        ("{Reset: {byte: 10}}", "P003", "bytes"),
        ("{Rset: {bytes: 10}}", "P010", "Reset"),
        ('{"@firmwar": {bytes: 10}}', "P010", "@firmware"),
        ("{Reset: 10}", "P005", ""),
    ],
)
def test_sizes_that_mean_nothing_are_errors(tmp_path: Path, sizes: str, code: str, suggestion: str) -> None:
    _, problems = site_of(tmp_path, f"everyone:\n  sizes: {sizes}\n")
    assert [(problem.code, problem.line, problem.suggestion) for problem in problems] == [(code, 4, suggestion)]


def test_the_files_in_the_documentation_can_be_used(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    shown = dict(re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", text, re.DOTALL))
    assert set(shown) == {"site.yaml", "our-exceptions.yaml"}
    for name, body in shown.items():
        (tmp_path / name).write_text(body)
    exceptions, site = (str(tmp_path / name) for name in ("our-exceptions.yaml", "site.yaml"))
    policy = Policy(packs=("baseline", "observe", exceptions), site=site)
    bundle = load_policy(policy, now=NOW, groups=("default", "depot", "lab", "hospital"))
    assert [str(problem) for problem in bundle.problems] == []
    assert bundle.site.mode("depot", "smart-charging/max-limit", "monitor", 1) == "enforce"
    assert bundle.site.mode("lab", "content/jndi", "enforce", 1) == "monitor"
    assert bundle.site.gates("hospital") == Gates(schema="enforce")
    assert any(each.exemptions for each in bundle.packs)


ROLLOUT = "everyone:\n  modes: {logs/upload-allowlist: enforce}\nrollouts:\n  logs/upload-allowlist: {%s}\n"


def loaded(directory: Path, body: str) -> Bundle:
    path = directory / "site.yaml"
    path.write_text(HEAD + body)
    return load_policy(Policy(packs=("logs",), site=str(path)), now=NOW)


@pytest.mark.parametrize(
    ("rollout", "low", "high"),
    [
        ("percent: 0", 0, 0),
        ("percent: 20", 10, 90),
        ("percent: 100", 200, 200),
        ("groups: [g]", 200, 200),
        ("groups: [x]", 0, 0),
    ],
)
def test_a_shipped_rule_is_enforced_in_a_part_of_the_fleet(tmp_path: Path, rollout: str, low: int, high: int) -> None:
    bundle = loaded(tmp_path, ROLLOUT % rollout)
    snapshot = bundle.snapshot()
    (rule,) = (each for each in snapshot.rules if each.id == "logs/upload-allowlist")
    modes = [snapshot.view(session_of(identity=f"CP-{number}")).mode(rule) for number in range(200)]
    assert low <= modes.count("enforce") <= high
    assert modes.count("enforce") + modes.count("monitor") == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (ROLLOUT % "percent: 101", "P005"),
        (ROLLOUT % "percnt: 5", "P003"),
        ("rollouts:\n  logs/upload-alowlist: {percent: 5}\n", "P061"),
    ],
)
def test_a_rollout_that_cannot_be_meant_is_an_error(tmp_path: Path, body: str, code: str) -> None:
    assert [(each.code, each.line > 3) for each in loaded(tmp_path, body).errors] == [(code, True)]


def test_a_rollout_is_part_of_the_revision(tmp_path: Path) -> None:
    revisions = {loaded(tmp_path, ROLLOUT % f"percent: {percent}").revision for percent in (5, 6)}
    assert len(revisions) == 2
