"""`policy lint` and `check-config`: every finding at its place, and nothing but findings."""

import json
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.config.policy_packs import shipped_packs
from tests.cli.conftest import Cli, Place
from tests.cli.policy_files import CASES, HEAD, SITE, SOUND, place_of, write_pack, write_site


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without a configuration."""
    if Path("/etc/ocpp-gateway/gateway.toml").exists():
        pytest.skip("this machine has a gateway")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPP_GATEWAY_CONFIG", raising=False)
    return tmp_path


class TestLint:
    @pytest.mark.usefixtures("alone")
    def test_without_words_and_configuration_all_shipped_packs_are_checked(self, cli: Cli) -> None:
        found = cli("policy", "lint", "--json").json()
        assert (found["ok"], found["problems"], tuple(found["checked"])) == (True, [], shipped_packs())

    @pytest.mark.usefixtures("place")
    def test_with_a_configuration_what_it_names_is_checked(self, cli: Cli) -> None:
        assert cli("policy", "lint", "--json").json()["checked"] == ["baseline"]

    def test_groups_are_looked_up_in_the_registry_of_the_configuration(self, place: Place, cli: Cli) -> None:
        pack = write_pack(place.directory)
        write_site(place.directory)  # for the group depot
        place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
        place.replace('#site = ""', 'site = "site.yaml"')
        assert cli("policy", "lint", "--strict").code == OK  # nobody is registered yet
        assert cli("charge-point", "add", "CP-1", "--security-profile", "2", "--group", "depo").code == OK
        found = cli("policy", "lint", "--strict", "--json")
        (problem,) = found.json()["problems"]
        assert (found.code, problem["code"], problem["suggestion"]) == (NOT_OK, "P050", "depo")
        assert cli("policy", "lint", pack, "site.yaml", "--strict").code == OK
        assert cli("policy", "lint", pack, "site.yaml", "--strict", "--config", place.config).code == NOT_OK
        assert cli("charge-point", "add", "CP-2", "--security-profile", "2", "--group", "depot").code == OK
        assert cli("policy", "lint", "--strict").code == OK

    def test_packs_that_are_named_have_nothing_to_do_with_the_configuration(self, place: Place, cli: Cli) -> None:
        write_pack(place.directory)
        write_site(place.directory)
        place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
        place.replace('#site = ""', 'site = "site.yaml"')
        assert cli("policy", "lint", "logs", "--json").json()["problems"] == []
        assert cli("policy", "lint", "--json").json()["checked"] == [
            str(place.directory / n) for n in ("mine.yaml", "site.yaml")
        ]
        assert {each["code"] for each in cli("policy", "lint", "logs", "site.yaml", "--json").json()["problems"]} == {
            "P061",
            "P070",
        }

    def test_sound_pack_is_fine(self, alone: Path, cli: Cli) -> None:
        result = cli("policy", "lint", write_pack(alone))
        assert (result.code, result.err) == (OK, "")
        assert result.out.endswith("mine.yaml: 0 error(s), 0 warning(s).\n")

    @pytest.mark.parametrize(
        ("right", "wrong", "at", "code", "hint"),
        [
            ("action: Reset", "action: Rset", "action: Rset", "P010", "Reset"),
            ("payload.type in", "payload.typ in", "payload.typ in", "P022", "type"),
            ("params.kinds", "params.kind", "params.kind", "P070", "kinds"),
            ("    when:", "    whn:", "whn:", "P003", "when"),
            ("status: Rejected", "status: Rejectd", "status: Rejectd", "P030", "no status of Reset"),
            ("action: deny", "action: denied", "action: denied", "P005", "deny"),
        ],
    )
    def test_finding_has_code_place_and_the_word_that_was_meant(
        self, right: str, wrong: str, at: str, code: str, hint: str, alone: Path, cli: Cli
    ) -> None:
        assert right in SOUND
        path = write_pack(alone, SOUND.replace(right, wrong))
        line, _ = place_of(path, at)
        result = cli("policy", "lint", path, "--json")
        found = [each for each in result.json()["problems"] if (each["code"], each["line"]) == (code, line)]
        assert (result.code, len(found)) == (NOT_OK, 1)
        assert hint in found[0]["suggestion"] + found[0]["message"]
        assert not found[0]["message"].startswith(code)
        assert f"{path}:{line}:{found[0]['column']}: error {code} " in cli("policy", "lint", path).out

    def test_place_in_an_expression_is_exact(self, alone: Path, cli: Cli) -> None:
        path = write_pack(alone, SOUND.replace("payload.type in", "pyload.type in"))
        (found,) = [each for each in cli("policy", "lint", path, "--json").json()["problems"] if each["code"] == "P020"]
        assert (found["line"], found["column"]) == place_of(path, "pyload.type")

    def test_warning_is_an_error_only_if_strict(self, alone: Path, cli: Cli) -> None:
        path = write_pack(alone, SOUND.replace("level: 2", "level: 1\n    mode: monitor"))
        assert cli("policy", "lint", path).code == OK
        assert "warning P080" in cli("policy", "lint", path).out
        strict = cli("policy", "lint", path, "--strict", "--json")
        assert (strict.code, strict.json()["ok"], strict.json()["warnings"]) == (NOT_OK, False, 1)
        assert cli("policy", "lint", write_pack(alone), "--strict").code == OK

    def test_cases_beside_the_pack_are_checked(self, alone: Path, cli: Cli) -> None:
        path = write_pack(alone, cases=CASES.replace("decision: deny", "decison: deny"))
        result = cli("policy", "lint", path)
        tests = alone / "mine.test.yaml"
        line, column = place_of(tests, "decison")
        assert (result.code, f"{tests}:{line}:{column}: error P003" in result.out) == (NOT_OK, True)
        assert "did you mean 'decision'" in result.out
        alone_too = cli("policy", "lint", tests)
        assert (alone_too.code, "P003" in alone_too.out) == (NOT_OK, True)
        tests.write_text(CASES)
        assert cli("policy", "lint", tests).code == OK

    def test_mode_in_a_case_is_one_of_three(self, alone: Path, cli: Cli) -> None:
        path = write_pack(alone, cases=CASES.replace("    steps:", "    modes: {mine/reset: enfroce}\n    steps:"))
        assert "did you mean 'enforce'" in cli("policy", "lint", path).out
        write_pack(alone, cases=CASES.replace("    steps:", "    modes: {mine/reset: enforce}\n    steps:"))
        assert cli("policy", "lint", path).code == OK

    @pytest.mark.parametrize(
        ("right", "wrong", "code", "hint"),
        [
            ("kinds", "kindz", "P070", "kinds"),
            ("mine/reset", "mine/rest", "P061", "mine/reset"),
            ("monitor", "monitr", "P005", "monitor"),
            ("[Soft]", "[1]", "P070", ""),
        ],
    )
    def test_values_of_a_site_are_checked_at_their_place(
        self, right: str, wrong: str, code: str, hint: str, alone: Path, cli: Cli
    ) -> None:
        pack, site = write_pack(alone), write_site(alone)
        assert cli("policy", "lint", pack, site).code == OK
        write_site(alone, SITE.replace(right, wrong))
        result = cli("policy", "lint", pack, site, "--json")
        (found,) = result.json()["problems"]
        assert (result.code, found["code"], found["path"]) == (NOT_OK, code, str(site))
        assert found["line"] == place_of(site, wrong)[0]
        assert hint in found["suggestion"]

    def test_two_sites_are_a_contradiction(self, alone: Path, cli: Cli) -> None:
        site, other = write_site(alone), alone / "other.yaml"
        other.write_text(SITE)
        result = cli("policy", "lint", "baseline", site, other)
        assert (result.code, "Only one file" in result.err) == (USAGE, True)
        assert cli("policy", "lint", write_pack(alone), site, site).code == OK

    @pytest.mark.parametrize("name", ["nosuch", "/", "nosuch.yaml", "nosuch.test.yaml", "x" * 300 + ".yaml", "", "a b"])
    @pytest.mark.usefixtures("alone")
    def test_unknown_pack_is_a_finding(self, name: str, cli: Cli) -> None:
        result = cli("policy", "lint", name, "--json")
        assert (result.code, result.json()["ok"]) == (NOT_OK, False)

    @pytest.mark.usefixtures("alone")
    def test_unknown_pack_is_told_with_the_nearest(self, cli: Cli) -> None:
        assert "did you mean 'firmware'" in cli("policy", "lint", "firmwar").out

    @pytest.mark.parametrize(
        "content",
        [
            b"\xff\xfe",
            b"",
            b"- 1",
            b"{",
            b"a: &a [*a]",
            b"\0",
            b"? [1]: 2",
            b'a: "\\ud800"',
            b'"\\ud800": 1',
            b"a: 1\na: 2",
        ],
    )
    def test_file_that_is_no_pack_is_a_finding(self, content: bytes, alone: Path, cli: Cli) -> None:
        for name in ("p.yaml", "p.test.yaml"):
            path = alone / name
            path.write_bytes(content)
            result = cli("policy", "lint", path)
            assert (result.code, result.err) == (NOT_OK, "")
            assert " error P00" in result.out
        assert cli("policy", "test", alone / "p.yaml").code == NOT_OK

    def test_half_a_surrogate_in_a_pack_is_told_at_its_place(self, alone: Path, cli: Cli) -> None:
        path = write_pack(alone, SOUND.replace("title: No hard reset", 'title: "\\ud800"'))
        (found,) = cli("policy", "lint", path, "--json").json()["problems"]
        line, _ = place_of(path, "title:")
        assert (found["line"], "surrogate" in found["message"]) == (line, True)

    def test_directory_with_the_name_of_a_pack_is_a_finding(self, alone: Path, cli: Cli) -> None:
        (alone / "p.yaml").mkdir()
        result = cli("policy", "lint", "p.yaml")
        assert (result.code, "p.yaml: error P001 cannot be read: Is a directory" in result.out) == (NOT_OK, True)

    @pytest.mark.parametrize(
        ("size", "said"), [(17_000_000, "longer than"), (15_000_000, "longer than 4000000 characters")]
    )
    def test_endless_file_is_a_finding(self, size: int, said: str, alone: Path, cli: Cli) -> None:
        with (alone / "p.yaml").open("wb") as file:
            file.write(b"#" * size)
        assert said in cli("policy", "lint", "p.yaml").out

    def test_what_a_file_says_reaches_the_terminal_as_text(self, alone: Path, cli: Cli) -> None:
        path = write_pack(alone, SOUND.replace("action: Reset", 'action: "Reset\\x1b[2J"'))
        out = cli("policy", "lint", path).out
        assert ("\x1b" not in out, "Reset\\\\x1b[2J" in out or "Reset\\x1b[2J" in out) == (True, True)


class TestCheckConfig:
    def test_configuration_with_sound_rules_is_usable(self, place: Place, cli: Cli) -> None:
        path = write_pack(place.directory)
        place.replace('#packs = ["baseline"]', f'packs = ["baseline", "{path.name}"]')
        place.replace('#site = ""', f'site = "{write_site(place.directory).name}"')
        result = cli("check-config", "--json")
        assert (result.code, result.json()["errors"]) == (OK, [])

    def test_mistake_in_a_rule_makes_it_unusable(self, place: Place, cli: Cli) -> None:
        path = write_pack(place.directory, SOUND.replace("action: Reset", "action: Rset"))
        place.replace('#packs = ["baseline"]', f'packs = ["{path.name}"]')
        result = cli("check-config")
        line, column = place_of(path, "action: Rset")
        assert result.code == USAGE
        assert f"error: {path}:{line}:{column}: P010" in result.err.replace(
            f":{line}:{column + 8}:", f":{line}:{column}:"
        )

    def test_pack_that_is_not_there_is_told_where_it_is_named(self, place: Place, cli: Cli) -> None:
        place.replace('#packs = ["baseline"]', 'packs = ["basline"]')
        (error,) = cli("check-config", "--json").json()["errors"]
        assert (error["path"], error["line"]) == ("gateway.toml", place_of(place.config, "packs = ")[0])
        assert (error["suggestion"], "basline: no such pack" in error["message"]) == ("baseline", True)

    def test_site_that_is_not_there_is_told_where_it_is_named(self, place: Place, cli: Cli) -> None:
        place.replace('#site = ""', 'site = "nosuch.yaml"')
        (error,) = cli("check-config", "--json").json()["errors"]
        assert (error["line"], "nosuch.yaml" in error["message"]) == (place_of(place.config, "site = ")[0], True)

    def test_warning_about_a_rule_is_a_warning(self, place: Place, cli: Cli) -> None:
        path = write_pack(place.directory, SOUND.replace("level: 2", "level: 1\n    mode: monitor"))
        place.replace('#packs = ["baseline"]', f'packs = ["{path.name}"]')
        result = cli("check-config", "--json")
        assert (result.code, result.json()["errors"]) == (OK, [])
        assert "P080" in json.dumps(result.json()["warnings"])

    def test_mistakes_of_both_kinds_are_told_at_once(self, place: Place, cli: Cli) -> None:
        place.replace('#packs = ["baseline"]', 'packs = ["basline"]')
        place.replace('csms = "main"', 'csms = "mian"')
        messages = " ".join(error["message"] for error in cli("check-config", "--json").json()["errors"])
        assert ("mian" in messages, "basline" in messages) == (True, True)


def test_files_for_these_tests_have_a_head() -> None:
    assert HEAD.startswith("apiVersion")
