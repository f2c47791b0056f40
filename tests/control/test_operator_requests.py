"""Which requests of operators need a record: never those that go back, or that only look."""

from typing import Any, cast

from gateway.control.chain_switches import ChainSwitches, SwitchOrder
from gateway.control.log_shards import LogShards, PruneRequest

NOTHING: Any = cast("Any", None)
"""Which requests a part answers, and how, is known before anything is asked of it."""


def test_server_chains_go_back_without_a_record_and_forward_only_with_one() -> None:
    switches = ChainSwitches(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
    (asked,) = switches.requests()
    back, forward = (SwitchOrder(campaign="roots", by="Alice", back=back) for back in (True, False))
    assert (asked.is_stop(back), asked.is_stop(forward)) == (True, False)
    assert asked.is_change(back), "it is told all the same"
    assert asked.is_change(forward)


def test_what_would_be_pruned_is_shown_without_a_record_and_pruned_only_with_one() -> None:
    shards = LogShards(NOTHING, NOTHING)
    asked = next(each for each in shards.requests() if each.path == "/audit/prune")
    assert not asked.is_change(PruneRequest(reason="too old"))
    really = PruneRequest(reason="too old", dry_run=False)
    assert (asked.is_change(really), asked.is_stop(really)) == (True, False)
