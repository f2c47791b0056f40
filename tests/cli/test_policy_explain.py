"""`policy explain`: what becomes of a frame, why, and why a rule does not fire."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.store.registry import Registry
from tests.cli.conftest import Cli, Place
from tests.cli.policy_files import HARD, SITE, SOFT, SOUND, write_pack, write_site
from tests.support.records import make_record


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path)


def only(document: dict[str, Any]) -> dict[str, Any]:
    (rule,) = document["rules"]
    assert isinstance(rule, dict)
    return rule


def test_match_is_shown_with_values_combination_and_answer(pack: Path, cli: Cli) -> None:
    result = cli("policy", "explain", "--pack", pack, "--frame", HARD)
    assert (result.code, result.err) == (OK, "")
    for words in (
        "1.6 to_station call Reset, policy ",
        "gates: nothing against it",
        "it matched and is enforced",
        'payload.type  =  "Hard"',
        "params.kinds  =  ['Hard']",
        "why: a reset of Hard",
        "verdict: deny by mine/reset",
        'the sender gets: [3,"1",{"status":"Rejected"}]',
    ):
        assert words in result.out
    found = cli("policy", "explain", "--pack", pack, "--frame", HARD, "--json").json()
    assert (found["passes"], found["gates"], only(found)["outcome"]) == (False, [], "matched")
    assert json.loads(found["answer"]) == [3, "1", {"status": "Rejected"}]


def test_near_miss_is_shown_with_the_part_that_does_not_hold(pack: Path, cli: Cli) -> None:
    found = cli("policy", "explain", "--pack", pack, "--frame", SOFT, "--json").json()
    assert (found["passes"], only(found)["outcome"], found["answer"]) == (True, "condition", "")
    (condition,) = only(found)["conditions"]
    assert {"text": "payload.type", "value": '"Soft"', "error": "", "iteration": []} in condition["steps"]
    assert condition["value"] == "false"


@pytest.mark.parametrize(
    ("words", "frame", "part"),
    [
        (("--version", "2.0.1"), '[2,"1","Reset",{"type":"Immediate"}]', "version"),
        (("--from", "charge-point"), HARD, "direction"),
        ((), '[2,"1","ClearCache",{}]', "action"),
    ],
)
def test_rule_says_why_it_is_not_about_a_message(
    words: tuple[str, ...], frame: str, part: str, pack: Path, cli: Cli
) -> None:
    found = cli("policy", "explain", "--pack", pack, "--rule", "mine/reset", "--frame", frame, *words, "--json").json()
    assert only(found)["outcome"] == "static"
    assert part in {each["name"] for each in only(found)["static"] if not each["fits"]}
    assert cli("policy", "explain", "--pack", pack, "--frame", frame, *words, "--json").json()["rules"] == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--group", "depot"), ("group", "public", "depot")),
        (("--group", "public", "--security-profile", "2"), ("security_profile", "3", "2")),
        (("--group", "public", "--security-profile", "3", "--vendor", "B"), ("vendor", "A", "B")),
        (("--group", "public", "--security-profile", "3", "--boot-state", "pending"), ("state", "accepted", "pending")),
    ],
)
def test_who_talks_decides(words: tuple[str, ...], wanted: tuple[str, str, str], tmp_path: Path, cli: Cli) -> None:
    narrow = 'version: "1.6", group: [public], security_profile: [3], vendor: [A], state: [accepted]'
    pack = write_pack(tmp_path, SOUND.replace('version: "1.6"', narrow))
    start = ("policy", "explain", "--pack", pack, "--frame", HARD, "--json", "--rule", "mine/reset")
    wrong = {
        (each["name"], each["wanted"], each["actual"])
        for each in only(cli(*start, *words).json())["static"]
        if not each["fits"]
    }
    assert wanted in wrong
    right = ("--group", "public", "--security-profile", "3", "--vendor", "A")
    assert only(cli(*start, *right).json())["outcome"] == "matched"


def test_site_of_a_file_counts(pack: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("policy", "explain", "--pack", pack, "--pack", write_site(tmp_path), "--json", "--frame")
    assert only(cli(*words, SOFT).json())["outcome"] == "matched"
    assert only(cli(*words, HARD).json())["outcome"] == "condition"
    watched = only(cli(*words, SOFT, "--group", "depot").json())
    assert (watched["outcome"], watched["mode"]) == ("watched", "monitor: the site says so, the pack says enforce")


class TestWithConfiguration:
    @pytest.fixture
    def configured(self, place: Place) -> Place:
        write_pack(place.directory)
        place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
        place.replace('#site = ""', f'site = "{write_site(place.directory, SITE).name}"')
        return place

    def test_it_says_what_is_in_force(self, configured: Place, cli: Cli) -> None:
        found = cli("policy", "explain", "--frame", SOFT, "--json").json()
        assert (only(found)["outcome"], configured.database.exists()) == ("matched", False)

    @pytest.mark.usefixtures("configured")
    def test_other_packs_may_lack_what_its_site_sets(self, cli: Cli) -> None:
        assert cli("policy", "explain", "--frame", SOFT, "--pack", "baseline").code == OK

    @pytest.mark.usefixtures("configured")
    def test_registry_knows_the_group_of_an_identity(self, registry: Registry, cli: Cli) -> None:
        registry.add(make_record("CP-7", group="depot"))
        words = ("policy", "explain", "--frame", SOFT, "--json", "--identity")
        assert only(cli(*words, "CP-7").json())["outcome"] == "watched"
        assert only(cli(*words, "CP-8").json())["outcome"] == "matched"
        assert only(cli(*words, "CP-7", "--group", "public").json())["outcome"] == "matched"


class TestGates:
    @pytest.mark.parametrize(
        ("words", "event", "refuses"),
        [
            (('[2,"1","Heartbeat",{}]',), "rpc.direction", True),
            (('[2,"1","Hearbeat",{}]',), "rpc.unknown_action", True),
            (('[2,"1","Reset",{"type":"Soft","x":1}]',), "schema.violation", False),
            (('[2,"1","Reset",{"type":"Soft"}]', "--boot-state", "rejected"), "state.not_accepted", True),
        ],
    )
    def test_what_a_gate_says_is_shown(
        self, words: tuple[str, ...], event: str, refuses: bool, pack: Path, cli: Cli
    ) -> None:
        found = cli("policy", "explain", "--pack", pack, "--json", "--frame", *words).json()
        assert [(gate["event"], gate["refuses"]) for gate in found["gates"]] == [(event, refuses)]
        assert found["passes"] is not refuses
        out = cli("policy", "explain", "--pack", pack, "--frame", *words).out
        assert f"gate {'refuses' if refuses else 'would refuse'} it: {event}" in out
        assert ("but no rule is asked" in out) is refuses

    @pytest.mark.parametrize(
        "frame", ["", "x", "[]", "{}", "[2]", '[2,"1","Reset",{"type":1,"type":2}]', "[" * 9000, "\x00"]
    )
    def test_what_is_no_frame_is_told(self, frame: str, pack: Path, cli: Cli) -> None:
        result = cli("policy", "explain", "--pack", pack, "--frame", frame)
        assert (result.code, result.out) == (NOT_OK, "")
        assert "a gate refuses it before" in result.err
        assert cli("policy", "explain", "--pack", pack, "--frame", frame, "--json").json()["details"]["event"]


class TestFrame:
    def test_it_comes_from_a_file_or_standard_input(self, pack: Path, tmp_path: Path, cli: Cli) -> None:
        (tmp_path / "frame").write_text(HARD + "\n")
        as_typed = cli("policy", "explain", "--pack", pack, "--frame", HARD, "--json").json()
        assert cli("policy", "explain", "--pack", pack, "--frame", f"@{tmp_path}/frame", "--json").json() == as_typed
        piped = cli("policy", "explain", "--pack", pack, "--frame", "-", "--json", stdin=HARD.encode())
        assert piped.json() == as_typed

    @pytest.mark.parametrize("name", ["@/nonexistent", "@/", "@"])
    def test_file_that_cannot_be_read_is_told(self, name: str, pack: Path, cli: Cli) -> None:
        result = cli("policy", "explain", "--pack", pack, "--frame", name)
        assert (result.code, result.err.count("\n")) == (NOT_OK, 1)

    def test_bytes_that_are_not_utf_8_are_refused_by_a_gate(self, pack: Path, cli: Cli) -> None:
        result = cli("policy", "explain", "--pack", pack, "--frame", "-", stdin=b'[2,"1","Reset",{"type":"\xff"}]')
        assert (result.code, "a gate refuses it" in result.err) == (NOT_OK, True)

    def test_answer_is_explained_with_its_call(self, pack: Path, cli: Cli) -> None:
        words = (
            "policy",
            "explain",
            "--pack",
            pack,
            "--from",
            "charge-point",
            "--frame",
            '[3,"1",{"status":"Accepted"}]',
        )
        assert "--call" in cli(*words).err
        assert cli(*words, "--call", HARD, "--json").json()["key"] == "1.6 to_csms result Reset"
        assert cli(*words, "--call", "x").code == NOT_OK

    def test_control_characters_do_not_reach_the_terminal(self, tmp_path: Path, cli: Cli) -> None:
        result = cli(
            "policy", "explain", "--pack", write_pack(tmp_path), "--frame", '[2,"1","Reset",{"type":"\\u001b[2J"}]'
        )
        assert (result.code, "\x1b" in result.out, "[2J" in result.out) == (OK, False, True)


class TestWords:
    def test_unknown_rule_is_told_with_the_nearest(self, pack: Path, cli: Cli) -> None:
        result = cli("policy", "explain", "--pack", pack, "--frame", HARD, "--rule", "mine/rest")
        assert (result.code, "Did you mean 'mine/reset'?" in result.err) == (NOT_OK, True)
        assert "Did you mean" not in cli("policy", "explain", "--pack", pack, "--frame", HARD, "--rule", "\x1b[2J").err

    def test_pack_that_cannot_be_used_is_told(self, tmp_path: Path, cli: Cli) -> None:
        pack = write_pack(tmp_path, SOUND.replace("action: Reset", "action: Rset"))
        result = cli("policy", "explain", "--pack", pack, "--frame", HARD)
        assert (result.code, "P010" in result.err) == (NOT_OK, True)
        details = cli("policy", "explain", "--pack", pack, "--frame", HARD, "--json").json()["details"]
        assert details[0]["suggestion"] == "Reset"

    @pytest.mark.parametrize(
        "words",
        [
            (),
            ("--frame", HARD, "--version", "1.7"),
            ("--frame", HARD, "--security-profile", "4"),
            ("--frame", HARD, "--from", "x"),
        ],
    )
    def test_wrong_words_are_told(self, words: tuple[str, ...], cli: Cli) -> None:
        assert cli("policy", "explain", *words).code == USAGE
