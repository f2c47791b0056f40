"""All parts of a node, made once: what each is given, and in which order they hear of a session."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.event import SecurityEvent
from gateway.config.model import Config
from gateway.control.announced_changes import AnnouncedChanges
from gateway.control.audit_trail import AuditTrail
from gateway.control.authority_revocations import AuthorityRevocations
from gateway.control.automatic_renewals import AutomaticRenewals
from gateway.control.campaign_parts import campaign_parts, operations, root_operations
from gateway.control.certificate_inventory import CertificateInventory
from gateway.control.chain_switches import ChainSwitches
from gateway.control.cluster import Cluster
from gateway.control.credentials import PasswordVerifier
from gateway.control.detections import LogDetections
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.firmware_images import FirmwareImages
from gateway.control.fleet_policy import FleetPolicy
from gateway.control.link_server import EdgeLink
from gateway.control.log_shards import LogShards
from gateway.control.missed_changes import MissedChanges
from gateway.control.operator_desk import OperatorDesk
from gateway.control.own_books import OwnBooks
from gateway.control.own_call_requests import CallRequests
from gateway.control.own_calls import OwnCalls
from gateway.control.own_certificates import OwnCertificates
from gateway.control.own_publication import OwnPublication
from gateway.control.own_revocations import OwnRevocations
from gateway.control.part import NodePart
from gateway.control.passwords import Passwords
from gateway.control.privacy import Privacy
from gateway.control.record_gate import RecordGate
from gateway.control.reload_orders import ReloadOrders
from gateway.control.renewals import Renewals
from gateway.control.rollovers import Rollovers
from gateway.control.roots import StationRoots
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.taken_profiles import TakenProfiles
from gateway.control.unrecorded_traffic import UnrecordedTraffic
from gateway.control.upgrades import Upgrades
from gateway.link.images import ImageAsked
from gateway.link.messages import CertificateRequest, EdgeMessage, PasswordOutcome, PasswordSeen, ProfileSeen
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["Parts", "Surroundings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What parts are made of: the node's own things, one of each."""

    config: Config
    store: StoreThread
    directory: Directory
    sessions: Sessions
    calls: OwnCalls
    verifier: PasswordVerifier
    trail: AuditTrail
    fleet_policy: FleetPolicy
    tasks: TaskOwner
    report: Callable[..., None]
    """`report(event, severity, decision, detail[, charge_point_id])`: an event of the gateway's own."""
    add_event: Callable[[SecurityEvent], None]
    recertify: Callable[[], Awaitable[str]]
    """Gives the edges the gateway's own certificates as they are on the disk. Empty, or why they keep what they have."""


class Parts:
    """The parts; those by name that the node itself has to do with."""

    def __init__(self, around: Surroundings) -> None:
        store, directory, sessions, calls = around.store, around.directory, around.sessions, around.calls
        report, tasks = around.report, around.tasks
        gate = RecordGate(around.trail.may_happen)
        cluster = Cluster(store, sessions, report, tasks)
        enrolments = Enrolments(store, directory, sessions, calls, report, tasks, gate)
        around.trail.relayed.on_report = enrolments.reported
        self.upgrades = Upgrades(store, directory, sessions, calls, enrolments, report, tasks, gate)
        self.passwords = Passwords(store, directory, sessions, calls, around.verifier, report, tasks, gate)
        self.taken_profiles = TakenProfiles(store, directory, report, tasks, gate)
        self.operator_desk = OperatorDesk(report, around.trail.may_happen, directory.is_registered)
        self.reload_orders = ReloadOrders()
        self._images = FirmwareImages(tasks)
        self.publication = OwnPublication(report)
        can_do = operations(store, directory, sessions, enrolments, self.passwords, self.upgrades, cluster)
        switches = ChainSwitches(around.config, store, directory, report, around.recertify)
        can_do |= root_operations(store, sessions, calls, switches, tasks)
        self._all: tuple[NodePart, ...] = (
            cluster,
            around.fleet_policy,
            around.fleet_policy.health,
            CallRequests(calls, directory, sessions),
            Renewals(calls, sessions, tasks),
            enrolments,
            AutomaticRenewals(store, sessions, calls, enrolments),
            self.upgrades,
            self.passwords,
            self.taken_profiles,
            self._images,
            StationRoots(store, directory, sessions, calls, report),
            switches,
            Rollovers(store, directory, sessions, calls, report, tasks),
            LogDetections(around.trail.directory, around.config.audit.detections, around.add_event),
            *_revocation_parts(around),
            OwnBooks(store, report, around.config),
            self.publication,
            OwnCertificates(around.config, report, around.recertify),
            CertificateInventory(store),
            *campaign_parts(store, sessions, can_do, enrolments, calls, report, tasks, cluster),
            self.reload_orders,
            AnnouncedChanges(),
            LogShards(around.trail.writer, around.trail.retention),
            MissedChanges(store, directory, report, Path(around.config.state_dir) / "registry-changes-told"),
            UnrecordedTraffic(sessions, around.trail.may_relay, report),
            Privacy(around.trail.shredding, report, around.trail.may_happen, around.trail.is_recorded),
        )
        self.of_sessions = tuple(part for part in self._all if _hears_of_sessions(part))
        """Those to which a session that begins says anything, in the order in which they hear of it."""
        cluster.on_rows_changed = self._rows_changed

    def heard(self, message: EdgeMessage, edge: EdgeLink) -> bool:
        """What an edge has seen or asked in a session, for the part that knows about such. False if none does."""
        match message:
            case CertificateRequest():
                for part in self._all:
                    part.asked_for_certificate(message, edge)
            case PasswordSeen() | PasswordOutcome():
                self.passwords.password_seen(message, edge)
            case ProfileSeen():
                self.taken_profiles.seen(message, edge)
            case ImageAsked():
                self._images.asked(message, edge)
            case _:
                return False
        return True

    async def _rows_changed(self, charge_point_ids: Sequence[ChargePointId]) -> None:
        for part in self._all:
            await part.rows_changed(charge_point_ids)

    def __iter__(self) -> Iterator[NodePart]:
        """All of them."""
        return iter(self._all)


def _revocation_parts(around: Surroundings) -> tuple[NodePart, ...]:
    """What our own CA revokes, and what other CAs are told of it."""
    own = OwnRevocations(around.store, around.report, around.directory.revocations, around.config.pki.ca)
    of_others = AuthorityRevocations(around.report, around.config.pki)
    own.on_news = of_others.heard
    return own, of_others


def _hears_of_sessions(part: NodePart) -> bool:
    kind = type(part)
    return kind.opened is not NodePart.opened or kind.registered is not NodePart.registered
