"""From a case to the very bytes: placeholders, generators, and which frames belong to which version."""

import re
from typing import Any

from tests.attacks.case import Case, NotUnderstood

__all__ = ["frames_of", "generated_text", "list_messages", "numbered", "requests_of", "with_version"]

_PLACEHOLDER = re.compile(r"\{(?:(SP|[A-Za-z])\*(\d+)|[A-Z]+)\}")
_NUMBER = re.compile(r"\{n(?::([0-9A-Za-z]+))?\}")
_CHOICE = re.compile(r"\{(\w+(?:\|\w+)+)\}")
_MOST_BYTES = 32 << 20
_REQUEST_KEYS = {"expand", "also", "vary_path", "vary_auth"}
_ONE_LARGE_HEADER = "X-A: " + "A" * (1 << 20) + "\r\n"


def _repeat(unit: str, count: int) -> str:
    if len(unit) * count > _MOST_BYTES:
        raise NotUnderstood(f"{count} times {len(unit)} characters")
    return unit * count


def _expanded(text: str, table: dict[str, list[Any]]) -> str:
    """`text` with its placeholders replaced: from the table, or as {X*n} says itself."""

    def replacement(match: re.Match[str]) -> str:
        if match[0] in table:
            unit, count = table[match[0]]
            return _repeat(unit, count)
        if match[2] is None:
            raise NotUnderstood(f"placeholder {match[0]}")
        return _repeat(" " if match[1] == "SP" else match[1], int(match[2]))

    return _PLACEHOLDER.sub(replacement, text)


def _named_in_title(case: Case) -> list[tuple[str, str]]:
    """Variants that only the title spells out."""
    if "Subprotocol" in case.title and "missing" in case.title:
        return [("no Sec-WebSocket-Protocol", re.sub(r"Sec-WebSocket-Protocol:[^\r]*\r\n", "", case.http))]
    if "{HDRS}" in case.http and "one of 1 MB" in case.title:
        return [("one header of 1 MB", case.http.replace("{HDRS}", _ONE_LARGE_HEADER))]
    return []


def _replaced(pattern: str, value: str, text: str) -> str:
    replaced, times = re.subn(pattern, lambda _: value, text)
    if times != 1:
        raise NotUnderstood(f"nothing to vary: {pattern}")
    return replaced


def requests_of(case: Case) -> list[tuple[str, bytes]]:
    """(label, request) for each request that a case sends on a connection of its own."""
    generator = case.generator
    if not generator.keys() <= _REQUEST_KEYS:
        raise NotUnderstood(f"generator {', '.join(sorted(generator.keys() - _REQUEST_KEYS))}")
    expand = generator.get("expand", {})
    made = [("", _expanded(case.http, expand))]
    if "also" in generator:
        made.append(("also", _expanded(case.http, generator["also"])))
    made += [(path, _replaced(r"(?<=^GET )\S+", path, case.http)) for path in generator.get("vary_path", ())]
    for value in generator.get("vary_auth", ()):
        text = _replaced(r"(?<=\r\nAuthorization: )[^\r]*", value, case.http)
        made.append((f"Authorization: {value}", _expanded(text, {})))
    made += [(label, _expanded(text, expand)) for label, text in _named_in_title(case)]
    return [(label, text.encode("latin-1")) for label, text in made]


def with_version(request: bytes, version: str) -> bytes | None:
    """The request offering this version instead of the one OCPP version it offers; None if it does not offer just one."""
    replaced, times = re.subn(
        rb"(?<=\r\nSec-WebSocket-Protocol: )ocpp(?:1\.6|2\.0\.1|2\.1)(?=\r\n)", b"ocpp" + version.encode(), request
    )
    return replaced if times == 1 else None


def numbered(text: str, number: int) -> str:
    """`text` with {n} and {n:06X} replaced, and {A|B} by one after the other."""
    text = _CHOICE.sub(lambda match: (options := match[1].split("|"))[number % len(options)], text)
    return _NUMBER.sub(lambda match: format(number, match[1] or ""), text)


def generated_text(generator: dict[str, Any]) -> str:
    """One long message: prefix, a unit many times, perhaps something to close each, suffix."""
    known = {"prefix", "unit", "count", "suffix", "close_unit"}
    if not generator.keys() <= known or not {"unit", "count"} <= generator.keys():
        raise NotUnderstood(f"generator {', '.join(sorted(generator))}")
    unit, count = generator["unit"], generator["count"]
    middle = "".join(numbered(unit, i) for i in range(count)) if _NUMBER.search(unit) else _repeat(unit, count)
    closing = generator.get("close_unit", "") * count
    return f"{generator.get('prefix', '')}{middle}{closing}{generator.get('suffix', '')}"


def frames_of(case: Case, version: str) -> list[str]:
    """The messages of a case in one version; none if it has none for it."""
    by_version = case.frames_by_version
    if version in by_version:
        return by_version[version]
    if version == "2.1" and "2.0.1" in by_version:
        return by_version["2.0.1"]
    if case.frames_version and version not in case.frames_version:
        return []
    return case.frames


def list_messages(version: str, messages: int, items_each: int) -> list[str]:
    """Differential SendLocalList messages of so many tags each."""
    made = []
    for number in range(messages):
        tags = [f"TAG-{number * items_each + item:06d}" for item in range(items_each)]
        if version == "1.6":
            entries = ",".join(f'{{"idTag":"{tag}","idTagInfo":{{"status":"Accepted"}}}}' for tag in tags)
            head = f'"listVersion":{number + 1}'
        else:
            entries = ",".join(
                f'{{"idToken":{{"idToken":"{tag}","type":"ISO14443"}},"idTokenInfo":{{"status":"Accepted"}}}}'
                for tag in tags
            )
            head = f'"versionNumber":{number + 1}'
        payload = f'{{{head},"updateType":"Differential","localAuthorizationList":[{entries}]}}'
        made.append(f'[2,"list-{number}","SendLocalList",{payload}]')
    return made
