"""Text from peers on a terminal, and files that are written whole or not at all."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.files import write_text
from gateway.cli.output import Failure, shown
from gateway.store.registry import Registry
from tests.cli.conftest import Place, everything
from tests.support.records import make_record


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("CP-1", "CP-1"),
        ("Übersee \u20ac", "Übersee \u20ac"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\r\nb", r"a\r\nb"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2028b", r"a\u2028b"),
        ("a\x9bb", r"a\x9bb"),
        ("a\udcffb", r"a\udcffb"),
        ("[red]", "[red]"),
        (7, "7"),
    ],
)
def test_controls_are_escaped_and_the_rest_is_not(text: object, visible: str) -> None:
    assert shown(text) == visible


def test_table_on_a_terminal_shows_identities_literally(place: Place, registry: Registry) -> None:
    registry.add(make_record("[red]x[/red]:bomb:", serial_number="SN\x1b[31m"))
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "charge-point", "list"],
        cwd=place.directory, stdout=theirs, stderr=subprocess.PIPE, timeout=120, check=False,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(theirs)
    seen = everything(ours).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "[red]x[/red]:bomb:" in seen
    assert r"SN\x1b[31m" in seen
    assert "\x1b[31m" not in seen


class TestWriteText:
    def test_failure_leaves_the_old_file_and_no_other(self, tmp_path: Path) -> None:
        path = tmp_path / "x"
        path.write_text("old")
        with pytest.raises(UnicodeEncodeError):
            write_text(path, "new \udcff", mode=0o600, overwrite=True)
        assert path.read_text() == "old"
        assert [each.name for each in tmp_path.iterdir()] == ["x"]

    def test_umask_counts(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            write_text(tmp_path / "x", "", mode=0o644, overwrite=False)
        finally:
            os.umask(before)
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600

    def test_directory_is_made_only_when_wanted(self, tmp_path: Path) -> None:
        with pytest.raises(Failure):
            write_text(tmp_path / "a" / "x", "", mode=0o600, overwrite=False)
        write_text(tmp_path / "a" / "x", "y", mode=0o600, overwrite=False, make_directory=True)
        assert (tmp_path / "a" / "x").read_text() == "y"
