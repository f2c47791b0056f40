"""Charge points as CSV and JSON, out of the registry and into it. Passwords leave only as hashes.

CSV has a header line with names of `COLUMNS` in any order; commas or semicolons; ``|`` within lists. JSON is an
array of objects with the same names. An import is all or nothing and names the line of each mistake.
"""

import csv
import difflib
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from gateway.audit.event import printable
from gateway.identity.basic_auth import canonical_secret
from gateway.identity.claim import fold, verify_identity
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.identity.refusal import Refusal
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.errors import StoreError
from gateway.store.registry import Registry

__all__ = [
    "COLUMNS",
    "ImportFailed",
    "ImportFormat",
    "ImportResult",
    "LineProblem",
    "OnDuplicate",
    "export_records",
    "import_records",
]

ImportFormat = Literal["csv", "json"]
OnDuplicate = Literal["skip", "update", "error"]

_LISTS = ("operator_names", "ocpp_versions", "tolerances")
_NUMBERS = ("security_profile", "floor", "pending_security_profile")
_TEXTS = ("serial_number", "group", "csms", "default_version", "notes")
_HASHES = {"password_hash": "password", "pending_password_hash": "pending_password"}
COLUMNS = ("charge_point_id", *_NUMBERS, *_TEXTS, *_LISTS, "enabled", *_HASHES)
"""What an export has. An import needs only the first two, and may have ``password`` (plain) as well."""
_IMPORT_COLUMNS = frozenset((*COLUMNS, "password"))
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_LIST_SEPARATOR = "|"


class LineProblem(msgspec.Struct, frozen=True):
    """One mistake in an imported file."""

    line: int
    message: str


class ImportFailed(StoreError):  # noqa: N818  names the state
    """Nothing was imported; `problems` says why, by line."""

    def __init__(self, problems: list[LineProblem]) -> None:
        super().__init__("\n".join(f"line {problem.line}: {problem.message}" for problem in problems))
        self.problems = problems


class ImportResult(msgspec.Struct, frozen=True):
    """Identities by what happened to them, or would happen in a dry run."""

    added: tuple[ChargePointId, ...]
    updated: tuple[ChargePointId, ...]
    skipped: tuple[ChargePointId, ...]


class _Entry(msgspec.Struct):
    """One charge point of the file: the fields that are given, and a plain password still to be hashed."""

    line: int
    charge_point_id: ChargePointId
    fields: dict[str, Any]
    plain_password: str = ""


def export_records(records: Iterable[ChargePointRecord], file_format: ImportFormat) -> str:
    """The records as text that `import_records` reads back. Raises StoreError if CSV cannot say it."""
    rows = [_exported(record) for record in records]
    if file_format == "json":
        return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in rows)
    return text.getvalue()


def import_records(  # noqa: PLR0913  one call is one import; the rest are keywords
    registry: Registry,
    text: str,
    file_format: ImportFormat,
    *,
    hash_password: Callable[[bytes], str],
    is_supported_hash: Callable[[str], bool],
    now: float,
    on_duplicate: OnDuplicate = "error",
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportResult:
    """Read `text` into the registry in one transaction, or not at all.

    A charge point that exists is an error, left alone, or updated; an update changes only the columns there
    are, never removes a password, never lowers a floor. `progress` hears (passwords hashed, passwords in all).
    Raises ImportFailed with every mistake; StoreError.
    """
    problems: list[LineProblem] = []
    entries = [
        entry
        for line, row in _rows(text, file_format)
        if (entry := _entry(line, row, problems, is_supported_hash, now)) is not None
    ]
    problems.extend(_repetitions(entries))
    registered = registry.load_all()
    spelling = {fold(each): each for each in registered}
    added, updated, skipped = [], [], []
    for entry in entries:
        known = spelling.get(fold(entry.charge_point_id))
        if known is None:
            added.append((entry, _made(entry, None, problems)))
        elif known != entry.charge_point_id or on_duplicate == "error":
            problems.append(LineProblem(entry.line, f"'{printable(known)}' is already registered"))
        elif on_duplicate == "skip":
            skipped.append(entry.charge_point_id)
        else:
            updated.append((entry, _made(entry, registered[known], problems)))
    if problems:
        raise ImportFailed(sorted(problems, key=lambda problem: problem.line))
    if not dry_run:
        hashed = _with_hashes([*added, *updated], hash_password, now, progress)
        # Hashing takes minutes, in which records may change: only what the file says is written over them.
        change = {
            record.charge_point_id: {name: getattr(record, name) for name in _given(entry)}
            for (entry, _), record in zip(updated, hashed[len(added) :], strict=True)
        }
        registry.apply(add=hashed[: len(added)], change=change)
    return ImportResult(
        added=tuple(entry.charge_point_id for entry, _ in added),
        updated=tuple(entry.charge_point_id for entry, _ in updated),
        skipped=tuple(skipped),
    )


def _exported(record: ChargePointRecord) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(record)
    for column, name in _HASHES.items():
        stored: StoredPassword | None = getattr(record, name)
        row[column] = stored.phc if stored else ""
    return {column: row[column] for column in COLUMNS}


def _flat(row: dict[str, Any]) -> dict[str, str]:
    """A row as CSV cells."""
    for column in _LISTS:
        if any(_LIST_SEPARATOR in item or not item for item in row[column]):
            name = printable(row["charge_point_id"])
            raise StoreError(f"{column} of '{name}' has a value with '{_LIST_SEPARATOR}': export as JSON.")
    lists = {column: _LIST_SEPARATOR.join(row[column]) for column in _LISTS}
    plain = {column: "" if value is None else str(value) for column, value in row.items()}
    return {**plain, **lists, "enabled": "true" if row["enabled"] else "false"}


def _rows(text: str, file_format: ImportFormat) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, values) of each charge point. Raises ImportFailed if the file has not the right form at all."""
    rows = _csv_rows(text) if file_format == "csv" else _json_rows(text)
    try:
        yield from rows
    except csv.Error as error:
        raise ImportFailed([LineProblem(1, f"the file is not CSV: {error}")]) from None


def _wrong_header(header: list[str], unknown: list[str]) -> str:
    if not any(header):
        return "the file is empty; its first line names the columns, at least charge_point_id and security_profile"
    columns = f"columns are {', '.join((*COLUMNS, 'password'))}"
    if not unknown:
        twice = next((name for name in header if header.count(name) > 1), "")
        return f"column {twice} is there twice" if twice else f"column charge_point_id is missing; {columns}"
    if "\t" in unknown[0]:
        return "the columns are separated by tabs: save it with commas or semicolons"
    close = difflib.get_close_matches(unknown[0].lower(), _IMPORT_COLUMNS, n=1)
    return f"unknown column {unknown[0]!r}{f' (did you mean {close[0]!r}?)' if close else ''}; {columns}"


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    text = text.removeprefix("\ufeff")
    first_line = text.partition("\n")[0]
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(reader, [])]
    unknown = sorted(set(header) - _IMPORT_COLUMNS)
    if unknown or len(set(header)) != len(header) or "charge_point_id" not in header:
        raise ImportFailed([LineProblem(1, _wrong_header(header, unknown))])
    start = reader.line_num + 1
    for cells in reader:
        line, start = start, reader.line_num + 1
        if not cells:
            continue
        if len(cells) != len(header):
            raise ImportFailed([LineProblem(line, f"{len(cells)} cells, but the header has {len(header)}")])
        yield line, {name: _cell(name, cell.strip()) for name, cell in zip(header, cells, strict=True)}


def _cell(name: str, cell: str) -> Any:
    """A CSV cell as JSON would say it; what does not fit stays text and is found by the check of values."""
    if name in _LISTS:
        return [item.strip() for item in cell.split(_LIST_SEPARATOR)] if cell else []
    if name in _NUMBERS:
        return None if not cell else int(cell) if cell.isascii() and cell.isdigit() else cell
    if name == "enabled":
        return True if not cell else _BOOLEANS.get(cell.lower(), cell)
    return cell


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    data = text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    try:
        objects = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ImportFailed([LineProblem(1, f"the file is not a JSON array of objects: {error}")]) from None
    position = 0
    for raw in objects:
        position = data.index(bytes(raw), position)
        line = data.count(b"\n", 0, position) + 1
        position += len(bytes(raw))
        try:
            row = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ImportFailed([LineProblem(line, f"not a JSON object: {error}")]) from None
        unknown = sorted(row.keys() - _IMPORT_COLUMNS)
        if unknown:
            raise ImportFailed([LineProblem(line, f"unknown name {printable(unknown[0])!r}")])
        yield line, row


def _entry(
    line: int,
    row: dict[str, Any],
    problems: list[LineProblem],
    is_supported_hash: Callable[[str], bool],
    now: float,
) -> _Entry | None:
    """One row as checked fields; None, and problems, if something in it is wrong."""
    found = len(problems)

    def problem(message: str) -> None:
        problems.append(LineProblem(line, message))

    charge_point_id = row.get("charge_point_id")
    if not isinstance(charge_point_id, str):
        problem("charge_point_id is missing")
        return None
    try:
        verify_identity(charge_point_id)
    except Refusal as refusal:
        problem(f"'{printable(charge_point_id)}' cannot be an identity: {refusal.detail}")
    fields = {name: value for name, value in row.items() if name not in (*_HASHES, "password", "charge_point_id")}
    if fields.get("default_version") == "":
        fields["default_version"] = None
    plain = row.get("password") or ""
    if not isinstance(plain, str):
        problem("password is not text")
    if plain and row.get("password_hash"):
        problem("give password or password_hash, not both")
    for column, name in _HASHES.items():
        phc = row.get(column) or ""
        if phc and not (isinstance(phc, str) and is_supported_hash(phc)):
            problem(f"{column} is not an argon2id, bcrypt or PBKDF2 hash")
        elif phc:
            fields[name] = StoredPassword(phc=phc, created_at=now)
    if len(problems) > found:
        return None
    return _Entry(line, ChargePointId(charge_point_id), fields, plain)


def _repetitions(entries: list[_Entry]) -> Iterator[LineProblem]:
    first: dict[str, int] = {}
    for entry in entries:
        line = first.setdefault(fold(entry.charge_point_id), entry.line)
        if line != entry.line:
            name = printable(entry.charge_point_id)
            yield LineProblem(entry.line, f"'{name}' is in line {line} already")


def _made(entry: _Entry, old: ChargePointRecord | None, problems: list[LineProblem]) -> ChargePointRecord | None:
    """The record an entry leads to; None and a problem if its values do not fit."""
    base = {} if old is None else msgspec.to_builtins(old)
    values = {**base, **msgspec.to_builtins(entry.fields), "charge_point_id": entry.charge_point_id}
    try:
        record = msgspec.convert(values, ChargePointRecord)
    except msgspec.ValidationError as error:
        problems.append(LineProblem(entry.line, _in_words(str(error))))
        return None
    if old is not None and old.floor is not None:
        record = msgspec.structs.replace(record, floor=max(old.floor, record.floor or old.floor))
    message = _contradiction(record)
    if message:
        problems.append(LineProblem(entry.line, message))
    return record


def _given(entry: _Entry) -> Iterator[str]:
    """The fields of a record that an entry speaks about."""
    yield from entry.fields
    if entry.plain_password:
        yield from ("password", "password_reading")


def _contradiction(record: ChargePointRecord) -> str:
    if record.floor is not None and record.security_profile < record.floor:
        profile, floor = int(record.security_profile), int(record.floor)
        return f"security_profile {profile} is below the floor {floor} (A05.FR.09)"
    used = (record.security_profile, record.pending_security_profile)
    if SecurityProfile.TLS_CLIENT_CERTIFICATE in used and not record.serial_number:
        return "security profile 3 needs serial_number, which the certificate's CN must be (A00.FR.405)"
    return ""


def _in_words(message: str) -> str:
    what, _, where = message.partition(" - at `$")
    return f"{where.strip('.`')}: {what}" if where else what


def _with_hashes(
    made: list[tuple[_Entry, ChargePointRecord | None]],
    hash_password: Callable[[bytes], str],
    now: float,
    progress: Callable[[int, int], None] | None,
) -> list[ChargePointRecord]:
    """The records with their plain passwords hashed; tens of milliseconds for each."""
    total, done = sum(bool(entry.plain_password) for entry, _ in made), 0
    records = []
    for entry, record in made:
        assert record is not None, "a record without problems was made"
        if entry.plain_password:
            phc = hash_password(canonical_secret(entry.plain_password))
            stored = StoredPassword(phc=phc, created_at=now)
            record = msgspec.structs.replace(record, password=stored, password_reading="")  # noqa: PLW2901
            done += 1
            if progress is not None:
                progress(done, total)
        records.append(record)
    return records
