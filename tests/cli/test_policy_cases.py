"""`policy test`: cases that hold, cases that do not, and rules that nothing proves."""

from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK
from gateway.config.policy_packs import shipped_packs
from tests.cli.conftest import Cli
from tests.cli.policy_files import CASES, SOUND, place_of, write_pack


def test_cases_that_hold_name_the_rules_that_they_prove(tmp_path: Path, cli: Cli) -> None:
    result = cli("policy", "test", write_pack(tmp_path))
    assert (result.code, result.err) == (OK, "")
    assert "ok      mine: hard is refused, soft is not [deny mine/reset, quiet mine/reset]" in result.out
    assert result.out.endswith("1 case(s) with 2 step(s) in 1 pack(s): 0 failed, 0 rule(s) unproven.\n")
    quiet = cli("policy", "test", tmp_path / "mine.yaml", "--quiet")
    assert (quiet.code, quiet.out.count("\n")) == (OK, 1)


def test_file_of_cases_stands_for_its_pack(tmp_path: Path, cli: Cli) -> None:
    write_pack(tmp_path)
    found = cli("policy", "test", tmp_path / "mine.test.yaml", tmp_path / "mine.yaml", "--json").json()
    assert ([each["pack"] for each in found["packs"]], found["steps"]) == (["mine"], 2)


@pytest.mark.parametrize(
    ("right", "wrong", "step", "message"),
    [
        ("decision: deny, rule: mine/reset", "decision: allow", 1, "deny by mine/reset, not allow"),
        ("decision: allow, quiet: mine/reset", "decision: deny, rule: mine/reset", 2, "allow, not deny"),
        ("decision: deny, rule: mine/reset", "decision: drop, rule: mine/reset", 1, "deny by mine/reset, not drop"),
        ('"type":"Soft"', '"type":"Soft","x":1', 2, "breaks the schema"),
        ('"type":"Hard"}]', '"type":"Hard"}', 1, "gate (rpc.malformed), not deny"),
    ],
)
def test_failure_is_told_with_place_and_step(
    right: str, wrong: str, step: int, message: str, tmp_path: Path, cli: Cli
) -> None:
    assert right in CASES
    pack = write_pack(tmp_path, cases=CASES.replace(right, wrong, 1))
    result = cli("policy", "test", pack, "--json")
    ((case,),) = [each["cases"] for each in result.json()["packs"]]
    tests = tmp_path / "mine.test.yaml"
    line, _ = place_of(tests, '"1","Reset"' if step == 1 else '"2","Reset"')
    failures = {(failure["step"], failure["place"]) for failure in case["failures"]}
    assert (result.code, case["ok"]) == (NOT_OK, False)
    assert (step, f"{tests}:{line}:9") in failures
    assert message in " ".join(failure["message"] for failure in case["failures"])
    shown = cli("policy", "test", pack).out
    assert f"  {tests}:{line}:9: step {step}: " in shown
    assert "FAILED  mine: hard is refused, soft is not" in shown


def test_case_that_names_a_rule_that_does_not_exist_fails(tmp_path: Path, cli: Cli) -> None:
    result = cli("policy", "test", write_pack(tmp_path, cases=CASES.replace("quiet: mine/reset", "quiet: mine/rest")))
    assert (result.code, "there is no rule 'mine/rest'" in result.out) == (NOT_OK, True)


def test_rule_without_a_firing_case_is_unproven(tmp_path: Path, cli: Cli) -> None:
    second = SOUND[SOUND.index("  - id:") :].replace("mine/reset", "mine/other").replace("Reset", "ClearCache")
    second = second.replace("payload.type in params.kinds", "msg.size > 9000").replace("a reset of {payload.type}", "x")
    result = cli("policy", "test", write_pack(tmp_path, SOUND + second))
    assert result.code == NOT_OK
    assert "P090 mine/other: no firing and no non-firing case" in result.out
    assert "P090 mine/reset" not in result.out


def test_pack_without_cases_fails(tmp_path: Path, cli: Cli) -> None:
    result = cli("policy", "test", write_pack(tmp_path, cases=""))
    assert (result.code, "error P090 there are no cases beside this pack" in result.out) == (NOT_OK, True)


def test_cases_of_another_pack_fail(tmp_path: Path, cli: Cli) -> None:
    result = cli("policy", "test", write_pack(tmp_path, cases=CASES.replace("pack: mine", "pack: yours")))
    assert (result.code, "cases of yours, beside the pack mine" in result.out) == (NOT_OK, True)


@pytest.mark.parametrize(
    ("rules", "cases", "code"),
    [
        (SOUND.replace("action: Reset", "action: Rset"), CASES, "P010"),
        (SOUND, CASES.replace("cases:", "casse:"), "P003"),
        (SOUND, "{", "P001"),
    ],
)
def test_what_cannot_be_loaded_is_not_run(rules: str, cases: str, code: str, tmp_path: Path, cli: Cli) -> None:
    found = cli("policy", "test", write_pack(tmp_path, rules, cases), "--json")
    assert (found.code, found.json()["not_run"], found.json()["cases"]) == (NOT_OK, 1, 0)
    assert code in {problem["code"] for problem in found.json()["packs"][0]["problems"]}


def test_pack_whose_name_has_dots_finds_its_cases(tmp_path: Path, cli: Cli) -> None:
    assert cli("policy", "test", write_pack(tmp_path, name="my.own")).code == OK


@pytest.mark.parametrize(
    ("more", "fails"),
    [("repeat: 2", False), ("repeat: 0", True), ("repeat: 10001", True), ("start: '2026-13-01T00:00:00Z'", True)],
)
def test_limits_of_a_case(more: str, fails: bool, tmp_path: Path, cli: Cli) -> None:
    pack = write_pack(tmp_path, cases=CASES.replace("    steps:", f"    {more}\n    steps:"))
    assert (cli("policy", "test", pack).code == NOT_OK) is fails


def test_clock_of_a_case_ends_with_the_calendar(tmp_path: Path, cli: Cli) -> None:
    far = CASES.replace("{dir: to_station, frame", '{dir: to_station, at: "+99999d", frame')
    assert (
        cli("policy", "test", write_pack(tmp_path, cases=far.replace("    steps:", "    repeat: 99\n    steps:"))).code
        == OK
    )


def test_unknown_pack_is_told_and_the_others_run(cli: Cli) -> None:
    result = cli("policy", "test", "logs", "firmwar")
    assert (result.code, "did you mean 'firmware'" in result.out, "ok      logs:" in result.out) == (NOT_OK, True, True)


def test_all_shipped_packs_are_tested_without_a_word(cli: Cli) -> None:
    found = cli("policy", "test", "--json").json()
    assert (found["ok"], tuple(each["pack"] for each in found["packs"])) == (True, shipped_packs())
    assert found["cases"] > 50


def test_a_pack_runs_with_the_packs_that_it_requires(tmp_path: Path, cli: Cli) -> None:
    path = write_pack(tmp_path)
    path.write_text(path.read_text().replace('"1.0.0"}', '"1.0.0", requires: {firmware: "*", other: ">=1"}}'))
    alone = cli("policy", "test", path)
    assert alone.code == NOT_OK
    assert "requires pack 'other', which is not loaded" in alone.out
    assert "pack firmware" not in alone.out, "a shipped one is at hand"
    other = write_pack(tmp_path, SOUND.replace("mine/reset", "other/reset"), "", "other")
    other.write_text(other.read_text().replace("name: mine", "name: other"))
    both = cli("policy", "test", path, other, "--json").json()
    assert [(each["pack"], each["ok"]) for each in both["packs"]] == [("mine", True), ("other", False)]
