"""OpenSSL's own client against one of our TLS engines, both in memory; and client certificates with a path."""

import contextlib
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.config.model import CipherPolicy, Listener, ListenerTLS
from gateway.edge.memory_file import memory_file
from gateway.edge.tls import TLSConnection, TLSContext, TLSFailure
from gateway.edge.tls_context import build_tls_context
from gateway.link.messages import CertificatePEM, ListenerSettings
from gateway.ocpp.vocabulary import SecurityProfile
from tests.support.tls_material import Authority, Issued

__all__ = [
    "AUTHORITY",
    "CHARGE_POINT",
    "ENGINES",
    "SERVER_EC",
    "SERVER_RSA",
    "Chain",
    "Client",
    "chain",
    "context",
    "only",
]

AUTHORITY = Authority()
SERVER_EC, SERVER_RSA = AUTHORITY.server("ec"), AUTHORITY.server("rsa")
CHARGE_POINT = AUTHORITY.charge_point("SN-1")
ENGINES = ["pyopenssl", "stdlib"]


def context(
    engine: str,
    *,
    client_certificate: str = "required",
    policy: CipherPolicy = "ocpp-cert",
    certificates: tuple[Issued, ...] = (SERVER_RSA, SERVER_EC),
    generation: int = 1,
    trust_pem: bytes = b"",
    **more: Any,
) -> TLSContext:
    """`trust_pem`: instead of AUTHORITY's root. `more`: further fields of ListenerTLS."""
    tls = ListenerTLS(
        certificates=(),
        client_certificate=client_certificate,  # type: ignore[arg-type]
        engine=engine,  # type: ignore[arg-type]
        cipher_policy=policy,
        **more,
    )
    listener = Listener(
        name="t", address="127.0.0.1:0", security_profiles=(SecurityProfile.TLS_CLIENT_CERTIFICATE,), csms="c", tls=tls
    )
    pems = tuple(CertificatePEM(issued.pem, issued.key_pem) for issued in certificates)
    built = build_tls_context(ListenerSettings(listener, pems, trust_pem or AUTHORITY.pem), generation)
    assert built is not None
    return built


class Client:
    """OpenSSL's client over memory BIOs, talking to one of our connections."""

    def __init__(
        self,
        server: TLSConnection,
        *,
        certificate: "Issued | Chain | None" = CHARGE_POINT,
        configure: Callable[[ssl.SSLContext], None] = lambda _: None,
        server_name: str | None = "gw.example.test",
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.context = context or self.new_context(certificate, configure)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = self.context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name, session=session)
        self.server = server
        self.alert = ""

    @staticmethod
    def new_context(
        certificate: "Issued | Chain | None", configure: Callable[[ssl.SSLContext], None]
    ) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.load_verify_locations(cadata=AUTHORITY.pem.decode())
        if certificate is not None:
            with memory_file(certificate.pem) as pem, memory_file(certificate.key_pem) as key:
                made.load_cert_chain(pem, key)
        configure(made)
        return made

    def handshake(self) -> TLSConnection:
        """Complete the handshake. Raises TLSFailure of the server; then `alert` is what the client was told."""
        done = False
        for _ in range(6):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.ssl.do_handshake()
            flight = self.outgoing.read()
            if flight and not done:
                try:
                    done = self.server.handshake(flight)
                except TLSFailure:
                    self.incoming.write(self.server.output())
                    self.read_alert()
                    raise
            self.incoming.write(self.server.output())
            if done:
                self.read()  # takes TLS 1.3 tickets in
                return self.server
        raise AssertionError("handshake does not end")

    def read_alert(self) -> None:
        try:
            self.ssl.do_handshake()
            self.ssl.read(1)
        except ssl.SSLError as error:
            self.alert = (error.reason or "").lower()

    def read(self) -> bytes:
        data = b""
        try:
            while piece := self.ssl.read(65536):
                data += piece
        except ssl.SSLWantReadError:
            pass
        return data

    def send(self, data: bytes) -> bytes:
        self.ssl.write(data)
        return self.outgoing.read()


def only(maximum: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def configure(made: ssl.SSLContext) -> None:
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = maximum
        made.set_ciphers("ALL:@SECLEVEL=0")

    return configure


class Chain(NamedTuple):
    """A leaf with the intermediate that signed it."""

    pem: bytes
    key_pem: bytes


def chain(*, ca: bool = True, path_length: int | None = None, deeper: bool = False) -> Chain:
    """Root, an intermediate (a CA or not; with a path length or not), perhaps a second one, and a leaf."""
    above, pems = AUTHORITY, b""
    for level in range(2 if deeper else 1):
        made = Authority(f"Intermediate {level}")
        start, usage = made.root.not_valid_before_utc, made.root.extensions.get_extension_for_class(x509.KeyUsage)
        issuer_key = above.key.public_key()
        made.root = (
            x509.CertificateBuilder()
            .subject_name(made.name)
            .issuer_name(above.name)
            .public_key(made.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(made.root.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if level == 0 else None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .add_extension(usage.value, critical=True)
            .sign(above.key, hashes.SHA256())
        )
        above, pems = made, made.pem + pems
    leaf = above.charge_point("SN-1")
    return Chain(leaf.pem + pems, leaf.key_pem)
