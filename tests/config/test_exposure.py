"""Secrets that everybody on the machine can read, and settings that everybody can change, are warned about."""

from pathlib import Path

import pytest

from gateway.config.load import load_config_with_warnings
from tests.config.conftest import GOOD, Site

DATABASE = 'database_url = "postgresql://gw:s3cret@db.example/gw"'
HEADER = 'headers = {"X-Api-Key" = "0123456789abcdef"}'


def warned(path: Path, mode: int) -> list[str]:
    path.chmod(mode)
    return [f"{problem.key}: {problem.message}" for problem in load_config_with_warnings(path)[1]]


def with_lines(gateway: str = "", csms: str = "") -> str:
    text = (
        GOOD.replace("[gateway]\n", f"[gateway]\n{gateway}\n")
        if "[gateway]" in GOOD
        else f"[gateway]\n{gateway}\n{GOOD}"
    )
    return text.replace("[[csms]]\n", f"[[csms]]\n{csms}\n")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (with_lines(gateway=DATABASE), "gateway.database_url"),
        (with_lines(csms=HEADER), "csms.headers"),
        (with_lines(csms='headers = {Cookie = "s=abc"}'), "csms.headers"),
    ],
)
def test_a_secret_in_a_file_that_everybody_can_read_is_warned_about(site: Site, text: str, key: str) -> None:
    path = site.write(text)
    found = [warning for warning in warned(path, 0o644) if "everybody can read" in warning]
    assert [warning.partition(":")[0] for warning in found] == [key]
    assert "s3cret" not in found[0] and "0123456789abcdef" not in found[0] and "abc" not in found[0]
    assert "chmod" in found[0]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (with_lines(gateway=DATABASE), 0o640),
        (with_lines(csms=HEADER), 0o600),
        (with_lines(gateway='database_url = "postgresql://gw@db.example/gw"'), 0o644),
        (with_lines(csms='headers = {"X-Key-Name" = "a", "X-Auth-Token" = "{id}"}'), 0o644),
        (GOOD, 0o644),
    ],
    ids=["the group", "the owner", "no password", "no secret", "nothing"],
)
def test_what_is_no_secret_or_no_strangers_business_is_not(site: Site, text: str, mode: int) -> None:
    assert not [warning for warning in warned(site.write(text), mode) if "everybody" in warning]


def test_settings_and_rules_that_everybody_can_change_are_warned_about(site: Site) -> None:
    rules = site.write(GOOD).parent / "site.yaml"
    rules.write_text("apiVersion: ocpp-gateway/v1\nkind: PolicySite\n")
    path = site.write(GOOD + f'\n[policy]\nsite = "{rules}"\n')
    assert not [warning for warning in warned(path, 0o664) if "everybody" in warning]
    rules.chmod(0o666)
    assert [warning.partition(":")[0] for warning in warned(path, 0o646) if "can change" in warning] == [
        "gateway", "policy.site",
    ]  # fmt: skip
