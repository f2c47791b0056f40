"""What is fixed when a charge point is built: make, limits, habits. Defaults are those of a conforming one."""

from dataclasses import dataclass

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.simulator.core.memory import ClientCertificate, Memory, NetworkSlot, Root

__all__ = ["Model", "new_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A make of charge point."""

    vendor: str = "Simulated"
    model: str = "Simulator"
    firmware: str = "1.0.0"
    key_kind: str = "ec"
    max_roots: int = 5
    max_chain_chars: int = 10_000
    max_password_chars: int = 40
    additional_root_check: bool = False
    """AdditionalRootCertificateCheck: a new CSMS root must be signed by the old one, which stays as a fall-back."""
    hash_algorithm: str = "SHA256"
    secure_url: str = ""
    """1.6: where security profiles 2 and 3 are served; empty: the same place with ``wss``."""
    charge_every_s: float = 0.0
    """0: only when somebody asks."""
    charge_for_s: float = 30.0
    renew_before_s: float = 30 * 86_400.0
    """A03.FR.02: a month before the certificate ends."""
    reboot_s: float = 1.0
    redials_after_s: float = 0.05
    """At the earliest, and doubling like RetryBackOffWaitMinimum: set to 0, that would make a storm of one charge point."""
    firmware_step_s: float = 1.0


def new_memory(  # noqa: PLR0913  each is a fact of its own
    identity: str,
    version: OCPPVersion,
    url: str,
    security_profile: int,
    *,
    serial_number: str = "",
    password: str = "",
    certificate: ClientCertificate | None = None,
    roots: tuple[str, ...] = (),
    organization: str = "",
) -> Memory:
    """The memory of a charge point fresh from the factory. `url`: without identity; `roots`: PEM, of the CSMS."""
    return Memory(
        identity=identity,
        version=version,
        serial_number=serial_number or identity[:25],
        security_profile=security_profile,
        slots={1: NetworkSlot(url=url.rstrip("/"), security_profile=security_profile)},
        priority=[1],
        active_slot=1,
        password=password,
        certificates=[certificate] if certificate else [],
        roots=[Root(certificate_type="CSMSRootCertificate", pem=pem) for pem in roots],
        settings={"OrganizationName": organization},
    )
