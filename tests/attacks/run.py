"""Runs cases: each against the gateway it needs, judged, with everything that was seen kept for the report."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.judge import Event, judge_leaks, judge_play, unjudged_words
from tests.attacks.observed import Observed
from tests.attacks.plan import plan
from tests.attacks.play import Play
from tests.attacks.roster import Roster
from tests.attacks.session import NotAdmitted, Session
from tests.attacks.world import Kind, World

__all__ = ["Outcome", "Result", "Worlds", "run_case", "run_cases"]

Outcome = Literal["as expected", "differs", "not understood", "not run"]


@dataclass(kw_only=True)
class Result:
    """What became of one case."""

    id: str
    title: str = ""
    layer: str = ""
    outcome: Outcome = "as expected"
    differences: list[str] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    """What each play showed, by label."""
    reason: str = ""
    """Why it was not run."""
    unjudged: list[str] = field(default_factory=list)
    """Words of the case that only a person can judge."""
    seen: list[tuple[Observed, list[Event]]] = field(default_factory=list)
    """What each play showed, with the events about it, to be judged again."""

    @property
    def failed(self) -> bool:
        """True unless all is as expected, or the case was not to be run."""
        return self.outcome in {"differs", "not understood"}


class Worlds:
    """Gateways by kind, started when a case first needs them."""

    def __init__(self, work: Path, roster: Roster) -> None:
        self._work = work
        self._roster = roster
        self._stack = contextlib.AsyncExitStack()
        self._running: dict[Kind, World | str] = {}
        self._fleets = 0
        self._leaks: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def get(self, kind: Kind) -> World:
        """A running gateway in which a charge point with good credentials gets in. Raises NotAdmitted."""
        if kind not in self._running:
            self._running[kind] = await self._start(kind)
        world = self._running[kind]
        if isinstance(world, str):
            raise NotAdmitted(world)
        return world

    @contextlib.asynccontextmanager
    async def use(self, kind: Kind) -> AsyncIterator[World]:
        """The gateway for one case: a shared one, or for a fleet one of its own. Raises NotAdmitted."""
        if kind != "fleet":
            yield await self.get(kind)
            return
        self._fleets += 1
        async with World.start(kind, self._work / f"{kind}-{self._fleets}", self._roster) as world:
            yield world
            self._leaks += [f"{kind} gateway {self._fleets}: {leak}" for leak in world.leaks()]

    def leaks(self) -> list[str]:
        """Secrets in anything that any of the gateways has written."""
        worlds = [world for world in self._running.values() if isinstance(world, World)]
        return self._leaks + [f"{world.kind} gateway: {leak}" for world in worlds for leak in world.leaks()]

    async def _start(self, kind: Kind) -> World | str:
        try:
            world = await self._stack.enter_async_context(World.start(kind, self._work / kind, self._roster))
            for version in ("1.6", "2.0.1", "2.1"):
                async with Session.open(world, world.new_source(), version) as session:
                    session.read()
                    await session.boot()
        except (AssertionError, NotAdmitted) as error:
            return f"the gateway is of no use: {error}"
        return world


async def _play(world: World, play: Play) -> tuple[Observed | None, list[str]]:
    """One play, and the differences that show at once."""
    try:
        return await play.run(world, world.new_source()), []
    except NotAdmitted as refused:
        return None, [str(refused)]
    except NotUnderstood:
        raise
    except Exception as error:
        return None, [f"the play broke off: {type(error).__name__}: {error}"]


async def _play_all(case: Case, plays: list[Play], worlds: Worlds, result: Result) -> None:
    for kind in dict.fromkeys(play.kind for play in plays):
        async with worlds.use(kind) as world:
            await _play_in(world, case, [play for play in plays if play.kind == kind], result)


async def _play_in(world: World, case: Case, plays: list[Play], result: Result) -> None:
    """Plays of a case; the gateway's own records are read once, behind a barrier."""
    mark, seen = world.mark(), []
    for play in plays:
        observed, found = await _play(world, play)
        result.differences += _labelled(play.label, found)
        seen += [observed] if observed is not None else []
    await world.barrier()
    events = world.events(mark)
    for observed in seen:
        about = [event for event in events if event.get("peer") == observed.source] + observed.events
        result.differences += _labelled(observed.label, judge_play(case, observed, about))
        result.shown[observed.label] = observed.shown()
        result.seen.append((observed, about))
    secrets = set(world.roster.passwords.values()).union(*(observed.secrets for observed in seen))
    result.differences += judge_leaks(world.written(mark), secrets)
    if not world.same_processes():
        result.differences.append("a process of the gateway died")


def _labelled(label: str, found: list[str]) -> list[str]:
    return [f"[{label}] {difference}" if label else difference for difference in found]


async def run_case(case: Case, worlds: Worlds) -> Result:
    """Play and judge one case. Raises nothing: what goes wrong is a result."""
    result = Result(id=case.id, title=case.title, layer=case.judged_as, unjudged=unjudged_words(case))
    try:
        await _play_all(case, plan(case), worlds, result)
    except NotUnderstood as lacking:
        result.outcome = "not understood"
        result.differences.append(str(lacking))
    except NotAdmitted as refused:
        result.differences.append(str(refused))
    if result.differences and result.outcome == "as expected":
        result.outcome = "differs"
    return result


async def run_cases(
    cases: Iterable[tuple[str, Case | NotUnderstood]], layers: set[str], work: Path, tell: Callable[[Result], None]
) -> list[Result]:
    """Run those of the layers, list the others, in the order of the file; each result is told as it comes."""
    results, cases = [], list(cases)
    async with Worlds(work, Roster.of(case for _, case in cases if isinstance(case, Case))) as worlds:
        async for result in _results(cases, layers, worlds):
            tell(result)
            results.append(result)
        if leaks := worlds.leaks():
            results.append(Result(id="(all)", title="no secret is written down", outcome="differs", differences=leaks))
            tell(results[-1])
    return results


async def _results(
    cases: Iterable[tuple[str, Case | NotUnderstood]], layers: set[str], worlds: Worlds
) -> AsyncIterator[Result]:
    for name, case in cases:
        if isinstance(case, NotUnderstood):
            yield Result(id=name, outcome="not understood", differences=[str(case)])
        elif case.judged_as not in layers:
            reason = f"layer {case.judged_as}"
            yield Result(id=case.id, title=case.title, layer=case.judged_as, outcome="not run", reason=reason)
        else:
            yield await run_case(case, worlds)
