"""For all tests: hypothesis settings, where files go, and the report of covered requirements (`make requirements`)."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import hypothesis
import pytest

from tests.support.ast_parsing import make_parsing_safe

make_parsing_safe()
# A background job of a shell ignores SIGINT, and its children inherit that: those started by tests must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Hundreds of gateways are started here. Where the environment forbids to keep bytecode, each would compile all of it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
_MEMORY = "/dev/shm"
_MEMORY_BYTES = 4 << 30


def _keep_files_in_memory() -> None:
    """A disk that thousands of durable steps wait for is the slowest part of a machine.

    That a killed process has written something shows in memory as well; power cuts are simulated anyway. TMPDIR overrides.
    """
    if "TMPDIR" in os.environ:
        return
    with contextlib.suppress(OSError):
        can_execute = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
        if can_execute and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES:
            os.environ["TMPDIR"], tempfile.tempdir = _MEMORY, None


_keep_files_in_memory()
hypothesis.settings.register_profile("default", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _ids(item: pytest.Item) -> Iterable[str]:
    for marker in item.iter_markers("requirement"):
        yield from marker.args


_LONGEST_FIRST = tuple(
    Path(__file__).with_name(directory) / f"test_{name}.py"
    for directory, name in (
        ("integration", "campaign"),
        ("integration", "passwords"),
        ("attacks", "cases"),
        ("integration", "enrolment_crash"),
        ("integration", "passwords_crash"),
        ("integration", "enrolment"),
        ("demo", "demo"),
        ("integration", "upgrade"),
        ("integration", "upgrade_crash"),
        ("integration", "roots"),
        ("integration", "credentials_recorded_first"),
        ("edge", "pkits"),
        ("pki", "crash"),
    )
)
"""Files that no worker may be left alone with at the end."""


def _turn(path: Path, integration: set[Path]) -> tuple[int, bool]:
    place = _LONGEST_FIRST.index(path) if path in _LONGEST_FIRST else len(_LONGEST_FIRST)
    return place, path not in integration


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then those that wait for processes, then what only computes.

    With OCPP_REQUIREMENTS_REPORT=FILE: which tests cover which requirement, one line each.
    """
    integration = {item.path for item in items if item.get_closest_marker("integration") is not None}
    items.sort(key=lambda item: _turn(item.path, integration))
    target = os.environ.get("OCPP_REQUIREMENTS_REPORT")
    if target:
        lines = sorted({f"{requirement}\t{item.nodeid}" for item in items for requirement in _ids(item)})
        Path(target).write_text("\n".join(lines) + "\n")
