"""`policy show` and `policy reload`: what is configured, what is in force, and how the one becomes the other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, READER_GONE, UNREACHABLE, USAGE
from tests.cli.admin_socket import answering, status
from tests.cli.conftest import Cli, Place
from tests.cli.policy_files import CASES, SOUND, write_pack, write_site
from tests.support.fleet import until
from tests.support.rig import GatewayProcess, Rig


@pytest.fixture
def configured(place: Place) -> Place:
    """A configuration with a pack and values of a site."""
    write_pack(place.directory)
    place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
    place.replace('#site = ""', f'site = "{write_site(place.directory).name}"')
    return place


class TestShow:
    @pytest.mark.usefixtures("configured")
    def test_packs_rules_modes_and_parameters(self, cli: Cli) -> None:
        result = cli("policy", "show")
        assert (result.code, result.err) == (OK, "")
        lines = [line.split() for line in result.out.splitlines()]
        assert ["mine/reset", "deny", "2", "enforce;", "depot:", "monitor", "mine.reset", "mine"] in lines
        assert ["kinds", "list<string>", "Soft", "site"] in lines
        found = cli("policy", "show", "--json").json()
        (rule,), (parameter,) = found["rules"], found["parameters"]
        assert (rule["mode"], rule["modes_by_group"]) == ("enforce", {"depot": "monitor"})
        assert (parameter["value"], parameter["default"], parameter["set_by_site"]) == (["Soft"], ["Hard"], True)
        assert (len(found["revision"]), found["running"]) == (64, None)

    def test_revision_changes_with_a_rule_and_not_with_a_comment(self, configured: Place, cli: Cli) -> None:
        def revision() -> str:
            return str(cli("policy", "show", "--json").json()["revision"])

        first = revision()
        write_pack(configured.directory, SOUND + "# a comment\n")
        assert revision() == first
        write_pack(configured.directory, SOUND.replace("level: 2", "level: 3"))
        assert revision() != first

    def test_sizes_are_those_of_the_schema_and_of_the_site(self, configured: Place, cli: Cli) -> None:
        text = "groups:\n  depot:\n    sizes: {DataTransfer: {bytes: 999}}\n"
        write_site(configured.directory, "apiVersion: ocpp-gateway/v1\nkind: PolicySite\n" + text)
        everyone, depot = (
            {(row["version"], row["action"], row["kind"]): row for row in cli(*words, "--json").json()["sizes"]}
            for words in (("policy", "show", "--sizes"), ("policy", "show", "--sizes", "--group", "depot"))
        )
        vendor = "1.6", "DataTransfer", "call"
        assert (everyone[vendor]["max_bytes"], everyone[vendor]["set_by_site"]) == (None, False)
        assert (depot[vendor]["max_bytes"], depot[vendor]["set_by_site"]) == (999, True)
        assert depot["1.6", "Heartbeat", "call"]["max_bytes"] == 16_386
        assert "gate sizes: enforce" in cli("policy", "show", "--sizes").out
        unknown = cli("policy", "show", "--sizes", "--group", "depto")
        assert (unknown.code, "Did you mean 'depot'?" in unknown.err) == (USAGE, True)

    def test_rules_in_trouble_are_told_by_it_and_by_status(self, configured: Place, cli: Cli) -> None:
        rules = {
            "mine/reset": {"evaluations": 50, "errors": 5, "degraded": True, "overflows": 0},
            "mine/odd": {"evaluations": 500, "errors": 5, "degraded": False, "overflows": 0},
            "mine/many": {"evaluations": 500, "errors": 0, "degraded": False, "overflows": 7},
        }
        health = {"age_s": 7_300.0, "max_age_s": 3_600.0, "stale": True, "degraded": ["mine/reset"], "rules": rules}
        with answering(configured.state, status(policy=health)):
            for command in (("policy", "show"), ("status",)):
                out = cli(*command).out
                assert "rule mine/reset IS DEGRADED: no value in 5 of 50 evaluations" in out
                assert "rule mine/many: 7 times more keys than it may have" in out
                assert "THE POLICY IS TOO OLD: read 2.0 h ago, allowed are 1.0 h" in out
                assert "mine/odd" not in out
            assert cli("policy", "show", "--json").json()["running"]["health"] == health

    def test_running_gateway_agrees_or_not(self, configured: Place, cli: Cli) -> None:
        revision = cli("policy", "show", "--json").json()["revision"]
        with answering(configured.state, status(policy_revision=revision)):
            assert cli("policy", "show", "--json").json()["running"] == {"revision": revision, "agrees": True}
            assert "the same revision is in force" in cli("policy", "show").out
        (configured.state / "run" / "admin.sock").unlink()
        with answering(configured.state, status(policy_revision="0" * 64)):
            assert cli("policy", "show", "--json").json()["running"]["agrees"] is False
            assert "ANOTHER REVISION IS IN FORCE: 000" in cli("policy", "show").out

    @pytest.mark.usefixtures("configured")
    def test_one_rule(self, cli: Cli) -> None:
        out = cli("policy", "show", "--rule", "mine/reset").out
        for words in ("No hard reset", "payload.type in params.kinds", "parameter kinds = Soft", "mine.yaml:10:5"):
            assert words in out
        found = cli("policy", "show", "--rule", "mine/reset", "--json").json()
        assert (found["id"], found["effect"], found["match"]["actions"]) == ("mine/reset", "deny", ["Reset"])

    @pytest.mark.usefixtures("configured")
    def test_unknown_rule_is_told_with_the_nearest(self, cli: Cli) -> None:
        result = cli("policy", "show", "--rule", "mine/rest")
        assert (result.code, "Did you mean 'mine/reset'?" in result.err) == (NOT_OK, True)

    def test_policy_that_cannot_be_used_is_a_configuration_that_cannot(self, configured: Place, cli: Cli) -> None:
        write_pack(configured.directory, SOUND.replace("action: Reset", "action: Rset"))
        result = cli("policy", "show")
        assert (result.code, "P010" in result.err) == (USAGE, True)
        assert cli("policy", "show", "--json").json()["details"][0]["code"] == "P010"

    def test_no_packs_at_all(self, place: Place, cli: Cli) -> None:
        place.replace('#packs = ["baseline"]', "packs = []")
        assert cli("policy", "show", "--json").json()["packs"] == []
        assert cli("policy", "lint").code == OK
        assert cli("policy", "explain", "--frame", '[2,"1","Reset",{"type":"Hard"}]', "--json").json()["passes"] is True


class TestReloadUnreachable:
    @pytest.mark.usefixtures("place")
    def test_no_gateway(self, cli: Cli) -> None:
        assert cli("policy", "reload").code == UNREACHABLE
        assert "not running" in cli("policy", "reload", "--json").json()["error"]

    @pytest.mark.parametrize("content", ["", "x", "0", "1", "-1", str(2**40), "99999999999999999999999"])
    def test_process_that_does_not_hold_the_lock_is_never_signalled(self, content: str, place: Place, cli: Cli) -> None:
        with answering(place.state, status()):
            (place.state / "run" / "lock").write_text(content)
            result = cli("policy", "reload")
        assert (result.code, "is not to be found here" in result.err) == (UNREACHABLE, True)

    def test_number_of_a_living_stranger_is_not_enough(self, place: Place, cli: Cli) -> None:
        stranger = subprocess.Popen(["sleep", "60"])
        try:
            with answering(place.state, status()):
                (place.state / "run" / "lock").write_text(f"{stranger.pid}\n")
                assert cli("policy", "reload").code == UNREACHABLE
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    def test_holder_of_the_lock_is_signalled_and_waited_for(self, place: Place, cli: Cli) -> None:
        heard: list[int] = []
        before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
        try:
            with answering(place.state, status()):
                lock = place.state / "run" / "lock"
                lock.write_text(f"{os.getpid()}\n")
                with lock.open():
                    result = cli("policy", "reload", "--timeout", "0.3")
        finally:
            signal.signal(signal.SIGHUP, before)
        assert (heard, result.code, "No outcome within 0.3 s" in result.err) == ([signal.SIGHUP], NOT_OK, True)


def run(rig: Rig, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "policy", *words, "--config", str(rig.config_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.integration
async def test_running_gateway_is_reloaded_with_new_rules_and_keeps_the_good_ones(tmp_path: Path, cli: Cli) -> None:
    rig = Rig(tmp_path, csms_urls=["ws://127.0.0.1:1/ocpp"])
    write_pack(tmp_path)
    rig.config["policy"] = {"packs": ["mine.yaml"]}
    async with rig.gateway() as gateway:
        config = ("--config", rig.config_path)
        first = cli("policy", "show", *config, "--json").json()
        running = first["running"]
        assert (running["revision"], running["agrees"]) == (first["revision"], True)
        assert (running["health"]["stale"], running["health"]["degraded"]) == (False, [])
        write_pack(tmp_path, SOUND.replace("level: 2", "level: 3"))
        changed = cli("policy", "show", *config, "--json").json()
        assert (changed["running"]["agrees"], changed["running"]["revision"]) == (False, first["revision"])
        done = run(rig, "reload")
        assert (done.returncode, done.stderr) == (OK, "")
        assert (
            done.stdout
            == f"Reloaded. Policy revision: {first['revision'][:12]} before, {changed['revision'][:12]} now.\n"
        )
        assert in_force(gateway) == changed["revision"]

        write_pack(tmp_path, SOUND.replace("action: Reset", "action: Rset"))
        failed = run(rig, "reload")
        assert (failed.returncode, failed.stdout) == (NOT_OK, "")
        assert ("P010" in failed.stderr, "stays in force" in failed.stderr) == (True, True)
        assert in_force(gateway) == changed["revision"]

        write_pack(tmp_path, SOUND.replace("level: 2", "level: 3"))
        again = cli("policy", "reload", *config, "--json").json()
        assert (again["ok"], again["policy_revision"]) == (True, changed["revision"])
        assert again["policy_revision_before"] == changed["revision"]
        os.kill(gateway.pid, signal.SIGHUP)
        await until(lambda: len(reloads(gateway)) == 4, "whoever it was")
    asked = [("config.change", "socket"), ("policy.reload_failed", "socket"), ("config.change", "socket")]
    assert reloads(gateway) == [*asked, ("config.change", "signal")], "a signal bears no name"
    assert cli("policy", "reload", "--config", rig.config_path).code == UNREACHABLE


def reloads(gateway: GatewayProcess) -> list[tuple[str, str]]:
    kinds = {"config.change", "policy.reload_failed"}
    return [(each["event"], each["actor"]["known_by"]) for each in gateway.events() if each["event"] in kinds]


def in_force(gateway: GatewayProcess) -> str:
    return str(gateway.live_status()["policy_revision"])


@pytest.mark.integration
@pytest.mark.parametrize("words", [("lint", "logs"), ("explain", "--frame", '[2,"1","ClearCache",{}]')])
def test_closed_pipe_is_no_error_to_talk_about(words: tuple[str, ...], place: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "policy", *words],
        cwd=place.directory,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (READER_GONE, b"")


def test_cases_of_these_tests_are_of_their_pack() -> None:
    assert CASES.startswith("pack: mine")
