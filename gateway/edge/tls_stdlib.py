"""TLS engine on the standard library's ssl over memory BIOs: the second engine, for systems whose policy wants the system's OpenSSL."""

import contextlib
import ssl
import sys
from typing import Any, Final

from typing_extensions import override

from gateway.edge.cipher_policy import CIPHER_POLICIES
from gateway.edge.client_hello import read_client_hello
from gateway.edge.memory_file import memory_file
from gateway.edge.tls import NO_CHECK_TIME, POLICY_CHECK, TLSConnection, TLSContext, TLSFailure, reason_for_openssl
from gateway.edge.verified_chains import VerifiedChains
from gateway.identity.evidence import TLSFacts
from gateway.identity.refusal import Reason
from gateway.link.messages import ListenerSettings

__all__ = ["StdlibContext"]

_READ_BYTES = 65_536
_VERIFY: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def _failure(error: ssl.SSLError) -> TLSFailure:
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    text = (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{text}: {error.verify_message}"
    return reason_for_openssl(text, code)


class _Connection(TLSConnection):
    """One server-side connection over two memory BIOs."""

    __slots__ = ("_chains", "_first", "_into", "_out", "_server_name", "_ssl", "closed", "knows_renegotiation")

    def __init__(self, context: ssl.SSLContext, chains: VerifiedChains) -> None:
        self._chains = chains
        self._into, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._into, self._out, server_side=True)
        self._first: bytes | None = b""
        self._server_name = ""
        self.closed = False
        self.knows_renegotiation = False

    @override
    def handshake(self, data: bytes) -> bool:
        if self._first is not None and len(self._first) < _READ_BYTES:
            self._first += data
        self._into.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise _failure(error) from error
        # The server side of Python's ssl does not tell the SNI without a callback; the ClientHello does.
        self._server_name = read_client_hello(self._first or b"").server_name
        self._first = None
        self.knows_renegotiation = self._ssl.version() != "TLSv1.3"
        return True

    @override
    def output(self) -> bytes:
        return self._out.read()

    @override
    def facts(self) -> TLSFacts:
        cipher = self._ssl.cipher()
        leaf_der, resumed = self._ssl.getpeercert(binary_form=True) or b"", bool(self._ssl.session_reused)
        if leaf_der and not resumed:
            self._chains.note(leaf_der, _issuers_der(self._ssl))
        return TLSFacts(
            version=self._ssl.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=self._server_name,
            leaf_der=leaf_der,
            resumed=resumed,
            issuers_der=self._chains.of(leaf_der),
        )

    @override
    def decrypt(self, data: bytes) -> bytes:
        self._into.write(data)
        plain = b""
        try:
            while piece := self._ssl.read(_READ_BYTES):
                plain = plain + piece if plain else piece
                if not self._into.pending and not self._ssl.pending():
                    return plain
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        except ssl.SSLEOFError:
            raise TLSFailure(Reason.PEER_WENT_AWAY, "end of stream inside a record") from None
        except ssl.SSLError as error:
            raise _failure(error) from error
        return plain

    @override
    def encrypt(self, data: bytes) -> bytes:
        try:
            self._ssl.write(data)
        except ssl.SSLError as error:
            raise _failure(error) from error
        return self._out.read()

    @override
    def shutdown(self) -> bytes:
        with contextlib.suppress(ssl.SSLError):  # the peer's own close_notify is not awaited
            self._ssl.unwrap()
        return self._out.read()


def _issuers_der(connection: Any) -> tuple[bytes, ...]:
    """The chain that was verified in this handshake, without the leaf. Public from Python 3.13 on."""
    if sys.version_info >= (3, 13):
        return tuple(connection.get_verified_chain()[1:])
    chain = connection._sslobj.get_verified_chain() or ()  # noqa: SLF001
    return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain[1:])


class StdlibContext(TLSContext):
    """An ssl.SSLContext made from a listener's settings, never changed afterwards."""

    def __init__(self, settings: ListenerSettings, generation: int) -> None:
        tls = settings.listener.tls
        if tls is None:
            raise ValueError("not a TLS listener")
        del generation  # ssl keys session tickets per context by itself
        policy = CIPHER_POLICIES[tls.cipher_policy]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1 if policy.legacy_versions else ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers(policy.tls12)
        for pem in settings.certificates:
            with memory_file(pem.chain) as chain, memory_file(pem.key) as key:
                context.load_cert_chain(chain, key)
        context.verify_mode = _VERIFY[tls.client_certificate]
        if tls.client_certificate != "none":
            context.load_verify_locations(cadata=settings.client_trust_pem.decode("ascii", "ignore"))
        if tls.strict_x509:
            context.verify_flags |= ssl.VERIFY_X509_STRICT | POLICY_CHECK
        if tls.expired_certificates == "by-registry":
            context.verify_flags |= NO_CHECK_TIME
        self._context = context
        self._chains = VerifiedChains()

    @override
    def accept(self) -> _Connection:
        return _Connection(self._context, self._chains)
