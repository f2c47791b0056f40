"""The gateway's own calls of a security-profile upgrade: ask, tell, send to restart, take back."""

from typing import Any, Final

import msgspec

from gateway.audit.event import printable
from gateway.control.own_calls import CallAnswer, CallRefused, OwnCalls
from gateway.control.sessions import Entry
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.messages import Message, status_of
from gateway.provisioning.network_keys import keys_question, network_keys_of
from gateway.provisioning.station_facts import StationFacts, facts_of, questions, roots_of, roots_question
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_messages import (
    NetworkPlan,
    address_in,
    address_key,
    address_question,
    free_slots,
    is_taken,
    is_wrong_slot,
    network_variables,
    priority_message,
    profile_key,
    reset,
    set_network_profile,
)

__all__ = ["Heard", "UpgradeCalls", "version_of"]

_ASK_S: Final = 30.0
"""As long as any call may take: there are charge points that need 20 seconds for each answer."""
_TELL_S: Final = 30.0
_UNABLE: Final = frozenset({"NotImplemented", "NotSupported"})


class Heard(msgspec.Struct, frozen=True):
    """What the charge point has said, and why where it is not yes."""

    yes: bool = False
    no: bool = False
    """Neither: whether it has understood is not known."""
    sent: bool = True
    why: str = ""
    payload: Any = None
    unable: bool = False
    """It does not know the message."""

    @property
    def is_unheard(self) -> bool:
        """Nothing has come back, neither a result nor an error."""
        return self.payload is None and not self.no


class UpgradeCalls:
    """Calls to live sessions."""

    def __init__(self, own_calls: OwnCalls) -> None:
        self.quiet_s = 900.0
        """After which a session that began without a BootNotification is known to be idle."""
        self._own_calls = own_calls

    async def facts(self, entry: Entry) -> tuple[StationFacts, str]:
        """What it says of itself, and why it is not certain that no transaction runs (empty: it is)."""
        version = version_of(entry)
        first, *others = questions(version)
        heard = await self._call(entry, first, _ASK_S, quiet_s=self.quiet_s)
        not_idle = "" if heard.sent else heard.why
        if not heard.sent:
            heard = await self._call(entry, first, _ASK_S)
        answers = [heard, *[await self._call(entry, each, _ASK_S) for each in others]]
        roots = await self._call(entry, roots_question(version), _ASK_S)
        found = facts_of(version, tuple(each.payload for each in answers), roots_of(version, roots.payload))
        if version is OCPPVersion.V1_6:
            keys = (await self._call(entry, keys_question(), _ASK_S)).payload
            found = msgspec.structs.replace(found, network_keys=network_keys_of(keys))
        decisive = [roots] if version is OCPPVersion.V1_6 else [*answers, roots]
        unheard = next((each.why or "no answer" for each in decisive if each.is_unheard), "")
        return msgspec.structs.replace(found, unheard=unheard), not_idle

    async def tell(self, entry: Entry, upgrade: Upgrade) -> Heard:
        """The new profile. It is used from its next start on. The slot in use is in its list: the preflight has seen to it."""
        if version_of(entry) is OCPPVersion.V1_6:
            return await self._tell_1_6(entry, upgrade)
        heard = Heard(no=True, why="it has no free network profile")
        for slot in free_slots(upgrade.priority_before):
            plan = NetworkPlan(slot, upgrade.url, upgrade.to_profile, upgrade.interface)
            heard = await self._set_slot(entry, plan)
            if heard.yes:
                return await self._call(entry, priority_message(f"{slot},{upgrade.priority_before}"), _TELL_S)
            if not is_wrong_slot(heard.payload):
                break
        return heard

    async def _tell_1_6(self, entry: Entry, upgrade: Upgrade) -> Heard:
        if upgrade.url_key:
            return await self._tell_by_vendors_key(entry, upgrade)
        if upgrade.url:
            return await self._tell_by_network_keys(entry, upgrade)
        return await self._call(entry, profile_key(upgrade.to_profile), _TELL_S)

    async def _tell_by_vendors_key(self, entry: Entry, upgrade: Upgrade) -> Heard:
        """The address first. If the profile is refused then, the old address is put back.

        At the new one, nobody lets it in with its old profile. So where that has not worked, it has not said no: both
        stay accepted, and it is told again.
        """
        key = upgrade.url_key
        asked = await self._call(entry, address_question(key), _ASK_S)
        if asked.payload is None and not asked.no:
            return asked
        before = address_in(asked.payload, key)
        heard = await self._call(entry, address_key(key, upgrade.url), _TELL_S)
        if not heard.yes:
            return heard
        heard = await self._call(entry, profile_key(upgrade.to_profile), _TELL_S)
        if not heard.no:
            return heard
        # One that has the new address already was told it by a process that has died since.
        is_known = before and before.rstrip("/") != upgrade.url
        if is_known and (await self._call(entry, address_key(key, before), _TELL_S)).yes:
            return heard
        return msgspec.structs.replace(heard, no=False, why=f"{heard.why}; its old address could not be put back")

    async def _tell_by_network_keys(self, entry: Entry, upgrade: Upgrade) -> Heard:
        """Where it has them; the profile comes last, for that alone cannot be taken back."""
        asked = await self._call(entry, keys_question(), _ASK_S)
        if asked.payload is None and not asked.no:
            return asked
        keys = network_keys_of(asked.payload)
        plan = keys.plan(upgrade.url) if keys is not None else None
        for message in plan.messages if plan is not None else ():
            heard = await self._call(entry, message, _TELL_S)
            if not heard.yes:
                return heard
        heard = await self._call(entry, profile_key(upgrade.to_profile), _TELL_S)
        if heard.no and plan is not None:
            await self._call(entry, plan.way_back, _TELL_S)
        return heard

    async def _set_slot(self, entry: Entry, plan: NetworkPlan) -> Heard:
        version = version_of(entry)
        heard = await self._call(entry, set_network_profile(version, plan), _TELL_S)
        if heard.unable and version is OCPPVersion.V2_1:
            return await self._call(entry, network_variables(plan), _TELL_S)
        return heard

    async def reset(self, entry: Entry) -> Heard:
        """Restart, if no transaction runs. Not sent otherwise."""
        return await self._call(entry, reset(version_of(entry)), _TELL_S, quiet_s=self.quiet_s)

    async def restore(self, entry: Entry, priority: str) -> Heard:
        """2.x: the network profiles that it had before."""
        return await self._call(entry, priority_message(priority), _TELL_S)

    async def _call(self, entry: Entry, message: Message, timeout_s: float, *, quiet_s: float = -1.0) -> Heard:
        try:
            answer = await self._own_calls.call(
                entry.charge_point_id, entry, message.action, message.payload, timeout_s, quiet_s=quiet_s
            )
        except CallRefused as refused:
            return Heard(sent=False, why=str(refused))
        return _heard(answer)


def _heard(answer: CallAnswer) -> Heard:
    if answer.outcome == "result":
        yes = is_taken(answer.payload)
        said = printable(status_of(answer.payload), 32) or "not accepted"
        return Heard(yes=yes, no=not yes, why="" if yes else f"{answer.action}: {said}", payload=answer.payload)
    if answer.outcome == "not_sent":
        return Heard(sent=False, why=answer.error)
    why = f"{answer.action}: {answer.outcome} {printable(answer.error, 64)}".rstrip()
    unable = answer.outcome == "error" and answer.error in _UNABLE
    return Heard(no=answer.outcome == "error", why=why, unable=unable)


def version_of(entry: Entry) -> OCPPVersion:
    """Of a live session."""
    assert entry.live is not None, "a session that is reachable"
    version = OCPPVersion.from_subprotocol(entry.live.subprotocol)
    assert version is not None, "what an admission was made for"
    return version
