"""docs/pki.md: its walk-through is performed as it stands, and its lists are complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from pki.approval import HELD_RULES
from pki.ceremony.plan import parse_ceremony
from pki.keys import KEY_KINDS
from pki.signer.settings import load_issuers
from tests.pki.request_material import csr_pem

TEXT = (Path(__file__).parents[2] / "docs" / "pki.md").read_text()
FILES = dict(re.findall(r"(?s)`([a-z-]+\.toml)`:\n\n```toml\n(.*?)```", TEXT))


def test_the_walk_through_makes_a_ca_that_issues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(FILES) == ["root.toml", "charge-points.toml"]
    shell = re.search(r"(?s)```\n(umask 077\n.*?)```", TEXT)
    commands = re.search(r"(?s)```\n(ocpp-gateway pki ceremony root.toml --check\n.*?)```", TEXT)
    assert shell is not None
    assert commands is not None
    subprocess.run(["bash", "-euc", shell[1]], cwd=tmp_path, check=True)
    place = tmp_path / "ceremony"
    for name, content in FILES.items():
        (place / name).write_text(content)
    monkeypatch.chdir(place)
    for line in commands[1].splitlines():
        assert main(line.split()[1:]) == 0, line
    assert list(load_issuers(place / "ca" / "signer")) == ["charge-points"]
    (place / "charge-point.csr").write_text(csr_pem(common_name="SN-4711", organization="Example CPO"))
    day = re.search(r"(?m)^ocpp-gateway (pki issue .*) --organization \"Example CPO\" (--out .*)$", TEXT)
    assert day is not None
    assert main([*day[1].split(), "--organization", "Example CPO", *day[2].split(), "--ca", "ca"]) == 0
    assert (place / "SN-4711.pem").exists()
    capsys.readouterr()


def test_its_program_checks_a_journal(tmp_path: Path) -> None:
    from tests.pki.test_chained_file import write

    program = re.search(r"(?s)python3 - CA/journal <<'EOF'\n(.*?)\nEOF", TEXT)
    assert program is not None
    write(tmp_path / "journal", "a", "b")

    def run() -> int:
        command = [sys.executable, "-c", program[1], str(tmp_path / "journal")]
        return subprocess.run(command, capture_output=True, check=False, env=os.environ).returncode

    assert run() == 0
    data = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(data.replace(b'"b"', b'"c"'))
    assert run() != 0


def test_every_rule_kind_and_mode_is_named() -> None:
    assert [rule.value for rule in HELD_RULES if f"`{rule.value}`" not in TEXT] == []
    assert [kind for kind in KEY_KINDS if f"`{kind}`" not in TEXT] == []
    modes = re.findall(r"(?m)^\| `([a-z-]+)` \| (?:a|an|the|`)", TEXT)
    assert {"key", "root", "issuing-ca", "cross-certificates", "crl"} <= set(modes)
    for content in FILES.values():
        parse_ceremony(content)
