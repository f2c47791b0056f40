"""The map from refusals to the wire: what strangers may not learn, and the alert of a handshake that OpenSSL never saw."""

import pytest

from gateway.edge.refusals import Asker, http_refusal, status_of, tls_refusal
from gateway.identity.refusal import Reason


@pytest.mark.parametrize(
    ("reason", "alert"),
    [(Reason.TLS_ON_PLAIN, 40), (Reason.TLS_VERSION, 70), (Reason.PLAIN_ON_TLS, None), (Reason.NOT_TLS, None)],
)
def test_handshake_that_never_reaches_openssl_has_a_plain_fatal_alert(reason: Reason, alert: int | None) -> None:
    assert tls_refusal(reason) == (b"" if alert is None else bytes([21, 3, 1, 0, 2, 2, alert]))


@pytest.mark.parametrize(
    "reason", [Reason.PROFILE_MISMATCH, Reason.PROFILE_BELOW_FLOOR, Reason.PROFILE_NOT_ON_LISTENER, Reason.DISABLED]
)
def test_what_the_registry_says_is_told_only_to_who_has_proven_itself(reason: Reason) -> None:
    assert status_of(reason, Asker(proven=True)) == 403
    assert http_refusal(reason) == http_refusal(Reason.PASSWORD_WRONG) == http_refusal(Reason.IDENTITY_UNKNOWN)


def test_unknown_identity_is_404_only_where_configured() -> None:
    assert status_of(Reason.IDENTITY_UNKNOWN, Asker(unknown_identity_status=404)) == 404
    assert status_of(Reason.PASSWORD_WRONG, Asker(unknown_identity_status=404)) == 401


@pytest.mark.parametrize(
    "reason",
    [
        Reason.IDENTITY_UNKNOWN,
        Reason.AUTH_MISSING,
        Reason.IDENTITY_MISMATCH,
        Reason.PASSWORD_WRONG,
        Reason.PROFILE_NOT_ON_LISTENER,
        Reason.PROFILE_MISMATCH,
    ],
)
def test_where_only_certificates_count_every_refusal_of_one_looks_alike(reason: Reason) -> None:
    stolen = Asker(has_certificate=True, takes_password=False)
    assert http_refusal(reason, stolen) == http_refusal(Reason.CERT_WRONG_IDENTITY, stolen)
    assert b"WWW-Authenticate" not in http_refusal(reason, stolen)


def test_where_a_password_would_do_a_certificate_does_not_tell_unknown_identities_from_those_on_profile_3() -> None:
    factory = Asker(has_certificate=True)
    assert http_refusal(Reason.IDENTITY_UNKNOWN, factory) == http_refusal(Reason.CERT_WRONG_IDENTITY, factory)
    # Who is on profile 2 may send its password only when asked for it.
    assert b"WWW-Authenticate" in http_refusal(Reason.AUTH_MISSING, factory)
    assert status_of(Reason.IDENTITY_UNKNOWN) == status_of(Reason.AUTH_MISSING) == 401


def test_time_to_wait_is_told_with_429_and_503_and_with_nothing_else() -> None:
    assert b"Retry-After: 7\r\n" in http_refusal(Reason.GUESSING, retry_after_s=7)
    assert b"Retry-After: 7\r\n" in http_refusal(Reason.CSMS_UNREACHABLE, retry_after_s=7)
    assert b"Retry-After" not in http_refusal(Reason.PASSWORD_WRONG, retry_after_s=7)


def test_answer_has_a_fixed_phrase_and_no_body() -> None:
    assert http_refusal(Reason.HTTP_MALFORMED) == (
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    assert http_refusal(Reason.CERT_EXPIRED).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert http_refusal(Reason.HANDSHAKE_TIMEOUT) == b""
