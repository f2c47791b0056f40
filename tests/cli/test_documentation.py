"""docs/command-line.md names every command and exit code; nowhere in docs or in what is told to people is there an option too many."""

import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.cli import exit_codes
from gateway.cli.charge_points import charge_point
from tests.cli.test_main import ALL, NEEDS_CONFIG

TEXT = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
GUIDE = (Path(__file__).parents[2] / "docs" / "upgrading-a-fleet.md").read_text()
EXAMPLES = re.findall(r"(?m)^ocpp-gateway (.+)$", TEXT + GUIDE)
ROOT = Path(__file__).parents[2]
OPTIONS = {
    " ".join(path): {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    for path, command in ALL
}
COMMAND = re.compile(
    rf"(?<![\w-])({'|'.join(sorted(map(re.escape, OPTIONS), key=len, reverse=True))})((?: (?:[A-Z][A-Z-]*\d*|''|--[a-z][a-z0-9-]+))+)"
)
"""A command with what follows it, as in: charge-point set ID --group G."""


def test_every_exit_code_is_explained() -> None:
    table = TEXT.partition("## Exit codes")[2].partition("\n## ")[0]
    assert set(map(int, re.findall(r"(?m)^\| (\d+) \|", table))) == {getattr(exit_codes, n) for n in exit_codes.__all__}


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_every_command_has_a_section(path: tuple[str, ...]) -> None:
    headings = [word for line in re.findall(r"(?m)^##+ (.+)$", TEXT) for word in line.split(", ")]
    assert path[-1] in headings


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_has_only_options_that_exist(example: str) -> None:
    words = shlex.split(example)
    (command,) = [command for path, command in ALL if list(path) == words[: len(path)]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def unknown_options(text: str) -> list[str]:
    found = [(each[1], option) for each in COMMAND.finditer(text) for option in re.findall(r"--[a-z0-9-]+", each[2])]
    return [f"{command} {option}" for command, option in found if option not in OPTIONS[command]]


def test_what_people_are_told_to_do_has_only_options_that_exist() -> None:
    files = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "gateway").rglob("*.py")]
    assert [(file.name, wrong) for file in files for wrong in unknown_options(file.read_text())] == []
    assert unknown_options("run `charge-point set ID --no-such-option none`") == ["charge-point set --no-such-option"]
    assert unknown_options("run `charge-point set ID --pending-security-profile ''`, --no-option-of-it") == []


def test_every_option_of_set_is_mentioned() -> None:
    command = charge_point.get_command(click.Context(charge_point), "set")
    assert command is not None
    add = charge_point.get_command(click.Context(charge_point), "add")
    assert add is not None
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    shared = {option for parameter in add.params for option in parameter.opts}
    section = TEXT.partition("### set")[2].partition("\n### ")[0]
    assert [
        option
        for option in sorted(own - shared)
        if option.startswith("--") and f"`{option}" not in section and option != "--reason"
    ] == []


def test_there_are_examples_and_commands_to_check() -> None:
    assert len(EXAMPLES) > 12
    assert len(NEEDS_CONFIG) > 12
