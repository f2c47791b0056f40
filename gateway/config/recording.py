"""Checks of [recording]: a file of its own, in a directory that exists."""

from collections.abc import Iterator
from pathlib import Path as FilePath

from gateway.config.findings import Findings
from gateway.config.model import Config

__all__ = ["check_recording"]


def check_recording(config: Config, findings: Findings) -> None:
    """Add what is wrong to `findings`. What is switched off may name a place that is not there yet.

    A place that is not there is no reason not to start: charge points are not turned away for want of a recording.
    """
    recording = config.recording
    if not recording.enabled or not recording.path:
        return
    path, place = FilePath(recording.path), ("recording", "path")
    if not path.parent.is_dir():
        findings.warning(place, f"nothing will be recorded: {path.parent} is no directory")
    elif path.is_dir():
        findings.warning(place, f"nothing will be recorded: {path} is a directory")
    ours = {path.resolve(), path.with_name(path.name + ".1").resolve()}
    for what, other in _other_files(config):
        if other.resolve() in ours:
            findings.error(place, f"{path} is the file of {what}: it needs one of its own")
    audit = FilePath(config.audit.directory or FilePath(config.state_dir) / "audit")
    if audit.resolve() in path.resolve().parents:
        findings.error(place, f"{audit} belongs to the audit log")


def _other_files(config: Config) -> Iterator[tuple[str, FilePath]]:
    """What a recording must not be written into, or be renamed over."""
    state = FilePath(config.state_dir)
    events = config.security_events.path
    if events != "-":
        yield "the security events", FilePath(events) if events else state / "security-events.jsonl"
    yield "its own key", state / "recording.key"
    yield "the configuration", FilePath(config.path)
    if config.database_url.startswith("sqlite:///"):
        yield "the registry", FilePath(config.database_url.removeprefix("sqlite:///"))
    if config.policy.site:
        yield "the policy", FilePath(config.policy.site)
    for sink in config.sinks:
        if sink.kind == "file":
            yield f"the sink {sink.name}", FilePath(sink.target)
