"""The table of actions against the schemas of the `ocpp` package, and who may send what."""

import re
from pathlib import Path

import ocpp
import pytest

from gateway.ocpp.actions import actions, lookup
from gateway.ocpp.vocabulary import OCPPVersion, Origin

SCHEMAS = {OCPPVersion.V1_6: "v16", OCPPVersion.V2_0_1: "v201", OCPPVersion.V2_1: "v21"}
UP, DOWN = frozenset({Origin.CHARGE_POINT}), frozenset({Origin.CSMS})


def names_with_a_schema(version: OCPPVersion) -> set[str]:
    folder = Path(ocpp.__file__).parent / SCHEMAS[version] / "schemas"
    return {re.sub(r"(Request|Response)?\.json$", "", path.name) for path in folder.glob("*.json")}


@pytest.mark.parametrize(("version", "count"), list(zip(OCPPVersion, (39, 64, 91), strict=True)))
def test_the_table_lists_exactly_the_actions_that_have_a_schema(version: OCPPVersion, count: int) -> None:
    names = [action.name for action in actions(version)]
    assert len(names) == len(set(names)) == count
    assert set(names) == names_with_a_schema(version)


@pytest.mark.parametrize("version", list(OCPPVersion))
def test_every_action_is_found_under_its_exact_name_only(version: OCPPVersion) -> None:
    for action in actions(version):
        assert lookup(version, action.name) is action
        for wrong in (action.name.lower(), action.name + " ", action.name + "Request", action.name + "-Signed"):
            assert lookup(version, wrong) is None
    assert lookup(version, "") is None


@pytest.mark.parametrize(
    ("action", "present", "absent"),
    [
        ("TransactionEvent", [OCPPVersion.V2_0_1, OCPPVersion.V2_1], [OCPPVersion.V1_6]),
        ("StartTransaction", [OCPPVersion.V1_6], [OCPPVersion.V2_0_1, OCPPVersion.V2_1]),
        ("ExtendedTriggerMessage", [OCPPVersion.V1_6], [OCPPVersion.V2_0_1]),
        ("AFRRSignal", [OCPPVersion.V2_1], [OCPPVersion.V1_6, OCPPVersion.V2_0_1]),
    ],
)
def test_an_action_of_another_version_is_unknown(
    action: str, present: list[OCPPVersion], absent: list[OCPPVersion]
) -> None:
    assert all(lookup(version, action) for version in present)
    assert not any(lookup(version, action) for version in absent)


@pytest.mark.parametrize(
    ("version", "action", "senders"),
    [
        (OCPPVersion.V1_6, "BootNotification", UP),
        (OCPPVersion.V1_6, "SignCertificate", UP),
        (OCPPVersion.V1_6, "CertificateSigned", DOWN),
        (OCPPVersion.V1_6, "Reset", DOWN),
        (OCPPVersion.V1_6, "GetDiagnostics", DOWN),
        (OCPPVersion.V1_6, "DiagnosticsStatusNotification", UP),
        (OCPPVersion.V1_6, "DataTransfer", UP | DOWN),
        (OCPPVersion.V2_0_1, "GetCertificateStatus", UP),
        (OCPPVersion.V2_0_1, "GetTransactionStatus", DOWN),
        (OCPPVersion.V2_0_1, "PublishFirmware", DOWN),
        (OCPPVersion.V2_0_1, "PublishFirmwareStatusNotification", UP),
        (OCPPVersion.V2_0_1, "CostUpdated", DOWN),
        (OCPPVersion.V2_0_1, "DataTransfer", UP | DOWN),
        (OCPPVersion.V2_1, "NotifyAllowedEnergyTransfer", DOWN),
        (OCPPVersion.V2_1, "NotifyWebPaymentStarted", DOWN),
        (OCPPVersion.V2_1, "NotifyPriorityCharging", UP),
        (OCPPVersion.V2_1, "UsePriorityCharging", DOWN),
        (OCPPVersion.V2_1, "PullDynamicScheduleUpdate", UP),
        (OCPPVersion.V2_1, "GetCertificateChainStatus", UP),
        (OCPPVersion.V2_1, "RequestBatterySwap", DOWN),
        (OCPPVersion.V2_1, "DataTransfer", UP | DOWN),
    ],
)
def test_an_action_knows_who_sends_it(version: OCPPVersion, action: str, senders: frozenset[Origin]) -> None:
    found = lookup(version, action)
    assert found is not None
    assert found.senders == senders


def test_only_data_transfer_goes_both_ways() -> None:
    for version in OCPPVersion:
        assert [action.name for action in actions(version) if len(action.senders) == 2] == ["DataTransfer"]


def test_the_one_action_that_is_sent_without_answer_is_that_of_2_1() -> None:
    sends = {(version, action.name) for version in OCPPVersion for action in actions(version) if action.is_send}
    assert sends == {(OCPPVersion.V2_1, "NotifyPeriodicEventStream")}


def test_every_action_belongs_to_a_block() -> None:
    assert all(action.block for version in OCPPVersion for action in actions(version))
    boot = lookup(OCPPVersion.V2_0_1, "BootNotification")
    assert boot is not None
    assert boot.block == "B Provisioning"
