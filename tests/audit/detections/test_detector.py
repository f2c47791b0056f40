"""Each detection fires on what it is for, and not on its near-miss; each names the records it rests on; memory is bounded."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.detections.detector import Detector
from gateway.audit.detections.model import Detection, Session, Thresholds, network_of
from gateway.audit.detections.sessions import Sessions
from gateway.audit.detections.windows import Mark, Recent, Windows
from gateway.config.model import Detections

HOME, AWAY, ELSEWHERE = "192.0.2.7", "198.51.100.9", "203.0.113.5"
LIMITS = Thresholds(**msgspec.structs.asdict(Detections()))
_Record = tuple[float, dict[str, Any]]


def refused(reason: str, cp: str = "CP-1", ip: str = AWAY, at: float = 0, **more: Any) -> _Record:
    return at, {"type": "x", "cp": cp, "peer": {"ip": ip}, "dec": {"reason": reason}, **more}


def opened(
    cp: str = "CP-1", ip: str = HOME, at: float = 0, profile: int = 2, version: str = "ocpp1.6", **peer: Any
) -> _Record:
    auth = {"profile": profile, "proof": "CertificateProof" if profile == 3 else "PasswordProof"}
    return at, {"type": "session.opened", "cp": cp, "proven": True, "peer": {"ip": ip, **peer}, "auth": auth, "ocpp": {"version": version}}  # fmt: skip


def event(kind: str, cp: str = "CP-1", at: float = 0) -> _Record:
    return at, {"type": kind, "cp": cp, "proven": True}


def placed(records: Iterable[_Record], first: int = 0) -> list[tuple[str, dict[str, Any]]]:
    return [(f"0001/{n}", {"ts": int(at * 1e6), **record}) for n, (at, record) in enumerate(records, first)]


def told(*records: _Record, **limits: Any) -> list[Detection]:
    return Detector(msgspec.structs.replace(LIMITS, **limits)).follow(placed(records))


def kinds(*records: _Record, **limits: Any) -> set[tuple[str, str]]:
    return {(each.kind, each.subject) for each in told(*records, **limits)}


class TestBruteForce:
    def test_one_address(self) -> None:
        guesses = [refused("password-wrong", f"CP-{n % 3}", at=n) for n in range(20)]
        (found,) = told(*guesses)
        assert (found.kind, found.subject, found.severity, found.address) == ("brute_force", AWAY, "high", AWAY)
        assert found.evidence == tuple(f"0001/{n}" for n in range(20))
        assert kinds(*guesses[:19]) == set()

    def test_one_charge_point_from_everywhere(self) -> None:
        guesses = [refused("password-wrong", ip=f"198.51.100.{n}", at=n) for n in range(20)]
        assert kinds(*guesses) == {("brute_force", "CP-1")}
        assert kinds(*(refused("password-wrong", f"CP-{n}", f"198.51.100.{n}", n) for n in range(40))) == set()

    def test_what_was_counted_together_counts(self) -> None:
        summary = refused("password-wrong", n=30)
        summary[1]["type"] = "audit.throttled"
        assert kinds(summary) == {("brute_force", AWAY), ("brute_force", "CP-1")}

    def test_slowly_is_not_enough(self) -> None:
        assert kinds(*(refused("password-wrong", at=n * 40) for n in range(100))) == set()

    def test_who_gets_in_at_last_was_no_attacker(self) -> None:
        failures = [refused("password-wrong", ip=HOME, at=n) for n in range(19)]
        assert kinds(*failures, opened(at=20), refused("password-wrong", ip=HOME, at=21)) == set()

    def test_a_wrong_password_at_home_is_told_later_and_softer(self) -> None:
        failures = [refused("password-wrong", ip=HOME, at=n) for n in range(1, 101)]
        assert told(opened(), *failures[:99]) == []
        assert {each.severity for each in told(opened(), *failures)} == {"medium"}
        others = [refused("password-wrong", "CP-2", HOME, n) for n in range(1, 21)]
        assert {each.severity for each in told(opened(), *others)} == {"high"}


class TestEnumeration:
    def test_many_names_from_one_address(self) -> None:
        tries = [refused("identity-unknown", f"CP-{n}", at=n) for n in range(10)]
        (found,) = told(*tries)
        assert (found.kind, found.subject, len(found.evidence)) == ("enumeration", AWAY, 10)
        assert kinds(*tries[:9]) == set()
        assert kinds(*(refused("identity-unknown", "CP-1", at=n) for n in range(30))) == set()

    def test_a_depot_behind_one_address_that_proves_itself(self) -> None:
        names = [f"CP-{n}" for n in range(40)]
        asked_first = [
            record for n, cp in enumerate(names) for record in (refused("auth-missing", cp, at=n), opened(cp, AWAY, n))
        ]
        assert kinds(*asked_first) == set()
        again = [refused("auth-missing", cp, at=60 + n) for n, cp in enumerate(names)]
        assert kinds(*asked_first, *again) == set()


class TestTakeover:
    def test_another_network_with_valid_credentials(self) -> None:
        (found,) = told(opened(), refused("duplicate", at=5, proven=True))
        assert (found.kind, found.severity, found.evidence) == ("takeover_attempt", "critical", ("0001/0", "0001/1"))

    def test_its_own_modem_that_comes_back_before_the_old_connection_is_dead(self) -> None:
        assert kinds(opened(), refused("duplicate", ip="192.0.2.99", at=5)) == set()
        assert kinds(refused("duplicate")) == set(), "nothing known to compare with"


class TestSharedCredential:
    def test_one_certificate_for_two(self) -> None:
        (found,) = told(opened(cert="ab" * 32), opened("CP-2", cert="ab" * 32, at=60))
        assert (found.kind, found.subject, found.evidence) == ("shared_credential", "ab" * 32, ("0001/0", "0001/1"))

    def test_one_key_for_two(self) -> None:
        assert kinds(refused("certificate-key-shared")) == {("shared_credential", "CP-1")}

    def test_many_records_of_its_owner_are_one_user_by_the_latest_of_them(self) -> None:
        mine = [opened(cert="ab" * 32, at=n) for n in range(400)]
        (found,) = told(*mine, opened("CP-2", cert="ab" * 32, at=500), flapping_sessions=1000)
        assert found.evidence == ("0001/399", "0001/400")

    def test_a_renewed_one_and_one_that_has_moved_house(self) -> None:
        assert kinds(opened(cert="ab"), opened(cert="cd", at=60), opened("CP-2", cert="ef", at=61)) == set()
        assert kinds(opened(cert="ab"), opened("CP-2", cert="ab", at=90_000)) == set()


class TestTravel:
    def test_here_there_and_here_again(self) -> None:
        (found,) = told(opened(), opened(ip=AWAY, at=60), opened(at=120))
        assert (found.kind, found.subject, found.evidence) == (
            "impossible_travel",
            "CP-1",
            ("0001/0", "0001/1", "0001/2"),
        )

    def test_a_modem_that_falls_back_another_address_nearby_and_time_enough(self) -> None:
        assert kinds(opened(), opened(ip=AWAY, at=60), opened(ip=AWAY, at=120)) == set()
        assert kinds(opened(), opened(ip="192.0.200.1", at=60), opened(at=120)) == set()
        assert kinds(opened(), opened(ip=AWAY, at=600), opened(at=1200)) == set()

    def test_as_the_operator_wants_it(self) -> None:
        assert kinds(opened(), opened(ip=AWAY, at=60), travel_changes=1) == {("impossible_travel", "CP-1")}
        near = [opened(), opened(ip="192.0.200.1", at=60), opened(at=120)]
        assert kinds(*near, travel_prefix_bits_ipv4=24) == {("impossible_travel", "CP-1")}


class TestFlapping:
    def test_over_and_over(self) -> None:
        sessions = [opened(at=n * 40) for n in range(12)]
        assert kinds(*sessions) == {("flapping", "CP-1")}
        assert kinds(*sessions[:11]) == set()
        assert kinds(*(opened(at=n * 60) for n in range(30))) == set()

    def test_refused_for_it(self) -> None:
        assert kinds(refused("flapping")) == {("flapping", "CP-1")}
        assert kinds(refused("duplicate")) == set()

    def test_what_was_let_in_and_what_was_refused_count_together_in_their_order(self) -> None:
        found = told(opened(), refused("flapping", at=1), opened(at=2), refused("flapping", at=3), flapping_window_s=2)
        assert found[0].text.startswith("connected 2 times")
        found = told(opened(), opened(at=1), refused("flapping", at=2), opened("CP-2", at=2))
        assert found[0].evidence == ("0001/0", "0001/1", "0001/2")


class TestClock:
    def test_a_station_in_1970_is_no_attack(self) -> None:
        (found,) = told(*(event("time.implausible", at=n) for n in range(3)))
        assert (found.kind, found.severity) == ("clock_wrong", "low")
        assert kinds(event("time.implausible"), event("time.implausible", at=1)) == set()
        assert kinds(*(event("time.implausible", f"CP-{n}") for n in range(9))) == set()

    def test_moments_made_to_break_something_are(self) -> None:
        (found,) = told(event("time.poison"))
        assert (found.kind, found.severity) == ("time_poison", "high")


class TestDrift:
    @pytest.mark.parametrize(
        "after",
        [{"profile": 1}, {"profile": 2}, {"profile": 3, "version": "ocpp1.6"}],
        ids=["profile", "proof", "version"],
    )
    def test_less_than_before(self, after: dict[str, Any]) -> None:
        before = opened(profile=3, version="ocpp2.0.1")
        (found,) = told(before, opened(at=9, **{"version": "ocpp2.0.1", **after}))
        assert (found.kind, found.severity, found.evidence) == ("config_drift", "medium", ("0001/0", "0001/1"))

    def test_however_long_ago_that_was(self) -> None:
        assert kinds(opened(profile=3), opened(at=1e8)) == {("config_drift", "CP-1")}

    def test_the_same_and_more(self) -> None:
        assert kinds(opened(), opened(at=1), opened(at=2, profile=3, version="ocpp2.1")) == set()
        assert kinds(opened(profile=3), opened("CP-2", at=1, profile=1)) == set(), "another charge point"


class TestTelling:
    def test_once_until_it_has_been_quiet(self) -> None:
        detector = Detector(LIMITS)
        guesses = placed(refused("identity-unknown", f"CP-{n}", at=n) for n in range(60))
        assert [each.kind for each in detector.follow(guesses)] == ["enumeration"]
        later = placed((refused("identity-unknown", f"CP-{n}", at=4000 + n) for n in range(60)), 60)
        assert [each.kind for each in detector.follow(later)] == ["enumeration"]

    def test_what_its_own_records_say_is_not_told_again_after_a_restart(self) -> None:
        guesses = [refused("identity-unknown", f"CP-{n}", at=n) for n in range(10)]
        own = (11.0, {"type": "detect.enumeration", "ref": {"subject": AWAY}})
        assert Detector(LIMITS).follow(placed([*guesses, own])) == []
        assert Detector(LIMITS).follow(placed([own, *guesses])) == []
        other = (11.0, {"type": "detect.enumeration", "ref": {"subject": HOME}})
        assert len(Detector(LIMITS).follow(placed([*guesses, other]))) == 1

    def test_much_evidence_is_cut_in_the_middle(self) -> None:
        guesses = [refused("password-wrong", ip=f"198.51.100.{n}", at=n) for n in range(90)]
        (found,) = told(*guesses, brute_force_failures=90)
        assert len(found.evidence) == 32
        assert (found.evidence[0], found.evidence[-1]) == ("0001/0", "0001/89")


class TestBounds:
    def test_keys_and_marks(self) -> None:
        recent: Recent[int] = Recent(3)
        for key in "abcad":
            recent.put(key, 1)
        assert [recent.get(key) for key in "abcd"] == [1, None, 1, 1]
        windows = Windows(2)
        assert max(len(windows.add("a", Mark(n, ""), 1e9)) for n in range(5000)) == 256

    def test_dropped_marks_leave_nothing_behind(self) -> None:
        windows = Windows()
        for n in range(3):
            windows.add("a", Mark(n, "", str(n % 2)), 1e9)
        windows.drop("a", lambda mark: mark.value == "0")
        assert [mark.value for mark in windows.add("a", Mark(9, "", "9"), 1e9)] == ["1", "9"]
        windows.drop("a", lambda _: True)
        windows.drop("b", lambda _: True)
        assert len(windows.add("a", Mark(9, ""), 1e9)) == 1

    def test_sessions_of_a_charge_point(self) -> None:
        sessions = Sessions()
        assert sessions.last("a") is None
        for n in range(600):
            sessions.opened("a", Session(str(n), n * 1_000_000, HOME, 2, has_certificate=False, version=""), 300)
        assert [each.place for each in sessions.near("a", 600_000_000, 3)] == ["597", "598", "599"]
        assert len(sessions.near("a", 600_000_000, 1e9)) == 256
        sessions.opened("a", Session("x", 9_999_000_000, HOME, 2, has_certificate=False, version=""), 300)
        last = sessions.last("a")
        assert last is not None
        assert last.place == "x"
        assert sessions.near("a", 600_000_000, 1e9) == [last], "what no window holds is forgotten"

    def test_a_clock_that_steps_back_leaves_no_marks_in_the_future(self) -> None:
        windows = Windows()
        windows.add("a", Mark(2_000_000_000, "x"), 10)
        assert [mark.place for mark in windows.add("a", Mark(1_000_000, "y"), 10)] == ["y"]

    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("192.0.2.7", "192.0.0.0/16"),
            ("::ffff:192.0.2.7", "192.0.0.0/16"),
            ("2001:db8::1", "2001:db8::/32"),
            ("?", "?"),
        ],
    )
    def test_networks(self, address: str, network: str) -> None:
        assert network_of(address, 16, 32) == network

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["type", "ts", "cp", "proven", "peer", "dec", "auth", "ocpp", "ref", "n"]),
                st.recursive(
                    st.one_of(
                        st.none(),
                        st.booleans(),
                        st.integers(),
                        st.sampled_from(["session.opened", "duplicate"]),
                        st.text(),
                    ),
                    lambda inner: st.dictionaries(
                        st.sampled_from(["ip", "cert", "reason", "profile", "version", "subject"]), inner
                    ),
                    max_leaves=4,
                ),
            ),
            max_size=20,
        )
    )
    def test_no_record_is_too_odd(self, records: list[dict[str, Any]]) -> None:
        Detector(LIMITS).follow((f"0001/{n}", record) for n, record in enumerate(records))
