"""Which parts of the node make campaigns: what can be done to charge points, who does it, and who learns from it."""

from collections.abc import Callable

from gateway.control.campaign_operation import Operation
from gateway.control.campaign_passwords import PasswordOperation
from gateway.control.campaign_renewals import RenewalOperation
from gateway.control.campaigns import Campaigns
from gateway.control.capabilities import Capabilities
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.passwords import Passwords
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.link.tasks import TaskOwner

__all__ = ["campaign_parts"]


def campaign_parts(
    store: StoreThread,
    directory: Directory,
    sessions: Sessions,
    enrolments: Enrolments,
    passwords: Passwords,
    own_calls: OwnCalls,
    report: Callable[[str, str, str, str, str], None],
    tasks: TaskOwner,
) -> tuple[NodePart, ...]:
    """Wired: what calls and enrolments show is learnt, and campaigns can do what this release can do."""
    capabilities = Capabilities(store)
    own_calls.on_answer = capabilities.answered
    enrolments.on_change = capabilities.changed
    operations: dict[str, Operation] = {
        "certificate": RenewalOperation(enrolments, directory, sessions, store),
        "password": PasswordOperation(passwords, directory, store),
    }
    return capabilities, Campaigns(store, sessions, operations, report, capabilities.saw, tasks)
