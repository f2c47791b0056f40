"""Campaigns without a gateway: events in, effects out."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.provisioning.campaign import Answer, Observation, OrderRefused, Said, Seen
from gateway.provisioning.campaign_plan import wave_size
from gateway.provisioning.campaign_run import CampaignRun
from gateway.provisioning.campaign_states import FOLLOWS, CampaignState, MemberState
from tests.provisioning.campaigning import START, World, identity


class TestWaves:
    def test_nothing_happens_before_the_start(self) -> None:
        world = World().tick(times=3)
        assert (world.prepared, world.switched, world.campaign.state) == ([], [], CampaignState.PLANNED)

    def test_one_canary_then_the_next_wave_only_when_it_has_soaked(self) -> None:
        world = World((10,), growth=2.0).order("start").tick(times=4)
        assert world.switched == [identity(0)]
        world.prove().tick(times=2)
        assert world.states()[0] == "soak"
        world.tick(40.0)
        assert len(world.switched) == 1
        world.tick(20.0).tick(times=3)
        assert world.states()[0] == "committed"
        assert len(world.switched) == 3

    def test_to_the_end_with_growing_waves(self) -> None:
        world = World((20,), growth=4.0).order("start")
        while not world.campaign.state.is_over:
            world.finish_wave()
        assert Counter(each.wave for each in world.rows.values()) == {0: 1, 1: 4, 2: 15}
        assert world.is_in(CampaignState.FINISHED)
        assert set(world.states()) == {"committed"}
        assert sorted(world.committed) == sorted(world.rows)

    def test_each_stratum_has_a_canary_of_its_own(self) -> None:
        world = World((3, 2)).order("start").tick(times=4)
        assert world.switched == [identity(0), identity(3)]

    def test_never_more_at_once_than_the_plan_says_of_all_strata(self) -> None:
        world = World((2, 2, 2), max_at_once=2).order("start").tick(times=5)
        assert len(world.switched) == 2
        world.prove().tick(times=2)
        assert len(world.switched) == 3

    def test_who_is_not_connected_is_passed_over_and_comes_when_it_is_back(self) -> None:
        world = World((2,))
        world.connected.discard(identity(0))
        world.order("start").finish_wave().tick(times=2)
        assert world.switched == [identity(1)]
        world.connected.add(identity(0))
        world.finish_wave()
        assert world.states() == ["committed", "committed"]

    def test_one_that_leaves_when_its_turn_comes_gives_its_place_to_another(self) -> None:
        world = World((2,))
        world.in_window = False
        world.order("start").tick(times=2)
        world.connected.discard(identity(0))
        world.in_window = True
        world.tick(times=2)
        assert world.switched == []
        world.tick(310.0).tick(times=3)
        assert world.switched == [identity(1)]
        assert world.states()[0] == "eligible"

    def test_the_named_one_is_the_first_and_its_wave_waits_for_it(self) -> None:
        world = World((3,), first=(identity(2),))
        world.connected.discard(identity(2))
        world.order("start").tick(times=3)
        assert world.switched == []
        world.connected.add(identity(2))
        world.tick(times=3)
        assert world.switched == [identity(2)]


class TestWindows:
    def test_prepared_outside_the_window_and_told_inside(self) -> None:
        world = World((1,))
        world.in_window = False
        world.order("start").tick(times=3)
        assert (world.states(), world.switched) == (["prepared"], [])
        world.in_window = True
        world.tick(times=2)
        assert world.switched == [identity(0)]

    def test_a_turn_that_has_not_come_goes_back_when_the_window_closes(self) -> None:
        world = World((2, 1), max_at_once=1).order("start").tick(times=3)
        assert world.states() == ["waiting", "eligible", "window"]
        world.in_window = False
        world.tick()
        assert world.states() == ["waiting", "eligible", "prepared"]
        world.prove().tick(times=3)
        assert world.switched == [identity(0)]


class TestPreparing:
    def test_what_stands_in_the_way_leaves_it_out_and_the_next_is_the_canary(self) -> None:
        world = World((2,))
        world.prepare_answers[identity(0)] = Answer(Said.REFUSED, "its store is full")
        world.order("start").tick(times=4)
        assert world.states()[0] == "ineligible"
        assert world.rows[identity(0)].detail == "its store is full"
        assert world.switched == [identity(1)]
        assert "campaign.halted" not in world.events()

    def test_not_now_is_tried_again_later_and_not_for_ever(self) -> None:
        world = World((1,), max_attempts=2)
        world.prepare_answers[identity(0)] = Answer(Said.NOT_NOW, "busy")
        world.order("start").tick(times=3)
        assert len(world.prepared) == 1
        world.tick(20.0).tick()
        assert len(world.prepared) == 2
        assert world.states() == ["ineligible"]
        assert world.is_in(CampaignState.FINISHED)

    def test_the_mark_of_the_operation_is_kept(self) -> None:
        world = World((1,))
        world.prepare_answers[identity(0)] = Answer(Said.DONE, mark="17")
        world.order("start").tick(times=4).crash().prove().tick(times=2)
        assert world.rows[identity(0)].mark == "17"


class TestSwitching:
    def test_not_now_waits_and_is_told_again(self) -> None:
        world = World((1,))
        world.switch_answers[identity(0)] = Answer(Said.NOT_NOW, "a transaction runs")
        world.order("start").tick(times=4)
        assert (world.states(), len(world.switched)) == (["window"], 1)
        world.switch_answers.clear()
        world.tick(11.0)
        assert (world.states(), len(world.switched)) == (["waiting"], 2)

    @pytest.mark.parametrize("said", [Said.DONE, Said.UNKNOWN])
    def test_what_is_not_known_is_watched_like_what_is(self, said: Said) -> None:
        world = World((1,))
        world.switch_answers[identity(0)] = Answer(said, "no answer")
        world.order("start").tick(times=4)
        assert world.states() == ["waiting"]

    def test_one_that_refuses_has_fallen_back(self) -> None:
        world = World((1,))
        world.switch_answers[identity(0)] = Answer(Said.REFUSED, "Rejected")
        world.order("start").tick(times=4)
        assert (world.states(), world.rows[identity(0)].detail) == (["fell-back"], "Rejected")


class TestEnds:
    def waiting(self, **fields: float) -> World:
        return World((1,), **fields).order("start").tick(times=4)

    def test_late_and_connected_has_fallen_back(self) -> None:
        world = self.waiting().tick(310.0)
        assert world.states() == ["fell-back"]

    def test_whose_window_has_closed_before_it_could_be_switched_has_its_time_in_the_next_one(self) -> None:
        world = World((1,)).order("start").tick(times=3)
        assert world.states() == ["waiting"]
        opens = world.now + 50_000.0
        world.in_window = False
        world.seen[identity(0)] = Observation(Seen.UNDER_WAY, "told, and it waits", waits_until=opens)
        world.tick()
        assert world.rows[identity(0)].due_at == opens + 100.0
        stored = world.rows[identity(0)]
        world.tick(10.0, times=20)
        assert world.rows[identity(0)] is stored, "written once"
        world.crash().tick(opens - world.now)
        assert world.states() == ["waiting"]
        world.in_window = True
        world.seen[identity(0)] = Observation(Seen.UNDER_WAY)
        world.tick(101.0)
        assert world.states() == ["fell-back"], "then it is late like any other"

    def test_but_not_beyond_the_end_of_the_campaign(self) -> None:
        world = World((1,), ends_after_s=1_000.0).order("start").tick(times=3)
        world.now += 1_000.0
        world.seen[identity(0)] = Observation(Seen.UNDER_WAY, waits_until=world.now + 50_000.0)
        assert world.tick().states() == ["fell-back"]

    def test_late_and_away_is_lost(self) -> None:
        world = self.waiting()
        world.connected.clear()
        world.tick(310.0)
        assert world.states() == ["lost"]
        assert "campaign.lost" in world.events()

    def test_away_and_not_late_is_waited_for(self) -> None:
        world = self.waiting()
        world.connected.clear()
        world.tick(50.0)
        assert world.states() == ["waiting"]

    @pytest.mark.parametrize(("seen", "state"), [(Seen.PROVEN, "committed"), (Seen.UNDER_WAY, "fell-back")])
    def test_a_lost_one_that_comes_back(self, seen: Seen, state: str) -> None:
        world = World((1, 1), ends_after_s=1e5)
        world.connected.discard(identity(1))  # keeps the campaign open
        world.order("start").tick(times=4)
        world.connected.clear()
        world.tick(310.0)
        assert world.states()[0] == "lost"
        world.connected.add(identity(0))
        world.seen[identity(0)] = Observation(seen)
        world.tick(times=3).tick(60.0)
        assert world.states()[0] == state

    def test_it_falls_back_while_it_soaks(self) -> None:
        world = self.waiting().prove().tick(times=3)
        world.seen[identity(0)] = Observation(Seen.BACK, "connected with the old")
        world.tick()
        assert (world.states(), world.committed) == (["fell-back"], [])

    def test_away_at_the_end_of_the_soak_is_not_committed_before_it_is_back(self) -> None:
        world = self.waiting().prove().tick(times=3)
        world.connected.clear()
        world.tick(60.0)
        assert world.states() == ["soak"]
        world.connected.add(identity(0))
        world.tick()
        assert world.states() == ["committed"]

    def test_away_for_long_after_the_soak_is_lost(self) -> None:
        world = self.waiting().prove().tick(times=3)
        world.connected.clear()
        world.tick(60.0).tick(1_000.0)
        assert world.states() == ["lost"]

    def test_after_its_time_it_ends_without_those_that_never_came(self) -> None:
        world = World((2,), ends_after_s=1_000.0)
        world.connected.discard(identity(1))
        world.order("start").finish_wave()
        assert world.is_in(CampaignState.RUNNING)
        world.tick(1_000.0)
        assert world.states() == ["committed", "not-reached"]
        assert world.is_in(CampaignState.FINISHED)


class TestHalts:
    def lose(self, world: World, number: int) -> None:
        world.connected.discard(identity(number))
        world.tick(310.0)

    def test_one_lost_canary_halts_its_stratum_and_no_other(self) -> None:
        world = World((9, 3)).order("start").tick(times=4).prove(9)
        self.lose(world, 0)
        assert world.campaign.strata[0].halted.startswith("1 lost in the first wave")
        assert world.campaign.strata[1].halted == ""
        world.finish_wave().finish_wave()
        assert world.states()[1:9] == ["eligible"] * 8
        assert set(world.states()[9:]) == {"committed"}

    def test_a_failure_share_halts_and_below_it_the_next_wave_begins(self) -> None:
        for failing, halted in ((1, False), (3, True)):
            world = World((120,), canaries=10, max_failure_share=0.2).order("start").tick(times=4)
            for number in range(failing):
                world.seen[identity(number)] = Observation(Seen.BACK, "no")
            world.tick().prove().tick(times=2).tick(60.0).tick(times=3)
            assert bool(world.campaign.strata[0].halted) is halted
            assert (len(world.switched) > 10) is not halted

    def test_a_share_of_few_says_nothing_before_the_wave_is_over(self) -> None:
        world = World((40,), canaries=20, min_ended=5).order("start").tick(times=4)
        for number in range(4):
            world.seen[identity(number)] = Observation(Seen.BACK, "no")
        world.tick(times=2)
        assert world.campaign.strata[0].halted == ""
        world.seen[identity(4)] = Observation(Seen.BACK, "no")
        world.tick(times=2)
        assert "5 of 5" in world.campaign.strata[0].halted

    @pytest.mark.parametrize(("lost", "halted"), [(2, ""), (3, "3 lost, and 2 may be")])
    def test_too_many_lost_in_a_later_wave(self, lost: int, halted: str) -> None:
        world = World((50,), growth=10.0, max_failure_share=0.9, max_lost=2).order("start").tick(times=4)
        world.prove().tick(times=2).tick(60.0).tick(times=3)
        world.connected -= {identity(number) for number in range(1, lost + 1)}
        world.prove(*range(lost + 1, 11)).tick(310.0).tick()
        assert world.count(MemberState.LOST) == lost
        assert world.campaign.strata[0].halted == halted

    def test_more_offline_than_at_the_start_for_long_enough(self) -> None:
        world = World((20,), proof_within_s=1_000.0).order("start").tick(times=3)
        world.prove().tick(310.0)
        world.connected -= {identity(number) for number in range(10, 20)}
        world.tick(100.0)
        assert world.campaign.strata[0].halted == ""
        world.tick(100.0).tick(210.0)
        assert "offline; at the start 0% were" in world.campaign.strata[0].halted

    def test_offline_at_the_start_already_is_no_rise(self) -> None:
        world = World((20,), proof_within_s=1_000.0)
        world.connected -= {identity(number) for number in range(10, 20)}
        world.order("start").tick(times=3).prove().tick(310.0).tick(400.0).tick(400.0)
        assert world.campaign.strata[0].halted == ""

    def test_a_hiccup_of_the_network_is_no_halt(self) -> None:
        world = World((20,), proof_within_s=1_000.0).order("start").tick(times=3).tick(310.0)
        away = {identity(number) for number in range(10, 20)}
        world.connected -= away
        world.tick(200.0)
        world.connected |= away
        world.tick(10.0)
        world.connected -= away
        world.tick(200.0)
        assert world.campaign.strata[0].halted == ""

    def test_after_a_look_the_wave_is_repeated_with_others(self) -> None:
        world = World((9,)).order("start").tick(times=4)
        self.lose(world, 0)
        world.tick(times=3)
        assert len(world.switched) == 1
        world.order("resume", 0).tick(times=4)
        assert world.switched == [identity(0), identity(1)]
        assert world.campaign.strata[0].wave == 0

    def test_a_halt_outlives_a_crash(self) -> None:
        world = World((9,)).order("start").tick(times=4)
        self.lose(world, 0)
        world.crash().tick(times=9)
        assert len(world.switched) == 1


class TestForgiven:
    """What had happened when somebody let it go on counts no more. What happens afterwards does, each time."""

    def lost_and_resumed(self, **fields: Any) -> World:
        """A first wave of one, which is lost; somebody has looked; it is repeated with the next one, which is told."""
        world = World((9,), **fields).order("start").tick(times=4)
        world.connected.discard(identity(0))
        world.tick(500.0).tick()
        assert world.campaign.strata[0].halted
        return world.order("resume", 0).tick(times=4)

    def lose(self, world: World, number: int) -> World:
        world.connected.discard(identity(number))
        return world.tick(500.0).tick()

    def back(self, world: World, number: int, seen: Seen = Seen.PROVEN) -> World:
        world.connected.add(identity(number))
        world.seen[identity(number)] = Observation(seen)
        return world.tick()

    def test_one_that_stays_lost_halts_no_second_time(self) -> None:
        world = self.lost_and_resumed()
        world.prove(1).tick(times=2).tick(60.0).tick(times=3)
        assert world.states()[:2] == ["lost", "committed"]
        assert world.campaign.strata[0].halted == ""
        assert len(world.switched) > 2

    @pytest.mark.parametrize("seen", [Seen.PROVEN, Seen.BACK])
    def test_one_that_has_come_back_hides_no_other(self, seen: Seen) -> None:
        world = self.back(self.lost_and_resumed(), 0, seen)
        assert world.campaign.strata[0].halted == ""
        self.lose(world, 1)
        assert world.count(MemberState.LOST) == 1
        assert world.campaign.strata[0].halted.startswith("1 lost in the first wave")

    def test_also_if_one_comes_and_one_goes_in_the_same_tick(self) -> None:
        world = self.lost_and_resumed()
        world.connected.discard(identity(1))
        world.connected.add(identity(0))
        world.seen[identity(0)] = Observation(Seen.PROVEN)
        world.tick(500.0)
        assert world.states()[:2] == ["verified", "lost"]
        assert world.campaign.strata[0].halted.startswith("1 lost in the first wave")

    def test_one_that_is_lost_later_and_comes_back_leaves_what_was_forgiven(self) -> None:
        world = self.lose(self.lost_and_resumed(max_failure_share=0.9), 1)
        world.order("resume", 0).tick(times=4)
        assert world.campaign.strata[0].forgiven_lost == 2
        self.back(world, 1)
        assert world.campaign.strata[0].forgiven_lost == 1
        assert world.campaign.strata[0].halted == ""
        self.lose(world, 2)
        assert world.campaign.strata[0].halted.startswith("1 lost in the first wave")
        self.back(world, 2)  # this one was forgiven by nobody
        assert world.campaign.strata[0].forgiven_lost == 1

    @pytest.mark.parametrize(("failing", "halted"), [(2, ""), (4, "4 of 7 of wave 2")])
    def test_a_share_that_was_forgiven_and_has_come_back_hides_no_other(self, failing: int, halted: str) -> None:
        """Three of four are lost, which is forgiven, and come back. Then some of the four fall back that follow."""
        world = World((40,), canaries=4, growth=1.0, max_failure_share=0.5, max_lost=9).order("start").tick(times=4)
        world.prove().tick(times=2).tick(60.0).tick(times=4)
        world.connected -= {identity(4), identity(5), identity(6)}
        world.prove(7).tick(times=2).tick(500.0).tick()
        assert world.campaign.strata[0].halted.startswith("3 of 4 of wave 2")
        world.order("resume", 0).tick(times=4)
        for number in (4, 5, 6):
            self.back(world, number)
        for number in range(8, 8 + failing):
            world.seen[identity(number)] = Observation(Seen.BACK, "no")
        for number in range(8 + failing, 12):
            world.prove(number)
        world.tick(times=2).tick(60.0).tick(times=2)
        assert world.states()[4:8] == ["committed"] * 4
        assert world.count(MemberState.FELL_BACK) == failing
        assert world.campaign.strata[0].halted[: len("4 of 7 of wave 2")] == halted


class TestLarge:
    """A tick looks at so many charge points, whatever the size of the campaign; everybody has a turn."""

    def test_who_is_there_has_a_turn_also_behind_thousands_that_are_not(self) -> None:
        world = World((3_000,))
        world.connected = {identity(2_999)}
        world.order("start").tick(times=7)
        assert world.prepared == [identity(2_999)]

    def test_those_that_soak_are_watched_in_turn_and_all_come_to_their_end(self) -> None:
        world = World((900,), canaries=900, max_at_once=1_000, soak_s=50.0).order("start").tick(times=3).prove()
        world.tick(times=3)
        assert world.count(MemberState.SOAK) == 900
        watched = [each.charge_point_id for each in world.run.watched()]
        assert len(watched) == 200
        world.tick()
        assert not {each.charge_point_id for each in world.run.watched()} & set(watched)
        world.tick(60.0, times=1).tick(times=9)
        assert world.count(MemberState.COMMITTED) == 900

    def test_an_abort_of_thousands_is_worked_off_in_slices_also_by_another_process(self) -> None:
        world = World((4_500,)).order("start").tick().order("abort")
        assert 0 < world.count(MemberState.WITHDRAWN) <= 2_000
        world.crash().tick(times=6)
        assert world.count(MemberState.WITHDRAWN) == 4_500
        assert world.is_in(CampaignState.ABORTED)

    def test_at_the_end_of_the_campaign_nobody_begins_while_the_rest_is_left_out(self) -> None:
        world = World((4_500,), ends_after_s=1_000.0).order("start")
        world.tick(1_001.0)
        assert (world.prepared, world.switched) == ([], [])
        world.tick(times=6)
        assert world.count(MemberState.NOT_REACHED) == 4_500
        assert world.is_in(CampaignState.FINISHED)

    def test_those_that_are_offline_are_counted_over_several_ticks(self) -> None:
        world = World((2_500,), proof_within_s=10_000.0).order("start").tick(310.0).tick(times=3)
        assert world.campaign.strata[0].offline_share == 0.0
        world.connected -= {identity(number) for number in range(1_000, 2_500)}
        world.tick(times=3)
        assert world.campaign.strata[0].halted == ""
        world.tick(310.0).tick(times=3)
        assert world.campaign.strata[0].halted == "1500 of 2499 are offline; at the start 0% were"

    def test_a_window_that_opens_moves_thousands_in_slices(self) -> None:
        world = World((2_500,), canaries=2_500, max_at_once=5_000)
        world.in_window = False
        world.order("start").tick(times=4)
        assert world.count(MemberState.PREPARED) == 2_500
        world.in_window = True
        world.tick()
        assert world.count(MemberState.PREPARED) == 1_500
        world.tick(times=6)
        assert world.count(MemberState.WAITING) == 2_500


class TestOrders:
    def test_paused_begins_nothing_and_watches_what_has_begun(self) -> None:
        world = World((2, 2), max_at_once=1).order("start").tick(times=4).order("pause")
        world.prove().tick(times=3).tick(60.0).tick(times=3)
        assert world.states()[0] == "committed"
        assert len(world.switched) == 1
        world.order("resume").tick(times=3)
        assert len(world.switched) == 2

    def test_abort_leaves_the_rest_alone_and_brings_what_has_begun_to_its_end(self) -> None:
        world = World((3,)).order("start").tick(times=4).order("abort").tick()
        assert world.states() == ["waiting", "withdrawn", "withdrawn"]
        assert world.is_in(CampaignState.ABORTING)
        world.finish_wave()
        assert world.states()[0] == "committed"
        assert world.is_in(CampaignState.ABORTED)

    @pytest.mark.parametrize("order", ["pause", "resume"])
    def test_what_does_not_fit_is_refused_and_changes_nothing(self, order: str) -> None:
        world = World()
        with pytest.raises(OrderRefused, match="it is planned"):
            world.order(order)
        assert world.is_in(CampaignState.PLANNED)

    def test_resume_without_a_halt_is_refused(self) -> None:
        world = World().order("start")
        with pytest.raises(OrderRefused, match="nothing of it has halted"):
            world.order("resume")
        with pytest.raises(OrderRefused, match="stratum 0 has not halted"):
            world.order("resume", 0)
        with pytest.raises(OrderRefused, match="no stratum 7"):
            world.order("resume", 7)

    def test_what_cannot_be_undone_waits_for_a_second_person(self) -> None:
        world = World(needs_approval=True)
        with pytest.raises(OrderRefused, match="a second person has to approve"):
            world.order("start")
        world.campaign = msgspec.structs.replace(world.campaign, approved_by="bert", approved_at=START)
        world.crash().order("start").tick(times=4)
        assert len(world.switched) == 1
        assert any("approved by bert" in note.detail for note in world.notes)

    @pytest.mark.parametrize(
        ("planned_by", "approved_by", "evidence", "severity"),
        [
            ("anna [gw, login anna]", "bert [gw, login bert]", "in logins of two users", "medium"),
            ("anna [gw, login anna]", "bert [gw, login anna]", "both in the login of one and the same user", "high"),
            ("anna [gw]", "bert [gw, login anna]", "that these are two people is only what they say", "medium"),
            ("anna", "bert", "that these are two people is only what they say", "medium"),
        ],
    )
    def test_the_record_of_the_start_says_what_shows_that_it_was_one(
        self, planned_by: str, approved_by: str, evidence: str, severity: str
    ) -> None:
        world = World(needs_approval=True)
        world.campaign = msgspec.structs.replace(world.campaign, planned_by=planned_by, approved_by=approved_by)
        world.crash().order("start")
        (note,) = (each for each in world.notes if each.event == "campaign.start")
        assert f"planned by {planned_by}, approved by {approved_by}: {evidence}" in note.detail
        assert note.severity == severity


class TestCrashes:
    def test_prepared_again(self) -> None:
        world = World((1,)).order("start")
        world.rows[identity(0)] = msgspec.structs.replace(world.rows[identity(0)], state=MemberState.PREPARING, wave=0)
        world.crash().tick(times=3)
        assert world.prepared == [identity(0)]

    @pytest.mark.parametrize(
        ("seen", "states", "switches"),
        [(Seen.NOTHING, ["switch"], 2), (Seen.UNDER_WAY, ["waiting"], 1), (Seen.PROVEN, ["verified"], 1)],
    )
    def test_told_again_only_if_it_was_not(self, seen: Seen, states: list[str], switches: int) -> None:
        world = World((1,))
        world.switch_answers[identity(0)] = None
        world.order("start").tick(times=4)
        assert world.states() == ["switch"]
        world.seen[identity(0)] = Observation(seen)
        world.crash().tick(times=2)
        assert (world.states(), len(world.switched)) == (states, switches)

    def test_not_told_again_outside_the_window(self) -> None:
        world = World((1,))
        world.switch_answers[identity(0)] = None
        world.order("start").tick(times=4)
        world.seen[identity(0)] = Observation(Seen.NOTHING)
        world.in_window = False
        world.crash().tick(times=2)
        assert (world.states(), len(world.switched)) == (["prepared"], 1)

    def test_after_a_start_nobody_is_late_before_it_could_come_back(self) -> None:
        world = World((1,)).order("start").tick(times=4)
        world.connected.clear()
        world.now += 10_000.0
        world.crash().tick(50.0)
        assert world.states() == ["waiting"]
        world.tick(60.0)
        assert world.states() == ["lost"]

    def test_what_comes_late_from_before_is_not_believed(self) -> None:
        world = World((1,)).order("start").tick(times=4)
        from gateway.provisioning.campaign import PrepareDone, SwitchDone

        refused = Answer(Said.REFUSED, "no")
        assert world.run.handle(SwitchDone(world.now, identity(0), refused)) == []
        assert world.run.handle(PrepareDone(world.now, identity(0), refused)) == []
        assert world.run.handle(PrepareDone(world.now, identity(99), refused)) == []


def test_every_state_is_in_the_table_and_nothing_leaves_committed() -> None:
    assert set(FOLLOWS) == set(MemberState)
    assert FOLLOWS[MemberState.COMMITTED] == frozenset()
    assert [state for state in MemberState if MemberState.COMMITTED in FOLLOWS[state]] == [MemberState.SOAK]


class AnyCampaign(RuleBasedStateMachine):
    """Whatever happens in whatever order, crashes included."""

    @initialize(
        sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
        growth=st.sampled_from([1.0, 2.0, 4.0]),
        max_at_once=st.integers(1, 6),
        canaries=st.integers(1, 3),
    )
    def begin(self, sizes: list[int], growth: float, max_at_once: int, canaries: int) -> None:
        self.world = World(sizes, growth=growth, max_at_once=max_at_once, canaries=canaries, max_failure_share=0.3)
        self.world.order("start")

    @rule(seconds=st.sampled_from([1.0, 5.0, 60.0, 120.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        allowed = self.allowed()
        before = len(self.world.switched)
        self.world.tick(seconds)
        new = self.world.switched[before:]
        assert all(self.world.in_window for _ in new)
        assert all(self.world.rows[each].stratum in allowed for each in new)
        assert all(each in self.world.connected for each in new)

    def allowed(self) -> set[int]:
        """The strata in which something may begin."""
        if self.world.campaign.state is not CampaignState.RUNNING:
            return set()
        return {index for index, each in enumerate(self.world.campaign.strata) if not each.halted}

    @rule(number=st.integers(0, 35), seen=st.sampled_from([Seen.PROVEN, Seen.PROVEN, Seen.BACK, Seen.NOTHING]))
    def something_is_seen(self, number: int, seen: Seen) -> None:
        self.world.seen[identity(number)] = Observation(seen, "seen")

    @rule(number=st.integers(0, 35))
    def comes_or_goes(self, number: int) -> None:
        if identity(number) in self.world.rows:
            self.world.connected ^= {identity(number)}

    @rule(number=st.integers(0, 35), said=st.sampled_from([*Said, None]))
    def answers_so(self, number: int, said: Said | None) -> None:
        self.world.switch_answers[identity(number)] = Answer(said, "so") if said is not None else None

    @rule(number=st.integers(0, 35), said=st.sampled_from(list(Said)))
    def prepares_so(self, number: int, said: Said) -> None:
        self.world.prepare_answers[identity(number)] = Answer(said, "so")

    @rule()
    def window_turns(self) -> None:
        self.world.in_window = not self.world.in_window

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @precondition(lambda self: not self.world.campaign.state.is_over)
    @rule(what=st.sampled_from(["pause", "resume", "resume", "abort"]))
    def order(self, what: str) -> None:
        try:
            self.world.order(what)
        except OrderRefused:
            return

    @invariant()
    def never_more_at_once_than_the_rate(self) -> None:
        rows = self.world.rows.values()
        assert sum(each.state.is_underway for each in rows) <= self.world.campaign.plan.waves.max_at_once
        for index, progress in enumerate(self.world.campaign.strata):
            size = wave_size(self.world.campaign.plan.waves, progress.wave)
            assert sum(each.state.is_underway for each in rows if each.stratum == index) <= size

    @invariant()
    def committed_at_most_once(self) -> None:
        assert len(self.world.committed) == len(set(self.world.committed))

    @invariant()
    def the_disk_is_the_truth(self) -> None:
        assert self.world.run.campaign == self.world.campaign
        assert self.world.run.members == self.world.rows
        fresh = CampaignRun(self.world.campaign, self.world.rows.values(), self.world.now)
        assert list(fresh.members) == list(self.world.run.members)

    @invariant()
    def over_means_over(self) -> None:
        if self.world.campaign.state.is_over:
            assert all(each.state.is_over for each in self.world.rows.values())


AnyCampaign.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyCampaign = AnyCampaign.TestCase
