"""One charge point of a rollover: what it is sent, what its list means, and when enough have confirmed."""

import pytest

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import rollover as core
from gateway.provisioning.rollover import FOLLOWS, RolloverNames, RolloverState, RolloverStation, coverage, to_send
from gateway.provisioning.roots import InstalledRoot, RootName, RootStore

OLD, NEW, LINK = (RootName("SHA256", name, name, "1") for name in ("old", "new", "link"))
STRANGER = RootName("SHA256", "stranger", "stranger", "1")
NAMES = RolloverNames((OLD,), (NEW,), (LINK,))
WANTED = RolloverStation(rollover=1, charge_point_id=ChargePointId("CP-1"))
NOW = 100.0


def has_roots(*names: RootName, demands_link: bool = False, capacity: int = 0) -> RootStore:
    roots = tuple(InstalledRoot("csms", name) for name in names)
    return RootStore(roots=roots, demands_link=demands_link, capacity=capacity)


class TestWhatIsSent:
    def test_the_new_root_beside_the_old_one(self) -> None:
        assert to_send(has_roots(OLD), NAMES, 1, 1) == ("new", "")
        assert to_send(has_roots(), NAMES, 1, 1) == ("new", "")
        assert to_send(has_roots(STRANGER), NAMES, 1, 1) == ("new", "")

    @pytest.mark.requirement("M05.FR.09")
    def test_the_link_where_that_is_demanded(self) -> None:
        assert to_send(has_roots(OLD, demands_link=True), NAMES, 1, 1) == ("link", "")
        assert to_send(has_roots(demands_link=True), NAMES, 1, 1) == ("new", "")

    @pytest.mark.parametrize("known", [NEW, LINK])
    @pytest.mark.parametrize("demands_link", [True, False])
    def test_nothing_to_whom_has_it(self, known: RootName, *, demands_link: bool) -> None:
        assert to_send(has_roots(OLD, known, demands_link=demands_link), NAMES, 1, 1) == ("nothing", "")

    @pytest.mark.parametrize(
        ("store", "names", "chars", "why"),
        [
            (has_roots(STRANGER, demands_link=True), NAMES, 1, "not the old one"),
            (has_roots(OLD, demands_link=True), RolloverNames((OLD,), (NEW,), ()), 1, "--link"),
            (has_roots(OLD, capacity=1), NAMES, 1, "full"),
            (has_roots(OLD, capacity=1, demands_link=True), NAMES, 1, "full"),
            (has_roots(OLD), NAMES, 5_501, "5500"),
        ],
    )
    def test_nothing_to_whom_cannot_take_it(self, store: RootStore, names: RolloverNames, chars: int, why: str) -> None:
        what, said = to_send(store, names, chars, chars)
        assert what == "nothing"
        assert why in said

    def test_room_for_one_more_is_enough(self) -> None:
        assert to_send(has_roots(OLD, capacity=2, demands_link=True), NAMES, 1, 1) == ("link", "")


class TestStates:
    def test_a_list_decides(self) -> None:
        sent = core.sent(WANTED, NOW)
        assert core.listed(sent, NOW, has_new=True, why_not="").state is RolloverState.CONFIRMED
        assert core.listed(WANTED, NOW, has_new=False, why_not="full").detail == "full"
        assert core.listed(sent, NOW, has_new=False, why_not="") == sent

    def test_silence_is_asked_again_more_and_more_seldom_and_some_day_no_more(self) -> None:
        waits, station = [], core.sent(WANTED, NOW)
        while station.state.is_open:
            assert core.next_is_due(station, station.due_at, reachable=True)
            assert not core.next_is_due(station, station.due_at, reachable=False)
            station = core.not_listed(station, NOW, "no answer")
            waits.append(station.due_at - NOW)
        assert station.state is RolloverState.FAILED
        assert waits[:3] == [30.0, 60.0, 120.0]
        assert len(waits) == 8

    def test_not_before_its_time(self) -> None:
        station = core.not_listed(WANTED, NOW, "no answer")
        assert not core.next_is_due(station, station.due_at - 1.0, reachable=True)

    @pytest.mark.parametrize("end", [state for state in RolloverState if not state.is_open])
    def test_ends_are_not_asked(self, end: RolloverState) -> None:
        station = RolloverStation(rollover=1, charge_point_id=ChargePointId("CP-1"), state=end)
        assert not core.next_is_due(station, NOW, reachable=True)
        with pytest.raises(ValueError, match="cannot follow"):
            core.sent(station, NOW)

    def test_what_is_confirmed_stays_so(self) -> None:
        assert FOLLOWS[RolloverState.CONFIRMED] == frozenset()
        assert core.refused(core.sent(WANTED, NOW), NOW, "Rejected").detail == "Rejected"


class TestCoverage:
    @staticmethod
    def stations(confirmed: int, others: int) -> list[RolloverStation]:
        made = [RolloverState.CONFIRMED] * confirmed + [RolloverState.UNABLE] * others
        return [
            RolloverStation(rollover=1, charge_point_id=ChargePointId(f"CP-{number}"), state=state)
            for number, state in enumerate(made)
        ]

    @pytest.mark.parametrize(
        ("confirmed", "others", "is_go"), [(98, 2, True), (97, 3, False), (0, 0, False), (1, 0, True)]
    )
    def test_go(self, confirmed: int, others: int, *, is_go: bool) -> None:
        found = coverage(self.stations(confirmed, others), 0.98)
        assert (found.is_go, found.confirmed, len(found.stragglers)) == (is_go, confirmed, others)
