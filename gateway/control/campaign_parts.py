"""Which parts of the node make campaigns: what can be done to charge points, who does it, and who learns from it."""

from collections.abc import Callable, Mapping

from gateway.control.campaign_operation import Operation
from gateway.control.campaign_passwords import PasswordOperation
from gateway.control.campaign_renewals import RenewalOperation
from gateway.control.campaign_roots import OldRootOperation, RootOperation
from gateway.control.campaign_upgrades import UpgradeOperation
from gateway.control.campaigns import Campaigns
from gateway.control.capabilities import Capabilities
from gateway.control.chain_switches import ChainSwitches
from gateway.control.cluster import Cluster
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.passwords import Passwords
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrades import Upgrades
from gateway.link.tasks import TaskOwner

__all__ = ["campaign_parts", "operations", "root_operations"]


def operations(
    store: StoreThread,
    directory: Directory,
    sessions: Sessions,
    enrolments: Enrolments,
    passwords: Passwords,
    upgrades: Upgrades,
    cluster: Cluster,
) -> dict[str, Operation]:
    """What this release can do to charge points, by the kind of campaign (`campaign_preflight.KINDS`)."""
    return {
        "certificate": RenewalOperation(enrolments, directory, sessions, store),
        "password": PasswordOperation(passwords, directory, store),
        "security-profile": UpgradeOperation(upgrades, enrolments, sessions, store, cluster),
    }


def root_operations(
    store: StoreThread, sessions: Sessions, own_calls: OwnCalls, switches: ChainSwitches, tasks: TaskOwner
) -> dict[str, Operation]:
    """The same, about roots: what a rollover consists of."""
    return {
        "root": RootOperation(store, sessions, own_calls, tasks),
        "old-root": OldRootOperation(store, sessions, own_calls, switches, tasks),
    }


def campaign_parts(
    store: StoreThread,
    sessions: Sessions,
    can_do: Mapping[str, Operation],
    enrolments: Enrolments,
    own_calls: OwnCalls,
    report: Callable[[str, str, str, str, str], None],
    tasks: TaskOwner,
    cluster: Cluster,
) -> tuple[NodePart, ...]:
    """Wired: what calls, enrolments and campaigns show is learnt."""
    capabilities = Capabilities(store)
    own_calls.on_answer = capabilities.answered
    enrolments.on_change.append(capabilities.changed)
    return capabilities, Campaigns(store, sessions, can_do, report, capabilities.saw, tasks, cluster)
