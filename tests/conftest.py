"""For all tests: hypothesis settings, and the report of covered requirements (`make requirements`)."""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import hypothesis
import pytest

# A background job of a shell ignores SIGINT, and its children inherit that: those started by tests must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Hundreds of gateways are started here. Where the environment forbids to keep bytecode, each would compile all of it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
hypothesis.settings.register_profile("default", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _ids(item: pytest.Item) -> Iterable[str]:
    for marker in item.iter_markers("requirement"):
        yield from marker.args


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With OCPP_REQUIREMENTS_REPORT=FILE: which tests cover which requirement, one line each."""
    target = os.environ.get("OCPP_REQUIREMENTS_REPORT")
    if target:
        lines = sorted({f"{requirement}\t{item.nodeid}" for item in items for requirement in _ids(item)})
        Path(target).write_text("\n".join(lines) + "\n")
