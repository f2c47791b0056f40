"""`campaign plan`: who, how fast, when, what stands in whose way, and whether there is a way back. Changes no charge point."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.campaigns.announce import announce
from gateway.cli.campaigns.fields import DURATION, WINDOW, ZONE, by_option, name_argument
from gateway.cli.campaigns.material import odd_material, read_material
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.finite import FiniteRange
from gateway.cli.output import console, fail, json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.identity.record import ChargePointRecord
    from gateway.provisioning.campaign import Campaign, Member
    from gateway.provisioning.campaign_plan import Plan
    from gateway.provisioning.campaign_preflight import Candidate
    from gateway.store.registry import Registry

__all__ = ["plan"]

_SHOWN_OBSTACLES = 20


@click.command()
@name_argument
@click.option(
    "--kind",
    type=click.Choice(["certificate", "password", "security-profile", "root", "old-root"]),
    required=True,
    help="What is done to the charge points.",
)
@click.option("--to-profile", type=click.IntRange(2, 3), default=None, help="Of security-profile: to which one.")
@click.option("--url", default="", help="Of security-profile: where they find it, without identity.")
@click.option("--url-key", default="", metavar="KEY", help="Of security-profile, 1.6: the vendor's key for the URL.")
@click.option("--interface", default="", help="Of security-profile, 2.x: ocppInterface. Default: Wired0.")
@click.option("--install-root", is_flag=True, help="Of security-profile: our server's root first, where it is missing.")
@click.option(
    "--unsafe-any-firmware",
    is_flag=True,
    help="Of security-profile: also those whose firmware is not known to be good ([[known_firmware]]).",
)
@click.option(
    "--despite-known-failures",
    is_flag=True,
    help="Also those whose kind has never come through (`capability show`): one that was lost bars all of its kind.",
)
@click.option("--old-root", metavar="PEM", help="Of root and old-root: file with the root that charge points have.")
@click.option("--new-root", metavar="PEM", help="The same: file with the root that they shall have.")
@click.option(
    "--link", metavar="PEM", help="Of root: the new root's key signed by the old one, for those that demand it."
)
@click.option(
    "--quiet", type=DURATION, default="7d", show_default=True, help="Of old-root: connected under the new chain."
)
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="Everybody of this group. Repeatable.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="This charge point. Repeatable.")
@click.option("--all", "everybody", is_flag=True, help="Every registered charge point.")
@click.option(
    "--first", multiple=True, metavar="ID", help="The first of its kind: the one in the laboratory. Repeatable."
)
@click.option("--canaries", type=click.IntRange(1), default=1, show_default=True, help="Size of the first wave.")
@click.option("--growth", type=FiniteRange(min=0), default=4.0, show_default=True, help="How much larger each wave is.")
@click.option("--max-at-once", type=click.IntRange(1), default=50, show_default=True, help="Switched at the same time.")
@click.option(
    "--window", "windows", multiple=True, type=WINDOW, help="'mon-fri 22:00-05:00'. Repeatable. Default: always."
)
@click.option("--time-zone", type=ZONE, default="UTC", show_default=True, help="Of the windows.")
@click.option("--proof-within", type=DURATION, default="1h", show_default=True, help="Later it has failed.")
@click.option("--soak", type=DURATION, default="1d", show_default=True, help="How long it has to stay with the new.")
@click.option(
    "--retry", type=DURATION, default="5m", show_default=True, help="Until one that could not is tried again."
)
@click.option(
    "--ends-after", type=DURATION, default="30d", show_default=True, help="Then those without a turn are left out."
)
@click.option(
    "--max-failure-share", type=FiniteRange(min=0), default=0.1, show_default=True, help="Of a wave; above it halts."
)
@click.option("--max-lost", type=click.IntRange(0), default=3, show_default=True, help="Of a kind; one more halts it.")
@click.option("--dry-run", is_flag=True, help="Show everything, keep nothing.")
@by_option
@config_option
@json_option
def plan(name: str, dry_run: bool, by: str, config_path: str | None, as_json: bool, **options: Any) -> int:
    """Plan a campaign; nothing happens before it is started.

    Charge points of one vendor, model and firmware have waves of their own, the first one a canary.
    """
    config, lacks = read_config(config_path, as_json=as_json), dict[str, str]()
    made = _made_plan(options, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        chosen = _chosen(registry, options, as_json=as_json)
        knows = not options["despite_known_failures"]
        candidates = _candidates(config, registry, options["kind"], made, chosen, counts_failures=knows)
        campaign, members = _planned(name, options["kind"], made, candidates, by)
        if not dry_run:
            lacks = announce(config, "plan", name, by, as_json=as_json)
            campaign = registry.campaigns.add(campaign, members)
    _show(campaign, members, lacks, dry_run=dry_run, as_json=as_json)
    return 0 if any(not member.state.is_over for member in members) else NOT_OK


def _made_plan(options: dict[str, Any], *, as_json: bool) -> "Plan":
    from gateway.provisioning.campaign_plan import HaltRules, Plan, Waves, problems_of
    from gateway.provisioning.campaign_preflight import KINDS

    made = Plan(
        waves=Waves(canaries=options["canaries"], growth=options["growth"], max_at_once=options["max_at_once"]),
        halt=HaltRules(max_failure_share=options["max_failure_share"], max_lost=options["max_lost"]),
        windows=tuple(options["windows"]),
        time_zone=options["time_zone"],
        first=tuple(options["first"]),
        proof_within_s=options["proof_within"],
        soak_s=options["soak"],
        retry_s=options["retry"],
        ends_after_s=options["ends_after"],
        to_profile=options["to_profile"] or 0,
        url=options["url"],
        url_key=options["url_key"],
        interface=options["interface"],
        install_root=options["install_root"],
        **read_material(options, as_json=as_json),
        unsafe_any_firmware=options["unsafe_any_firmware"],
        needs_approval=not KINDS[options["kind"]].is_reversible,
    )
    problems = [*problems_of(made), *_odd_target(made, options["kind"]), *odd_material(made, options["kind"])]
    if problems:
        fail(f"This is no plan: {'; '.join(problems)}.", USAGE, as_json=as_json, details=list(problems))
    return made


def _odd_target(made: "Plan", kind: str) -> list[str]:
    target = (made.to_profile, made.url, made.url_key, made.interface, made.install_root, made.unsafe_any_firmware)
    has_target = any(target)
    if kind != "security-profile":
        return ["--to-profile, --url and what goes with them are of the kind security-profile"] if has_target else []
    return [] if made.to_profile else ["--to-profile says to which security profile"]


def _chosen(registry: "Registry", options: dict[str, Any], *, as_json: bool) -> "list[ChargePointRecord]":
    from gateway.cli.lookup import require_charge_point

    if not (options["everybody"] or options["groups"] or options["ids"]):
        fail("Say who: --group, --id or --all.", USAGE, as_json=as_json)
    chosen = {each.charge_point_id: each for each in registry.find()} if options["everybody"] else {}
    for group in options["groups"]:
        found = registry.find(group=group)
        if not found:
            fail(f"There is no charge point in the group '{shown(group)}'.", NOT_OK, as_json=as_json)
        chosen |= {each.charge_point_id: each for each in found}
    for identity in (*options["ids"], *options["first"]):
        record = require_charge_point(registry, identity, as_json=as_json)
        chosen[record.charge_point_id] = record
    if not chosen:
        fail("No charge point is registered.", NOT_OK, as_json=as_json)
    return list(chosen.values())


def _candidates(
    config: "Config",
    registry: "Registry",
    kind: str,
    made: "Plan",
    chosen: "Iterable[ChargePointRecord]",
    *,
    counts_failures: bool,
) -> "list[Candidate]":
    from gateway.provisioning.campaign_preflight import Candidate, obstacles, stratum_of
    from gateway.provisioning.capability import tallied

    elsewhere = registry.campaigns.open_elsewhere()
    facts: dict[Any, dict[str, dict[str, int]]] = {}
    found = []
    for record in chosen:
        stratum = stratum_of(record)
        if stratum not in facts:
            facts[stratum] = tallied(registry.capabilities.of(stratum)) if counts_failures else {}
        in_the_way = obstacles(
            kind,
            record,
            facts[stratum],
            gives_certificates=_gives_certificates(config, record),
            other=elsewhere.get(record.charge_point_id, ""),
            to_profile=made.to_profile,
            rules=() if made.unsafe_any_firmware else config.known_firmware,
        )
        found.append(Candidate(record=record, obstacles=tuple(in_the_way)))
    return found


def _gives_certificates(config: "Config", record: "ChargePointRecord") -> bool:
    """Of a charge point without a CSMS of its own the listener decides: any that could."""
    owned = {csms.name for csms in config.csms if csms.certificates == "gateway"}
    return bool(config.pki.ca) and (record.csms in owned if record.csms else bool(owned))


def _planned(
    name: str, kind: str, made: "Plan", candidates: "Sequence[Candidate]", by: str
) -> "tuple[Campaign, list[Member]]":
    from gateway.provisioning.campaign_preflight import planned

    return planned(name, kind, made, candidates, by, time.time())


def _show(
    campaign: "Campaign", members: "list[Member]", lacks: dict[str, str], *, dry_run: bool, as_json: bool
) -> None:
    from gateway.provisioning.campaign_preflight import KINDS
    from gateway.provisioning.campaign_states import MemberState

    kind = KINDS[campaign.kind]
    out_of_it = [each for each in members if each.state is MemberState.INELIGIBLE]
    waves = _waves(campaign, members)
    if as_json:
        print_json(
            {
                "name": campaign.name,
                "kind": campaign.kind,
                "dry_run": dry_run,
                "planned_by": campaign.planned_by,
                "reversible": kind.is_reversible,
                "way_back": kind.way_back,
                "needs_approval": campaign.plan.needs_approval,
                "eligible": len(members) - len(out_of_it),
                "strata": waves,
                "ineligible": [{"charge_point_id": each.charge_point_id, "why": each.detail} for each in out_of_it],
                **lacks,
            }
        )
        return
    rows = [
        (each["stratum"], each["eligible"], each["ineligible"], ", ".join(map(str, each["waves"]))) for each in waves
    ]
    print_table(f"{campaign.name}: {kind.does}", ("vendor / model / firmware", "in", "out", "waves"), rows)
    out = console()
    out.print(f"way back    {kind.way_back}", soft_wrap=True)
    windows = "; ".join(map(str, campaign.plan.windows)) or "at any time"
    out.print(f"windows     {windows} ({campaign.plan.time_zone})", soft_wrap=True)
    _print_obstacles(out_of_it)
    if dry_run:
        out.print("Nothing was kept.")
    else:
        first = (
            f"ocpp-gateway campaign approve {campaign.name} --by SOMEBODY-ELSE, then "
            if campaign.plan.needs_approval
            else ""
        )
        out.print(f"Next: {first}ocpp-gateway campaign start {campaign.name}", soft_wrap=True)


def _print_obstacles(out_of_it: "list[Member]") -> None:
    if not out_of_it:
        return
    rows = [(each.charge_point_id, each.detail) for each in out_of_it[:_SHOWN_OBSTACLES]]
    print_table(f"{len(out_of_it)} left out", ("charge point", "why"), rows)
    if len(out_of_it) > _SHOWN_OBSTACLES:
        click.echo(f"... and {len(out_of_it) - _SHOWN_OBSTACLES} more: --json has all of them")


def _waves(campaign: "Campaign", members: "list[Member]") -> list[dict[str, Any]]:
    from gateway.provisioning.campaign_plan import wave_size

    eligible = Counter(each.stratum for each in members if not each.state.is_over)
    all_of_them = Counter(each.stratum for each in members)
    found = []
    for index, progress in enumerate(campaign.strata):
        left = eligible[index]
        sizes: list[int] = []
        while left > 0:
            sizes.append(min(left, wave_size(campaign.plan.waves, len(sizes))))
            left -= sizes[-1]
            if len(sizes) > 50 and left:  # noqa: PLR2004  waves that do not grow
                sizes.append(left)
                break
        found.append(
            {
                "stratum": str(progress.stratum),
                "eligible": eligible[index],
                "ineligible": all_of_them[index] - eligible[index],
                "waves": sizes,
            }
        )
    return found
