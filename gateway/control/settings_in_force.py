"""What the edges work with: built, tried out, pushed, and kept when something else does not come into force."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gateway.config.model import Config
from gateway.control.background import in_background
from gateway.control.link_server import EdgeLink
from gateway.control.rollout import try_out
from gateway.control.settings import SettingsBuilder
from gateway.link.messages import EdgeSettings, SettingsUpdate
from gateway.store.certificates import Revocations

__all__ = ["SettingsInForce"]


class SettingsInForce:
    """One per node. `report(event, severity, decision, detail)` puts what becomes of a reload on record."""

    def __init__(
        self,
        inherited: EdgeSettings | None,
        first_generation: int,
        links: Mapping[int, EdgeLink],
        report: Callable[[str, str, str, str], None],
    ) -> None:
        """`inherited`: what a control process before this one had in force. `links`: by slot; changes meanwhile."""
        self._current = inherited
        self._links = links
        self._report = report
        self._builder = SettingsBuilder(first_generation)
        self.last_reload: dict[str, Any] = {"ok": True, "time": time.time(), "why": ""}

    @property
    def current(self) -> EdgeSettings | None:
        """None until the node has started."""
        return self._current

    @property
    def recording_error(self) -> str:
        """Why they are without the recording that the configuration asks for."""
        return self._builder.recording_error

    def begin(self, config: Config, revocations: Revocations) -> EdgeSettings:
        """At the start. What was in force stays: the files may have changed, and nobody has asked for a reload.

        Raises OSError, ConfigError.
        """
        if self._current is None:
            self._current = self._builder.build(config, revocations)
        else:
            self._current = self._builder.renewed(self._current, revocations)
        return self._current

    async def build(self, config: Config, revocations: Revocations) -> EdgeSettings:
        """Read everything anew, beside the event loop. Raises OSError, ConfigError."""
        return await in_background(partial(self._builder.build, config, revocations))

    async def come_into_force(self, settings: EdgeSettings) -> str:
        """Give them to all edges, which keep them if every one can use them. Empty, or why not."""
        why = await try_out(settings, self._links)
        if not why:
            self._current = settings
        elif self._current is not None:
            self._push(self._current)
        return why

    async def recertify(self, config: Config, revocations: Revocations) -> str:
        """Let the edges show the newest of the gateway's own certificates. Empty, or why they keep what they have."""
        current = self._current
        if current is None:
            return "the node has not started"
        newest = await in_background(partial(self._builder.recertified, current, config, revocations))
        return await self.come_into_force(newest)

    def succeeded(self) -> None:
        """A reload is through."""
        self.last_reload = {"ok": True, "time": time.time(), "why": ""}
        generation = self._current.generation if self._current else 0
        self._report("config.reloaded", "info", "allow", f"generation {generation}")

    def failed(self, why: str, *, recorded: bool = False) -> str:
        """Show, and record unless a control before us has, why the last good state stays in force; gives `why` back."""
        self.last_reload = {"ok": False, "time": time.time(), "why": why}
        if not recorded:
            self._report("config.reload_failed", "high", "keep_last_good", why)
        return why

    def renew_trust(self, revocations: Revocations) -> None:
        """New TLS contexts from the same files, which ends every resumable TLS session: revocations changed."""
        if self._current is not None:
            self._push(self._builder.renewed(self._current, revocations))

    def _push(self, settings: EdgeSettings) -> None:
        self._current = settings
        for link in self._links.values():
            link.send(SettingsUpdate(settings))

    def greet(self, link: EdgeLink) -> None:
        """An edge has come."""
        if self._current is not None:
            link.send(SettingsUpdate(self._current))

    def are_applied_by(self, edges: int) -> bool:
        """True if at least so many edges are there and work with these."""
        generation = self._current.generation if self._current is not None else -1
        current = [x for x in self._links.values() if x.applied_generation == generation and not x.settings_error]
        return len(current) >= edges

    def refused(self) -> str:
        """Why an edge cannot use them, or an empty string."""
        return next((link.settings_error for link in self._links.values() if link.settings_error), "")
