"""`[[known_firmware]]`: a rule that says nothing, or that nobody can apply, is an error with its place."""

import pytest

from gateway.config.findings import Findings
from gateway.config.upgrades import check_known_firmware
from gateway.provisioning.known_firmware import FirmwareRule


def problems(*rules: FirmwareRule) -> list[str]:
    findings = Findings("gateway.toml", {})
    check_known_firmware(rules, findings)
    return [each.message for each in findings.errors]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((FirmwareRule(vendor="", minimum="1"),), "known_firmware.vendor: must not be empty"),
        ((FirmwareRule(vendor="A"),), "names no firmware"),
        ((FirmwareRule(vendor="A", minimum="newest"),), "is no version"),
        ((FirmwareRule(vendor="A", minimum="1"), FirmwareRule(vendor="a", good=("x",))), "is the second one for a"),
    ],
)
def test_what_is_wrong(rules: tuple[FirmwareRule, ...], words: str) -> None:
    (found,) = problems(*rules)
    assert words in found


def test_what_is_right() -> None:
    assert (
        problems(FirmwareRule(vendor="A", minimum="v1.2-b3"), FirmwareRule(vendor="A", model="M", good=("R2",))) == []
    )
