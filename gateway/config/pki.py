"""Checks of `[pki]`, and of who gives charge points their certificates."""

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Final

from gateway.config.findings import Findings
from gateway.config.model import Config
from gateway.config.positions import Path

__all__ = ["check_pki"]

_DAY_S: Final = 86_400
_SHORTEST_S: Final = 60
"""Shorter ones would end before whoever fetches them has got to use them."""
_LONGEST_DAYS: Final = {"crl_lifetime_s": 100, "ocsp_lifetime_s": 10}
"""The signer signs no list for longer; responses end well before their responder's certificate, which has 30 days."""


def check_pki(config: Config, findings: Findings, check_positive: Callable[[object, Path, Findings], None]) -> None:
    """Add every error and warning to `findings`."""
    pki = config.pki
    for name in ("key_patience_s", "retire_old_after_s"):
        check_positive(getattr(pki, name), ("pki", name), findings)
    for name, longest_days in _LONGEST_DAYS.items():
        lifetime_s = getattr(pki, name)
        if not _SHORTEST_S <= lifetime_s <= longest_days * _DAY_S:
            findings.error(("pki", name), f"must be between {_SHORTEST_S} s and {longest_days} days")
    if pki.ca and not (FilePath(pki.ca) / "signer").is_dir():
        findings.error(
            ("pki", "ca"), f"{pki.ca} is not the directory of a CA: make one with `ocpp-gateway pki ceremony`"
        )
    for index, csms in enumerate(config.csms):
        if csms.certificates == "gateway" and not pki.ca:
            findings.error(
                ("csms", index, "certificates"), 'certificates "gateway" needs the directory of a CA: ca in [pki]'
            )
        if not csms.unsafe_enrolment_without_tls:
            continue
        place = ("csms", index, "unsafe_enrolment_without_tls")
        if csms.certificates == "gateway":
            findings.warning(place, "anybody between a charge point and the gateway can ask for its certificate")
        else:
            findings.error(place, 'has no meaning without certificates = "gateway"')
