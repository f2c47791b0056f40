"""Admissions share what they say alike, and still say the same."""

import msgspec
from msgspec.structs import replace

from gateway.edge.shared_values import SharedValues
from gateway.identity.evidence import Admission
from tests.relay.scenario import make_admission


def decoded(admission: Admission) -> Admission:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(admission), type=Admission)


def test_two_admissions_share_their_equal_parts() -> None:
    shared, made = SharedValues(), replace(make_admission(), vendor="Vendor", model="Model", firmware="1.2")
    first, second = shared.of(decoded(made)), shared.of(decoded(made))
    assert first == second == made
    for name in ("subprotocols", "csms", "group", "proof", "vendor", "model", "firmware"):
        assert getattr(first, name) is getattr(second, name)


def test_a_serial_number_that_is_the_identity_is_the_same_text() -> None:
    admission = SharedValues().of(decoded(make_admission("CP-1")))
    assert admission == make_admission("CP-1")
    assert admission.expected_serial_number is admission.charge_point_id


def test_what_differs_stays_different_also_when_there_is_no_room() -> None:
    shared = SharedValues()
    for number in range(5_000):
        admission = make_admission(f"S-{number}")
        assert shared.of(admission) == admission
