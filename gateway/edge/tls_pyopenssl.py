"""TLS engine on pyOpenSSL, which carries a recent OpenSSL of its own in cryptography's wheel.

The hot calls go straight to the library handle behind pyOpenSSL (`_lib`), into one buffer shared by the whole process:
pyOpenSSL's public recv/bio_read allocate per call and raise an exception for "no more data", which costs twice as
much CPU per message (docs/decisions/0003). `_lib` is private, so pyproject.toml pins the major version and
tests/edge/test_tls_engines.py runs both engines against OpenSSL's own client.
"""

from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL, crypto
from typing_extensions import override

from gateway.config.model import ListenerTLS
from gateway.edge.cipher_policy import CIPHER_POLICIES
from gateway.edge.memory_file import memory_file
from gateway.edge.tls import TLSConnection, TLSContext, TLSFailure, reason_for_openssl
from gateway.identity.evidence import TLSFacts
from gateway.identity.refusal import Reason
from gateway.link.messages import ListenerSettings

__all__ = ["PyOpenSSLContext"]

_lib: Final[Any] = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001
_ffi: Final[Any] = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001
_read, _write, _bio_read, _bio_write = _lib.SSL_read, _lib.SSL_write, _lib.BIO_read, _lib.BIO_write
_get_error = _lib.SSL_get_error
_BUFFER_BYTES = 65_536
_buffer = _ffi.new("char[]", _BUFFER_BYTES)
_view = memoryview(_ffi.buffer(_buffer, _BUFFER_BYTES))
_WANT_READ, _ZERO_RETURN, _SYSCALL = 2, 6, 5
_TLS1_2 = 0x0303
_RELEASE_BUFFERS = 0x10
_TICKET_LIFETIME_S = 86_400
_VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


def _error_text() -> str:
    """The reason texts of OpenSSL's error queue, which is emptied."""
    texts = []
    while code := _lib.ERR_get_error():
        reason = _lib.ERR_reason_error_string(code)
        texts.append(_ffi.string(reason).decode() if reason != _ffi.NULL else hex(code))
    return "; ".join(texts)


class _Connection(TLSConnection):
    """One server-side connection over two memory BIOs."""

    __slots__ = ("_into", "_no_unasked_output", "_out", "_owner", "_ssl", "closed")

    def __init__(self, context: SSL.Context) -> None:
        owner = SSL.Connection(context, None)
        owner.set_accept_state()
        self._owner = owner
        self._ssl = owner._ssl  # noqa: SLF001
        self._into = owner._into_ssl  # noqa: SLF001
        self._out = owner._from_ssl  # noqa: SLF001
        self.closed = False
        self._no_unasked_output = False

    @override
    def handshake(self, data: bytes) -> bool:
        _bio_write(self._into, data, len(data))
        result = _lib.SSL_do_handshake(self._ssl)
        if result == 1:
            self._no_unasked_output = _lib.SSL_version(self._ssl) <= _TLS1_2
            return True
        if _get_error(self._ssl, result) == _WANT_READ:
            return False
        raise self._failure()

    def _failure(self) -> TLSFailure:
        verify_code = _lib.SSL_get_verify_result(self._ssl)
        text = _error_text() or "connection closed"
        if verify_code:
            explained = _ffi.string(_lib.X509_verify_cert_error_string(verify_code)).decode()
            text = f"{text}: {explained}"
        return reason_for_openssl(text, verify_code)

    @override
    def output(self) -> bytes:
        size = _bio_read(self._out, _buffer, _BUFFER_BYTES)
        if size <= 0:
            return b""
        if size < _BUFFER_BYTES:
            return bytes(_view[:size])
        parts = [bytes(_view[:size])]
        while (size := _bio_read(self._out, _buffer, _BUFFER_BYTES)) > 0:
            parts.append(bytes(_view[:size]))
        return b"".join(parts)

    @override
    def facts(self) -> TLSFacts:
        owner = self._owner
        leaf = owner.get_peer_certificate(as_cryptography=True)
        return TLSFacts(
            version=owner.get_protocol_version_name(),
            cipher=owner.get_cipher_name() or "",
            server_name=(owner.get_servername() or b"").decode("ascii", "backslashreplace").lower(),
            leaf_der=leaf.public_bytes(Encoding.DER) if leaf is not None else b"",
            resumed=_lib.SSL_session_reused(self._ssl) == 1,
        )

    @override
    def decrypt(self, data: bytes) -> bytes:
        if data:
            _bio_write(self._into, data, len(data))
        ssl = self._ssl
        size = _read(ssl, _buffer, _BUFFER_BYTES)
        plain = b""
        while size > 0:
            plain = plain + _view[:size] if plain else bytes(_view[:size])
            size = _read(ssl, _buffer, _BUFFER_BYTES)
        error = _get_error(ssl, size)
        if error != _WANT_READ:
            self._ended(error)
        return plain

    def _ended(self, error: int) -> None:
        if error == _ZERO_RETURN:
            self.closed = True
            return
        if error == _SYSCALL:
            _lib.ERR_clear_error()
            raise TLSFailure(Reason.PEER_WENT_AWAY, "end of stream inside a record")
        raise reason_for_openssl(_error_text() or "unknown error", 0)

    @override
    def encrypt(self, data: bytes) -> bytes:
        done = _write(self._ssl, data, len(data))
        while done < len(data):  # one record (16 KiB) a call
            written = _write(self._ssl, data[done:], len(data) - done) if done > 0 else 0
            if written <= 0:
                raise reason_for_openssl(_error_text() or "write failed", 0)
            done += written
        return self.output()

    @override
    def renegotiation_refused(self) -> bytes:
        return self.output() if self._no_unasked_output else b""

    @override
    def shutdown(self) -> bytes:
        _lib.SSL_shutdown(self._ssl)
        _lib.ERR_clear_error()
        return self.output()


class PyOpenSSLContext(TLSContext):
    """An SSL_CTX made from a listener's settings, never changed afterwards.

    Session tickets are keyed per context and nothing is cached on our side, so a new trust generation, which makes a
    new context, ends every resumable session (pki.md, finding 2).
    """

    def __init__(self, settings: ListenerSettings, generation: int) -> None:
        tls = settings.listener.tls
        if tls is None:
            raise ValueError("not a TLS listener")
        policy = CIPHER_POLICIES[tls.cipher_policy]
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_VERSION if policy.legacy_versions else SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(_RELEASE_BUFFERS)
        context.set_cipher_list(policy.tls12.encode())
        context.set_tls13_ciphersuites(policy.tls13.encode())
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(f"{settings.listener.name[:20]}/{generation}".encode()[:32])
        context.set_timeout(_TICKET_LIFETIME_S)
        for pem in settings.certificates:
            with memory_file(pem.chain) as path:
                context.use_certificate_chain_file(path)
            key: Any = load_pem_private_key(pem.key, None)
            context.use_privatekey(key)
        _trust(context, tls, settings.client_trust_pem)
        self._context = context

    @override
    def accept(self) -> _Connection:
        return _Connection(self._context)


def _trust(context: SSL.Context, tls: ListenerTLS, client_trust_pem: bytes) -> None:
    """Chain verification as server: OpenSSL sets the purpose, path length and signatures are its business."""
    context.set_verify(_VERIFY[tls.client_certificate])
    if tls.client_certificate == "none":
        return
    with memory_file(client_trust_pem) as path:
        context.load_verify_locations(path)
        context.load_client_ca(path.encode())
    store = context.get_cert_store()
    if tls.strict_x509 and store is not None:
        store.set_flags(crypto.X509StoreFlags.X509_STRICT)
