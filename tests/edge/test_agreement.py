"""What is agreed on before the 101: compression by version, and which tolerances were really needed."""

import pytest

from gateway.edge.agreement import deflates, may_deflate, passed_on, used_tolerances
from gateway.identity.evidence import (
    Admission,
    BasicCredentials,
    CertificateProof,
    Claim,
    PasswordProof,
    Peer,
    Proof,
    Tolerance,
    Transport,
)
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.websocket.handshake import read_upgrade
from gateway.websocket.head import HeadLimits, RequestHeadReader

PASSWORD = PasswordProof(slot="current", reading="raw")
CERTIFICATE = CertificateProof(sha256="", spki_sha256="", serial_number="1", common_name="SN", not_after=0.0)


def admission(
    *, subprotocols: tuple[str, ...] = ("ocpp1.6",), tolerances: tuple[Tolerance, ...] = (), proof: Proof = PASSWORD
) -> Admission:
    return Admission(
        charge_point_id=ChargePointId("CP-1"),
        security_profile=SecurityProfile.TLS_BASIC,
        subprotocols=subprotocols,
        assumed_version=None,
        csms="main",
        group="default",
        generation=1,
        session="s-1",
        proof=proof,
        expected_serial_number="",
        tolerances=tolerances,
        upgrade_pending=False,
        answers_pings=False,
    )


def claim(*, needs: tuple[Tolerance, ...] = (), matches: bool = True, in_other_case: bool = False) -> Claim:
    credentials = BasicCredentials(
        username_matches=matches, username_differs_in_case=in_other_case, password=b"secret-secret-16"
    )
    peer = Peer(address="192.0.2.1", port=1, listener="tls")
    return Claim(charge_point_id=ChargePointId("CP-1"), transport=Transport(peer=peer), basic=credentials, needs=needs)


@pytest.mark.parametrize(
    ("version", "tolerances", "expected"),
    [
        (OCPPVersion.V2_0_1, (), True),
        (OCPPVersion.V2_1, (), True),
        (OCPPVersion.V1_6, (), False),
        (OCPPVersion.V1_6, ("no-pong",), False),
        (OCPPVersion.V1_6, ("deflate-1.6",), True),
    ],
)
def test_compression_is_for_2_x_and_for_1_6_only_where_tolerated(
    version: OCPPVersion, tolerances: tuple[Tolerance, ...], expected: bool
) -> None:
    assert deflates(version, admission(tolerances=tolerances)) is expected


@pytest.mark.parametrize(
    ("subprotocols", "expected"),
    [
        (("ocpp1.6", "ocpp2.0.1"), True),
        (("ocpp2.1",), True),
        (("ocpp1.6",), False),
        (("ocpp0.1",), False),
        ((), False),
    ],
)
def test_csms_is_offered_compression_if_any_version_it_may_choose_has_it(
    subprotocols: tuple[str, ...], expected: bool
) -> None:
    assert may_deflate(admission(subprotocols=subprotocols)) is expected


def test_flaws_of_the_request_are_used_tolerances() -> None:
    flawed = claim(needs=("trailing-slash", "missing-subprotocol"))
    assert used_tolerances(flawed, admission(), OCPPVersion.V1_6, deflated=False) == [
        "trailing-slash",
        "missing-subprotocol",
    ]
    assert used_tolerances(claim(), admission(), OCPPVersion.V1_6, deflated=False) == []


@pytest.mark.parametrize(
    ("matches", "in_other_case", "version", "proof", "used"),
    [
        (True, False, OCPPVersion.V1_6, PASSWORD, False),
        (False, False, OCPPVersion.V1_6, PASSWORD, True),
        (False, True, OCPPVersion.V1_6, PASSWORD, True),
        (False, True, OCPPVersion.V2_0_1, PASSWORD, False),
        (False, False, OCPPVersion.V2_0_1, CERTIFICATE, False),
    ],
)
def test_user_name_counts_only_where_it_was_the_proof_and_differs_in_more_than_2_x_ignores(
    matches: bool, in_other_case: bool, version: OCPPVersion, proof: Proof, used: bool
) -> None:
    made = claim(matches=matches, in_other_case=in_other_case)
    found = used_tolerances(made, admission(proof=proof), version, deflated=False)
    assert found == (["username-differs"] if used else [])


@pytest.mark.parametrize(("version", "used"), [(OCPPVersion.V1_6, ["deflate-1.6"]), (OCPPVersion.V2_0_1, [])])
def test_compression_counts_as_a_tolerance_only_on_1_6(version: OCPPVersion, used: list[str]) -> None:
    assert used_tolerances(claim(), admission(), version, deflated=True) == used


@pytest.mark.parametrize(
    ("proof", "matches", "passes"),
    [(PASSWORD, True, True), (PASSWORD, False, True), (CERTIFICATE, True, True), (CERTIFICATE, False, False)],
)
def test_no_header_that_names_another_is_passed_through_on_the_strength_of_a_certificate(
    proof: Proof, matches: bool, passes: bool
) -> None:
    request = (
        b"GET /CP-1 HTTP/1.1\r\nHost: gw\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Basic Q1AtMjpzZWNyZXQ=\r\n\r\n"
    )
    head = RequestHeadReader(HeadLimits(4_096, 32, 1_024)).feed(request)
    assert head is not None

    found = passed_on(read_upgrade(head), claim(matches=matches), admission(proof=proof))

    assert found == ("Basic Q1AtMjpzZWNyZXQ=" if passes else None)
