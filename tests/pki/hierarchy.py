"""A root with the two issuing CAs that a ceremony makes, in memory, and judges of what they sign."""

import datetime
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki.names import Subject
from pki.profiles import CHARGE_POINT_ISSUING_CA, CSMS_ISSUING_CA, ROOT_CA, CertificateProfile
from pki.template import Constraints, Contents, certificate_builder

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


class Hierarchy:
    """CPO's root; an issuing CA for charge points, and one for servers in example.com."""

    def __init__(self) -> None:
        self.keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "issuing", "server")}
        self.root = self._ca(ROOT_CA, "Root", "root")
        self.issuing = self._ca(
            CHARGE_POINT_ISSUING_CA, "Issuing", "issuing", Constraints(organizations=("CPO",), exclude_hosts=True)
        )
        self.server_issuing = self._ca(
            CSMS_ISSUING_CA, "Servers", "server", Constraints(organizations=("CPO",), domains=("example.com",))
        )

    def _ca(
        self, profile: CertificateProfile, name: str, key: str, limits: Constraints | None = None
    ) -> x509.Certificate:
        contents = Contents(
            profile=profile,
            subject=Subject(name, "CPO"),
            serial=x509.random_serial_number(),
            not_before=NOW - HOUR,
            not_after=NOW + profile.lifetime,
            constraints=limits.extension() if limits else None,
        )
        issuer = Subject("Root", "CPO").name()
        root_key = self.keys["root"]
        builder = certificate_builder(contents, self.keys[key].public_key(), issuer, root_key.public_key())
        return builder.sign(root_key, hashes.SHA256())


def write_pem(path: Path, *certificates: x509.Certificate) -> str:
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
    return str(path)


def openssl_verify(
    directory: Path,
    leaf: x509.Certificate,
    above: list[x509.Certificate],
    root: x509.Certificate,
    purpose: str = "sslclient",
    options: tuple[str, ...] = (),
) -> str:
    """`OK`, or what `openssl verify -x509_strict` says."""
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-CAfile",
        write_pem(directory / "r.pem", root),
    ]
    command += options
    if above:
        command += ["-untrusted", write_pem(directory / "u.pem", *above)]
    done = subprocess.run([*command, write_pem(directory / "l.pem", leaf)], capture_output=True, text=True, check=False)
    return "OK" if done.returncode == 0 else done.stdout + done.stderr
