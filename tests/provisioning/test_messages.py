"""What is said about certificates fits the schema of its version, and what is answered is read without trust."""

from typing import Any

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.csr_digest import csr_digest
from gateway.provisioning.messages import (
    MAX_CHAIN_CHARS,
    ask_chain_limit,
    certificate_signed,
    chain_limit,
    status_of,
    trigger,
)

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
VERSIONS = pytest.mark.parametrize("version", [V1_6, V2_0_1, V2_1])
PEM = "-----BEGIN CERTIFICATE REQUEST-----\nMIIBAAEC\nAwQF\n-----END CERTIFICATE REQUEST-----\n"


@VERSIONS
@pytest.mark.requirement("A02.FR.01")
def test_every_message_fits_its_schema(version: OCPPVersion) -> None:
    longest = certificate_signed(version, "x" * MAX_CHAIN_CHARS, request_id=7)
    for message in (trigger(version), longest, ask_chain_limit(version)):
        assert schema_gate(version).check(message.action, "call", message.payload) is None
    too_long = certificate_signed(version, "x" * (MAX_CHAIN_CHARS + 1))
    assert schema_gate(version).check("CertificateSigned", "call", too_long.payload) is not None


@pytest.mark.requirement("A02.FR.14", "A02.FR.24")
def test_type_and_request_id_are_echoed_where_the_version_has_them() -> None:
    assert certificate_signed(V1_6, "x", certificate_type="T", request_id=7).payload == {"certificateChain": "x"}
    named = {"certificateChain": "x", "certificateType": "ChargingStationCertificate"}
    assert certificate_signed(V2_0_1, "x", request_id=7).payload == named
    assert certificate_signed(V2_1, "x", request_id=7).payload == {**named, "requestId": 7}
    assert certificate_signed(V2_1, "x").payload == named


def answer(version: OCPPVersion, value: Any) -> dict[str, Any]:
    if version is V1_6:
        return {"configurationKey": [{"key": "CertificateSignedMaxChainSize", "readonly": True, "value": value}]}
    return {"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": value}]}


@VERSIONS
class TestChainLimit:
    @pytest.mark.parametrize(
        ("said", "limit"),
        [("2500", 2_500), (" 2500 ", 2_500), ("10000", 10_000), ("99999", 10_000), ("0", 10_000), ("-1", 10_000),
         ("", 10_000), ("many", 10_000), ("٣", 10_000), (None, 10_000), (2500, 10_000), ("9" * 5000, 10_000)],
    )  # fmt: skip
    def test_is_what_it_says_if_that_makes_sense(self, version: OCPPVersion, said: Any, limit: int) -> None:
        assert chain_limit(version, answer(version, said)) == limit

    @pytest.mark.parametrize(
        "answered",
        [None, {}, [], "x", {"configurationKey": None}, {"configurationKey": [5]}, {"getVariableResult": []},
         {"getVariableResult": [{"attributeStatus": "UnknownVariable", "attributeValue": "5"}]},
         {"unknownKey": ["CertificateSignedMaxChainSize"]}],
    )  # fmt: skip
    def test_is_that_of_ocpp_where_it_says_nothing(self, version: OCPPVersion, answered: Any) -> None:
        assert chain_limit(version, answered) == MAX_CHAIN_CHARS


@pytest.mark.parametrize(
    ("answered", "status"), [({"status": "Accepted"}, "Accepted"), ({"status": 5}, ""), ({}, ""), (None, ""), ([], "")]
)
def test_status(answered: Any, status: str) -> None:
    assert status_of(answered) == status


class TestDigest:
    @pytest.mark.parametrize(
        "spelling",
        [PEM, PEM.replace("\n", "\r\n"), PEM.strip(), PEM.replace("MIIBAAEC\nAwQF", "MIIBAAECAwQF"), "\n" + PEM],
    )
    def test_spellings_of_one_request_are_the_same(self, spelling: str) -> None:
        assert csr_digest(spelling) == csr_digest(PEM)

    @pytest.mark.parametrize(
        "other", [PEM.replace("AwQF", "AwQG"), "", "no PEM", PEM.replace("MIIB", "M!IB"), "\ud800"]
    )
    def test_others_are_others(self, other: str) -> None:
        assert csr_digest(other) != csr_digest(PEM)
