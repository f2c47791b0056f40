"""Every field of every schema is classified, once: a new release of the schemas cannot bring in one that nobody has looked at."""

import importlib.resources
import itertools
import json
from typing import Any

import pytest

from gateway.audit import known_names
from gateway.audit.known_names import BY_THEIR_NAME, CERTIFICATES, HARMLESS_KEYS, KEPT, MASKED, TOKENS, URLS, VALUES

SETS = (KEPT, TOKENS, MASKED, URLS, CERTIFICATES, VALUES, BY_THEIR_NAME)


def properties(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(properties, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    found = set(own) if isinstance(own, dict) else set()
    return found.union(*map(properties, schema.values())) if schema else found


def in_the_schemas() -> set[str]:
    found: set[str] = set()
    for directory in ("v16", "v201", "v21"):
        for file in (importlib.resources.files("ocpp") / directory / "schemas").iterdir():
            if file.name.endswith(".json"):
                found |= properties(json.loads(file.read_bytes().decode("utf-8-sig")))
    return found


def test_every_name_stands_in_one_set() -> None:
    names = in_the_schemas()
    assert len(names) > 500
    assert set().union(*SETS) == names
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(SETS, 2))


@pytest.mark.parametrize(
    "word", ["password", "passwd", "secret", "token", "idtag", "pin", "authorizationkey", "vpnkey", "psk"]
)
def test_no_harmless_setting_sounds_like_a_secret(word: str) -> None:
    harmless = {"maxenergyoninvalididtoken", "ocppinterface"}
    assert [key for key in HARMLESS_KEYS - harmless if word in key and "ping" not in key] == []


def test_settings_are_written_as_they_are_compared() -> None:
    assert all(key == "".join(filter(str.isalnum, key.lower())) for key in HARMLESS_KEYS)
    assert "vpnenabled" in known_names.HARMLESS_KEYS
