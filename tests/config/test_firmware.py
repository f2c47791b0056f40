"""`[firmware]`: limits that would be none, and hosts and schemes that nobody could mean, are errors with their place."""

import math
from typing import Any

import pytest

from gateway.config.checks import _check_positive
from gateway.config.findings import Findings
from gateway.config.firmware import Firmware, check_firmware


def problems(**changes: Any) -> list[str]:
    findings = Findings("gateway.toml", {})
    check_firmware(Firmware(**changes), findings, _check_positive)
    return [each.message for each in findings.errors]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("hold_s", 25.5, "firmware.hold_s: at most 25"),
        ("hold_s", 0.0, "firmware.hold_s: must be a number greater than 0"),
        ("fetch_timeout_s", 3_601.0, "at most 3600"),
        ("fetch_timeout_s", math.nan, "greater than 0"),
        ("max_image_bytes", 0, "greater than 0"),
        ("remember_s", -1.0, "from 0 to 86400"),
        ("remember_s", math.nan, "from 0 to 86400"),
        ("private_hosts", ("https://fw.lan",), "is not a network in CIDR"),
        ("private_hosts", ("FW.lan",), "neither a host name in lower case nor a network"),
        ("private_hosts", ("",), "neither a host name in lower case nor a network"),
        ("private_hosts", ("10.1.2.3/8",), "is not a network in CIDR"),
        ("unsafe_unchecked_schemes", ("http",), "'http' is not one of ftp, ftps, sftp"),
    ],
)
def test_what_is_wrong(key: str, value: object, words: str) -> None:
    (found,) = problems(**{key: value})
    assert words in found


def test_what_is_right() -> None:
    assert problems() == []
    hosts = ("fw.lan", "10.1.2.3", "10.0.0.0/8", "fd00::/8")
    schemes = ("ftp", "ftps", "sftp")
    assert problems(hold_s=25.0, remember_s=0.0, private_hosts=hosts, unsafe_unchecked_schemes=schemes) == []
