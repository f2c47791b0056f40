"""A session that is kept although its certificate is revoked does not get the next certificate unbidden."""

from typing import Any, cast

import pytest

from gateway.control.enrolments import Enrolments
from gateway.control.sessions import Entry
from gateway.identity.evidence import PasswordProof
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import enrolment as core

CP = ChargePointId("CP-1")


@pytest.mark.parametrize(
    ("revoked", "told", "refused"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_only_one_that_was_told_to_ask_may(revoked: bool, told: bool, refused: bool) -> None:
    events: list[tuple[str, ...]] = []
    nothing = cast("Any", None)
    enrolments = Enrolments(nothing, nothing, nothing, nothing, lambda *event: events.append(event), nothing, nothing)
    if told:
        enrolments._newest[CP] = core.wanted(CP, 1.0, "an operator asks for it")
    entry = Entry(
        charge_point_id=CP,
        session="s",
        generation=1,
        security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE,
        proof=PasswordProof(slot="current", reading="raw"),
        edge=None,
        granted_at=1.0,
        kept_revoked=revoked,
    )
    assert enrolments._is_unasked(entry) is refused
    assert [event[0] for event in events] == ["certificate.request_refused"] * refused
