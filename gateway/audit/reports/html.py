"""A report as one HTML page that needs nothing else: no script, no font, no picture. Everything from the log is escaped."""

from collections.abc import Iterable
from html import escape
from typing import Final

from gateway.audit.reports.model import Evidence, Log, Report, Row, Shown, Stage, Status

__all__ = ["to_html"]

_STYLE: Final = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .35rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: break-word; } td.n { text-align: right; } td.n, td.t, th, td code { white-space: nowrap; }
td.w code { white-space: normal; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
section.c { border: 1px solid var(--line); border-left-width: .4rem; border-radius: .3rem; padding: .7rem 1rem;
  margin: .8rem 0; break-inside: avoid; }
section.shown { border-left-color: #1a7f37; } section.exceptions { border-left-color: #b35900; }
section.no-records { border-left-color: #8c959f; }
.badge { float: right; font-size: .8rem; font-weight: 600; color: var(--soft); border: 1px solid currentColor;
  border-radius: 1rem; padding: 0 .6rem; margin-left: 1rem; }
.badge.shown { color: #1a7f37; } .badge.exceptions { color: #b35900; }
code { font: .85em ui-monospace, "DejaVu Sans Mono", monospace; } a { color: #0550ae; }
ul { margin: .3rem 0; padding-left: 1.2rem; } .fill { border-bottom: 1px dotted var(--soft); min-height: 1.6rem; }
@media screen and (max-width: 50rem) { table { display: block; overflow-x: auto; } }
@media print {
  body { margin: 0; max-width: none; font-size: 10px; padding: 0; } a { color: inherit; text-decoration: none; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } td.t, th { white-space: normal; }
}
"""
_STATUS: Final[dict[Status, str]] = {
    "shown": "shown by records",
    "exceptions": "exceptions",
    "no-records": "nothing recorded",
    "outside": "outside a gateway",
}


def to_html(report: Report) -> str:
    """The page."""
    known = {each.place for each in report.referred}
    return "".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(report.title)}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<style>{_STYLE}</style></head><body>",
            _head(report),
            _stages(report.stages),
            _timeline(report.timeline),
            "<h2>Control by control</h2>",
            *(_control(row, known) for row in report.rows),
            _records("Records referred to", report.referred),
            "</body></html>\n",
        )
    )


def _head(report: Report) -> str:
    counts = {status: sum(row.status == status for row in report.rows) for status in _STATUS}
    summary = ", ".join(f"{number} {_STATUS[status]}" for status, number in counts.items() if number)
    return (
        f"<h1>{escape(report.title)}</h1><p class=soft>{escape(report.scope)}</p>"
        f"<p>Period: {escape(report.since)} to {escape(report.until)}. Made: {escape(report.made)}. "
        f"{report.records} records in the period.</p><p><strong>Controls:</strong> {escape(summary)}.</p>"
        f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in report.caveats)}</ul>"
        f"<h2>The log</h2>{_table(('origin', 'records', 'state', 'root'), map(_log, report.logs))}"
    )


def _log(log: Log) -> tuple[str, ...]:
    state = {True: "verified", False: "NOT what was signed", None: "not verified for this report"}[log.verified]
    found = "; ".join(log.findings)
    return (
        f"<td>{escape(log.origin)}</td><td class=n>{log.size}</td>",
        f"<td>{escape(state)}{': ' + escape(found) if found else ''}</td><td class=w><code>{escape(log.root)}</code></td>",
    )


def _stage(stage: Stage) -> str:
    rows = (f"<td>{escape(question)}</td><td>{escape(answer)}</td>" for question, answer in stage.known)
    fields = "".join(f"<p>{escape(each)}</p><div class=fill></div>" for each in stage.open)
    return (
        f"<section class=c><h3>{escape(stage.name)}</h3><p>Due: {escape(stage.due)}</p>"
        f"{_table(('from the log', ''), ((row,) for row in rows))}<p class=soft>To be added by people:</p>{fields}</section>"
    )


def _stages(stages: tuple[Stage, ...]) -> str:
    return f"<h2>Reports that are due (Article 23(4))</h2>{''.join(map(_stage, stages))}" if stages else ""


def _timeline(timeline: tuple[Shown, ...]) -> str:
    return _records("Timeline: records of high or critical severity", timeline) if timeline else ""


def _control(row: Row, known: set[str]) -> str:
    evidence = [*((each, "") for each in row.shows), *((each, "exception") for each in row.against)]
    table = _table(
        ("evidence", "records", "charge points", "first", "last", "where"),
        ((_evidence(each, mark, known),) for each, mark in evidence),
    )
    return (
        f'<section class="c {row.status}"><span class="badge {row.status}">{_STATUS[row.status]}</span>'
        f"<h3>{escape(row.id)} &ensp;{escape(row.title)}</h3><p>{escape(row.gateway)}</p>{table if evidence else ''}"
        + (f"<p class=soft>Not shown by a gateway: {escape(row.outside)}</p>" if row.outside else "")
        + "</section>"
    )


def _evidence(evidence: Evidence, mark: str, known: set[str]) -> str:
    label = f"{mark + ': ' if mark else ''}{evidence.label}"
    places = ", ".join(_link(place) if place in known else escape(place) for place in evidence.places)
    return (
        f"<td>{escape(label)}</td><td class=n>{evidence.count}</td><td class=n>{evidence.charge_points}</td>"
        f"<td class=t>{escape(evidence.first)}</td><td class=t>{escape(evidence.last)}</td><td>{places}</td>"
    )


def _anchor(place: str) -> str:
    return "r-" + escape(place.replace("/", "-"))


def _link(place: str) -> str:
    return f'<a href="#{_anchor(place)}">{escape(place)}</a>'


def _records(title: str, records: tuple[Shown, ...]) -> str:
    if not records:
        return ""
    prefix = "" if title.startswith("Records") else "t-"
    rows = (
        f'<td class=t id="{prefix}{_anchor(each.place)}">{escape(each.place)}</td><td>{escape(each.time)}</td>'
        f"<td>{escape(each.severity)}</td><td class=t>{escape(each.kind)}</td><td>{escape(each.charge_point_id)}</td>"
        f"<td>{escape(each.address)}</td><td>{escape(each.text)}</td><td><code>{each.leaf_hash[:16]}…</code></td>"
        for each in records
    )
    heads = ("record", "time", "severity", "type", "charge point", "address", "text", "leaf hash")
    note = "<p class=soft>ocpp-gateway audit show RECORD shows all of one; audit prove RECORD makes a proof for others.</p>"
    return f"<h2>{escape(title)}</h2>{note}{_table(heads, ((row,) for row in rows))}"


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{chr(32).join(row)}</tr>' for row in rows)}</table>"
