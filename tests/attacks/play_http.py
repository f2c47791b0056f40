"""Plays of the HTTP upgrade: requests as they are written, sweeps of identities, answers of a hostile CSMS."""

import contextlib
import re
from urllib.parse import unquote

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.expand import requests_of, with_version
from tests.attacks.link import ClientTLS, Link
from tests.attacks.observed import Observed, secrets_in
from tests.attacks.play import Play, forwarded, read_answer
from tests.attacks.roster import PASSWORDS
from tests.attacks.session import BOOT, HOST, Session
from tests.attacks.world import World, until
from tests.support.peer import Answer, basic, upgrade

__all__ = ["GOOD_UPSTREAM", "dial", "plan_http", "valid_upgrade"]

_HEARTBEAT = '[2,"alive","Heartbeat",{}]'
_FEWEST_OF_SWEEP = 60
_MOST_OF_SWEEP = 400
GOOD_UPSTREAM = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)


def _listener(case: Case) -> str:
    if "sni" in case.tls:
        return "tenants"
    return "ocppj" if case.http.startswith("GET /ocppj/") else "tls"


def _plan_requests(case: Case) -> list[Play]:
    """Every request of the case; one that offers an OCPP version once per version of the case."""
    if not case.tls.keys() <= {"sni"}:
        raise NotUnderstood(f"tls {', '.join(case.tls)}")
    plays = []
    for label, request in requests_of(case):
        for version in case.version:
            offered = with_version(request, version)
            words = " ".join(part for part in (version if offered else "", label) if part)
            plays.append(_request_play(case, words, offered or request, version))
            if offered is None:
                break
    return plays


def _request_play(case: Case, label: str, request: bytes, version: str) -> Play:
    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=label, source=source, version=version, request=request, secrets=secrets_in(request))
        before = len(world.csms.requests)
        tls = ClientTLS(server_name=case.tls.get("sni", HOST))
        async with await Link.open(world.address(_listener(case)), source=source, tls=tls) as link:
            link.send(request)
            answer = await read_answer(link, seen)
            if answer is not None and answer.status == 101:
                await _after_101(case, world, link, answer, seen, before)
        if len(world.csms.requests) > before and seen.forwarded == "none":
            seen.forwarded = "some"
        if "sni" in case.tls:
            seen.problems += await _tenant_gets_in(world, request)
        return seen

    return Play(label=label, run=run)


async def _after_101(case: Case, world: World, link: Link, answer: Answer, seen: Observed, before: int) -> None:
    """Admitted: either it is told goodbye at once, or it is a session whose messages arrive."""
    if not case.expected.forwarded:
        seen.station_close = await link.close_code()
        return
    if not await until(lambda: len(world.csms.requests) > before):
        return
    request = world.csms.requests[-1]
    seen.upstream_headers = [name for name, _ in request.headers.raw_items()]
    identity = unquote(request.path.rpartition("/")[2])
    await until(lambda: request.path.rpartition("/")[2] in world.csms.connections)
    version = answer.headers.get("sec-websocket-protocol", f"ocpp{seen.version}").removeprefix("ocpp")
    session = Session(world, identity, version, link, answer)
    session.texts("csms").clear()
    session.read()
    # Once registered is enough, and many of the cases are about one charge point: it must not look like a boot loop.
    text = _HEARTBEAT if identity in world.booted else BOOT[version]
    world.booted.add(identity)
    await session.send_text("station", text)
    await until(lambda: bool(session.texts("csms")), 5)
    seen.forwarded = forwarded([text], session.texts("csms"))
    seen.closed = link.closed
    await session.end()


async def _tenant_gets_in(world: World, request: bytes) -> list[str]:
    """The same request is welcome under the name that it gives as Host."""
    host = re.search(rb"\r\nHost: ([^\r]+)", request)
    name = host[1].decode() if host else ""
    if name not in world.roster.tenants:
        raise NotUnderstood(f"tenant {name!r}")
    seen = Observed(label="control", source="")
    tls = ClientTLS(server_name=name)
    async with await Link.open(world.address("tenants"), source=world.new_source(), tls=tls) as link:
        link.send(request)
        answer = await read_answer(link, seen)
    return [] if answer is not None and answer.status == 101 else ["control: refused even where SNI and Host agree"]


# -- sweeps


def _plan_sweep(case: Case) -> list[Play]:
    generator = case.generator
    if generator.keys() != {"repeat", "vary"} or generator["vary"] != "path identity":
        raise NotUnderstood(f"generator {generator}")
    pattern = re.search(r"^GET (\S*?)(\d+) HTTP/1\.1\r\n", case.http)
    if pattern is None:
        raise NotUnderstood("no number in the path to count up")
    most = min(int(generator["repeat"]), _MOST_OF_SWEEP)

    def request(number: int) -> bytes:
        target = f"{pattern[1]}{int(pattern[2]) + number:0{len(pattern[2])}d}"
        return (f"GET {target} " + case.http.split(" ", 2)[2]).encode("latin-1")

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label="", source=source, secrets=secrets_in(request(0)))
        before, answers = len(world.csms.requests), []
        for number in range(most):
            answers.append(await _ask(world, source, request(number)))
            if answers[-1] is not None and answers[-1].status == 429 and len(answers) >= _FEWEST_OF_SWEEP:
                break
        known = case.http.replace(f"{pattern[1]}{pattern[2]} ", "/ocpp/CP-A01 ").encode("latin-1")
        answers.append(await _ask(world, source, known))
        seen.statuses = [answer.status if answer else 0 for answer in answers]
        seen.forwarded = "some" if len(world.csms.requests) > before else "none"
        seen.problems = _all_alike(answers)
        return seen

    return [Play(label="", run=run)]


async def _ask(world: World, source: str, request: bytes) -> Answer | None:
    async with await Link.open(world.address("tls"), source=source, tls=ClientTLS(server_name=HOST)) as link:
        link.send(request)
        return await read_answer(link, Observed(label="", source=source))


def _all_alike(answers: list[Answer | None]) -> list[str]:
    """Answers of one status differ in nothing, whether the identity exists (CP0007 and CP-A01 do) or not."""
    shapes: dict[int, set[tuple[object, ...]]] = {}
    for answer in answers:
        if answer is None:
            return ["an attempt got no answer"]
        fixed = sorted((name, value) for name, value in answer.headers.items() if name != "retry-after")
        shapes.setdefault(answer.status, set()).add((*fixed, answer.body))
    return [f"HTTP {status} comes in {len(found)} shapes" for status, found in shapes.items() if len(found) > 1]


# -- a hostile CSMS


def _plan_upstream(case: Case) -> list[Play]:
    """The case is what the CSMS answers; a charge point with good credentials must not get in behind it."""
    answers = [("", case.http.encode("latin-1"))]
    if " or 200" in case.title:
        answers.append(("200", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))

    def play(label: str, answer: bytes) -> Play:
        async def run(world: World, source: str) -> Observed:
            request = valid_upgrade()
            seen = Observed(label=label, source=source, request=request, secrets=secrets_in(request))
            world.hostile.raw_answer, before = answer, len(world.hostile.behind)
            await dial(world, source, request, seen)
            if len(world.hostile.behind) == before:
                seen.problems.append("the CSMS was not even asked")
            seen.forwarded = "some" if any(world.hostile.behind[before:]) else "none"
            world.hostile.raw_answer = GOOD_UPSTREAM
            control = Observed(label="control", source=source)
            await dial(world, world.new_source(), request, control)
            if control.answer is None or control.answer.status != 101:
                seen.problems.append("control: refused even behind a good answer")
            return seen

        return Play(label=label, run=run)

    return [play(label, answer) for label, answer in answers]


def valid_upgrade() -> bytes:
    """What CP-A01 sends when all is well."""
    return upgrade("/ocpp/CP-A01", host=HOST, authorization=basic("CP-A01", PASSWORDS["CP-A01"]))


async def dial(world: World, source: str, request: bytes, seen: Observed) -> None:
    """Connect on the listener in front of the hostile CSMS; what comes of it is in `seen`."""
    tls = ClientTLS(server_name=HOST)
    async with await Link.open(world.address("hostile"), source=source, tls=tls) as link:
        with contextlib.suppress(OSError):
            link.send(request)
            await read_answer(link, seen)


def plan_http(case: Case) -> list[Play]:
    """The plays of a case whose substance is an HTTP request or answer. Raises NotUnderstood."""
    if case.direction == "csms_to_station":
        if not case.http.startswith("HTTP/1.1 ") or case.generator:
            raise NotUnderstood("an answer of the CSMS that is none")
        return _plan_upstream(case)
    if "repeat" in case.generator:
        return _plan_sweep(case)
    return _plan_requests(case)
