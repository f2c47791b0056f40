"""One gateway per state directory."""

import os
import stat
from pathlib import Path

import pytest

from gateway.app.state_dir import claim_state_dir


def test_directories_are_made_for_us_alone(tmp_path: Path) -> None:
    descriptor = claim_state_dir(tmp_path / "state")
    for directory in (tmp_path / "state", tmp_path / "state" / "run"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_second_gateway_is_told_who_holds_it_and_may_have_it_once_the_first_is_gone(tmp_path: Path) -> None:
    first = claim_state_dir(tmp_path)
    with pytest.raises(OSError, match=f"another gateway \\(process {os.getpid()}\\) is running with the state dir"):
        claim_state_dir(tmp_path)
    other = claim_state_dir(tmp_path / "other")
    os.close(first)
    again = claim_state_dir(tmp_path)
    os.close(again)
    os.close(other)


def test_a_lock_file_that_a_dead_gateway_left_does_not_lock(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").write_text("999999999\n")
    os.close(claim_state_dir(tmp_path))
    assert (tmp_path / "run" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_state_directory_that_is_a_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(OSError) as caught:
        claim_state_dir(tmp_path / "state")
    assert str(tmp_path / "state") in str(caught.value)
