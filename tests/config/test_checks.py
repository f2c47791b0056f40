"""Contradictions in a configuration, each with the place of its key."""

from pathlib import Path

import pytest

from gateway.config.checks import split_address
from gateway.config.load import ConfigError, load_config_with_warnings
from gateway.config.problems import Problem
from tests.config.conftest import GOOD, Site

PLAIN = """
[[listener]]
name = "plain"
address = "10.0.0.1:8080"
security_profiles = [1]
csms = "main"
allowed_networks = ["10.0.0.0/8"]
"""


def errors(path: Path) -> list[str]:
    """`line:column: message` of each error."""
    try:
        load_config_with_warnings(path)
    except ConfigError as error:
        return list(map(shown, error.problems))
    return []


def warnings(path: Path) -> list[str]:
    return list(map(shown, load_config_with_warnings(path)[1]))


def shown(problem: Problem) -> str:
    return f"{problem.line}:{problem.column}: {problem.message}" + (
        f" ({problem.suggestion}?)" if problem.suggestion else ""
    )


class TestAddress:
    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("0.0.0.0:8443", ("0.0.0.0", 8443)),
            ("[::]:8443", ("::", 8443)),
            ("[2001:db8::1]:1", ("2001:db8::1", 1)),
            ("127.0.0.1:0", ("127.0.0.1", 0)),
            ("1.2.3.4:65535", ("1.2.3.4", 65535)),
        ],
    )
    def test_an_ip_address_with_a_port(self, address: str, expected: tuple[str, int]) -> None:
        assert split_address(address) == expected

    @pytest.mark.parametrize(
        "address",
        ["", "8443", ":8443", "localhost:8443", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:８",
         "::1:8443", "2001:db8::1", "[1.2.3.4]:1", "[::1:1", "1.2.3.4:1:2", "1.2.3.256:1"],
    )  # fmt: skip
    def test_anything_else_is_none(self, address: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            split_address(address)

    def test_it_is_told_where_it_stands(self, site: Site) -> None:
        assert errors(site.change('"0.0.0.0:8443"', '"gateway:8443"')) == [
            "11:1: listener.address: 'gateway:8443' is not an IP address with a port, e.g. 0.0.0.0:8443 or [::]:8443"
        ]
        assert errors(site.append('[operations]\naddress = "9180"\n'))[0].startswith("28:1: operations.address: ")

    def test_two_listeners_or_operations_on_one_address(self, site: Site) -> None:
        path = site.append('[operations]\naddress = "0.0.0.0:8443"\n')
        assert errors(path) == ["28:1: operations.address: 0.0.0.0:8443 is used twice"]
        assert errors(site.append('[operations]\naddress = "127.0.0.1:8444"\n')) == []


class TestNames:
    @pytest.mark.parametrize("name", ["", "a b", "ü", 41 * "a", "a/b", 'a"', "a\\n"])
    def test_names_are_short_and_plain(self, site: Site, name: str) -> None:
        text = GOOD.replace('name = "tls"', f'name = "{name}"' if '"' not in name else "name = 'a\"'")
        assert errors(site.write(text)) == [
            "10:1: listener.name: use 1 to 40 letters, digits, dots, dashes, underscores"
        ]

    def test_forty_characters_are_a_name(self, site: Site) -> None:
        assert errors(site.change('name = "tls"', f'name = "{40 * "a"}"')) == []

    def test_a_name_that_is_there_twice_is_told_at_its_second_place(self, site: Site) -> None:
        path = site.append(PLAIN.replace('"plain"', '"tls"') + PLAIN.replace("8080", "8081"))
        assert errors(path) == ["29:1: listener.name: listener 'tls' is there already"]


class TestListener:
    def test_its_csms_must_exist(self, site: Site) -> None:
        assert errors(site.change('csms = "main"', 'csms = "mian"')) == [
            "13:1: listener.csms: there is no [[csms]] named 'mian' (main?)"
        ]

    @pytest.mark.parametrize("prefix", ["/", "", "/ocpp/", "/a/b-c/~x", "/a:b@c"])
    def test_a_plain_path_is_a_prefix(self, site: Site, prefix: str) -> None:
        assert errors(site.change('path_prefix = "/ocpp"', f'path_prefix = "{prefix}"')) == []

    @pytest.mark.parametrize("prefix", ["ocpp", "/a b", "/a%20", "//", "/a//b", "/a?b", "/ü", "/a;b", "/a#"])
    def test_anything_else_is_none(self, site: Site, prefix: str) -> None:
        found = errors(site.change('path_prefix = "/ocpp"', f'path_prefix = "{prefix}"'))
        assert found == [f"14:1: listener.path_prefix: {prefix!r} is not a plain path such as /ocpp"]

    @pytest.mark.parametrize("key", ["allowed_networks", "proxy_protocol_from"])
    def test_networks_are_networks(self, site: Site, key: str) -> None:
        good = site.change('csms = "main"', f'csms = "main"\n{key} = ["10.0.0.0/8", "2001:db8::/32", "10.1.2.3"]')
        assert errors(good) == []
        bad = site.change('csms = "main"', f'csms = "main"\n{key} = ["10.0.0.0/33"]')
        assert errors(bad) == [f"14:1: listener.{key}: '10.0.0.0/33' is not a network, e.g. 10.0.0.0/8"]

    def test_without_security_profiles_nobody_could_connect(self, site: Site) -> None:
        path = site.change("security_profiles = [2, 3]", "security_profiles = []")
        assert "12:1: listener.security_profiles: empty: nobody could connect" in errors(path)


@pytest.mark.requirement("A00.FR.201")
class TestPlainListener:
    @pytest.mark.requirement("A00.FR.206")
    def test_it_serves_profile_1_to_named_networks_and_is_warned_about(self, site: Site) -> None:
        path = site.append(PLAIN)
        assert errors(path) == []
        assert warnings(path) == ["28:1: listener: listener plain takes passwords in clear text (A00.FR.206)"]

    def test_without_networks_it_is_refused(self, site: Site) -> None:
        path = site.append(PLAIN.replace('allowed_networks = ["10.0.0.0/8"]\n', ""))
        assert errors(path) == [
            "28:1: listener.allowed_networks: a plain listener must say from which trusted networks (A00.FR.201), "
            'e.g. ["10.0.0.0/8"]'
        ]

    @pytest.mark.requirement("A00.FR.312", "A00.FR.415")
    @pytest.mark.parametrize("profiles", ["[2]", "[1, 2]", "[3]", "[1, 1]"])
    def test_it_serves_nothing_else(self, site: Site, profiles: str) -> None:
        found = errors(site.append(PLAIN.replace("[1]", profiles)))
        assert found == [
            "31:1: listener.security_profiles: a listener without [listener.tls] serves profile 1 and nothing else"
        ]


class TestTLSListener:
    @pytest.mark.requirement("A00.FR.402")
    @pytest.mark.parametrize(
        ("profiles", "client_certificate", "trust", "expected"),
        [
            ("[2]", "none", False, ""),
            ("[3]", "required", True, ""),
            ("[3]", "optional", True, ""),
            ("[2, 3]", "optional", True, ""),
            ("[2, 3]", "required", True, 'profile 2 has no client certificate: use "optional" for 2 and 3 on one port'),
            ("[3]", "none", False, 'profile 3 needs client_certificate "required" or "optional"'),
            ("[2, 3]", "none", False, 'profile 3 needs client_certificate "required" or "optional"'),
            ("[2]", "optional", True, "client certificates are for profile 3, which this listener does not serve"),
            ("[3]", "required", False, "empty: no client certificate could be trusted"),
            ("[1, 2]", "none", False, "profile 1 is without TLS: give it a listener of its own"),
        ],
    )
    def test_profiles_and_client_certificates_fit_together(
        self, site, profiles, client_certificate, trust, expected
    ) -> None:
        text = GOOD.replace("[2, 3]", profiles).replace('"optional"', f'"{client_certificate}"')
        if not trust:
            text = text.replace('client_trust = ["root.pem"]\n', "")
        found = errors(site.write(text))
        assert [message.partition(": ")[2].partition(": ")[2] for message in found] == ([expected] if expected else [])

    def test_old_tls_only_for_named_networks(self, site: Site) -> None:
        text = GOOD.replace("[listener.tls]\n", '[listener.tls]\ncipher_policy = "legacy-quarantine"\n')
        assert errors(site.write(text)) == [
            "9:1: listener.allowed_networks: cipher_policy legacy-quarantine needs allowed_networks"
        ]
        text = text.replace('csms = "main"\npath', 'csms = "main"\nallowed_networks = ["10.0.0.0/8"]\npath')
        assert errors(site.write(text)) == []

    def test_without_certificates_there_is_no_tls(self, site: Site) -> None:
        text = GOOD[: GOOD.index("[[listener.tls.certificates]]")].replace(
            "[listener.tls]", "[listener.tls]\ncertificates = []"
        )
        assert errors(site.write(text)) == [
            "17:1: listener.tls.certificates: no [[listener.tls.certificates]], and no automatic_certificates"
        ]


def csms(site: Site, text: str) -> Path:
    return site.change('urls = ["wss://csms.example.com/ocpp"]\n', text)


class TestCSMS:
    @pytest.mark.parametrize("url", ["ws://h", "wss://h:9000/a/b", "WSS://h/", "wss://[2001:db8::1]:1/x"])
    def test_an_address_for_websockets(self, site: Site, url: str) -> None:
        assert errors(csms(site, f'urls = ["{url}"]\n')) == []

    @pytest.mark.parametrize("url", ["http://h", "h:9000", "wss://", "wss://h/?id=1", "wss://h/#x", "wss:///x", ""])
    def test_anything_else_is_none(self, site: Site, url: str) -> None:
        assert errors(csms(site, f'urls = ["{url}"]\n')) == [
            f"7:1: csms.urls: {url!r} must be ws:// or wss:// with host, port and path, without the identity"
        ]

    @pytest.mark.parametrize("url", ["wss://h:x/", "wss://h:99999/", "wss://[::1"])
    def test_what_is_no_url_at_all(self, site: Site, url: str) -> None:
        assert errors(csms(site, f'urls = ["{url}"]\n')) == ["7:1: csms.urls: not a URL"]

    @pytest.mark.parametrize(
        "url", ["wss://user:s3cr3t@h/", "wss://:s3cr3t@h/", "wss://s3cr3t@h/", "http://u:s3cr3t@h/"]
    )
    def test_a_password_in_the_url_is_refused_and_not_repeated(self, site: Site, url: str) -> None:
        found = errors(csms(site, f'urls = ["{url}"]\n'))
        assert len(found) == 1
        assert "password_file" in found[0]
        assert "s3cr3t" not in found[0]

    def test_no_address_and_no_version(self, site: Site) -> None:
        assert errors(csms(site, "urls = []\nocpp_versions = []\n")) == [
            "7:1: csms.urls: empty",
            "8:1: csms.ocpp_versions: empty: it would speak nothing",
        ]

    @pytest.mark.parametrize(
        "header", ["Host", "authorization", "Sec-WebSocket-Extensions", "Transfer-Encoding", "a b", "", "a:"]
    )
    def test_headers_that_are_ours_or_none_cannot_be_set(self, site: Site, header: str) -> None:
        found = errors(csms(site, f'urls = ["wss://h/"]\nheaders = {{ "{header}" = "x" }}\n'))
        assert found == [f"8:1: csms.headers: header {header!r} cannot be set"]

    @pytest.mark.parametrize("value", ["a\\r\\nX: y", "a\\nb", "\\u0000", "\\u007f", "ü", "\\t"])
    def test_a_header_value_is_printable_ascii(self, site: Site, value: str) -> None:
        text = 'urls = ["wss://h/"]\nheaders = { "X-Id" = "%s" }\n'
        assert errors(csms(site, text % value)) != []
        assert errors(csms(site, text % "id {id} at {address}")) == []

    @pytest.mark.parametrize("key", ["connect_timeout_s", "retry_unhealthy_after_s"])
    @pytest.mark.parametrize("value", ["0", "-1.0", "nan", "inf", "-inf"])
    def test_its_times_are_numbers_greater_than_0(self, site: Site, key: str, value: str) -> None:
        found = errors(csms(site, f'urls = ["wss://h/"]\n{key} = {value}\n'))
        assert found == [f"8:1: csms.{key}: must be a number greater than 0"]

    def test_danger_is_allowed_and_warned_about(self, site: Site) -> None:
        path = csms(site, 'urls = ["wss://h/"]\ndanger_accept_any_certificate = true\n')
        assert warnings(path) == ["8:1: csms.danger_accept_any_certificate: anybody can pose as this CSMS"]


class TestCSMSAuthentication:
    def test_basic_needs_a_file_with_one_line_that_nobody_else_can_read(self, site: Site) -> None:
        text = 'urls = ["wss://h/"]\nauthentication = "basic"\n'
        assert errors(csms(site, text)) == ['5:1: csms.password_file: authentication "basic" needs password_file']
        path = csms(site, text + 'password_file = "secret"\n')
        assert errors(path) == [f"9:1: csms.password_file: {site.directory}/secret: No such file or directory"]
        secret = site.private("secret", b"password\n")
        assert errors(path) == []
        secret.chmod(0o640)
        assert errors(path) == [f"9:1: csms.password_file: {secret} can be read by others: chmod 600 {secret}"]

    @pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\r\n\r\n", b"\nx"])
    def test_a_password_file_of_no_line_or_two_is_refused_without_showing_it(self, site: Site, content: bytes) -> None:
        secret = site.private("secret", content)
        path = csms(site, 'urls = ["wss://h/"]\nauthentication = "basic"\npassword_file = "secret"\n')
        assert errors(path) == [f"9:1: csms.password_file: {secret} must hold one line, the password"]

    def test_a_user_name_has_no_colon(self, site: Site) -> None:
        site.private("secret", b"x")
        text = 'urls = ["wss://h/"]\nauthentication = "basic"\npassword_file = "secret"\nusername = "%s"\n'
        assert errors(csms(site, text % "gw:{id}")) == [
            "10:1: csms.username: a user name with a colon cannot be told from its password"
        ]
        assert errors(csms(site, text % "gw-{id}")) == []

    def test_passwords_in_clear_text_are_warned_about_unless_they_stay_on_this_machine(self, site: Site) -> None:
        text = 'urls = ["%s"]\nauthentication = "pass-through"\n'
        always = "8:1: csms.authentication: pass-through hands the charge points' passwords to the CSMS"
        clear = "7:1: csms.urls: ws://10.0.0.1/ sends passwords to the CSMS in clear text"
        assert warnings(csms(site, text % "ws://10.0.0.1/")) == [clear, always]
        for url in ("ws://127.0.0.1/", "ws://localhost:1/", "ws://[::1]/", "wss://10.0.0.1/"):
            assert warnings(csms(site, text % url)) == [always]
        assert warnings(csms(site, 'urls = ["ws://csms.example.com/"]\n')) == []
        assert warnings(csms(site, text % "ws://csms/"))[0].endswith("in clear text")

    def test_mtls_needs_certificate_and_key_that_belong_together(self, site: Site) -> None:
        text = 'urls = ["wss://h/"]\nauthentication = "mtls"\n'
        assert errors(csms(site, text)) == ['5:1: csms.certificate: authentication "mtls" needs certificate and key']
        assert errors(csms(site, text + 'certificate = "ec.pem"\n')) == [
            "5:1: csms.key: certificate and key go together"
        ]
        assert errors(csms(site, text + 'key = "ec.key"\n')) == [
            "5:1: csms.certificate: certificate and key go together"
        ]
        both = text + 'certificate = "%s.pem"\nkey = "%s.key"\n'
        assert errors(csms(site, both % ("ec", "ec"))) == []
        found = errors(csms(site, both % ("ec", "rsa")))
        assert found == [f"10:1: csms.key: {site.directory}/rsa.key is not the key of {site.directory}/ec.pem"]

    def test_its_ca_must_be_readable(self, site: Site) -> None:
        assert errors(csms(site, 'urls = ["wss://h/"]\nca = "root.pem"\n')) == []
        assert errors(csms(site, 'urls = ["wss://h/"]\nca = "ec.key"\n')) == [
            f"8:1: csms.ca: {site.directory}/ec.key holds no PEM certificates"
        ]


class TestNumbers:
    @pytest.mark.parametrize(
        ("section", "key"),
        [("limits", "max_headers"), ("limits", "handshake_timeout_s"), ("websocket", "messages_per_s")],
    )
    @pytest.mark.parametrize("value", ["0", "-1"])
    def test_a_limit_of_zero_would_refuse_everybody(self, site: Site, section: str, key: str, value: str) -> None:
        found = errors(site.append(f"[{section}]\n{key} = {value}\n"))
        assert found == [f"28:1: {section}.{key}: must be a number greater than 0"]

    @pytest.mark.parametrize("value", ["nan", "inf"])
    def test_a_limit_that_is_no_number_would_be_none(self, site: Site, value: str) -> None:
        assert errors(site.append(f"[limits]\nhandshake_timeout_s = {value}\n")) == [
            "28:1: limits.handshake_timeout_s: must be a number greater than 0"
        ]

    def test_messages_are_at_most_16_mib(self, site: Site) -> None:
        assert errors(site.append("[websocket]\nmax_message_bytes = 16777216\n")) == []
        assert errors(site.append("[websocket]\nmax_message_bytes = 16777217\n")) == [
            "28:1: websocket.max_message_bytes: more than 16 MiB"
        ]

    def test_the_place_of_the_state_directory_must_be_there(self, site: Site) -> None:
        assert errors(site.change("[gateway]\n", '[gateway]\nstate_dir = "a/b"\n')) == [
            f"3:1: gateway.state_dir: {site.directory}/a does not exist"
        ]
        (site.directory / "a").mkdir()
        assert errors(site.file) == []

    @pytest.mark.parametrize("value", ["-1", "257"])
    def test_edge_workers_are_0_to_256(self, site: Site, value: str) -> None:
        path = site.change('operator_names = ["Example CPO"]', f"edge_workers = {value}")
        assert errors(path) == ["3:1: gateway.edge_workers: must be 0 (one per core) to 256"]
        assert errors(site.change('operator_names = ["Example CPO"]', "edge_workers = 256")) == []
