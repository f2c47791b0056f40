"""Throw-away certificates for the benchmark: one CA, one ECDSA server certificate, one client certificate per charge point."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["OPERATOR", "make_certificates"]

OPERATOR = "Bench Operator"


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, OPERATOR), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_certificates(directory: Path, count: int) -> None:
    """Write ca.pem, server.pem, server.key, haproxy.pem and CP00000.pem ... (certificate and key) into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / f"CP{count - 1:05d}.pem").exists():
        return
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())

    def build(
        common_name: str, key: ec.EllipticCurvePublicKey, usage: x509.ObjectIdentifier | None
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(_name("Bench CA"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=usage is not None,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=usage is None,
                    crl_sign=usage is None,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if usage == ExtendedKeyUsageOID.SERVER_AUTH:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    (directory / "ca.pem").write_bytes(build("Bench CA", ca_key.public_key(), None).public_bytes(Encoding.PEM))
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = build("localhost", server_key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH).public_bytes(Encoding.PEM)
    (directory / "server.pem").write_bytes(server)
    (directory / "server.key").write_bytes(_pem(server_key))
    (directory / "server.key").chmod(0o600)
    (directory / "haproxy.pem").write_bytes(server + _pem(server_key))
    for number in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = build(f"CP{number:05d}", key.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH).public_bytes(Encoding.PEM)
        (directory / f"CP{number:05d}.pem").write_bytes(leaf + _pem(key))
