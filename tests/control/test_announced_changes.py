"""What commands do to campaigns by themselves is on record with the campaign, who said so, and who asked."""

from typing import Any

import msgspec
import pytest

from gateway.audit.event import Actor
from gateway.control.acting import who_acts
from gateway.control.announced_changes import AnnouncedChanges
from gateway.control.operator_desk import OperatorDesk
from gateway.control.operator_requests import RequestRefused

ALICE = Actor(name="alice", known_by="socket", user="alice", uid=7, pid=8)


class Log:
    def __init__(self, *, is_written: bool) -> None:
        self.told: list[tuple[str, str, str]] = []
        self._is_written = is_written

    def report(self, event: str, severity: str, decision: str, detail: str, identity: str = "") -> None:
        actor = who_acts()
        assert actor is not None, "whoever asks is known while it is reported"
        assert (severity, decision, identity) == ("info", "allow", "")
        self.told.append((event, detail, actor.name))

    async def is_written(self) -> bool:
        return self._is_written

    async def ask(self, what: str, **question: str) -> Any:
        desk = OperatorDesk(self.report, self.is_written, bool)
        (request,) = [each for each in AnnouncedChanges().requests() if each.path == f"/campaigns/{what}"]
        return await desk.answer(request, msgspec.convert(question, request.question), ALICE)


@pytest.mark.parametrize("what", ["plan", "approve", "remove"])
async def test_it_is_on_record_before_the_command_does_it(what: str) -> None:
    log = Log(is_written=True)
    assert await log.ask(what, campaign="spring", by="ben\n (root)") == {"refused": ""}
    assert log.told == [("admin.request", rf"/campaigns/{what}: spring, by ben\x0a (root)", "alice")]


async def test_what_cannot_be_recorded_is_not_done() -> None:
    with pytest.raises(RequestRefused, match="cannot be written"):
        await Log(is_written=False).ask("approve", campaign="spring")
