"""One upgrade of a charge point's security profile (A05): events in, the new state out. Pure.

    WANTED > [INSTALLING_ROOT > WANTED] > [ENROLLING > WANTED] > BOTH_ACCEPTED > TOLD > SWITCHING > PROVEN
                                                                     `-----------------`-> RETURNING > FELL_BACK | ABORTED

`next_step` says what is to be done about a state at a time, so a crash loses nothing: whoever comes after reads the
state and asks again. Every function takes the time (seconds since the epoch) and returns a new `Upgrade`; one that
cannot follow the state raises ValueError, which is a defect of the caller. docs/provisioning.md has the table.
"""

from enum import Enum
from typing import Final

import msgspec

from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.agenda import NEVER
from gateway.provisioning.upgrade_states import FOLLOWS, UpgradeState

__all__ = [
    "Step",
    "Upgrade",
    "UpgradeTiming",
    "aborted",
    "both_accepted",
    "certificate_wanted",
    "due_at",
    "ended",
    "given_up",
    "lost",
    "next_step",
    "not_told",
    "on_old_profile",
    "overtaken",
    "postponed",
    "proven",
    "put_off",
    "reconnected",
    "refused",
    "reset_put_off",
    "reset_refused",
    "resetting",
    "restore_tried",
    "root_installed",
    "root_not_installed",
    "root_wanted",
    "told",
    "turned_down",
    "wanted",
    "why_not_abortable",
]

_MAX_ATTEMPTS: Final = 6
_MAX_BACK_OFF: Final = 6
"""Waiting doubles so often."""
_MAX_RESTORES: Final = 3
_DETAIL_CHARS: Final = 400


class UpgradeTiming(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds."""

    look_again_s: float = 60.0
    """Between two looks at a charge point that has to be waited for: it is charging, say."""
    retry_s: float = 10.0
    """After which it is told again when it has not answered, doubling; after a reconnect at once."""
    restart_s: float = 300.0
    """How long a restart may take before it is sent to restart again, doubling."""
    lost_after_s: float = 3_600.0
    """Not seen for so long after it was sent to restart: lost."""


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; empty is what is not known yet."""

    charge_point_id: ChargePointId
    state: UpgradeState
    from_profile: SecurityProfile
    to_profile: SecurityProfile
    created_at: float
    changed_at: float
    number: int = 0
    """Of the row; 0 until it is stored."""
    revision: int = 0
    """Of the row as it was read or stored: another node may have written it since."""
    url: str = ""
    """Where it is to connect, without its identity. Empty (1.6): it finds the place by itself."""
    url_key: str = ""
    """1.6: the vendor's configuration key for the URL. Empty: none is written."""
    interface: str = ""
    """2.x: ocppInterface of the network profile."""
    install_root: bool = False
    """The root of our server certificates is installed first where it is not there. Once at most."""
    unsafe_any_firmware: bool = False
    """Move it although its firmware is not known to be good."""
    priority_before: str = ""
    """2.x: NetworkConfigurationPriority before it was touched."""
    attempts: int = 0
    """Of what the state is about: tellings, restarts, restorations."""
    due_at: float = 0.0
    """Not before this time is the next attempt made; a reconnect brings it forward."""
    reset_at: float = 0.0
    """When it was first sent to restart."""
    ends_as: str = ""
    """Of RETURNING: the state at its end."""
    certificate_serial: str = ""
    """Of the session that has proven it."""
    detail: str = ""
    """For people: why it is as it is."""

    @property
    def accepts_both(self) -> bool:
        """The charge point may come in on the old and on the new profile.

        Also after an end where nothing could be taken back (1.6), or where it has not said that it was: it may use the new
        one after any later start.
        """
        is_taken_back = self.priority_before and self.attempts < _MAX_RESTORES
        is_left = self.state in _LEFT and self.ends_as == self.state.value and not is_taken_back
        return is_left or self.state.accepts_both


_LEFT: Final = frozenset({UpgradeState.FELL_BACK, UpgradeState.ABORTED})


class Step(Enum):
    """What is to be done now."""

    WAIT = "wait"
    CHECK = "check"
    """Do the preflight, and act on its outcome."""
    INSTALL_ROOT = "install-root"
    """Look whether it has the root of our server certificates; if not, send it."""
    LOOK_AT_CERTIFICATE = "look-at-certificate"
    TELL = "tell"
    RESET = "reset"
    GIVE_UP = "give-up"
    """It has been tried often enough: take back what it was told."""
    LOSE = "lose"
    RESTORE = "restore"
    END = "end"
    """Nothing is left to be taken back."""


def next_step(upgrade: Upgrade, now: float, timing: UpgradeTiming, *, reachable: bool) -> Step:
    """What the state asks for. `reachable`: connected on the old profile, and has had time to settle."""
    match upgrade.state:
        case UpgradeState.WANTED:
            return Step.CHECK if reachable and now >= upgrade.due_at else Step.WAIT
        case UpgradeState.INSTALLING_ROOT:
            return Step.INSTALL_ROOT if reachable and now >= upgrade.due_at else Step.WAIT
        case UpgradeState.ENROLLING:
            return Step.LOOK_AT_CERTIFICATE
        case UpgradeState.BOTH_ACCEPTED:
            return _attempt(upgrade, now, Step.TELL, reachable=reachable)
        case UpgradeState.TOLD:
            return _attempt(upgrade, now, Step.RESET, reachable=reachable)
        case UpgradeState.SWITCHING:
            if now >= upgrade.reset_at + timing.lost_after_s:
                return Step.GIVE_UP if reachable else Step.LOSE
            return _attempt(upgrade, now, Step.RESET, reachable=reachable)
        case UpgradeState.RETURNING:
            return _way_back(upgrade, now, reachable=reachable)
        case _:
            return Step.WAIT


def _way_back(upgrade: Upgrade, now: float, *, reachable: bool) -> Step:
    if not upgrade.priority_before:
        return Step.END if now >= upgrade.due_at else Step.WAIT
    if upgrade.attempts >= _MAX_RESTORES:
        return Step.END
    return Step.RESTORE if reachable and now >= upgrade.due_at else Step.WAIT


def _attempt(upgrade: Upgrade, now: float, step: Step, *, reachable: bool) -> Step:
    if not reachable or now < upgrade.due_at:
        return Step.WAIT
    return Step.GIVE_UP if upgrade.attempts >= _MAX_ATTEMPTS else step


def due_at(upgrade: Upgrade, timing: UpgradeTiming) -> float:
    """From when on `next_step` asks for something, of a charge point that can be reached; NEVER if it has to be told.

    LOOK_AT_CERTIFICATE is left out, as it is done when the enrolment has changed.
    """
    match upgrade.state:
        case UpgradeState.WANTED | UpgradeState.INSTALLING_ROOT | UpgradeState.BOTH_ACCEPTED | UpgradeState.TOLD:
            return upgrade.due_at
        case UpgradeState.SWITCHING:
            return min(upgrade.due_at, upgrade.reset_at + timing.lost_after_s)
        case UpgradeState.RETURNING:
            is_over = upgrade.priority_before and upgrade.attempts >= _MAX_RESTORES
            return 0.0 if is_over else upgrade.due_at
        case _:
            return NEVER


# -- before anything is changed


def wanted(
    charge_point_id: ChargePointId,
    from_profile: SecurityProfile,
    to_profile: SecurityProfile,
    now: float,
    *,
    url: str = "",
    url_key: str = "",
    interface: str = "",
) -> Upgrade:
    """It is to be moved. Raises ValueError unless `to_profile` is higher."""
    if to_profile <= from_profile:
        raise ValueError(f"{int(to_profile)} is not above {int(from_profile)}")
    return Upgrade(
        charge_point_id=charge_point_id,
        state=UpgradeState.WANTED,
        from_profile=from_profile,
        to_profile=to_profile,
        created_at=now,
        changed_at=now,
        url=url,
        url_key=url_key,
        interface=interface,
    )


def put_off(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """Something has to be waited for, and is looked at again."""
    return _to(UpgradeState.WANTED, upgrade, now, due_at=now + timing.look_again_s, detail=why)


def postponed(upgrade: Upgrade, now: float, until: float, why: str) -> Upgrade:
    """It is as far as it was, and does not go on before then: its maintenance window is closed."""
    return _to(upgrade.state, upgrade, now, due_at=until, detail=why)


def root_wanted(upgrade: Upgrade, now: float, why: str) -> Upgrade:
    """It lacks the root, and is to get it: on disk before it is sent anything."""
    return _to(UpgradeState.INSTALLING_ROOT, upgrade, now, attempts=0, due_at=now, detail=why)


def root_not_installed(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """Whether it has the root is not known: it is asked again, and sent it again if it does not list it."""
    attempts = upgrade.attempts + 1
    if attempts >= _MAX_ATTEMPTS:
        return refused(upgrade, now, f"root: {why}")
    due_at = now + _backed_off(timing.retry_s, upgrade.attempts)
    return _to(UpgradeState.INSTALLING_ROOT, upgrade, now, attempts=attempts, due_at=due_at, detail=why)


def root_installed(upgrade: Upgrade, now: float) -> Upgrade:
    """It lists the root. The preflight looks again; nothing is installed twice, so that this comes to an end."""
    done = {"install_root": False, "attempts": 0, "due_at": now, "detail": "it has the root now"}
    return _to(UpgradeState.WANTED, upgrade, now, **done)


def certificate_wanted(upgrade: Upgrade, now: float, why: str) -> Upgrade:
    """It has no certificate yet."""
    return _to(UpgradeState.ENROLLING, upgrade, now, detail=why)


def refused(upgrade: Upgrade, now: float, why: str) -> Upgrade:
    """It cannot be, or the charge point will not. It goes on as before."""
    return _to(UpgradeState.REFUSED, upgrade, now, detail=why)


# -- while both are accepted


def both_accepted(upgrade: Upgrade, now: float, priority_before: str) -> Upgrade:
    """The preflight has passed. From now on either profile is accepted."""
    passed = {"attempts": 0, "due_at": now, "detail": ""}
    return _to(UpgradeState.BOTH_ACCEPTED, upgrade, now, priority_before=priority_before, **passed)


def not_told(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """Whether it has heard is not known: it is told again, which does no harm."""
    wait_s = _backed_off(timing.retry_s, upgrade.attempts)
    more = {"attempts": upgrade.attempts + 1, "due_at": now + wait_s, "detail": why}
    return _to(UpgradeState.BOTH_ACCEPTED, upgrade, now, **more)


def turned_down(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """It has said no. If it may have heard it before, it may have taken it then, and says no to what it has already."""
    return not_told(upgrade, now, why, timing) if upgrade.attempts else refused(upgrade, now, why)


def told(upgrade: Upgrade, now: float) -> Upgrade:
    """It has accepted."""
    return _to(UpgradeState.TOLD, upgrade, now, attempts=0, due_at=now, detail="")


def resetting(upgrade: Upgrade, now: float, timing: UpgradeTiming) -> Upgrade:
    """It is about to be sent to restart. On disk before it is."""
    wait_s = _backed_off(timing.restart_s, upgrade.attempts)
    more = {"attempts": upgrade.attempts + 1, "due_at": now + wait_s, "reset_at": upgrade.reset_at or now}
    return _to(UpgradeState.SWITCHING, upgrade, now, **more)


def reset_refused(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """It has said no to the restart; it is asked again."""
    wait_s = _backed_off(timing.look_again_s, upgrade.attempts)
    return _to(UpgradeState.TOLD, upgrade, now, due_at=now + wait_s, reset_at=0.0, detail=why)


def reset_put_off(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """It was certainly not sent to restart: it is charging, or gone. That does not count as an attempt."""
    back = {"attempts": max(0, upgrade.attempts - 1), "due_at": now + timing.look_again_s, "reset_at": 0.0}
    return _to(UpgradeState.TOLD, upgrade, now, detail=why, **back)


def reconnected(upgrade: Upgrade, now: float) -> Upgrade:
    """It is back, or we are: what may have been lost is said now. A restart is not asked for again so soon."""
    if upgrade.state in {UpgradeState.SWITCHING, UpgradeState.PROVEN}:
        return upgrade
    if upgrade.state is UpgradeState.RETURNING and not upgrade.priority_before:
        return upgrade
    return msgspec.structs.replace(upgrade, due_at=min(upgrade.due_at, now))


def on_old_profile(
    upgrade: Upgrade, now: float, timing: UpgradeTiming, *, session_began_at: float, has_started: bool
) -> Upgrade | None:
    """It has registered on the old profile. None if that is not news.

    `has_started`: with a BootNotification. It was sent to restart and has started, in a session that began later: it
    could not, or would not, connect with the new profile (A05.FR.08). Or its line has dropped before it restarts, and it is
    one that sends a BootNotification whenever it connects: where nothing can be taken back (1.6), this is waited for.
    """
    after_reset = upgrade.state in {UpgradeState.SWITCHING, UpgradeState.LOST} and session_began_at > upgrade.reset_at
    if not after_reset or not has_started:
        return None
    why = f"it came back on security profile {int(upgrade.from_profile)}"
    back = _returning(upgrade, now, UpgradeState.FELL_BACK, why)
    return back if back.priority_before else msgspec.structs.replace(back, due_at=now + timing.restart_s)


def given_up(upgrade: Upgrade, now: float) -> Upgrade:
    """Tried often enough, or for long enough.

    Where nothing can be taken back (1.6), it may still use the new profile after its next start, and must find it open.
    """
    why = f"given up while {upgrade.state.value}: {upgrade.detail or 'it does not switch'}"
    if upgrade.priority_before:
        return _returning(upgrade, now, UpgradeState.FELL_BACK, why)
    return _to(UpgradeState.LOST, upgrade, now, detail=why)


def lost(upgrade: Upgrade, now: float) -> Upgrade:
    """It has not come back on either."""
    return _to(UpgradeState.LOST, upgrade, now, detail="not seen since it was sent to restart")


def _returning(upgrade: Upgrade, now: float, ends_as: UpgradeState, why: str) -> Upgrade:
    return _to(UpgradeState.RETURNING, upgrade, now, attempts=0, due_at=now, ends_as=ends_as.value, detail=why)


def restore_tried(upgrade: Upgrade, now: float, why: str, timing: UpgradeTiming) -> Upgrade:
    """It was asked to go back to its old network profiles. `why`: it has not said yes; empty: it has."""
    if not why:
        return ended(upgrade, now)
    wait_s = _backed_off(timing.retry_s, upgrade.attempts)
    return _to(UpgradeState.RETURNING, upgrade, now, attempts=upgrade.attempts + 1, due_at=now + wait_s)


def ended(upgrade: Upgrade, now: float) -> Upgrade:
    """Only the old profile is accepted from now on; both, where nothing could be taken back (`accepts_both`)."""
    return _to(UpgradeState(upgrade.ends_as), upgrade, now)


# -- ends


def proven(upgrade: Upgrade, now: float, certificate_serial: str) -> Upgrade | None:
    """A session on the new profile has registered, perhaps long after it was given up. None if nobody was let in on it."""
    if not upgrade.accepts_both:
        return None
    return _to(UpgradeState.PROVEN, upgrade, now, certificate_serial=certificate_serial, detail="")


def why_not_abortable(upgrade: Upgrade) -> str:
    """Why it cannot be stopped any more, or an empty string."""
    if not upgrade.state.is_open or upgrade.state is UpgradeState.RETURNING:
        return f"it is {upgrade.state.value} already"
    return ""


def aborted(upgrade: Upgrade, now: float, why: str = "an operator has stopped it") -> Upgrade:
    """It is not to be any more. Where nothing can be taken back (1.6), it is left alone, and both accepted."""
    if not upgrade.state.accepts_both:
        return _to(UpgradeState.ABORTED, upgrade, now, detail=why)
    return _returning(upgrade, now, UpgradeState.ABORTED, why)


def overtaken(upgrade: Upgrade, now: float, profile: SecurityProfile) -> Upgrade | None:
    """The registry's record requires `profile` by now. None if that is what the upgrade began with.

    An operator has set it by hand, and it counts: what the upgrade has let in besides is let in no more.
    """
    if profile is upgrade.from_profile or not upgrade.state.is_open:
        return None
    why = f"security profile {int(profile)} was set by hand meanwhile"
    return _to(UpgradeState.ABORTED, upgrade, now, ends_as="", detail=why)


def _backed_off(wait_s: float, attempts: int) -> float:
    return wait_s * float(1 << min(attempts, _MAX_BACK_OFF))


def _to(state: UpgradeState, upgrade: Upgrade, now: float, /, **fields: object) -> Upgrade:
    if state not in FOLLOWS[upgrade.state]:
        raise ValueError(f"{state.value} cannot follow {upgrade.state.value}")
    if "detail" in fields:
        fields["detail"] = str(fields["detail"])[:_DETAIL_CHARS]
    return msgspec.structs.replace(upgrade, state=state, changed_at=now, **fields)
