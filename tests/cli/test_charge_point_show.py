"""`charge-point list` and `show`: what there is to know, no hash, and nothing interpreted."""

import pytest

from gateway.cli.exit_codes import OK
from gateway.identity.record import StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.refusals import RefusalEntry
from gateway.store.registry import Registry
from tests.cli.conftest import Cli, Filling
from tests.support.records import make_record

LIST = ("charge-point", "list")
SHOW = ("charge-point", "show")
_, TWO, THREE = SecurityProfile
SECRETS = ("$argon2id$current", "$2b$12$pending", "argon2", "phc")


pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture(scope="module")
def filling() -> Filling:
    fleet = [
        make_record("CP-1", group="depot", serial_number="SN-4711"),
        make_record("CP-2"),
        make_record("cp-3 [red]x[/red] :bomb:", group="depot", enabled=False),
    ]
    return lambda registry: registry.apply(add=fleet)


class TestList:
    def test_shows_all_in_order_and_literally(self, cli: Cli) -> None:
        result = cli(*LIST)
        title, head, *rows = result.out.splitlines()
        assert (result.code, title) == (OK, "Charge points (3)")
        assert head.split("  ")[0] == "charge point"
        assert [row.partition("  ")[0] for row in rows] == ["CP-1", "CP-2", "cp-3 [red]x[/red] :bomb:"]
        assert ["DISABLED" in row for row in rows] == [False, False, True]

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            (["cp-"], ["CP-1", "CP-2", "cp-3 [red]x[/red] :bomb:"]),
            (["cp-1"], ["CP-1"]),
            (["4711"], ["CP-1"]),
            (["--group", "depot"], ["CP-1", "cp-3 [red]x[/red] :bomb:"]),
            (["2", "--group", "depot"], []),
            (["--limit", "1"], ["CP-1"]),
            (["nobody"], []),
            (["%"], []),
        ],
    )
    def test_filters(self, options: list[str], found: list[str], cli: Cli) -> None:
        result = cli(*LIST, *options, "--json")
        assert result.code == OK
        assert [record["charge_point_id"] for record in result.json()] == found

    def test_json_has_every_field_and_no_hash(self, cli: Cli) -> None:
        result = cli(*LIST, "CP-1", "--json")
        (record,) = result.json()
        assert (record["password_set_at"], record["pending_password_set_at"]) == (5.0, None)
        assert [secret for secret in SECRETS if secret in result.out] == []


class TestShow:
    @pytest.fixture(autouse=True)
    def known(self, registry: Registry) -> None:
        registry.update(
            "CP-1",
            pending_password=StoredPassword(phc="$2b$12$pending", created_at=6.0),
            pending_security_profile=THREE,
            tolerances=("no-pong",),
        )
        registry.raise_floor("CP-1", TWO)
        registry.learn("CP-1", vendor="V[red]\x1b[31m", model="M", last_seen_at=86_400.0, last_address="10.0.0.9")
        registry.bind_key("ab" * 32, ChargePointId("CP-1"), 1.0)
        registry.bind_key("cd" * 32, ChargePointId("CP-2"), 1.0)
        registry.record_refusals(
            RefusalEntry(
                time=float(n), charge_point_id="CP-1", address="10.0.0.9", reason="password-wrong", detail=f"d{n}"
            )
            for n in range(1, 6)
        )

    def test_tells_everything_to_people(self, cli: Cli) -> None:
        out = cli(*SHOW, "CP-1").out
        lines = dict(line.split("  ", 1) for line in out.split("\n\n")[0].splitlines())
        found = {label: value.strip() for label, value in lines.items()}
        assert found["security profile"] == "2, upgrade to 3 under way"
        assert found["never below"] == "2 (already proven)"
        assert found["tolerances"] == "no-pong"
        assert found["claims to be"] == r"V[red]\x1b[31m M"
        assert found["last seen"].endswith(" from 10.0.0.9")
        assert found["bound key"] == "abababababababab..."
        assert "another one" in found["password"]
        assert found["connected"] == "no gateway is running"
        assert [secret for secret in SECRETS if secret in out] == []

    def test_tells_everything_to_programs(self, cli: Cli) -> None:
        result = cli(*SHOW, "CP-1", "--json")
        found = result.json()
        assert (found["floor"], found["pending_security_profile"], found["connected"]) == (2, 3, None)
        assert (found["bound_keys"], found["password_set_at"], found["pending_password_set_at"]) == (
            ["ab" * 32],
            5.0,
            6.0,
        )
        assert [entry["detail"] for entry in found["refusals"]] == ["d5", "d4", "d3"]
        assert "remedy" in found["refusals"][0]
        assert [secret for secret in SECRETS if secret in result.out] == []

    def test_tells_what_stands_in_the_way(self, cli: Cli, registry: Registry) -> None:
        assert cli(*SHOW, "CP-2", "--json").json()["obstacles"] == []
        registry.update("CP-2", password=None)
        assert "CANNOT CONNECT" in cli(*SHOW, "CP-2").out
        assert len(cli(*SHOW, "CP-2", "--json").json()["obstacles"]) == 1

    def test_markup_in_an_identity_is_text(self, cli: Cli) -> None:
        assert "cp-3 [red]x[/red] :bomb:" in cli(*SHOW, "cp-3 [red]x[/red] :bomb:").out
