"""The ways in which a charge point misbehaves in the campaign of `bench.campaign`, and where each of them has to lead. Pure."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tests.support.campaign_fleet import Planned

__all__ = ["GOOD", "REFUSES", "WAYS", "Way", "cast_of", "ends", "faults", "stranded"]

_ON_THE_NEW: Final = "it is on the new, and has stayed with it"
_ON_THE_OLD: Final = "it can be reached, on what it had before"
_LATE: Final = "it is connected, and has not proven itself in time"
_STOPPED: Final = "stopped by the campaign, as its time was nearly over"
_CAME_BACK: Final = "fell-back: it came back on security profile 1"
_ASKED_AGAIN: Final = "request for a certificate repeated"
_SAYS_NO: Final = "rejected-by-station: CertificateSigned: Rejected"


class Way(NamedTuple):
    """Quirks of one charge point; the states in which it may end, and how the report then has to begin what it says of it (a pattern)."""

    quirks: tuple[str, ...]
    ends: Mapping[str, str]
    version: str = "2.0.1"
    shows: str = ""
    """What it must have noted of itself: else it has not misbehaved, and its end says nothing."""


def _committed(*quirks: str, version: str = "2.0.1", shows: str = "") -> Way:
    return Way(quirks, {"committed": _ON_THE_NEW}, version, shows)


def _fell_back(why: str, *quirks: str, version: str = "2.0.1", shows: str = "") -> Way:
    return Way(quirks, {"fell-back": f"{_ON_THE_OLD}: {why}"}, version, shows)


GOOD: Final = _committed()
_ALTERNATES: Final = Way(
    ("alternates-certificates",),
    {"committed": _ON_THE_NEW, "fell-back": f"{_ON_THE_OLD}: (connected with another|{_LATE}: it has accepted)"},
)
"""How it is judged depends on how often it has reconnected."""
_STAYS_AWAY: Final = Way(("never-reconnects",), {"lost": "it was told, and is not connected any more"})
"""The only one that has nothing to fall back to."""
_CERTIFICATE: Final = (
    _committed("slow-answers=5"),
    _fell_back(f"{_LATE}: delivery-sent", "silent=CertificateSigned"),
    _fell_back(f"{_LATE}: trigger-", "silent=TriggerMessage"),
    _fell_back(f"{_LATE}: trigger-.*TriggerMessage: Rejected", "rejects=TriggerMessage"),
    _fell_back(_SAYS_NO, "rejects-certificate"),
    _fell_back(f"{_LATE}: trigger-.*TriggerMessage: NotImplemented", "no-security-actions"),
    _committed("wants-leaf-only"),
    _ALTERNATES,
    _STAYS_AWAY,
    _committed("store-full"),
    _committed("clock-off=10"),
    _committed("reboots-on=CertificateSigned"),
    _committed("reboots-after=CertificateSigned"),
    _committed("reboots-on=TriggerMessage"),
    _committed("drops-before-answer=CertificateSigned"),
    _committed("drops-after-answer=CertificateSigned"),
    _committed("drops-after-answer=TriggerMessage"),
    _committed("duplicate-ids"),
    _committed("ignores-triggers"),
    _committed("no-pong"),
    # More often than a session may ask: the same request is told Accepted all the same, or it would forget its key.
    _committed("resends-csr=0.05", version="2.1"),
    # Nobody hears how large a chain it takes, so that it has asked three times before the certificate is on its way.
    _committed("resends-csr=1", "silent=GetVariables", shows=_ASKED_AGAIN),
    _committed("resends-csr=1", "silent=GetConfiguration", version="1.6", shows=_ASKED_AGAIN),
    _fell_back(_SAYS_NO, "drops-csr-key=0", shows="key of the request forgotten"),
)
_SECURITY_PROFILE: Final = (
    _fell_back(_CAME_BACK, "falls-back"),
    _fell_back(_CAME_BACK, "falls-back", version="1.6"),
    _fell_back(_CAME_BACK, "falls-back", version="2.1"),
    _committed("slow-answers=5"),
    _fell_back(f"({_LATE}: returning|aborted:) {_STOPPED}: both-accepted", "silent=SetNetworkProfile"),
    _fell_back("refused: SetNetworkProfile: Rejected", "rejects=SetNetworkProfile"),
    _fell_back("refused: ChangeConfiguration: Rejected", "rejects=ChangeConfiguration", version="1.6"),
    _fell_back("fell-back: given up while switching: it does not switch", "silent=Reset"),
    _fell_back("fell-back: given up while told: Reset: Rejected", "rejects=Reset"),
    _committed("never-reconnects"),  # but after the restart that it is asked for
    _committed("store-full"),
    Way(("clock-off=10",), {"ineligible": "nothing was changed: clock: "}),
    _committed("reboots-on=SetNetworkProfile"),
    _committed("reboots-after=SetNetworkProfile"),
    _committed("reboots-after=SetVariables"),
    _committed("reboots-after=ChangeConfiguration", version="1.6"),
    # Without a BootNotification in its new session, nobody knows for a quarter of an hour whether it is charging.
    _fell_back(f"aborted: {_STOPPED}: told", "drops-before-answer=SetNetworkProfile"),
    _committed("drops-after-answer=Reset"),
    _committed("drops-before-answer=Reset"),
    _committed("duplicate-ids"),
    _committed("no-boot-after-reset"),
    _committed("no-pong"),
)
WAYS: Final[Mapping[str, tuple[Way, ...]]] = {"certificate": _CERTIFICATE, "security-profile": _SECURITY_PROFILE}
"""By the kind of campaign."""
REFUSES: Final[Mapping[str, str]] = {
    "certificate": "rejects-certificate",
    "security-profile": "rejects=SetNetworkProfile",
}
"""A quirk by which a charge point falls back as soon as it is told."""
_VERSIONS: Final = ("2.0.1", "1.6", "2.1")


def cast_of(kind: str, count: int, misbehaving: float, kinds: int) -> dict[str, tuple[Way, Planned]]:
    """So many charge points, spread evenly over the kinds of charge points; those that behave are of every version."""
    every = max(1, round(1 / misbehaving)) if misbehaving else count + 1
    ways = itertools.cycle(WAYS[kind])
    cast = {}
    for n in range(count):
        way = next(ways) if n % every == every - 1 else GOOD
        model = f"Model {n // min(every, 20) % kinds}"
        version = _VERSIONS[n % len(_VERSIONS)] if way is GOOD else way.version
        profile = 3 if kind == "certificate" else 1
        cast[f"CP-{n:05}"] = way, Planned(way.quirks, model, version, profile)
    return cast


def faults(ways: Mapping[str, Way], report: Mapping[str, Any]) -> list[str]:
    """Who is not where its way has to lead, or is not explained, or was told more than once that it is done."""
    found = {each["charge_point_id"]: each for each in report["charge_points"]}
    wrong = [f"{identity}: the report does not know it" for identity in ways if identity not in found]
    for identity, each in found.items():
        way, seen = ways[identity], f"{each['state']}: {each['explanation']}"
        says = way.ends.get(each["state"])
        if says is None or not re.match(says, each["explanation"]):
            wrong.append(f"{identity} ({', '.join(way.quirks)}): {seen}")
        if [step["state"] for step in each["history"]].count("committed") > 1:
            wrong.append(f"{identity}: done more than once")
    return wrong


def stranded(ways: Mapping[str, Way], report: Mapping[str, Any]) -> list[str]:
    """Who is lost and had something to fall back to."""
    lost = [each["charge_point_id"] for each in report["charge_points"] if each["state"] == "lost"]
    return [identity for identity in lost if "lost" not in ways[identity].ends]


def ends(ways: Mapping[str, Way], report: Mapping[str, Any]) -> list[str]:
    """For each way of misbehaving: how many, to what it has led, and how the report explains it."""
    found: Counter[tuple[str, str, str]] = Counter()
    for each in report["charge_points"]:
        way = ways[each["charge_point_id"]]
        if way is not GOOD:
            name = f"{', '.join(way.quirks)} ({way.version})"
            found[name, each["state"], _without_serial(each["explanation"])] += 1
    return [f"{n} x {name}: {state}: {why}" for (name, state, why), n in sorted(found.items())]


def _without_serial(explanation: str) -> str:
    return re.sub(r"[0-9a-f]{16,}", "...", explanation)
