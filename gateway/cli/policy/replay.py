"""`policy replay`: recorded traffic under two policies."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.files import shown_name
from gateway.cli.output import fail, json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.cli.progress import Advance
    from gateway.policy.replay import Change, Replay, ReplayResult

__all__ = ["replay"]

_MAX_LINE_BYTES = 32 * 1024 * 1024
_SHOWN_ROWS = 20


@click.command()
@click.option("--capture", required=True, metavar="FILE|-", help="The recording: JSON lines, one frame each.")
@click.option(
    "--candidate",
    multiple=True,
    metavar="PACK|FILE",
    help="The policy to try, all of it; repeatable. Default: what the configuration names.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="PACK|FILE",
    help="The policy to compare with; repeatable. Default: what the configuration names.",
)
@click.option(
    "--max-new-denies",
    metavar="N",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="So many messages may be refused anew.",
)
@config_option
@json_option
def replay(
    capture: str,
    candidate: tuple[str, ...],
    against: tuple[str, ...],
    max_new_denies: int,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Try a policy on recorded traffic.

    What would it refuse that passes now, and the other way round? The clock is the recording's. Among the files of
    a policy one may hold the values of the site (kind: PolicySite); without it they are those of the configuration.
    Exit code 1 if more is refused anew than --max-new-denies.
    """
    from gateway.cli.policy.sources import sources_of, usable
    from gateway.policy.replay import Replay

    if not candidate and not against:
        fail("Name a policy to try with --candidate, or one to compare with by --against.", USAGE, as_json=as_json)
    current = usable(sources_of(against, config_path, as_json=as_json), as_json=as_json)
    new = usable(sources_of(candidate, config_path, as_json=as_json), as_json=as_json)
    running = Replay(current.snapshot(), new.snapshot())
    with _opened(capture, as_json=as_json) as (file, size):
        from gateway.cli.progress import progress

        with progress("Frames", size, as_json=as_json) as advance:
            _run(running, file, capture, advance, as_json=as_json)
    result = running.result()
    ok = result.new_denies <= max_new_denies
    if as_json:
        print_json(_record(result, ok=ok, max_new_denies=max_new_denies))
    else:
        _print(result, max_new_denies)
    return 0 if ok else NOT_OK


@contextmanager
def _opened(name: str, *, as_json: bool) -> Iterator[tuple[BinaryIO, int]]:
    """The recording and its size. Raises Failure if it cannot be read."""
    if name == "-":
        yield sys.stdin.buffer, 0
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  closed below
        size = Path(name).stat().st_size
    except OSError as error:
        fail(f"{shown_name(name)}: {error.strerror or error}", NOT_OK, as_json=as_json)
    with file:
        yield file, size


def _run(running: "Replay", file: BinaryIO, name: str, advance: "Advance", *, as_json: bool) -> None:
    from gateway.policy.recording import RecordingInvalid, read_recorded

    number = 0
    while True:
        try:
            line = file.readline(_MAX_LINE_BYTES + 1)
        except OSError as error:
            fail(f"{shown_name(name)}: {error.strerror or error}", NOT_OK, as_json=as_json)
        if not line:
            break
        number += 1
        advance(len(line))
        if not line.strip():
            continue
        try:
            if len(line) > _MAX_LINE_BYTES:
                raise RecordingInvalid(f"longer than {_MAX_LINE_BYTES} bytes")
            running.add(read_recorded(line), number)
        except RecordingInvalid as invalid:
            message = f"{shown_name(name)}:{number}: no recorded frame: {shown(invalid)}"
            fail(message, NOT_OK, as_json=as_json, details={"line": number})
    if not number:
        fail(f"{shown_name(name)} is empty: there is nothing to replay.", NOT_OK, as_json=as_json)


def _record(result: "ReplayResult", *, ok: bool, max_new_denies: int) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(result)
    rules = {
        rule: {"current": current, "candidate": candidate} for rule, (current, candidate) in result.by_rule().items()
    }
    return {"ok": ok, "max_new_denies": max_new_denies, "share_denied": result.share_denied, "rules": rules, **plain}


def _print(result: "ReplayResult", max_new_denies: int) -> None:
    click.echo(
        f"{result.messages} message(s) under {result.current_revision[:12]} (now) and "
        f"{result.candidate_revision[:12]} (candidate); {result.unjudged} that no rule sees"
    )
    _print_changes("New denies", result.new_denies, result.denies)
    _print_changes("New allows", result.new_allows, result.allows)
    columns = ("rule", "action", "group", "charge point", "matches now", "candidate", "enforced now", "candidate")
    rows = [
        (
            each.rule,
            each.action,
            each.group,
            each.identity,
            each.current,
            each.candidate,
            each.current_enforced,
            each.candidate_enforced,
        )
        for each in result.deltas
    ]
    if rows:
        print_table(f"Rules that differ ({len(rows)})", columns, rows[:_SHOWN_ROWS])
        _say_rest(len(rows))
    click.echo(
        f"{result.new_denies} new denies ({result.share_denied:.2%}), {result.new_allows} new allows; "
        f"allowed are {max_new_denies} new denies."
    )


def _print_changes(title: str, count: int, changes: "tuple[Change, ...]") -> None:
    if not count:
        return
    columns = ("line", "charge point", "group", "action", "now", "candidate")
    rows = [
        (each.line, each.identity, each.group, each.action, each.current, each.candidate)
        for each in changes[:_SHOWN_ROWS]
    ]
    print_table(f"{title} ({count})", columns, rows)
    _say_rest(count)


def _say_rest(count: int) -> None:
    if count > _SHOWN_ROWS:
        click.echo(f"... and {count - _SHOWN_ROWS} more (--json shows the first 1000).")
