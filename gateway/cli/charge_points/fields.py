"""The options that set fields of a record, the same for `add` and `set`, and what values they accept."""

import datetime
from collections.abc import Callable, Sequence
from typing import Any, get_args

import click
from typing_extensions import override

from gateway.config.suggest import did_you_mean
from gateway.identity.evidence import Tolerance
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile

__all__ = ["CLEARABLE_PROFILE", "FLOOR", "PROFILE", "field_options", "given_fields"]

_MAX_NAME_CHARS = 255
_MAX_SUBJECT_CHARS = 64
"""CN and O of a certificate are no longer (RFC 5280, ub-common-name, ub-organization-name)."""


class _Word(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """One of a closed list; the empty text as well where a field can be cleared."""

    name = "word"

    def __init__(self, words: Sequence[str], *, clearable: bool = False) -> None:
        self._words = tuple(words)
        self._clearable = clearable

    @override
    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[" + "|".join(self._words) + "]"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text not in self._words and (text or not self._clearable):
            hint = did_you_mean(text, self._words)
            meant = f" Did you mean {hint!r}?" if hint else ""
            self.fail(f"{text!r} is not one of {', '.join(self._words)}.{meant}", param, ctx)
        return text


class _Text(click.ParamType):  # type: ignore[type-arg]
    """Text as people see it: no control characters, no blanks around it, not longer than it may be."""

    name = "text"

    def __init__(self, max_chars: int, *, lines: bool = False) -> None:
        self._max_chars = max_chars
        self._lines = lines

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        parts = text.splitlines() if self._lines else [text]
        if not all(part.isprintable() for part in parts):
            self.fail("control characters are not allowed.", param, ctx)
        if text != text.strip():
            self.fail("blanks at the beginning or end are not allowed.", param, ctx)
        if len(text) > self._max_chars:
            self.fail(f"{len(text)} characters, at most {self._max_chars} are allowed.", param, ctx)
        return text


class _Day(click.ParamType):  # type: ignore[type-arg]
    """The end of a day (UTC) in the near future, as seconds since the epoch; the empty text for no such day."""

    name = "day"

    def __init__(self, max_days: int) -> None:
        self._max_days = max_days

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float) or not value:
            return float(value or 0.0)
        try:
            day = datetime.date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{str(value)!r} is not a day, e.g. 2027-01-31.", param, ctx)
        days = (day - datetime.datetime.now(datetime.UTC).date()).days
        if not 0 <= days <= self._max_days:
            self.fail(f"{day} is not within the next {self._max_days} days.", param, ctx)
        end = datetime.datetime.combine(day, datetime.time.max, datetime.UTC)
        return end.timestamp()


_MAX_EXPIRED_DAYS = 92
_PROFILES = tuple(str(int(profile)) for profile in SecurityProfile)
_VERSIONS = tuple(version.value for version in OCPPVersion)
PROFILE = _Word(_PROFILES)
CLEARABLE_PROFILE = _Word(_PROFILES, clearable=True)
FLOOR = _Word(("none", *_PROFILES[:-1]))
"""What a floor can be lowered to."""

_OPTIONS = (
    click.option(
        "--serial-number", metavar="S", type=_Text(_MAX_SUBJECT_CHARS), help="What the CN of its certificate must be."
    ),
    click.option(
        "--operator-name",
        "operator_names",
        metavar="O",
        multiple=True,
        type=_Text(_MAX_SUBJECT_CHARS),
        help="Accepted O of its certificate; repeatable. Default: gateway.operator_names, by your own CA alone.",
    ),
    click.option("--group", metavar="G", type=_Text(_MAX_NAME_CHARS), help="Group, for lists and policies."),
    click.option("--csms", metavar="NAME", type=_Text(_MAX_NAME_CHARS), help="A [[csms]]; default: the listener's."),
    click.option(
        "--ocpp-version",
        "ocpp_versions",
        multiple=True,
        type=_Word(_VERSIONS),
        help="What it may speak; repeatable. Default: all.",
    ),
    click.option(
        "--default-version",
        type=_Word(_VERSIONS, clearable=True),
        help="What to assume if it names none, with the tolerance missing-subprotocol.",
    ),
    click.option(
        "--tolerance",
        "tolerances",
        multiple=True,
        type=_Word(get_args(Tolerance), clearable=True),
        help="A flaw to overlook for this charge point; repeatable.",
    ),
    click.option(
        "--expired-certificate-until",
        metavar="DAY",
        type=_Day(_MAX_EXPIRED_DAYS),
        help="To the end of this day (UTC) it may come with an expired certificate, to renew it and for nothing else "
        '(A00.FR.429). Needs a listener with expired_certificates = "by-registry".',
    ),
    click.option("--notes", metavar="TEXT", type=_Text(2_000, lines=True), help="For people."),
)
_LISTS = ("operator_names", "ocpp_versions", "tolerances")


def field_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options. Their values arrive as one keyword each, None or an empty tuple where not given."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def given_fields(options: dict[str, Any]) -> dict[str, Any]:
    """Fields of the record that were given, of their types. An empty text clears a field.

    Raises click.UsageError where an empty text stands beside others, or in a field that cannot be empty.
    """
    fields = {name: value for name, value in options.items() if value is not None and value != ()}
    for name in _LISTS:
        if name not in fields:
            continue
        values = tuple(dict.fromkeys(fields[name]))
        if "" in values and len(values) > 1:
            raise click.UsageError(
                f"An empty --{name.removesuffix('s').replace('_', '-')} clears the list: it stands alone."
            )
        fields[name] = () if values == ("",) else values
    if "ocpp_versions" in fields:
        fields["ocpp_versions"] = tuple(OCPPVersion(version) for version in fields["ocpp_versions"])
    if "default_version" in fields:
        fields["default_version"] = OCPPVersion(fields["default_version"]) if fields["default_version"] else None
    if fields.get("group") == "":
        raise click.UsageError("--group cannot be empty; the group of everybody else is 'default'.")
    return fields
