"""`policy lint`: everything that can be said about rules without traffic, with file, line and column."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.policy_packs import PackProblem

__all__ = ["lint"]

_TESTS = ".test.yaml"


@click.command()
@click.argument("packs", metavar="[PACK|FILE]...", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings are errors, too.")
@config_option
@json_option
def lint(packs: tuple[str, ...], strict: bool, config_path: str | None, as_json: bool) -> int:
    """Check packs, their cases, and the values of a site.

    Without a name: what the configuration uses, and all shipped packs where there is no configuration. A FILE may
    be a pack, its cases (.test.yaml), or the values of a site (kind: PolicySite). With a configuration, groups are looked up
    in its registry.
    """
    from gateway.cli.policy.sources import load_sources, problem_record, problem_text, sources_of
    from gateway.config.policy_packs import shipped_packs

    cases = tuple(word for word in packs if word.endswith(_TESTS))
    named = tuple(word for word in packs if word not in cases)
    problems: list[PackProblem] = []
    revision, checked = "", list(cases)
    if named or not cases:
        sources = sources_of(named, config_path, as_json=as_json, default=shipped_packs(), lend_site=False)
        registered = _registered_groups(config_path, as_json=as_json) if sources.config_path or config_path else ()
        bundle = load_sources(sources, registered)
        problems += bundle.problems
        revision, checked = bundle.revision, [*sources.packs, *cases]
        if sources.site:
            checked.append(sources.site)
    problems += _problems_of_cases(dict.fromkeys((*checked, *cases)))
    problems = sorted(set(problems), key=lambda each: (each.path, each.line, each.column, each.code))
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    failed = bool(errors or (strict and warnings))
    if as_json:
        document: dict[str, Any] = {"ok": not failed, "errors": errors, "warnings": warnings, "strict": strict}
        print_json(
            {
                **document,
                "checked": checked,
                "revision": revision,
                "problems": [problem_record(problem) for problem in problems],
            }
        )
        return NOT_OK if failed else 0
    for problem in problems:
        click.echo(problem_text(problem))
    click.echo(f"{_named(checked)}: {errors} error(s), {warnings} warning(s).")
    return NOT_OK if failed else 0


def _registered_groups(config_path: str | None, *, as_json: bool) -> frozenset[str]:
    """The groups that charge points are in; none where there is no registry, or nobody in it."""
    from gateway.cli.checkup.registry import read_registry
    from gateway.cli.policy.sources import configured

    config = configured(config_path, as_json=as_json)
    return frozenset(record.group for record in read_registry(config).records) if config is not None else frozenset()


def _named(checked: Sequence[str]) -> str:
    return ", ".join(map(shown, checked)) if checked else "No packs"


def _problems_of_cases(words: "dict[str, None]") -> "Iterator[PackProblem]":
    """Of the cases beside each pack; a file of cases that was typed has to be there."""
    from gateway.cli.policy.case_files import read_case_file

    for word in words:
        found = read_case_file(word)
        if found is not None:
            yield from found.problems
