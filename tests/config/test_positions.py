"""Where keys stand in a TOML text."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.positions import Path, find_positions
from tests.config.conftest import GOOD


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("gateway",), 2, 1),
        (("gateway", "operator_names"), 3, 1),
        (("csms",), 5, 1),
        (("csms", 0), 5, 1),
        (("csms", 0, "urls"), 7, 1),
        (("listener", 0, "address"), 11, 1),
        (("listener", 0, "tls"), 16, 1),
        (("listener", 0, "tls", "client_trust"), 18, 1),
        (("listener", 0, "tls", "certificates"), 20, 1),
        (("listener", 0, "tls", "certificates", 0, "key"), 22, 1),
        (("listener", 0, "tls", "certificates", 1), 24, 1),
        (("listener", 0, "tls", "certificates", 1, "key"), 26, 1),
    ],
)
def test_tables_arrays_of_tables_and_keys_are_found(path: Path, line: int, column: int) -> None:
    assert find_positions(GOOD)[path] == (line, column)


def test_sub_tables_belong_to_the_latest_element_of_their_array() -> None:
    found = find_positions('[[listener]]\nname = "a"\n[listener.tls]\nx = 1\n[[listener]]\n[listener.tls]\n  x = 2\n')
    assert found[("listener", 0, "tls", "x")] == (4, 1)
    assert found[("listener", 1, "tls", "x")] == (7, 3)


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("  [ gateway ]  # why\n\tkey = 1", ("gateway", "key"), (2, 2)),
        ("a.b = 1", ("a", "b"), (1, 1)),
        ("\"a b\".'c' = 1", ("a b", "c"), (1, 1)),
        ('["a"."b"]\nc=1', ("a", "b", "c"), (2, 1)),
        ("# x = 1\nx = 2", ("x",), (2, 1)),
        ('x = """\ny = 1\n"""\ny = 2', ("y",), (4, 1)),
        ("x = '''\n[t]\n'''\ny = 2", ("y",), (4, 1)),
        ('x = """one line"""\ny = 2', ("y",), (2, 1)),
        ('# say """\ny = 2', ("y",), (2, 1)),
    ],
)
def test_blanks_quotes_comments_and_long_strings_are_understood(text: str, path: Path, place: tuple[int, int]) -> None:
    assert find_positions(text)[path] == place


@pytest.mark.parametrize(
    ("text", "path"), [("# x = 1", ("x",)), ('x = """\ny = 1\n"""', ("y",)), ('x = [\n  "y = 1",\n]', ("y",))]
)
def test_what_only_looks_like_a_key_is_not_found(text: str, path: Path) -> None:
    assert path not in find_positions(text)


@given(st.text(alphabet="[]=.\n\"#a 'x1{},", max_size=60))
def test_any_text_is_read_without_error_and_every_place_lies_in_it(text: str) -> None:
    lines = text.splitlines()
    for line, column in find_positions(text).values():
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1])


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.integers(), min_size=1, max_size=6))
def test_every_key_that_tomllib_reads_from_plain_lines_has_a_place(values: dict[str, int]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in values.items())
    assert set(tomllib.loads(text)) == {path[0] for path in find_positions(text)}
