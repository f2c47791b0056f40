"""Where a recording may be written: into a file of its own, in a directory that exists."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import Site
from tests.config.test_checks import errors, warnings

SINK = '\n[[sink]]\nname = "copy"\nkind = "file"\ntarget = "{directory}/copy.jsonl"\n'


@pytest.fixture
def found(site: Site) -> Callable[[str], list[str]]:
    """What is wrong with [recording] if it is written to this file."""

    def check(path: str, *, enabled: str = "true") -> list[str]:
        (site.directory / "real").mkdir(exist_ok=True)
        text = SINK + f'\n[recording]\nenabled = {enabled}\npath = "{path}"\n'
        return errors(site.append(text.replace("{directory}", str(site.directory))))

    return check


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("state/security-events.jsonl", "is the file of the security events"),
        ("state/../state/security-events.jsonl", "is the file of the security events"),
        ("state/recording.key", "is the file of its own key"),
        ("state/registry.sqlite", "is the file of the registry"),
        ("state/audit/x", "audit belongs to the audit log"),
        ("gateway.toml", "is the file of the configuration"),
        ("copy.jsonl", "is the file of the sink copy"),
    ],
)
def test_places_that_are_none(site: Site, found: Callable[[str], list[str]], path: str, why: str) -> None:
    (site.directory / "state" / "audit").mkdir(parents=True)
    (problem,) = found(path.replace("state/", _state(site), 1))
    assert why in problem


def test_the_one_before_is_kept_beside_it(site: Site, found: Callable[[str], list[str]]) -> None:
    Path(_state(site)).mkdir(parents=True, exist_ok=True)
    assert found("copy.json") == []
    (site.directory / "x").symlink_to(site.directory / "copy.jsonl")
    assert len(found("x")) == 1


@pytest.mark.parametrize("path", ["rec.jsonl", "real/rec.jsonl", "security-events.jsonl.2"])
def test_places_that_are(found: Callable[[str], list[str]], path: str) -> None:
    assert found(path) == []


@pytest.mark.parametrize(
    ("path", "why"),
    [("/nonexistent/dir/rec.jsonl", "/nonexistent/dir is no directory"), ("real", "real is a directory"), ("x", "")],
)
def test_a_place_that_is_not_there_is_a_warning(
    site: Site, found: Callable[[str], list[str]], path: str, why: str
) -> None:
    assert found(path) == []
    assert [why in warning for warning in warnings(site.file)] == [True] * bool(why)


def test_switched_off_it_may_name_what_is_not_there_yet(site: Site, found: Callable[..., list[str]]) -> None:
    assert found("/nonexistent/dir/rec.jsonl", enabled="false") == []
    assert warnings(site.file) == []


def _state(site: Site) -> str:
    return f"{site.directory}/state/"
