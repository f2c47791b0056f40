"""A root with CAs below it and a server certificate at the end; and two such worlds of which one takes over."""

import datetime
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from typing_extensions import override

from pki.rollover import Rollover, cross_certificate
from tests.support.tls_material import DAY, Issued, _name, new_key

__all__ = ["Chained", "Hierarchy", "certificate", "rollover"]

_HOST = "gw.example.test"


def certificate(
    subject: str,
    *,
    issuer: Issued | None = None,
    ca: bool = False,
    path_length: int | None = None,
    usage: x509.ObjectIdentifier | None = None,
    organization: str = "Test",
    start: datetime.timedelta = -DAY,
    end: datetime.timedelta = 30 * DAY,
    serial_number: int | None = None,
    signs: bool | None = None,
    public_key: Any = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> Issued:
    """A certificate with a fresh key, as good as its issuer; self-signed without one. `signs`: digitalSignature.

    `public_key`: of somebody else, who has asked for it.
    """
    key = new_key()
    public = public_key or key.public_key()
    name = _name(subject, organization)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    signer = issuer.key if issuer is not None else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer is not None else name)
        .public_key(public)
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca if signs is None else signs,
                content_commitment=False,
                key_encipherment=False,
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
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


class Chained(Issued):
    """A certificate that is shown with others behind it."""

    behind: tuple[Issued, ...]

    def __new__(cls, leaf: Issued, *behind: Issued) -> Self:
        made = super().__new__(cls, leaf.certificate, leaf.key)
        made.behind = behind
        return made

    @property
    @override
    def pem(self) -> bytes:
        return b"".join([super().pem, *(each.pem for each in self.behind)])


class Hierarchy:
    """`chain`: server certificate, CAs from the lowest up, root."""

    def __init__(self, name: str, *, subs: int = 1) -> None:
        self.root = certificate(f"{name} Root", ca=True)
        above, chain = self.root, [self.root]
        for level in range(subs):
            above = certificate(f"{name} Sub {level}", issuer=above, ca=True)
            chain.insert(0, above)
        names = x509.SubjectAlternativeName([x509.DNSName(_HOST)])
        self.issuing = above
        self.leaf = certificate(
            _HOST, issuer=above, usage=ExtendedKeyUsageOID.SERVER_AUTH, extensions=((names, False),)
        )
        self.chain = (self.leaf.certificate, *(each.certificate for each in chain))


def rollover() -> tuple[Hierarchy, Hierarchy, Rollover]:
    """The old world, the new one, and what links them."""
    old, new = Hierarchy("Old"), Hierarchy("New")

    def link(root: Issued, issuer: Issued) -> x509.Certificate:
        start, end = root.certificate.not_valid_before_utc, issuer.certificate.not_valid_after_utc
        return cross_certificate(
            root.certificate,
            issuer.certificate,
            issuer.key,
            serial_number=x509.random_serial_number(),
            not_before=start,
            not_after=end - DAY,
        )

    material = Rollover(
        old=old.root.certificate,
        new=new.root.certificate,
        new_with_old=link(new.root, old.root),
        old_with_new=link(old.root, new.root),
    )
    return old, new, material
