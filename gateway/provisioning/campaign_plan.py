"""What somebody decides before a campaign starts: what is done to whom, how fast, when, and when it has to stop. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign_window import Window

__all__ = ["HaltRules", "Plan", "Stratum", "Waves", "problems_of", "wave_size"]

_LARGEST_WAVE: Final = 1_000_000


class Stratum(NamedTuple):
    """Charge points that should behave alike: what works on one says something about the others."""

    vendor: str
    model: str
    firmware: str

    def __str__(self) -> str:
        return " / ".join(part or "unknown" for part in self)


class Waves(msgspec.Struct, frozen=True, kw_only=True):
    """How fast. Each stratum has waves of its own."""

    canaries: int = 1
    """Size of the first wave."""
    growth: float = 4.0
    """Each wave is so many times larger than the one before it, which was successful as a whole."""
    max_at_once: int = 50
    """Of the whole campaign, between being told and being seen with the new."""


class HaltRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a stratum halts until somebody has looked. The others go on.

    One that is lost in the first wave always halts it; that is no setting.
    """

    max_failure_share: float = 0.1
    """Of those of a wave that have come to an end, lost or fallen back."""
    min_ended: int = 5
    """Before so many of a wave have come to an end a share says nothing, unless the wave has."""
    max_lost: int = 3
    """Of the stratum, since the start or since somebody let it go on: one more halts it."""
    max_offline_rise: float = 0.2
    """So much more of the stratum is offline than at the start, which this campaign has not told to reconnect."""
    offline_for_s: float = 300.0
    """For so long, as networks have hiccups."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """See the module; nothing in it changes after the start."""

    waves: Waves = msgspec.field(default_factory=Waves)
    halt: HaltRules = msgspec.field(default_factory=HaltRules)
    windows: tuple[Window, ...] = ()
    """When charge points may be switched; none: at any time."""
    time_zone: str = "UTC"
    first: tuple[ChargePointId, ...] = ()
    """Who is to be the first of its stratum, the one in the laboratory, say. Its wave waits for it."""
    proof_within_s: float = 3_600.0
    """How long one that was told may take before it has fallen back or is lost."""
    soak_s: float = 86_400.0
    retry_s: float = 300.0
    """After which one that could not be prepared or told at the moment is tried again, doubling."""
    max_attempts: int = 6
    """To prepare it; then it is left out."""
    ends_after_s: float = 30 * 86_400.0
    """After the start; who has not had a turn by then is left out."""
    to_profile: int = 0
    """Of a campaign that raises the security profile: to which one."""
    url: str = ""
    """Where charge points find that profile, without identity; empty: as the configuration says."""
    url_key: str = ""
    """1.6: the vendor's configuration key for the URL."""
    interface: str = ""
    """2.x: ocppInterface; empty: as it is usual."""
    install_root: bool = False
    """Of a campaign that raises the security profile: the root of our server certificates first, where it is missing."""
    unsafe_any_firmware: bool = False
    """The same: also charge points whose firmware is not known to be good."""
    old_root: str = ""
    """Of a rollover of the CSMS root, PEM: the one that charge points have."""
    new_root: str = ""
    """The same: the one that they shall have."""
    link: str = ""
    """The same: the new root's key signed by the old one, for those that demand it; empty: there is none."""
    quiet_s: float = 0.0
    """Of `old-root`: for so long a charge point must have been connected under the new chain."""
    needs_approval: bool = False
    """It cannot be undone: a second person has to agree before the start."""


def wave_size(waves: Waves, number: int) -> int:
    """How many charge points wave `number` (from 0) of a stratum has."""
    size = float(waves.canaries)
    for _ in range(number):
        size = min(size * waves.growth, _LARGEST_WAVE)
    return int(size)


def problems_of(plan: Plan) -> Sequence[str]:
    """What is wrong with it, in words for whoever has made it; empty if nothing is."""
    waves, halt = plan.waves, plan.halt
    checks = (
        (waves.canaries >= 1, "the first wave needs at least one charge point"),
        (1.0 <= waves.growth <= 10.0, "waves grow by a factor from 1 to 10"),  # noqa: PLR2004
        (waves.max_at_once >= 1, "at least one charge point has to be switched at a time"),
        (0.0 <= halt.max_failure_share < 1.0, "the failure share is from 0 to below 1"),
        (halt.min_ended >= 1 and halt.max_lost >= 0, "the numbers of the halt rules are not negative"),
        (0.0 < halt.max_offline_rise <= 1.0, "the rise of those offline is above 0, up to 1"),
        (plan.proof_within_s > 0.0, "a charge point needs time to prove itself"),
        (plan.soak_s >= 0.0, "the soak time is not negative"),
        (plan.retry_s > 0.0 and plan.max_attempts >= 1, "retries need a time and a number"),
        (plan.ends_after_s > plan.proof_within_s, "the campaign ends before a charge point could prove itself"),
    )
    return [words for holds, words in checks if not holds]
