"""The certificates of a root rollover, as options of `campaign plan`."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.provisioning.campaign_plan import Plan

__all__ = ["odd_material", "read_material"]

_PATIENT_ATTEMPTS = 60
"""Who has to be waited for until it reconnects by itself is not given up after hours."""


def read_material(options: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Fields of the plan. Files that cannot be read end the command."""
    from gateway.cli.files import read_text

    found: dict[str, Any] = {
        name: read_text(options[name], as_json=as_json) if options[name] else ""
        for name in ("old_root", "new_root", "link")
    }
    if options["kind"] == "old-root":
        found |= {"quiet_s": options["quiet"], "max_attempts": _PATIENT_ATTEMPTS}
    return found


def odd_material(made: "Plan", kind: str) -> list[str]:
    """What is wrong with it for this kind of campaign, in words."""
    from gateway.control.rollover_material import RolloverMaterial, why_unusable

    material = RolloverMaterial(made.old_root, made.new_root, made.link)
    if kind not in {"root", "old-root"}:
        return ["--old-root, --new-root and --link are of the kinds root and old-root"] if any(material) else []
    if not (material.old and material.new):
        return ["--old-root and --new-root say which root follows on which"]
    why = why_unusable(material, time.time())
    return [why] if why else []
