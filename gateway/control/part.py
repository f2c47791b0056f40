"""What lives with the node: it is loaded, told of sessions, asked by operators, and closed, all in one way."""

from collections.abc import Sequence
from typing import Any, ClassVar

from gateway.config.model import Config
from gateway.control.link_server import EdgeLink
from gateway.control.operator_requests import OperatorRequest
from gateway.control.sessions import Entry
from gateway.link.messages import CertificateRequest, EdgeSettings
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["NodePart"]


class NodePart:
    """A part of the node. Every hook does nothing, until a part has something to do there.

    All run on the node's event loop. `name` is where `ocpp-gateway status` shows what `status()` gives, and what a
    failure of `tick` is logged under.
    """

    name: ClassVar[str]
    tick_every_s: ClassVar[float] = 0.0
    """How often `tick` runs, the next one only after the last has ended; 0 for never."""

    async def load(self) -> None:
        """Read what is under way, before edges may connect. Raises OSError, StoreError: then control does not run."""

    def use(self, config: Config) -> None:
        """Put a configuration into force, at the start and with each reload."""

    def follow(self, settings: EdgeSettings) -> None:
        """After `use`: what the edges now have of it, file contents included."""

    def opened(self, entry: Entry) -> None:
        """A relay runs: a new session, or one that has outlived the control process before us. It may have ended again."""

    def registered(self, entry: Entry) -> None:
        """The CSMS has accepted the charge point in this session, now or before it was told to us."""

    def records_changed(self, charge_point_ids: frozenset[ChargePointId]) -> None:
        """Other processes have changed these records of the registry; perhaps it was this one itself."""

    def asked_for_certificate(self, message: CertificateRequest, edge: EdgeLink) -> None:
        """A charge point has sent a SignCertificate that is the gateway's: one part answers the edge."""

    async def rows_changed(self, charge_point_ids: Sequence[ChargePointId]) -> None:
        """Another node may have written what the database has of these. Raises StoreError; then they are told again."""

    async def tick(self) -> None:
        """Do what time alone makes due. What it raises is logged, and the next one comes."""

    async def close(self) -> None:
        """End: nothing of this part runs afterwards. Tasks of the node's owner have ended before."""

    def status(self) -> Any:
        """For `ocpp-gateway status`: what JSON can hold; None for nothing."""
        return None

    def metrics(self) -> dict[str, float]:
        """Prometheus samples by name, of low cardinality and without identities."""
        return {}

    def requests(self) -> Sequence[OperatorRequest]:
        """What operators may ask of it."""
        return ()
