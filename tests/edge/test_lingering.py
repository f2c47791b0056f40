"""A peer that has broken the protocol is heard no more, and nothing that it still sends makes us write."""

from gateway.edge.tls import TLSConnection, reason_for_openssl
from gateway.identity.evidence import TLSFacts
from gateway.websocket.frames import FrameViolation
from tests.support.sessions import SilentOwner, make_session


class _BrokenStream(TLSConnection):
    """The TLS of a peer whose records are damaged: OpenSSL has an alert for each."""

    closed = False
    knows_renegotiation = False

    def handshake(self, data: bytes) -> bool:
        return bool(data)

    def output(self) -> bytes:
        return b"alert"

    def facts(self) -> TLSFacts:
        return TLSFacts(version="TLSv1.3", cipher="x")

    def decrypt(self, data: bytes) -> bytes:
        del data
        raise reason_for_openssl("decryption failed or bad record mac", 0)

    def encrypt(self, data: bytes) -> bytes:
        return data

    def shutdown(self) -> bytes:
        return b"close notify"


class _Owner(SilentOwner):
    def report(self, *what: object, **more: object) -> None:
        """What happened is not of interest here."""


def test_damaged_records_behind_a_violation_are_thrown_away() -> None:
    bridge = make_session(_Owner())
    leg = bridge.charge_point
    leg.tls = _BrokenStream()
    bridge.violated(leg, FrameViolation(1002, "ws.protocol", "reserved bits"))
    assert leg.lingers
    leg.data_received(b"garbage")
    assert not leg.transport.is_closing(), "the peer still has time to read why"
    leg.connection_lost(None)


def test_before_the_end_they_are_answered_with_their_alert() -> None:
    bridge = make_session(_Owner())
    leg = bridge.charge_point
    leg.tls = _BrokenStream()
    leg.data_received(b"garbage")
    assert leg.transport.is_closing()
