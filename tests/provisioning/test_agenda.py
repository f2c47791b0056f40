"""An agenda gives what is due, once, the longest due first; against a dictionary that is searched from end to end."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.provisioning.agenda import NEVER, Agenda

KEYS = st.sampled_from("abcdef")
TIMES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, NEVER])


class AgendaMachine(RuleBasedStateMachine):
    """Whatever is put, dropped and taken in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda: Agenda[str] = Agenda()
        self.model: dict[str, float] = {}

    @rule(key=KEYS, at=TIMES)
    def put(self, key: str, at: float) -> None:
        self.agenda.put(key, at)
        self.model.pop(key, None)
        if at != NEVER:
            self.model[key] = at

    @rule(key=KEYS)
    def drop(self, key: str) -> None:
        self.agenda.drop(key)
        self.model.pop(key, None)

    @rule(now=TIMES)
    def take(self, now: float) -> None:
        due = sorted((at, list(self.model).index(key), key) for key, at in self.model.items() if at <= now)
        assert self.agenda.take(now) == (due[0][2] if due else None)
        if due:
            del self.model[due[0][2]]

    @rule(keys=st.lists(KEYS, unique=True), at=st.sampled_from([0.5, 1.0]))
    def bring_forward(self, keys: list[str], at: float) -> None:
        self.agenda.bring_forward(keys, at)
        for key in keys:
            self.model[key] = min(self.model.pop(key, NEVER), at)

    @rule(at=st.sampled_from([0.5, 1.0]))
    def bring_all_forward(self, at: float) -> None:
        self.agenda.bring_all_forward(at)
        for key in list(self.model):
            self.model[key] = min(self.model.pop(key), at)

    @invariant()
    def every_key_has_its_time(self) -> None:
        assert len(self.agenda) == len(self.model)
        for key in "abcdef":
            assert self.agenda.at(key) == self.model.get(key, NEVER)


TestAgenda = AgendaMachine.TestCase
TestAgenda.settings = settings(max_examples=60, stateful_step_count=30)


def test_what_is_put_again_and_again_does_not_pile_up() -> None:
    agenda: Agenda[int] = Agenda()
    for n in range(10_000):
        agenda.put(n % 10, float(n))
    assert len(agenda._heap) <= 2 * 10 + 64 + 1
    for key in range(10):
        agenda.drop(key)
    assert agenda.take(1e9) is None
    assert len(agenda) == 0


def test_a_key_that_is_put_again_while_it_is_taken_does_not_come_twice() -> None:
    """What is begun puts itself on the agenda for later: a tick that takes until nothing is due has an end."""
    agenda: Agenda[str] = Agenda()
    agenda.put("a", 1.0)
    agenda.put("b", 2.0)
    taken = []
    while (key := agenda.take(5.0)) is not None:
        taken.append(key)
        agenda.put(key, 5.5)
    assert taken == ["a", "b"]
    assert [agenda.at("a"), agenda.at("b")] == [5.5, 5.5]
