"""A report out of counted records: a row for each control, and for NIS2 the stages of an incident."""

import datetime
from collections.abc import Sequence
from typing import Final

from gateway.audit.reports.evidence import Tally, moment
from gateway.audit.reports.frameworks import FRAMEWORKS
from gateway.audit.reports.model import Control, Log, Report, Row, Stage, Status

__all__ = ["build_report"]

_MOST_NAMED: Final = 20
_CAVEATS: Final = (
    "This report shows what the gateway recorded. It supports a claim of conformity and is none.",
    "What did not pass the gateway is not in it; that everything was recorded, and that its clock was right, a log cannot prove.",
    "Whoever administers the gateway has the keys of the log: compare its head with one that somebody else kept.",
)


def build_report(
    name: str, tally: Tally, logs: Sequence[Log], since_us: int, until_us: int, now_us: int, aware_us: int | None = None
) -> Report:
    """`name`: a framework. `aware_us`: when the operator became aware of an incident, for `nis2`. Raises KeyError."""
    framework = FRAMEWORKS[name]
    rows = tuple(_row(control, tally) for control in framework.controls)
    stages = _stages(tally, since_us, until_us, aware_us) if name == "nis2" and aware_us is not None else ()
    timeline = tuple(tally.timeline) if stages else ()
    places = [place for row in rows for evidence in (*row.shows, *row.against) for place in evidence.places]
    return Report(
        framework=name,
        title=framework.title,
        scope=framework.scope,
        since=moment(since_us),
        until=moment(until_us),
        made=moment(now_us),
        records=tally.records,
        logs=tuple(logs),
        rows=rows,
        stages=stages,
        timeline=timeline,
        referred=tally.shown(places),
        caveats=_CAVEATS,
    )


def _row(control: Control, tally: Tally) -> Row:
    shows = tuple(map(tally.evidence, control.shows))
    against = tuple(map(tally.evidence, control.against))
    status: Status = "no-records"
    if any(each.count for each in against):
        status = "exceptions"
    elif any(each.count for each in shows):
        status = "shown"
    elif not shows and not against:
        status = "outside"
    return Row(
        id=control.id,
        title=control.title,
        gateway=control.gateway,
        status=status,
        shows=shows,
        against=against,
        outside=control.outside,
    )


# -- Article 23(4)


def _stages(tally: Tally, since_us: int, until_us: int, aware_us: int) -> tuple[Stage, ...]:
    aware = datetime.datetime.fromtimestamp(aware_us // 1_000_000, datetime.UTC)
    notified = aware + datetime.timedelta(hours=72)
    span = f"{moment(since_us)} to {moment(until_us)}"
    sources = sorted(tally.addresses.items(), key=lambda each: -each[1])
    warning = (
        ("period looked at", span),
        ("records of high or critical severity", str(tally.grave)),
        ("charge points they are about", _named(sorted(tally.charge_points))),
        ("detections", str(tally.evidence("detection").count)),
    )
    notification = (
        *warning,
        ("indicators: addresses, with their number of records", _named([f"{ip} ({n})" for ip, n in sources])),
        ("logins refused", str(tally.evidence("credential-refused").count)),
        ("messages denied or flagged", str(tally.evidence("message-judged").count)),
    )
    final = (
        *notification,
        ("sessions or certificates revoked", str(tally.evidence("revoked").count)),
        ("changes of configuration or policy", str(tally.evidence("configuration").count)),
        ("credentials and certificates changed", str(tally.evidence("credential-changed").count)),
        ("losses in the audit log", str(tally.evidence("log-gap").count)),
    )
    return (
        Stage(
            name="Early warning",
            due=_at(aware + datetime.timedelta(hours=24)),
            known=warning,
            open=("Is an unlawful or malicious act suspected?", "Could it have an effect across borders?"),
        ),
        Stage(
            name="Incident notification",
            due=_at(notified),
            known=notification,
            open=("First assessment of severity and impact.", "What has changed since the early warning?"),
        ),
        Stage(
            name="Final report",
            due=f"one month after the incident notification: {_at(_month_after(notified))} if that is sent at its deadline",
            known=final,
            open=(
                "Detailed description, severity and impact.",
                "The kind of threat, or the root cause that is likely to have triggered it.",
                "Measures applied, and those under way.",
                "Effect across borders, where there is one.",
            ),
        ),
    )


def _at(when: datetime.datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _month_after(when: datetime.datetime) -> datetime.datetime:
    """The same day of the next month, or its last one."""
    first = (when.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
    last = ((first + datetime.timedelta(days=32)).replace(day=1) - datetime.timedelta(days=1)).day
    return first.replace(day=min(when.day, last))


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (", ".join(names[:_MOST_NAMED]) + more) or "none"
