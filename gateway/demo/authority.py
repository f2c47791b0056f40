"""The demo's own CA: made by the same ceremonies as a real one, with the operator who approves first certificates."""

import asyncio
import datetime
import secrets
from pathlib import Path
from typing import Final

from gateway.demo.cast import OPERATOR
from pki.ceremony.perform import perform
from pki.ceremony.plan import parse_ceremony
from pki.opened import issuance_in_turn

__all__ = ["Operator", "make_authority"]

_PATIENCE_S: Final = 15.0
_KEY_BYTES: Final = 32
_ROOT: Final = """mode = "root"
purpose = "Root of the demo, DEV ONLY"
witnesses = ["the demo"]
name = "demo-ca-root"
subject = {{ common_name = "DEV ONLY Demo CA Root", organization = "{operator}" }}

[key]
generate = "ec-p256"
at = {{ file = "root.key", secret_file = "root.secret" }}
"""
_ISSUING: Final = """mode = "issuing-ca"
use = "charge-points"
purpose = "Issuing CA of the demo, DEV ONLY"
witnesses = ["the demo"]
name = "charge-points"
directory = "ca/signer"
subject = {{ common_name = "DEV ONLY Demo CA Charge Points", organization = "{operator}" }}
limits = {{ organizations = ["{operator}"] }}

[root]
certificate = "demo-ca-root.pem"
key = {{ file = "root.key", secret_file = "root.secret" }}

[key]
generate = "ec-p256"
at = {{ file = "ca/signer/charge-points.key", secret_file = "ca/signer/secret" }}
"""


def make_authority(work: Path) -> tuple[Path, Path]:
    """Make a root and an issuing CA in `work`: the CA's directory, and the file with the root."""
    (work / "ca" / "signer").mkdir(mode=0o700, parents=True)
    for secret in ("root.secret", "ca/signer/secret"):
        (work / secret).touch(0o600)
        (work / secret).write_text(secrets.token_urlsafe(_KEY_BYTES) + "\n")
    for plan in (_ROOT, _ISSUING):
        text = plan.format(operator=OPERATOR)
        perform(parse_ceremony(text), text, work, _now())
    return work / "ca", work / "demo-ca-root.pem"


class Operator:
    """Approves first certificates, all in one go: opening the CA takes its time. `expected`: how many there will be."""

    def __init__(self, ca: Path, expected: int) -> None:
        self._ca = ca
        self._expected = expected
        self._held: set[str] = set()
        self._begun = False

    async def approve(self, request: str) -> None:
        """What an operator does with `pki approve` when it has been seen on site. Raises PKIError, OSError."""
        self._held.add(request)
        if len(self._held) == self._expected and not self._begun:
            self._begun = True
            await asyncio.to_thread(self._approve)

    def _approve(self) -> None:
        with issuance_in_turn(self._ca, _now, lambda: secrets.token_hex(6), _PATIENCE_S) as issuance:
            for request in sorted(self._held):
                issuance.decide(request, approved=True, by="demo", note="seen on site", now=_now())
                issuance.issue(request, _now())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
