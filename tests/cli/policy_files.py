"""Packs, cases, sites and recordings for the tests of `policy`; and the words that every finding needs to be found by."""

import json
from pathlib import Path
from typing import Any

HEAD = 'apiVersion: ocpp-gateway/v1\nkind: PolicyPack\nmetadata: {name: mine, version: "1.0.0"}\n'
SOUND = """\
params:
  kinds:
    type: list<string>
    default: [Hard]
    help: Kinds of reset that nobody may ask for here.
rules:
  - id: mine/reset
    title: No hard reset
    level: 2
    match: {direction: to_station, action: Reset, version: "1.6"}
    when: payload.type in params.kinds
    action: deny
    respond: {status: Rejected}
    event: mine.reset
    message: "a reset of {payload.type}"
    references: [CWE-1]
"""
CASES = """\
pack: mine
cases:
  - name: hard is refused, soft is not
    session: {version: "1.6"}
    steps:
      - {dir: to_station, frame: '[2,"1","Reset",{"type":"Hard"}]', expect: {decision: deny, rule: mine/reset}}
      - {dir: to_station, frame: '[2,"2","Reset",{"type":"Soft"}]', expect: {decision: allow, quiet: mine/reset}}
"""
SITE = """\
apiVersion: ocpp-gateway/v1
kind: PolicySite
everyone:
  params: {kinds: [Soft]}
groups:
  depot:
    modes: {mine/reset: monitor}
"""
HARD = '[2,"1","Reset",{"type":"Hard"}]'
SOFT = '[2,"2","Reset",{"type":"Soft"}]'


def write_pack(directory: Path, rules: str = SOUND, cases: str = CASES, name: str = "mine") -> Path:
    """mine.yaml, with mine.test.yaml beside it unless `cases` is empty."""
    path = directory / f"{name}.yaml"
    path.write_text(HEAD + rules)
    if cases:
        (directory / f"{name}.test.yaml").write_text(cases)
    return path


def write_site(directory: Path, text: str = SITE) -> Path:
    path = directory / "site.yaml"
    path.write_text(text)
    return path


def place_of(path: Path, words: str) -> tuple[int, int]:
    """Line and column, from 1, of the first place where these words stand."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if words in line:
            return number, line.index(words) + 1
    raise AssertionError(words)


def recorded(number: int, text: str = HARD, **more: Any) -> str:
    line = {
        "time": 1_767_225_600.0 + number,
        "identity": "CP-1",
        "group": "public",
        "version": "1.6",
        "security_profile": 2,
        "origin": "csms",
        "text": text.replace('"1"', f'"{number}"'),
        **more,
    }
    return json.dumps(line) + "\n"
