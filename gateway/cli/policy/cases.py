"""`policy test`: the cases beside the packs, run against what is really loaded."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.cli.policy.case_files import CaseFile
    from gateway.cli.progress import Advance
    from gateway.config.policy_packs import PackProblem
    from gateway.policy.rules import Pack
    from gateway.policy.trial import CaseResult, TrialResult
    from gateway.policy.trial_reading import Case

__all__ = ["test"]


class _Tested(NamedTuple):
    """What came of one pack."""

    pack: str
    revision: str
    file: "CaseFile | None"
    result: "TrialResult | None"
    problems: "tuple[PackProblem, ...]"
    """Why nothing was run."""

    @property
    def passed(self) -> bool:
        return self.result is not None and self.result.passed


@click.command()
@click.argument("packs", metavar="[PACK|FILE]...", nargs=-1)
@click.option("--quiet", is_flag=True, help="Only what failed, and the summary.")
@json_option
def test(packs: tuple[str, ...], quiet: bool, as_json: bool) -> int:
    """Run the cases beside packs.

    Every rule must fire where it should, and keep quiet where it should. Without a name: all shipped packs. Cases
    stand beside their pack (mine.test.yaml beside mine.yaml) and run against the pack with everything that it
    includes or requires, with its own parameters and modes.
    """
    from gateway.cli.policy.case_files import pack_beside, read_case_file
    from gateway.cli.progress import progress
    from gateway.config.policy_packs import shipped_packs

    words = list(dict.fromkeys(map(pack_beside, packs))) or list(shipped_packs())
    files = {word: read_case_file(word) for word in words}
    total = sum(len(file.cases) for file in files.values() if file is not None)
    with progress("Cases", total, as_json=as_json) as advance:
        tested = [_test(word, words, file, advance) for word, file in files.items()]
    ok = all(each.passed for each in tested)
    if as_json:
        print_json({"ok": ok, **_totals(tested), "packs": [_record(each) for each in tested]})
    else:
        _print(tested, quiet=quiet)
    return 0 if ok else NOT_OK


def _with_required(word: str, words: Sequence[str]) -> list[str]:
    """A pack, and the ones that it requires: shipped ones, and those that were typed as well."""
    import time

    from gateway.config.policy_packs import load_bundle, shipped_packs
    from gateway.policy.site import SitePolicy

    def pack_of(name: str) -> "Pack | None":
        return next(iter(load_bundle([name], SitePolicy(), now=time.time()).packs), None)

    pack = pack_of(word)
    required = {each.subject for each in pack.requires} if pack is not None else set()
    if not required:
        return [word]
    shipped = [name for name in shipped_packs() if name in required]
    others = {each: pack_of(each) for each in words if each != word and each not in shipped}
    return [word, *shipped, *(each for each, other in others.items() if other is not None and other.name in required)]


def _test(word: str, words: Sequence[str], file: "CaseFile | None", advance: "Advance") -> _Tested:
    import time

    from gateway.config.ocpp_schemas import schema_gate
    from gateway.config.policy_packs import PackProblem, load_bundle, policy_scopes
    from gateway.ocpp.vocabulary import OCPPVersion
    from gateway.policy.site import SitePolicy
    from gateway.policy.trial import run_trial

    bundle = load_bundle(_with_required(word, words), SitePolicy(), now=time.time())
    if bundle.errors:
        return _Tested(word, bundle.revision, file, None, bundle.errors)
    name = bundle.packs[0].name
    if file is None:
        missing = PackProblem(path=word, message="P090 there are no cases beside this pack", code="P090")
        return _Tested(name, bundle.revision, None, None, (missing,))
    problems = list(file.problems)
    if not problems and file.pack != name:
        problems.append(
            PackProblem(path=file.path, message=f"P005 cases of {file.pack}, beside the pack {name}", code="P005")
        )
    if problems:
        return _Tested(name, bundle.revision, file, None, tuple(problems))

    def cases() -> "Iterator[Case]":
        for case in file.cases:
            yield case
            advance(1)

    gates = {version: schema_gate(version) for version in OCPPVersion}
    result = run_trial(name, cases(), bundle.snapshot(), gates, policy_scopes())
    return _Tested(name, bundle.revision, file, result, ())


def _totals(tested: Sequence[_Tested]) -> dict[str, int]:
    results = [case for each in tested if each.result is not None for case in each.result.cases]
    return {
        "cases": len(results),
        "steps": sum(case.steps for case in results),
        "failed": sum(bool(case.failures) for case in results),
        "unproven": sum(len(each.result.unproven) for each in tested if each.result is not None),
        "not_run": sum(each.result is None for each in tested),
    }


def _expected(case: "Case") -> list[str]:
    """The rules that a case names, each with what it says of it."""
    found: dict[str, None] = {}
    for step in case.steps:
        expect = step.expect
        if expect is None:
            continue
        word = expect.decision or "match"
        found.update(dict.fromkeys(f"{word} {rule}" for rule in expect.rules))
        found.update(dict.fromkeys(f"quiet {rule}" for rule in expect.quiet))
        if not expect.rules and not expect.quiet:
            found[expect.decision or "any"] = None
    for after in case.after:
        found[f"{'never' if after.never else 'match'} {after.rule}"] = None
    return list(found)


def _failures(file: "CaseFile", result: "CaseResult") -> list[dict[str, Any]]:
    return [
        {
            "place": file.place(result.index, failure.step),
            "step": failure.step + 1,
            "repeat": failure.repeat,
            "message": failure.message,
        }
        for failure in result.failures
    ]


def _record(tested: _Tested) -> dict[str, Any]:
    from gateway.cli.policy.sources import problem_record

    document: dict[str, Any] = {
        "pack": tested.pack,
        "ok": tested.passed,
        "revision": tested.revision,
        "problems": [problem_record(problem) for problem in tested.problems],
        "cases": [],
        "unproven": [],
    }
    if tested.result is None or tested.file is None:
        return document
    by_index = {case.index: case for case in tested.file.cases}
    document["cases"] = [
        {
            "name": result.name,
            "place": tested.file.place(result.index),
            "ok": not result.failures,
            "steps": result.steps,
            "expects": _expected(by_index[result.index]),
            "failures": _failures(tested.file, result),
        }
        for result in tested.result.cases
    ]
    document["unproven"] = [{"rule": rule, "missing": missing} for rule, missing in tested.result.unproven]
    return document


def _print(tested: Sequence[_Tested], *, quiet: bool) -> None:
    for each in tested:
        record = _record(each)
        for case in record["cases"]:
            if case["ok"] and not quiet:
                click.echo(shown(f"ok      {each.pack}: {case['name']} [{', '.join(case['expects'])}]"))
            elif not case["ok"]:
                click.echo(shown(f"FAILED  {each.pack}: {case['name']} [{', '.join(case['expects'])}]"))
                for failure in case["failures"]:
                    click.echo(shown(f"  {failure['place']}: {_where(failure)}{failure['message']}"))
        for missing in record["unproven"]:
            click.echo(shown(f"FAILED  {each.pack}: P090 {missing['rule']}: {missing['missing']}"))
        _print_problems(each)
    rows = [
        (each.pack, len(each.result.cases) if each.result else 0, "passed" if each.passed else "FAILED")
        for each in tested
        if not quiet or not each.passed
    ]
    if rows:
        print_table(f"Packs ({len(rows)})", ("pack", "cases", "result"), rows)
    found = _totals(tested)
    more = f", {found['not_run']} pack(s) not run" if found["not_run"] else ""
    click.echo(
        f"{found['cases']} case(s) with {found['steps']} step(s) in {len(tested)} pack(s): {found['failed']} failed, "
        f"{found['unproven']} rule(s) unproven{more}."
    )


def _where(failure: dict[str, Any]) -> str:
    repeat = f", repeat {failure['repeat']}" if failure["repeat"] > 1 else ""
    return f"step {failure['step']}{repeat}: " if failure["step"] else ""


def _print_problems(tested: _Tested) -> None:
    from gateway.cli.policy.sources import problem_text

    for problem in tested.problems:
        click.echo(problem_text(problem))
    if tested.problems:
        click.echo(shown(f"FAILED  {tested.pack}: nothing was run"))
