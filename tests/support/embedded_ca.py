"""A gateway's embedded CA, used by its own commands as an operator does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.pki.request_material import csr_pem
from tests.support.enrolling import OPERATOR, with_ca
from tests.support.hierarchy import Chained
from tests.support.rig import Rig
from tests.support.tls_material import Issued

__all__ = ["EmbeddedCA"]


class EmbeddedCA:
    """In ``ca`` of the rig's directory; the rig's listeners believe it."""

    def __init__(self, rig: Rig, publication: str = "") -> None:
        """`publication`: lines of that table in the issuing CA's settings."""
        self.rig = rig
        self.hierarchy = with_ca(rig, publication)
        self.directory: Path = rig.work / "ca"
        self._number = 0

    def command(self, *words: object, code: int = 0) -> Any:
        """The JSON of ``pki WORDS``, which must end with `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "pki", *map(str, words), "--json", "--ca", str(self.directory)],
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def issue(self, serial_number: str) -> Chained:
        """A charge point's certificate with its issuing CA behind it."""
        self._number += 1
        key = ec.generate_private_key(ec.SECP256R1())
        csr = self.rig.work / f"{self._number}.csr"
        csr.write_text(csr_pem(key, common_name=serial_number))
        made = self.command("issue", csr, "--common-name", serial_number, "--organization", OPERATOR)
        leaf, *above = x509.load_pem_x509_certificates(made["chain"].encode())
        return Chained(Issued(leaf, key), *(Issued(each, key) for each in above))

    def revoke(self, shown: Issued, reason: str = "keyCompromise") -> Any:
        """``pki revoke``."""
        return self.command("revoke", f"{shown.certificate.serial_number:x}", "--reason", reason, "--note", "stolen")
