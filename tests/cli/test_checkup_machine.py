"""`doctor` on the machine: state directory, space, descriptors, clock, cores."""

import os
import resource
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from gateway.cli.checkup import machine
from gateway.cli.checkup.check import Check
from gateway.config.load import load_unchecked
from gateway.config.model import Config
from tests.cli.conftest import Place


@pytest.fixture
def config(place: Place) -> Config:
    place.state.mkdir(mode=0o700)
    return load_unchecked(place.config)


def changed(config: Config, **fields: Any) -> Config:
    return msgspec.structs.replace(config, **fields)


def levels(found: Iterable[Check]) -> dict[str, str]:
    return {each.check: each.level for each in found}


class TestStateDirectory:
    def test_of_our_own(self, config: Config) -> None:
        assert levels(machine.check_state_directory(config))["state-directory"] == "ok"

    @pytest.mark.parametrize(
        ("mode", "level"), [(0o700, "ok"), (0o710, "warning"), (0o701, "warning"), (0o777, "warning")]
    )
    def test_open_to_others(self, mode: int, level: str, config: Config, place: Place) -> None:
        place.state.chmod(mode)
        assert levels(machine.check_state_directory(config))["state-directory"] == level

    def test_that_is_not_there_yet(self, config: Config, place: Place) -> None:
        place.state.rmdir()
        assert levels(machine.check_state_directory(config)) == {"state-directory": "warning"}

    def test_that_is_a_file(self, config: Config, place: Place) -> None:
        place.state.rmdir()
        place.state.write_text("")
        assert levels(machine.check_state_directory(config)) == {"state-directory": "error"}

    def test_below_a_file(self, config: Config, place: Place) -> None:
        assert levels(machine.check_state_directory(changed(config, state_dir=str(place.config / "state")))) == {
            "state-directory": "error"
        }

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_that_cannot_be_written(self, config: Config, place: Place) -> None:
        place.state.chmod(0o500)
        assert levels(machine.check_state_directory(config))["state-directory"] == "error"

    @pytest.mark.parametrize(("chars", "level"), [(107, ["ok"]), (108, ["error", "ok"])])
    def test_path_longer_than_a_socket_address(
        self, chars: int, level: list[str], config: Config, tmp_path: Path
    ) -> None:
        length = chars - len("/run/control.sock")
        path = Path(str(tmp_path) + "/" + "x" * (length - len(str(tmp_path)) - 1))
        path.mkdir(mode=0o700)
        found = [
            x.level
            for x in machine.check_state_directory(changed(config, state_dir=str(path)))
            if x.check == "state-directory"
        ]
        assert found == level


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("mib", "level"), [(99, "error"), (100, "warning"), (1_023, "warning"), (1_024, "ok")])
def test_free_space(mib: int, level: str, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(0, 0, mib * 1024 * 1024))
    assert levels(machine.check_state_directory(config))["free-space"] == level


class TestDescriptors:
    """One worker: 2 a session and 100 of its own, and max_handshakes in a storm."""

    @pytest.mark.parametrize(
        ("storm", "more", "level"), [(True, 0, "ok"), (True, 1, "warning"), (False, 0, "warning"), (False, 1, "error")]
    )
    def test_limit_of_this_shell(self, storm: bool, more: int, level: str, config: Config) -> None:
        few = msgspec.structs.replace(config.limits, max_handshakes=100)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        hard = hard if hard != resource.RLIM_INFINITY else 2**31
        registered = (hard - 100 - (100 if storm else 0)) // 2 + more
        (check,) = machine.check_descriptors(changed(config, limits=few), registered, [])
        assert (check.level, "this shell's" in check.message) == (level, True)
        assert ("LimitNOFILE=" in check.remedy) == (level != "ok")

    def test_limit_of_a_running_worker_counts_instead(self, config: Config) -> None:
        (check,) = machine.check_descriptors(config, 1, [os.getpid()])
        assert "an edge worker's" in check.message

    def test_worker_that_is_gone_is_not_asked(self, config: Config) -> None:
        (check,) = machine.check_descriptors(config, 1, [2**22 + 1])
        assert "this shell's" in check.message

    def test_workers_share_but_not_evenly(self, config: Config) -> None:
        alone, two = (
            next(iter(machine.check_descriptors(changed(config, edge_workers=n), 1_000, []))).message for n in (1, 2)
        )
        assert ["may need 2100 " in alone, "may need 1600 " in two] == [True, True]


class TestClock:
    def test_as_it_is(self, place: Place) -> None:
        assert levels(machine.check_clock(str(place.config)))["clock"] == "ok"

    @pytest.mark.parametrize(("ahead_s", "level"), [(50, "ok"), (120, "error")])
    def test_configuration_from_the_future(self, ahead_s: int, level: str, place: Place) -> None:
        os.utime(place.config, (0, time.time() + ahead_s))
        assert levels(machine.check_clock(str(place.config)))["clock"] == level

    def test_year_before_this_program(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
        (check, *_) = machine.check_clock(str(place.config))
        assert (check.level, "2001" in check.message) == ("error", True)

    @pytest.mark.parametrize(
        ("script", "level"),
        [("echo yes", "ok"), ("echo no", "warning"), ("exit 1", None), ("printf '\\377'", None), (None, None)],
    )
    def test_what_timedatectl_says(
        self, script: str | None, level: str | None, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if script is not None:
            program = place.directory / "timedatectl"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o700)
        monkeypatch.setenv("PATH", str(place.directory))
        assert levels(machine.check_clock(str(place.config))).get("clock-synchronised") == level


@pytest.mark.parametrize(("more", "level"), [(0, "ok"), (1, "warning")])
def test_workers_and_cores(more: int, level: str, config: Config) -> None:
    cores = len(os.sched_getaffinity(0))
    assert levels(machine.check_workers(changed(config, edge_workers=cores + more))) == {"edge-workers": level}
