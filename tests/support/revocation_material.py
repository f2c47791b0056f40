"""An issuer with an OCSP responder, for tests of revocation. Made on the fly, like everything in `tls_material`."""

import datetime
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.tls_material import DAY, Authority, Issued, _name, new_key

__all__ = ["HOUR", "authority", "moment", "responder"]

HOUR = datetime.timedelta(hours=1)


@functools.cache
def authority(name: str = "Revoking CA") -> Authority:
    return Authority(name)


def moment() -> datetime.datetime:
    """Now, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def responder(issuer: Authority, *, delegated: bool = True, no_check: bool = True, kind: str = "ec") -> Issued:
    """A responder's certificate, or one that lacks what makes it one."""
    key = new_key(kind)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("OCSP Responder", "Test"))
        .issuer_name(issuer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment() - DAY)
        .not_valid_after(moment() + 20 * DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    usage = ExtendedKeyUsageOID.OCSP_SIGNING if delegated else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if no_check:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    return Issued(builder.sign(issuer.key, hashes.SHA256()), key)
