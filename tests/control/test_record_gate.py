"""The gate lets through what is on record, stays shut for a while when it is not, and opens again."""

from gateway.control.record_gate import RecordGate


class Log:
    """What an audit log says, and how often it was asked. The clock is beside it."""

    def __init__(self) -> None:
        self.is_durable = True
        self.asked = 0
        self.now = 0.0

    async def may_happen(self) -> bool:
        self.asked += 1
        return self.is_durable

    def clock(self) -> float:
        return self.now


async def test_what_is_on_record_may_happen_and_each_is_asked_about() -> None:
    log = Log()
    gate = RecordGate(log.may_happen, log.clock)
    assert [await gate.is_open(), await gate.is_open()] == [True, True]
    assert log.asked == 2


async def test_a_log_that_cannot_be_written_is_not_asked_all_the_time() -> None:
    log = Log()
    log.is_durable = False
    gate = RecordGate(log.may_happen, log.clock)
    assert not await gate.is_open()
    log.is_durable, log.now = True, 4.9
    assert not await gate.is_open()
    assert log.asked == 1
    log.now = 5.0
    assert await gate.is_open()
    assert await gate.is_open()
    assert log.asked == 3
