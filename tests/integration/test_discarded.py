"""A charge point that could not connect with its renewed certificate says so, and the gateway believes it at once."""

import os
import signal
import time
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import enrolment as core
from gateway.provisioning.enrolment import CertificateRequested, Given
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.rig import Rig
from tests.support.simulated import csms_answer, identity_of, memory_of, simulated
from tests.support.tls_material import Authority
from tests.support.upgrading import command

pytestmark = pytest.mark.integration


def renewed(rig: Rig, identity: str) -> None:
    """It has accepted a certificate of ours, a minute ago."""
    request = CertificateRequested(charge_point_id=ChargePointId(identity), csr="c", csr_sha256="1")
    given = Given(request="r", serial="1f", sha256="ab" * 32, spki_sha256="k", not_after=9e9, chain="pem")
    at = time.time() - 60.0
    requested, _ = core.asked_for(request, at, None)
    with rig.registry() as registry:
        number = registry.enrolments.put(requested)[0].number
        sent = core.delivery_sent(core.issued(requested, at, given), at, core.Timing())
        accepted = core.station_accepted(sent, at)
        registry.enrolments.put(replace(accepted, number=number, revision=1))


@pytest.mark.requirement("A02.FR.29")
async def test_what_it_reports_as_discarded_is_discarded_and_its_old_certificate_stays_over_crashes(
    rig: Rig, csms: FakeCSMS
) -> None:
    csms.answer = csms_answer
    roots = (rig.authority.pem.decode(),)
    memories: dict[str, Any] = {}
    for identity in ("FELL-BACK", "WENT-ON"):
        rig.add(identity, security_profile=3, serial_number=identity)
        renewed(rig, identity)
    async with rig.gateway() as gateway:
        url = f"wss://localhost:{gateway.tls[1]}/ocpp"
        for identity in ("FELL-BACK", "WENT-ON"):
            old = identity_of(rig.authority.charge_point(identity))
            memories[identity] = memory_of(
                identity, url, 3, "2.0.1", serial_number=identity, roots=roots, certificate=old
            )
        unknown = identity_of(Authority("Other Root").charge_point("FELL-BACK"))
        memories["FELL-BACK"].certificates.insert(0, unknown)
        async with simulated(memories["WENT-ON"]) as other, simulated(memories["FELL-BACK"]) as cp:
            await other.registered()
            await cp.registered()

            async def state(identity: str) -> str:
                code, found = await command("charge-point", "certificate", identity, config=rig.config_path)
                assert code == 0
                return str(found["state"])

            def stored() -> str:
                with rig.registry() as registry:
                    newest = registry.enrolments.newest(ChargePointId("FELL-BACK"))
                return newest.state.value if newest is not None else ""

            await until(lambda: stored() == "discarded", "it is discarded")
            assert await state("FELL-BACK") == "discarded"
            assert await state("WENT-ON") == "station-accepted"  # it has said nothing of the kind
            assert gateway.sessions()["FELL-BACK"]["security_profile"] == 3
            await gateway.event("certificate.discarded")
            for victim in ("control", "edge-0"):
                before = gateway.children()[victim]
                os.kill(before, signal.SIGKILL)
                await until(lambda v=victim, b=before: gateway.children().get(v, b) != b, f"another {victim}")  # type: ignore[misc]
            await until(lambda: gateway.http("/readyz")[0] == 200, "ready again")
            await until(lambda: "FELL-BACK" in gateway.sessions(), "it is let in with its old one")
            assert stored() == "discarded"
