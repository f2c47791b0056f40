"""May a charge point be moved to a higher security profile now? Every reason, before anything is changed. Pure.

A check that cannot be made is no check that has passed: where the charge point could be stranded it stands in the way,
elsewhere it is told.
"""

from typing import Final, Literal

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.provisioning.station_facts import StationFacts

__all__ = ["Check", "OurSide", "Preflight", "RootMatch", "preflight"]

Outcome = Literal["ok", "told", "wait", "enrol", "install", "no"]
"""``told``: not known, and no obstacle. ``wait``: not now. ``enrol``: a certificate first. ``install``: our root first.
``no``: mend it first."""
RootMatch = Literal["same", "name", "none", "unknown"]
"""Our server certificates' root among the installed ones: the very one; one of its name; none; it does not say."""
_CLOCK_TOLERANCE_S: Final = 300.0
_RANK: Final[dict[Outcome, int]] = {"ok": 0, "told": 0, "wait": 1, "enrol": 2, "install": 3, "no": 4}


class Check(msgspec.Struct, frozen=True):
    """One of them."""

    name: str
    outcome: Outcome
    why: str


class OurSide(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway knows without asking the charge point."""

    version: OCPPVersion
    from_profile: SecurityProfile
    to_profile: SecurityProfile
    now: float
    listener: str
    """That serves `to_profile`, for its CSMS; empty: none does."""
    has_listener_of_others: bool = False
    """One serves it, of whatever CSMS."""
    old_listener: bool
    """One serves `from_profile`."""
    url: str
    url_problem: str
    url_key: str = ""
    """1.6: the vendor's key for it; empty: none was named."""
    chain_problem: str
    """Of the listener's server certificates, for the host of `url`; empty: they fit."""
    has_serial_number: bool
    has_password: bool
    certificate: Literal["ready", "enrol", "none"]
    certificate_why: str
    root: RootMatch
    install_root: bool = False
    """The root is to be installed where it is not there."""
    no_root: str = ""
    """Why we could not install it; empty: we have it."""
    firmware: str = ""
    """Why its firmware is not known to be good enough, by an operator's rules."""
    has_firmware_rule: bool = False
    is_kind_unknown: bool = False
    """There are such rules, and it has not said yet whose charge point it is."""
    unsafe_any_firmware: bool = False
    learnt: tuple[str, ...] = ()
    """What is known of its kind that speaks against it. It decides about campaigns; here it is told."""
    not_idle: str
    """Why it cannot be sent to restart now; empty: no transaction runs."""


class Preflight(msgspec.Struct, frozen=True):
    """All checks, and what follows from them."""

    checks: tuple[Check, ...]
    fallback: str
    reversibility: str
    is_heard: bool = True
    """It has answered everything that decides. If not, it is asked again another time."""

    @property
    def verdict(self) -> Outcome:
        """ok, or the worst of what is in the way."""
        worst = max((check.outcome for check in self.checks), key=_RANK.__getitem__)
        return "ok" if _RANK[worst] == 0 else worst

    @property
    def why(self) -> str:
        """The reasons for a verdict that is not ok."""
        verdict = self.verdict
        return "; ".join(f"{check.name}: {check.why}" for check in self.checks if check.outcome == verdict)


def preflight(ours: OurSide, station: StationFacts) -> Preflight:
    """The checks in the order in which they are shown."""
    checks = [_profile(ours, station), _firmware(ours), _listener(ours), _address(ours, station), _idle(ours)]
    if ours.to_profile > SecurityProfile.BASIC:
        checks += [_root(ours, station), _chain(ours), _clock(ours, station)]
    if ours.to_profile is SecurityProfile.TLS_CLIENT_CERTIFICATE:
        checks += [_certificate(ours), _room(ours, station)]
    else:
        checks.append(_password(ours))
    checks.append(_fallback_check(ours, station))
    if station.unheard:
        checks.insert(0, Check("answers", "wait", f"it has not answered: {station.unheard}"))
    return Preflight(tuple(checks), _fallback(ours), _reversibility(ours, station), is_heard=not station.unheard)


def _unsaid(station: StationFacts) -> Outcome:
    """Of what it does not say: it may only not have heard the question."""
    return "wait" if station.unheard else "no"


def _profile(ours: OurSide, station: StationFacts) -> Check:
    said = station.security_profile
    if said in {"", str(int(ours.from_profile))} or (said == "0" and ours.from_profile is SecurityProfile.BASIC):
        return Check(
            "profile", "ok" if said else "told", f"it is on {said}" if said else "it does not say which it is on"
        )
    return Check(
        "profile", "no", f"it says that it is on {said[:8]}, the registry that it is on {int(ours.from_profile)}"
    )


def _firmware(ours: OurSide) -> Check:
    if ours.is_kind_unknown and not ours.unsafe_any_firmware:
        return Check("firmware", "wait", "it has not said yet what it is (BootNotification)")
    if ours.firmware and not ours.unsafe_any_firmware:
        return Check("firmware", "no", ours.firmware)
    if ours.firmware:
        return Check("firmware", "told", f"{ours.firmware}; it is moved all the same (--unsafe-any-firmware)")
    if ours.learnt:
        return Check("firmware", "told", "; ".join(ours.learnt))
    if ours.has_firmware_rule:
        return Check("firmware", "ok", "it is known to be good")
    return Check("firmware", "told", "nobody has said which is good: [[known_firmware]]")


def _listener(ours: OurSide) -> Check:
    if ours.listener:
        return Check("listener", "ok", f"{ours.listener} serves profile {int(ours.to_profile)}")
    if ours.has_listener_of_others:
        why = f"only listeners of another CSMS serve profile {int(ours.to_profile)}: charge-point set ID --csms NAME"
        return Check("listener", "no", why)
    return Check("listener", "no", f"no listener serves profile {int(ours.to_profile)}")


def _address(ours: OurSide, station: StationFacts) -> Check:
    if ours.url_problem:
        return Check("address", "no", ours.url_problem)
    plan = station.network_keys.plan(ours.url) if station.network_keys is not None and not ours.url_key else None
    if ours.version is OCPPVersion.V1_6 and plan is not None:
        return Check("address", "ok", f"{ours.url}, in its {plan.slot}")
    if ours.url and (ours.version is not OCPPVersion.V1_6 or ours.url_key):
        return Check("address", "ok", ours.url)
    return Check("address", "told", "OCPP 1.6 has no key for it: it keeps its address, or changes ws to wss by itself")


def _idle(ours: OurSide) -> Check:
    return Check("idle", "wait", ours.not_idle) if ours.not_idle else Check("idle", "ok", "no transaction runs")


def _root(ours: OurSide, station: StationFacts) -> Check:
    count = len(station.roots or ())
    match ours.root:
        case "same":
            return Check("root", "ok", "it has the root of our server certificates")
        case "name":
            return Check(
                "root", "ok", "it has a root of the right name; name server_roots in [listener.tls] to be sure"
            )
        case "none":
            return _missing_root(ours, f"it has {count} roots, and not that of our server certificates")
        case "unknown":
            return Check("root", _unsaid(station), "it does not say which roots it has")


def _missing_root(ours: OurSide, what: str) -> Check:
    if not ours.install_root:
        return Check("root", "no", f"{what}: --install-root installs it first")
    return Check("root", "no", f"{what}; {ours.no_root}") if ours.no_root else Check("root", "install", what)


def _chain(ours: OurSide) -> Check:
    return Check("server certificate", "no" if ours.chain_problem else "ok", ours.chain_problem or "it fits")


def _clock(ours: OurSide, station: StationFacts) -> Check:
    if station.clock is None:
        return Check("clock", "told", "it does not say what time it has; a wrong one makes it refuse our certificate")
    off_s = station.clock - ours.now
    if abs(off_s) <= _CLOCK_TOLERANCE_S:
        return Check("clock", "ok", "right")
    return Check("clock", "no", f"{abs(off_s):.0f} s {'ahead' if off_s > 0 else 'behind'}")


def _certificate(ours: OurSide) -> Check:
    if not ours.has_serial_number:
        return Check("certificate", "no", "the registry has no serial number: charge-point set ID --serial-number")
    outcome: dict[str, Outcome] = {"ready": "ok", "enrol": "enrol", "none": "no"}
    return Check("certificate", outcome[ours.certificate], ours.certificate_why)


def _room(ours: OurSide, station: StationFacts) -> Check:
    count, most = station.certificates, station.max_certificates
    if ours.certificate == "ready":
        return Check("store", "ok", "the certificate is there")
    if count is None or most is None:
        return Check("store", "told", "it does not say how much room its store has")
    return Check("store", "ok" if count < most else "no", f"{count} of {most} places are taken")


def _password(ours: OurSide) -> Check:
    if ours.has_password:
        return Check("password", "ok", "there is one")
    return Check("password", "no", "the registry has no password for it")


def _fallback_check(ours: OurSide, station: StationFacts) -> Check:
    if not ours.old_listener:
        return Check("fall-back", "no", f"no listener serves profile {int(ours.from_profile)} any more")
    if ours.version is not OCPPVersion.V1_6 and not station.priority:
        return Check("fall-back", _unsaid(station), "it does not say which network profiles it uses")
    if ours.version is not OCPPVersion.V1_6 and not _is_in_use(station.active_slot, station.priority):
        why = f"it is connected by its network profile {station.active_slot[:8]}, which its list does not have any more"
        return Check("fall-back", "no", f"{why}: restart it, or put it into the list")
    return Check("fall-back", "ok", _fallback(ours))


def _is_in_use(active_slot: str, priority: str) -> bool:
    """True if the profile by which it is connected will be tried after its next start, and is never overwritten."""
    return active_slot.strip() in {"", *(word.strip() for word in priority.split(","))}


def _fallback(ours: OurSide) -> str:
    if ours.version is OCPPVersion.V1_6:
        return "it should go back by itself where the new profile does not work (A05.FR.08), which not all do"
    return "its old network profile stays second in the list (B10.FR.03)"


def _reversibility(ours: OurSide, station: StationFacts) -> str:
    before = "until it has registered on the new profile, both are accepted"
    lowers = (
        station.allows_downgrade is True
        and ours.from_profile is SecurityProfile.TLS_BASIC
        and ours.to_profile is SecurityProfile.TLS_CLIENT_CERTIFICATE
    )
    after = "then only from 3 to 2 (AllowSecurityProfileDowngrade)" if lowers else "then never over OCPP"
    return f"{before}; {after}"
