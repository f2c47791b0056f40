"""Which firmware is good enough: numbers compared as numbers, and what cannot be compared is not good."""

import pytest

from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import obstacles
from gateway.provisioning.known_firmware import FirmwareRule, firmware_obstacle, is_at_least

RULES = (
    FirmwareRule(vendor="ACME", minimum="2.0"),
    FirmwareRule(vendor="ACME", model="Wallbox", minimum="1.4.0", good=("R2B7",)),
    FirmwareRule(vendor="Letters", good=("LTS-9",)),
)


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("1.4.0", "1.4.0", True),
        ("1.10.0", "1.9.9", True),
        ("1.3.99", "1.4.0", False),
        ("1.4", "1.4.0", True),
        ("1.4.0", "1.4", True),
        ("v2.0", "1.4", True),
        ("1.5-rc1", "1.4.0", True),
        ("1.4.0-rc1", "1.4.0", None),
        ("1.4.0+b7", "1.4.0+B7", True),
        ("1.3.0-final", "1.4.0", False),
        ("R2B7", "1.4.0", None),
        ("", "1.4.0", None),
        ("1.4.0", "newest", None),
        ("99999999999999999999", "1", None),
        ("1.2.3.4.5.6.7.8.9", "1", None),
    ],
)
def test_versions(version: str, minimum: str, expected: bool | None) -> None:
    assert is_at_least(version, minimum) is expected


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Stratum("ACME", "Wallbox", "1.4.0"), ""),
        (Stratum("acme", "WALLBOX", "1.4.1"), ""),
        (Stratum("ACME", "Wallbox", "R2B7"), ""),
        (Stratum("ACME", "Wallbox", "1.3.9"), "is below 1.4.0"),
        (Stratum("ACME", "Wallbox", "r2b7"), "cannot be compared with 1.4.0"),
        (Stratum("ACME", "Wallbox", ""), "has not said which firmware"),
        (Stratum("ACME", "Pole", "1.9"), "is below 2.0"),
        (Stratum("ACME", "Pole", "2.0.1"), ""),
        (Stratum("Letters", "L", "LTS-9"), ""),
        (Stratum("Letters", "L", "LTS-8"), "not among those"),
        (Stratum("Other", "Wallbox", "0.1"), ""),
    ],
)
def test_the_rule_of_the_model_counts_before_that_of_its_vendor(kind: Stratum, words: str) -> None:
    found = firmware_obstacle(RULES, kind)
    assert words in found
    assert bool(words) is bool(found)


def test_it_stands_in_the_way_of_security_profiles_alone() -> None:
    old = Stratum("ACME", "Wallbox", "1.3.9")
    (why,) = obstacles("security-profile", {}, old, RULES)
    assert "below 1.4.0" in why
    assert obstacles("certificate", {}, old, RULES) == []
    assert obstacles("security-profile", {}, old) == []
