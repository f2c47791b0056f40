"""`capability`: what each kind of charge point really did, and what others have seen."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_text, shown_name, write_text
from gateway.cli.lazy import LazyGroup
from gateway.cli.output import fail, json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.provisioning.capability import Count
    from gateway.store.registry import Registry

__all__ = ["capability", "export_capabilities", "import_capabilities", "list_capabilities", "show"]

_MODE = 0o644
"""There is nothing in it that names a charge point."""


class _Commands(LazyGroup):
    modules: ClassVar = {
        "list": ("gateway.cli.capabilities", "list_capabilities"),
        "show": ("gateway.cli.capabilities", "show"),
        "export": ("gateway.cli.capabilities", "export_capabilities"),
        "import": ("gateway.cli.capabilities", "import_capabilities"),
    }


@click.group("capability", cls=_Commands)
def capability() -> None:
    """Show what each model and firmware really did.

    As far as this gateway has seen it, or others whose export was imported. Campaigns look at it before they begin.
    """


@click.command("list")
@config_option
@json_option
def list_capabilities(config_path: str | None, as_json: bool) -> int:
    """List the kinds of charge points of which something is known."""
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        counts = _known(registry)
    kinds: dict[Any, list[Count]] = {}
    for each in counts:
        kinds.setdefault(each.stratum, []).append(each)
    found = [
        {
            "vendor": stratum.vendor,
            "model": stratum.model,
            "firmware": stratum.firmware,
            "facts": len({each.fact for each in of_it}),
            "seen": sum(each.count for each in of_it),
        }
        for stratum, of_it in sorted(kinds.items())
    ]
    if as_json:
        print_json(found)
    else:
        rows = [(each["vendor"], each["model"], each["firmware"], each["facts"], each["seen"]) for each in found]
        print_table("Kinds of charge points", ("vendor", "model", "firmware", "facts", "seen"), rows)
    return 0


@click.command()
@click.argument("vendor")
@click.argument("model")
@click.argument("firmware", required=False)
@config_option
@json_option
def show(vendor: str, model: str, firmware: str | None, config_path: str | None, as_json: bool) -> int:
    """Show what is known of a vendor's model, of one firmware or of all.

    Exit code 1 if nothing is.
    """
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        counts = [
            each
            for each in _known(registry)
            if (each.stratum.vendor, each.stratum.model) == (vendor, model)
            and firmware in {None, each.stratum.firmware}
        ]
    if as_json:
        print_json([_public(each) for each in counts])
    else:
        rows = [(each.stratum.firmware, each.fact, each.value, each.count, each.evidence) for each in counts]
        title = f"{shown(vendor)} {shown(model)}"
        print_table(title, ("firmware", "fact", "value", "times", "evidence"), rows)
    return 0 if counts else NOT_OK


@click.command("export")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@config_option
@json_option
def export_capabilities(file: Path, force: bool, config_path: str | None, as_json: bool) -> int:
    """Write what this gateway has seen to FILE, without anything that names a charge point."""
    from gateway.provisioning.capability_file import written

    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        counts = [each for each in _known(registry) if each.evidence == "here"]
    write_text(file, written(counts), mode=_MODE, overwrite=force, as_json=as_json)
    if as_json:
        print_json({"file": str(file), "facts": len(counts)})
    else:
        click.echo(f"{len(counts)} facts written to {shown(file)}.")
    return 0


@click.command("import")
@click.argument("file", metavar="FILE")
@config_option
@json_option
def import_capabilities(file: str, config_path: str | None, as_json: bool) -> int:
    """Take over what others have seen, in the place of what was imported before.

    FILE is an export ('-': standard input). What this gateway has seen itself stays.
    """
    from gateway.provisioning.capability_file import read

    config = read_config(config_path, as_json=as_json)
    try:
        counts = read(read_text(file, as_json=as_json), time.time())
    except ValueError as error:
        fail(f"{shown_name(file)} is no export of capabilities: {shown(error)}.", NOT_OK, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        registry.capabilities.replace_imported(counts)
    if as_json:
        print_json({"facts": len(counts)})
    else:
        click.echo(f"{len(counts)} facts imported.")
    return 0


def _known(registry: "Registry") -> "list[Count]":
    """What was learnt, and what the registry says of its charge points."""
    from gateway.provisioning.capability import counted

    return sorted(
        [*registry.capabilities.all(), *counted(registry.find())],
        key=lambda each: (each.stratum, each.fact, each.value, each.evidence),
    )


def _public(count: "Count") -> dict[str, Any]:
    names: Iterable[str] = ("fact", "value", "count", "first_at", "last_at", "evidence")
    return count.stratum._asdict() | {name: getattr(count, name) for name in names}
