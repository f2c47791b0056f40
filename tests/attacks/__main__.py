"""`python -m tests.attacks [--cases FILE] [--layer L] [--id ID] [--json] [--keep DIR]`.

One line a case and a summary; exit code 0 if every case that ran is as expected, 1 if one differs or is not
understood, 2 if there is nothing to run.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.attacks.case import DEFAULT_LAYERS, LAYERS, VECTORS, Case, NotUnderstood, load
from tests.attacks.run import Result, run_cases

__all__ = ["main"]

_WORDS = {"as expected": "ok", "differs": "DIFFERS", "not understood": "NOT UNDERSTOOD", "not run": "-"}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description="Judge a gateway by attack cases.")
    parser.add_argument("--cases", action="append", type=Path, metavar="FILE", help="cases, one JSON object a line")
    parser.add_argument("--layer", action="append", choices=LAYERS, help=f"run these ({', '.join(DEFAULT_LAYERS)})")
    parser.add_argument("--id", action="append", metavar="ID", help="run only these, whatever their layer")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave configuration, events and logs there")
    return parser.parse_args(arguments)


def _line(result: Result) -> str:
    head = f"{result.id:8} {_WORDS[result.outcome]:8} {result.layer:8} {result.title}"
    if result.outcome == "not run":
        return f"{head} (not run: {result.reason})"
    if result.failed:
        return "\n         ".join([head, *result.differences])
    shown = Counter(result.shown.values())
    return f"{head}: {'; '.join(f'{text} ({times}x)' if times > 1 else text for text, times in shown.items())}"


def _summary(results: list[Result]) -> list[str]:
    ran = [result for result in results if result.outcome != "not run"]
    lines = []
    for layer in dict.fromkeys(result.layer for result in ran):
        of_layer = [result for result in ran if result.layer == layer]
        good = sum(not result.failed for result in of_layer)
        lines.append(f"{layer or '?'}: {good} of {len(of_layer)} as expected")
    outcomes = Counter(result.outcome for result in results)
    waiting = Counter(result.layer for result in results if result.outcome == "not run")
    not_run = ", ".join(f"{layer} {count}" for layer, count in waiting.items())
    return [
        *lines,
        f"{len(ran)} cases run: {outcomes['as expected']} as expected, {outcomes['differs']} differ, "
        f"{outcomes['not understood']} not understood" + (f"; not run: {not_run}" if not_run else ""),
    ]


def _selected(
    files: list[Path], ids: list[str] | None, layers: list[str] | None
) -> list[tuple[str, Case | NotUnderstood]]:
    """The cases that were asked for; a line that is no case is always among them."""
    found = [entry for file in files for entry in load(file)]
    if ids:
        return [(name, case) for name, case in found if name in ids]
    if layers:
        return [(name, case) for name, case in found if isinstance(case, NotUnderstood) or case.judged_as in layers]
    return found


async def _run(options: argparse.Namespace, cases: list[tuple[str, Case | NotUnderstood]]) -> list[Result]:
    layers = set(LAYERS if options.id else options.layer or DEFAULT_LAYERS)

    def tell(result: Result) -> None:
        print(_line(result), flush=True)

    if options.keep is not None:
        return await run_cases(cases, layers, options.keep.resolve(), tell)
    with tempfile.TemporaryDirectory(prefix="attacks-") as work:
        return await run_cases(cases, layers, Path(work), tell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Returns the exit code."""
    options = _parse(arguments)
    files = options.cases or [VECTORS / "attacks.jsonl", VECTORS / "benign.jsonl"]
    try:
        cases = _selected(files, options.id, options.layer)
    except (OSError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    if missing := set(options.id or ()) - {name for name, _ in cases}:
        print(f"no case {', '.join(sorted(missing))}", file=sys.stderr)
        return 2
    results = asyncio.run(_run(options, cases))
    if all(result.outcome == "not run" for result in results):
        print("no case was run", file=sys.stderr)
        return 2
    failed = any(result.failed for result in results)
    print("\n" + "\n".join(_summary(results)), flush=True)
    if options.json:
        shown = [{k: v for k, v in vars(result).items() if k != "seen"} for result in results]
        whole: dict[str, Any] = {"ok": not failed, "cases": shown}
        print(json.dumps(whole, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
