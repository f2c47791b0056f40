"""May our listeners show a server chain under another root now? By what charge points have listed, and nothing else. Pure."""

from collections.abc import Collection, Mapping

import msgspec

from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["SwitchVerdict", "judge_switch"]


class SwitchVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Go where `why_not` is empty."""

    why_not: str
    have: int
    total: int
    lacking: tuple[ChargePointId, ...]
    """Who has not listed the new root, named or not."""


def judge_switch(
    lists_new: Mapping[ChargePointId, bool],
    exceptions: Collection[str],
    share: float,
    *,
    has_link: bool,
    strands_by_name: bool,
) -> SwitchVerdict:
    """Of all charge points that would see the new chain: enough have its root, and nobody is stranded.

    `exceptions`: who need not have it, by name. `share`: of the others, who must. `has_link`: the chains carry the new root's
    key signed by the old one, by which those without the new root verify them too. `strands_by_name`: somebody has said
    that those without it may be lost.
    """
    lacking = tuple(sorted(identity for identity, has in lists_new.items() if not has))
    have = len(lists_new) - len(lacking)

    def verdict(why_not: str) -> SwitchVerdict:
        return SwitchVerdict(why_not=why_not, have=have, total=len(lists_new), lacking=lacking)

    if strangers := sorted(set(exceptions) - set(lists_new)):
        return verdict(f"{strangers[0]} would not see the new chain, so it is no exception")
    if not lists_new:
        return verdict("no charge point would see the new chain")
    others = [identity for identity in lists_new if identity not in exceptions]
    unnamed = [identity for identity in lacking if identity not in exceptions]
    if len(others) - len(unnamed) < share * len(others):
        shown = ", ".join(unnamed[:5]) + (" ..." if len(unnamed) > 5 else "")  # noqa: PLR2004  enough to begin with
        return verdict(f"{len(unnamed)} of {len(others)} have not listed the new root: {shown}")
    if lacking and not has_link and not strands_by_name:
        return verdict(
            f"{len(lacking)} could not verify the new chain: it has no link from the old root to the new one"
        )
    return verdict("")
