"""Throw-away certificates for tests, made on the fly: nothing is ever committed."""

import datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = datetime.timedelta(days=1)


class Issued(NamedTuple):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def new_key(kind: str = "ec") -> Key:
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)


def _name(common_name: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


class Authority:
    """A root that issues what it is told to, good or bad."""

    def __init__(self, common_name: str = "Test Root") -> None:
        self.key = new_key()
        self.name = _name(common_name, "Test")
        self.root = self._build(self.name, self.key, ca=True)

    def _build(
        self,
        subject: x509.Name,
        key: Key,
        *,
        ca: bool = False,
        server: tuple[str, ...] = (),
        client: bool = True,
        start: datetime.timedelta = -DAY,
        end: datetime.timedelta = 30 * DAY,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        public = key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not ca,
                    content_commitment=False,
                    key_encipherment=not ca,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=ca,
                    crl_sign=ca,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if server:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in server])
            builder = builder.add_extension(names, critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        elif not ca and client:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    def server(self, kind: str = "ec", names: tuple[str, ...] = ("localhost", "gw.example.test")) -> Issued:
        key = new_key(kind)
        return Issued(self._build(_name(names[0], "Test"), key, server=names), key)

    def charge_point(
        self,
        serial_number: str,
        organization: str = "Example CPO",
        *,
        kind: str = "ec",
        start: datetime.timedelta = -DAY,
        end: datetime.timedelta = 30 * DAY,
        client: bool = True,
        key: Key | None = None,
    ) -> Issued:
        own = key or new_key(kind)
        return Issued(self._build(_name(serial_number, organization), own, start=start, end=end, client=client), own)


def self_signed(common_name: str, organization: str) -> Issued:
    """A charge point's certificate that nobody but itself has signed."""
    maker = Authority(common_name)
    maker.name = _name(common_name, organization)
    return Issued(maker._build(maker.name, maker.key), maker.key)


def useless_server(authority: Authority) -> Issued:
    """A server certificate that is well-formed, fits its key, and is of a kind that no TLS server can use."""
    key: Any = x25519.X25519PrivateKey.generate()
    return Issued(authority._build(_name("localhost", "Test"), key, server=("localhost",)), key)
