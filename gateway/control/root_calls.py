"""The gateway's own calls about a charge point's roots: list, install, delete."""

import time
from typing import Any, Final

from gateway.audit.event import printable
from gateway.control.certificate_calls import Said
from gateway.control.own_calls import CallAnswer, CallRefused, OwnCalls
from gateway.control.sessions import Entry
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.messages import Message, status_of
from gateway.provisioning.roots import (
    InstalledRoot,
    RootKind,
    RootName,
    RootStore,
    ask_facts,
    delete_message,
    install_message,
    installed_roots,
    list_messages,
    with_facts,
)

__all__ = ["RootCalls"]

_TIMEOUT_S: Final = 60.0
_UNABLE: Final = frozenset({"NotImplemented", "NotSupported"})


class RootCalls:
    """To live sessions."""

    def __init__(self, own_calls: OwnCalls) -> None:
        self._own_calls = own_calls

    async def store(self, entry: Entry) -> RootStore | Said:
        """What it has. Said, which is then no yes, where it does not say."""
        version = _version(entry)
        roots: list[InstalledRoot] = []
        for number, message in enumerate(list_messages(version)):
            answer = await self._ask(entry, message)
            found = installed_roots(version, message, answer.payload) if isinstance(answer, CallAnswer) else None
            if found is not None:
                roots += found
            elif number == 0:
                return answer if isinstance(answer, Said) else _said(answer)
        store = RootStore(roots=tuple(roots), version=version, asked_at=time.time())
        facts = await self._ask(entry, ask_facts(version))
        return with_facts(store, facts.payload if isinstance(facts, CallAnswer) else None)

    async def install(self, entry: Entry, kind: RootKind, pem: str) -> Said:
        """InstallCertificate."""
        message = install_message(_version(entry), kind, pem)
        if message is None:
            return Said(accepted=False, why=f"its version of OCPP installs no root of kind {kind}")
        return await self._order(entry, message)

    async def delete(self, entry: Entry, name: RootName) -> Said:
        """DeleteCertificate; NotFound is as good as done."""
        said = await self._order(entry, delete_message(name))
        return Said(accepted=True) if said.why.endswith("NotFound") else said

    async def _order(self, entry: Entry, message: Message) -> Said:
        answer = await self._ask(entry, message)
        return answer if isinstance(answer, Said) else _said(answer)

    async def _ask(self, entry: Entry, message: Message) -> CallAnswer | Said:
        try:
            return await self._own_calls.call(entry.charge_point_id, entry, message.action, message.payload, _TIMEOUT_S)
        except CallRefused as refused:
            return Said(accepted=False, known=False, why=str(refused))


def _said(answer: CallAnswer) -> Said:
    status = status_of(answer.payload) if answer.outcome == "result" else ""
    if status == "Accepted":
        return Said(accepted=True)
    why: Any = printable(status, 32) or f"{answer.outcome} {printable(answer.error, 64)}".rstrip()
    unable = answer.outcome == "error" and answer.error in _UNABLE
    return Said(accepted=False, known=bool(status) or unable, why=f"{answer.action}: {why}")


def _version(entry: Entry) -> OCPPVersion:
    version = OCPPVersion.from_subprotocol(entry.live.subprotocol) if entry.live is not None else None
    assert version is not None, "what an admission was made for"
    return version
