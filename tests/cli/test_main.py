"""The entry point: what an operator types never ends in a traceback, and --json is always one document."""

import errno
import json
import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli import main as main_function
from gateway.cli.charge_points import charge_point
from gateway.cli.exit_codes import INTERNAL, INTERRUPTED, NOT_OK, OK, READER_GONE, USAGE
from gateway.cli.lazy import LazyGroup
from gateway.cli.main import _Commands
from gateway.identity.refusal import Reason
from tests.cli.conftest import Cli, Place

ROOT = LazyGroup(name="ocpp-gateway")
ROOT.modules = _Commands.modules  # type: ignore[misc]


def commands(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = (*prefix, name)
        found += commands(command, path) if isinstance(command, click.Group) else [(path, command)]
    return found


ALL = commands(ROOT)
OF_NO_GATEWAY = {"init", "demo", "firmware", "pki", "simulate"}
WITHOUT_CONFIG = {
    ("audit", "witness"),
    ("policy", "lint"),
    ("policy", "test"),
    ("policy", "explain"),
    ("policy", "replay"),
}
NEEDS_CONFIG = [path for path, _ in ALL if path[0] not in OF_NO_GATEWAY and path not in WITHOUT_CONFIG]
ARGUMENTS = {
    "add": ("X", "--security-profile", "2"),
    "show": ("X",),
    "set": ("X", "--group", "g"),
    "enable": ("X",),
    "disable": ("X",),
    "remove": ("X", "--yes"),
    "call": ("X", "Heartbeat"),
    "certificate": ("X",),
    "password": ("X",),
    "upgrade": ("X",),
    "import": ("-",),
    "revoke-certificate": ("--sha256", "00" * 32, "--reason", "lost"),
    "why": ("X",),
    "prove": ("1", "-o", "kit.zip"),
    "new-history": ("0001", "--reason", "because"),
    "plan": ("X", "--kind", "certificate", "--all"),
    **dict.fromkeys(("approve", "start", "pause", "resume", "abort", "watch", "report"), ("X",)),
}
OF_A_GROUP: dict[tuple[str, ...], tuple[str, ...]] = {
    ("report",): ("nevi",),
    ("audit", "subject"): ("X", "--reason", "because"),
    ("audit", "shred"): ("--identity", "X", "--reason", "because"),
    ("audit", "prune"): ("--reason", "because"),
    ("audit", "rotate"): ("--reason", "because"),
    ("audit", "hold", "add"): ("X", "--since", "2026-01-01", "--reason", "because"),
    ("audit", "hold", "lift"): ("X", "--reason", "because"),
    ("policy", "sign"): ("--key", "k.pem", "--name", "n"),
    ("campaign", "remove"): ("X",),
    ("campaign", "switch"): ("X",),
    ("capability", "show"): ("X", "Y"),
    ("capability", "export"): ("x.json",),
    ("charge-point", "roots", "list"): ("X",),
    ("charge-point", "roots", "install"): ("X", "-"),
    ("charge-point", "roots", "delete"): ("X", "Y"),
    **dict.fromkeys((("rollover", "plan"), ("rollover", "start")), ("--group", "g", "--old", "-", "--new", "-")),
    ("rollover", "stop"): ("1",),
}
"""What a command needs whose name another group has, too."""


def run(*words: str, **kwargs: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "gateway", *words], timeout=120, check=False, **kwargs
    )


@pytest.mark.parametrize("command", [pytest.param(command, id=" ".join(path)) for path, command in ALL])
def test_every_command_has_json_and_explains_its_options(command: click.Command) -> None:
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
    assert command.help
    assert all(getattr(parameter, "help", "") for parameter in command.params if isinstance(parameter, click.Option))


NUMBERS = [
    pytest.param(each.type, id=" ".join((*path, each.opts[0])))
    for path, command in ALL
    for each in command.params
    if isinstance(each.type, click.FloatRange | click.types.FloatParamType)
]


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_in_no_range(kind: click.ParamType[float], text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


@pytest.mark.parametrize("kind", NUMBERS)
def test_one_is_a_number(kind: click.ParamType[float]) -> None:
    assert kind.convert("1", None, None) == 1.0


@pytest.mark.parametrize(
    ("group", "least"), [((), 9), (("charge-point",), 9), (("policy",), 6), (("pki",), 10), (("audit",), 9)]
)
def test_list_of_commands_fits_a_line_each(group: tuple[str, ...], least: int, cli: Cli) -> None:
    listed = cli(*group, "--help").out.partition("Commands:")[2]
    assert len(listed.splitlines()) > least
    assert "..." not in listed


@pytest.mark.parametrize("path", NEEDS_CONFIG, ids=" ".join)
def test_missing_configuration_is_a_sentence_and_as_json_one_document(
    path: tuple[str, ...], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPP_GATEWAY_CONFIG", raising=False)
    words = (*path, *OF_A_GROUP.get(path, () if path[0] == "policy" else ARGUMENTS.get(path[-1], ())))
    if Path("/etc/ocpp-gateway/gateway.toml").exists():
        pytest.skip("this machine has a gateway")
    result = cli(*words)
    assert (result.code, result.out) == (USAGE, "")
    assert "ocpp-gateway init" in result.err
    assert "ocpp-gateway init" in cli(*words, "--json").json()["error"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"[gateway\n", "not valid TOML"),
        (b"[gateway]\nstate_dri = 'x'\n", "state_dir"),
        (b"[gateway]\nstate_dir = 'a\\u0000'\n".replace(b"'", b'"'), "NUL"),
        (b"a = " + b"[" * 5_000, "nested too deep"),
        (b"a = " + b"1" * 5_000, "too long"),
    ],
    ids=["not-utf-8", "not-toml", "unknown-key", "nul", "deep", "long-number"],
)
@pytest.mark.parametrize("command", ["check-config", "run", "status", "doctor", "charge-point list", "policy show"])
def test_unusable_configuration_is_told(content: bytes, words: str, command: str, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    result = cli(*command.split(), "--config", path)
    assert result.code == (NOT_OK if command == "doctor" else USAGE)
    assert words in result.err + result.out
    assert words in json.dumps(cli(*command.split(), "--config", path, "--json").json())


@pytest.mark.parametrize("path", ["/nonexistent/gateway.toml", "/"])
def test_configuration_that_is_no_file_is_told(path: str, cli: Cli) -> None:
    result = cli("charge-point", "list", "--config", path)
    assert result.code == USAGE
    assert "cannot be read" in result.err


class TestUsage:
    def test_unknown_command_is_told_with_the_nearest(self, cli: Cli) -> None:
        result = cli("charge-pont", "list")
        assert result.code == USAGE
        assert "Did you mean 'charge-point'" in result.err
        assert "Did you mean 'disable'" in cli("charge-point", "disabel", "X").err

    def test_unlike_any_command_suggests_nothing(self, cli: Cli) -> None:
        assert "Did you mean" not in cli("zzz").err

    def test_usage_error_with_json_is_one_document(self, cli: Cli) -> None:
        result = cli("why", "--json")
        assert result.code == USAGE
        found = result.json()
        assert "Missing argument" in found["error"]
        assert found["usage"].startswith("Usage: ocpp-gateway why")

    def test_without_a_command_help_is_shown(self, cli: Cli) -> None:
        result = cli()
        assert result.code == USAGE
        assert "charge-point" in result.err

    def test_help_and_version_are_ok(self, cli: Cli) -> None:
        assert cli("--help").code == OK
        assert cli("-h").out == cli("--help").out
        assert cli("version").out.strip() in cli("--version").out
        assert cli("version", "--json").json()["version"] == cli("version").out.strip()

    def test_argument_that_is_not_utf_8_is_told(self, cli: Cli) -> None:
        assert cli("why", "\udcff").code == USAGE
        assert "UTF-8" in cli("why", "\udcff", "--json").json()["error"]


class TestDefect:
    """A value of another type than any caller passes stands for a defect of ours."""

    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        monkeypatch.setitem(_Commands.modules, "status", ("gateway.cli.exit_codes", "OK"))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        return tmp_path

    def test_is_named_as_such_and_leaves_a_report(self, broken: Path, cli: Cli) -> None:
        result = cli("status")
        assert (result.code, result.out) == (INTERNAL, "")
        assert "Traceback" not in result.err
        (report,) = broken.glob("ocpp-gateway-*.txt")
        assert str(report) in result.err
        assert "Traceback" in report.read_text()

    def test_is_one_document_with_json(self, broken: Path, cli: Cli) -> None:
        found = cli("status", "--json").json()
        assert Path(found["report"]).parent == broken

    @pytest.mark.usefixtures("broken")
    def test_without_a_place_for_the_report_still_ends_well(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
        result = cli("status")
        assert result.code == INTERNAL
        assert "OCPP_GATEWAY_DEBUG" in result.err


class TestStreams:
    """As real processes: what is wrong with a stream cannot be seen from inside."""

    def test_reader_that_goes_away_is_no_error_to_talk_about(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = run("--help", stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        assert (done.returncode, done.stderr) == (READER_GONE, b"")

    @pytest.mark.parametrize("option", [[], ["--json"]])
    def test_full_disk_under_the_output_is_a_sentence(self, place: Place, option: list[str]) -> None:
        with Path("/dev/full").open("wb") as full:
            done = run("charge-point", "list", *option, cwd=place.directory, stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (NOT_OK, b"No space left on device\n")

    def test_closed_streams_do_no_harm(self, place: Place) -> None:
        command = f"exec {shlex.quote(sys.executable)} -m gateway charge-point import - <&- >&-"
        done = subprocess.run(
            command, shell=True, cwd=place.directory, stderr=subprocess.PIPE, timeout=120, check=False
        )
        assert done.returncode == NOT_OK
        assert b"Nothing was imported" in done.stderr
        assert b"Traceback" not in done.stderr

    def test_terminal_that_cannot_show_a_character_gets_an_escape(self, place: Place) -> None:
        done = run(
            "why", "Łódź", cwd=place.directory, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
        )
        assert done.returncode == NOT_OK
        assert b"\\u0141\xf3d\\u017a is not registered" in done.stdout

    def test_interrupt_ends_quietly(self, place: Place) -> None:
        watch = subprocess.Popen(
            [sys.executable, "-m", "gateway", "status", "--watch", "--json"],
            cwd=place.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert watch.stdout is not None
        assert "not running" in json.loads(watch.stdout.readline())["error"]
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate(timeout=120)
        assert (watch.returncode, err) == (INTERRUPTED, b"Interrupted.\n")


class TestDemo:
    def test_json_needs_an_end(self, cli: Cli) -> None:
        assert cli("demo", "--json").code == USAGE
        assert "--once" in cli("demo", "--json").json()["error"]

    def test_directory_that_cannot_be_used_is_told(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        result = cli("demo", "--once", "--json", "--directory", tmp_path / "file" / "x")
        assert result.code == NOT_OK
        assert "Not a directory" in result.json()["error"]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from gateway.cli import main; main(['--help']); main(['charge-point', '--help']); main(['policy', '--help']); "
        "main(['policy', 'explain', '--help']); "
        "print([x for x in ('sqlalchemy', 'cryptography', 'asyncio', 'rich', 'argon2', 'aiohttp', 'ruamel', 'jsonschema_rs') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("reason", [reason for reason in Reason if "ocpp-gateway" in reason.remedy])
def test_command_that_a_remedy_names_exists(reason: Reason) -> None:
    (quoted,) = re.findall(r"ocpp-gateway ([A-Za-z -]+)", reason.remedy)
    words = quoted.split()
    (command,) = [command for path, command in ALL if list(path) == words[: len(path)]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_main_is_the_installed_program() -> None:
    from importlib.metadata import entry_points

    (program,) = entry_points(group="console_scripts", name="ocpp-gateway")
    assert program.load() is main_function


def test_charge_point_group_is_lazy() -> None:
    assert isinstance(charge_point, LazyGroup)


def test_whose_a_file_is_that_we_may_not_read(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake: a command run as somebody else than the gateway's user."""
    journal = tmp_path / "ca" / "journal"
    journal.parent.mkdir()
    journal.touch(0o600)

    def refused(self: Path, *_args: object, **_options: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", refused)
    owner, uid = pwd.getpwuid(os.geteuid()).pw_name, os.geteuid()
    assert cli("pki", "list", "--ca", journal.parent).err.endswith("Permission denied\n")
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    told = cli("pki", "list", "--ca", journal.parent)
    assert (told.code, f"It belongs to {owner}: run the command as that user" in told.err) == (NOT_OK, True)
