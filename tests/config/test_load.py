"""From a file to checked values: every problem with its line and column, and what was probably meant."""

from pathlib import Path

import pytest

from gateway.config.load import ConfigError, Problem, load_config, load_config_with_warnings, load_unchecked
from gateway.config.model import Config, Limits
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from tests.config.conftest import GOOD, Site


def problems(path: Path) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return caught.value.problems


def only(path: Path) -> Problem:
    found = problems(path)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


class TestGood:
    def test_a_small_file_makes_a_complete_configuration(self, site: Site) -> None:
        config, warnings = load_config_with_warnings(site.file)
        assert warnings == []
        assert (config.path, config.state_dir) == (str(site.file), str(site.directory / "state"))
        assert config.database_url == f"sqlite:///{site.directory / 'state' / 'registry.sqlite'}"
        assert (config.edge_workers >= 1, config.log_level, config.operator_names) == (True, "info", ("Example CPO",))
        assert (config.limits, config.security_events.path, config.unsafe_dev_certificates) == (Limits(), "", False)
        listener, csms = config.listeners[0], config.csms[0]
        assert listener.security_profiles == (SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CLIENT_CERTIFICATE)
        assert (csms.ocpp_versions, csms.authentication) == (tuple(OCPPVersion), "none")

    def test_relative_files_are_relative_to_the_configuration(self, site: Site) -> None:
        tls = load_config(site.file).listeners[0].tls
        assert tls is not None
        assert tls.client_trust == (str(site.directory / "root.pem"),)
        assert tls.certificates[1].key == str(site.directory / "rsa.key")

    def test_or_to_a_directory_that_is_named(self, site: Site, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        copy = elsewhere / "last-good.toml"
        copy.write_text(GOOD)
        with pytest.raises(ConfigError):
            load_config(copy)
        config = load_config(copy, relative_to=site.directory)
        assert (config.path, config.state_dir) == (str(copy), str(site.directory / "state"))

    def test_absolute_files_stay_what_they_are(self, site: Site) -> None:
        config = load_config(site.change('"ec.pem"', f'"{site.directory}/ec.pem"'))
        assert config.listeners[0].tls is not None
        assert config.listeners[0].tls.certificates[0].certificate == f"{site.directory}/ec.pem"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [('path = "e.jsonl"', "{dir}/e.jsonl"), ('path = "-"', "-"), ('path = "/var/e"', "/var/e"), ("", "")],
    )
    def test_where_events_go(self, site: Site, text: str, expected: str) -> None:
        config = load_config(site.append(f"[security_events]\n{text}\n"))
        assert config.security_events.path == expected.format(dir=site.directory)

    def test_every_section_can_be_set(self, site: Site) -> None:
        config = load_config(
            site.write(
                GOOD.replace(
                    "[gateway]\n",
                    '[gateway]\nstate_dir = "s"\ndatabase_url = "postgresql://h/n"\nedge_workers = 3\nlog_level = "debug"\n',
                )
                + "[limits]\nmax_identity_chars = 64\n[websocket]\nmax_message_bytes = 1000\n"
                + '[operations]\naddress = "127.0.0.1:9999"\n'
            )
        )
        assert (config.state_dir, config.database_url) == (str(site.directory / "s"), "postgresql://h/n")
        assert (config.edge_workers, config.log_level, config.limits.max_identity_chars) == (3, "debug", 64)
        assert (config.websocket.max_message_bytes, config.operations.address) == (1000, "127.0.0.1:9999")

    def test_unchecked_looks_at_neither_contradictions_nor_files(self, site: Site) -> None:
        site.change('csms = "main"', 'csms = "other"')
        (site.directory / "ec.key").unlink()
        assert isinstance(load_unchecked(site.file), Config)
        with pytest.raises(ConfigError):
            load_unchecked(site.change("address =", "adress ="))


class TestUnknownAndMissing:
    def test_an_unknown_key_has_its_place_and_a_suggestion(self, site: Site) -> None:
        path = site.change('path_prefix = "/ocpp"', 'path_prefx = "/ocpp"')
        assert str(only(path)) == (
            f"{path}:14:1: listener.path_prefx: unknown key 'path_prefx' (did you mean 'path_prefix'?)"
        )

    def test_one_that_is_like_nothing_has_no_suggestion(self, site: Site) -> None:
        path = site.append("[limits]\n  zzzzzz = 1\n")
        assert str(only(path)) == f"{path}:28:3: limits.zzzzzz: unknown key 'zzzzzz'"

    def test_a_misspelt_required_key_is_unknown_and_missing(self, site: Site) -> None:
        path = site.change("address =", "adress =")
        assert [str(problem) for problem in problems(path)] == [
            f"{path}:11:1: listener.adress: unknown key 'adress' (did you mean 'address'?)",
            f"{path}:9:1: listener: address is missing",
        ]

    def test_deep_in_an_array_of_tables_too(self, site: Site) -> None:
        path = site.change('key = "rsa.key"', 'kee = "rsa.key"')
        assert [str(problem) for problem in problems(path)] == [
            f"{path}:26:1: listener.tls.certificates.kee: unknown key 'kee' (did you mean 'key'?)",
            f"{path}:24:1: listener.tls.certificates: key is missing",
        ]

    def test_an_unknown_section_has_a_suggestion(self, site: Site) -> None:
        path = site.append("[web-socket]\n")
        assert str(only(path)) == (f"{path}:27:1: web-socket: unknown section 'web-socket' (did you mean 'websocket'?)")

    def test_everything_is_told_at_once_in_one_error(self, site: Site) -> None:
        path = site.append("[limits]\nmax_header = 1\n[operations]\nadress = 'x'\n[other]\n")
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert len(caught.value.problems) == 3
        assert str(caught.value).count("\n") == 2

    def test_an_empty_file_says_what_is_missing(self, site: Site) -> None:
        found = [problem.message for problem in problems(site.write(""))]
        assert found == [
            "listener: no [[listener]]: nothing would be served",
            "csms: no [[csms]]: there is nothing to protect",
        ]


class TestWrongValues:
    @pytest.mark.parametrize(
        ("old", "new", "line", "message"),
        [
            ("security_profiles = [2, 3]", "security_profiles = [2, 4]", 12, "Invalid enum value 4 (at [1])"),
            (
                "security_profiles = [2, 3]",
                "security_profiles = 2",
                12,
                "must be a list in brackets, not a whole number",
            ),
            ('name = "tls"', "name = 5", 10, "must be a text in quotes, not a whole number"),
            (
                'client_certificate = "optional"',
                'client_certificate = "maybe"',
                17,
                "'maybe' is not one of none, optional, required",
            ),
            (
                'operator_names = ["Example CPO"]',
                'edge_workers = "4"',
                3,
                "must be a whole number, not a text in quotes",
            ),
            (
                'operator_names = ["Example CPO"]',
                "operator_names = [1]",
                3,
                "must be a text in quotes, not a whole number (at [0])",
            ),
            (
                'operator_names = ["Example CPO"]',
                'log_level = "loud"',
                3,
                "'loud' is not one of debug, info, warning, error",
            ),
        ],
    )
    def test_a_value_of_the_wrong_type_is_told_with_its_place(self, site: Site, old, new, line, message) -> None:
        found = only(site.change(old, new))
        assert (found.line, found.column) == (line, 1)
        assert found.message.partition(": ")[2] == message

    def test_no_boolean_is_a_number_and_no_float_an_integer(self, site: Site) -> None:
        for value in ("true", "1.5", '"1"'):
            assert only(site.append(f"[limits]\nmax_headers = {value}\n")).line == 28
        load_config(site.append("[limits]\nhandshake_timeout_s = 5\n"))

    def test_an_array_where_a_table_is_wanted_and_the_other_way_round(self, site: Site) -> None:
        found = only(site.append("[[limits]]\nmax_headers = 1\n"))
        assert (found.line, found.message) == (27, "limits: must be a table")
        found = only(site.write(GOOD.replace("[[csms]]", "[csms]")))
        assert (found.line, found.message) == (5, "csms: must be an array of tables: write [[csms]]")

    def test_a_place_inside_an_inline_table_is_that_of_its_key(self, site: Site) -> None:
        text = GOOD[: GOOD.index("[listener.tls]")] + "tls = { certificates = [], clint_trust = [] }\n"
        found = next(problem for problem in problems(site.write(text)) if problem.suggestion)
        assert (found.line, found.column, found.suggestion) == (16, 1, "client_trust")


class TestUnreadable:
    def test_a_syntax_error_has_line_and_column(self, site: Site) -> None:
        path = site.change("security_profiles = [2, 3]", "security_profiles = [2, 3")
        assert str(only(path)) == f"{path}:13:1: not valid TOML: Unclosed array"

    def test_a_syntax_error_without_a_place_is_told_all_the_same(self, site: Site) -> None:
        found = only(site.write("x = "))
        assert found.message.startswith("not valid TOML")

    def test_a_key_that_is_there_twice_is_an_error(self, site: Site) -> None:
        assert "overwrite" in only(site.change('csms = "main"', 'csms = "main"\ncsms = "main"')).message

    def test_no_file_and_a_directory(self, site: Site) -> None:
        assert only(site.directory / "missing.toml").message == "cannot be read: No such file or directory"
        assert only(site.directory).message == "cannot be read: Is a directory"

    def test_what_is_not_utf8(self, site: Site) -> None:
        site.file.write_bytes(b"\xff\xfe")
        assert only(site.file).message == "is not UTF-8 text"

    @pytest.mark.parametrize("text", ["x = " + 5_000 * "9", "x = " + 3_000 * "["])
    def test_what_would_break_the_parser(self, site: Site, text: str) -> None:
        assert only(site.write(text)).message == "has a number too long or is nested too deep"


def test_a_problem_without_a_place_names_the_file_alone() -> None:
    assert str(Problem(path="g.toml", message="gone")) == "g.toml: gone"
